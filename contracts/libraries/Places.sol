// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Places of memory arrays that are known to be inside
/// @notice For loops over thousands of places whose bounds were checked before: no function here checks them again.
library Places {
    function get(uint256[] memory row, uint256 i) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := mload(add(add(row, 32), shl(5, i)))
        }
    }

    function set(uint256[] memory row, uint256 i, uint256 value) internal pure {
        assembly ("memory-safe") {
            mstore(add(add(row, 32), shl(5, i)), value)
        }
    }

    /// @notice row[i] += value, which does not wrap.
    function add_(uint256[] memory row, uint256 i, uint256 value) internal pure {
        assembly ("memory-safe") {
            let place := add(add(row, 32), shl(5, i))
            mstore(place, add(mload(place), value))
        }
    }

    function add_(int256[] memory row, uint256 i, uint256 value) internal pure {
        assembly ("memory-safe") {
            let place := add(add(row, 32), shl(5, i))
            mstore(place, add(mload(place), value))
        }
    }
}
