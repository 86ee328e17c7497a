// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Records of a fixed width, one after the other, in memory
/// @notice A record is written as a whole word whose first `width` bytes count; the next record overwrites the rest, so
/// the buffer has one word more than it needs until it is cut. tests/contracts/libraries/PackedWriter.t.sol compares
/// it with bytes.concat.
library PackedWriter {
    uint256 private constant WORD = 32;

    /// @notice Room for `size` bytes and the tail of the last record.
    function create(uint256 size) internal pure returns (bytes memory buffer) {
        buffer = new bytes(size + WORD);
    }

    /// @notice Writes a word at `offset`, which is at most `size`.
    function put(bytes memory buffer, uint256 offset, uint256 word) internal pure {
        assembly ("memory-safe") {
            mstore(add(add(buffer, 32), offset), word)
        }
    }

    /// @notice The word at `offset`, which is at most `size`.
    function get(bytes memory buffer, uint256 offset) internal pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(add(add(buffer, 32), offset))
        }
    }

    /// @notice The first `size` bytes; `size` is at most what the buffer was made for.
    function cut(bytes memory buffer, uint256 size) internal pure returns (bytes memory) {
        assembly ("memory-safe") {
            mstore(buffer, size)
        }
        return buffer;
    }
}
