// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Big-endian integers out of bytes in memory
/// @dev The only arithmetic on memory pointers in the product. Callers guarantee that the field lies inside `data`;
/// tests/contracts/libraries/ByteReader.t.sol compares each function with a plain loop.
library ByteReader {
    function uint32At(bytes memory data, uint256 offset) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := shr(224, mload(add(add(data, 32), offset)))
        }
    }

    function int32At(bytes memory data, uint256 offset) internal pure returns (int256 value) {
        assembly ("memory-safe") {
            value := sar(224, mload(add(add(data, 32), offset)))
        }
    }

    function uint16At(bytes memory data, uint256 offset) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := shr(240, mload(add(add(data, 32), offset)))
        }
    }

    /// @notice keccak256 of data[offset, offset + length).
    function hashOf(bytes memory data, uint256 offset, uint256 length) internal pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            hash := keccak256(add(add(data, 32), offset), length)
        }
    }
}
