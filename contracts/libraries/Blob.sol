// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Data kept as contract code
/// @notice 200 gas a byte to keep and 3 gas a word to read, against 690 and 66 in storage. The code starts with STOP,
/// so calling it does nothing.
library Blob {
    /// @dev 24,576 bytes of code, less the STOP. The ten bytes of init code return what follows them:
    /// 61 LLLL push length | 80 dup | 60 0a push 10 | 5f push 0 | 39 codecopy | 5f push 0 | f3 return
    uint256 internal constant LIMIT = 24_575;

    error BlobTooLarge(uint256 length);
    error BlobNotWritten();
    error BlobTooShort(address pointer, uint256 end);

    function write(bytes memory data) internal returns (address pointer) {
        if (data.length > LIMIT) revert BlobTooLarge(data.length);
        bytes memory code = abi.encodePacked(hex"61", uint16(data.length + 1), hex"80600a5f395ff300", data);
        assembly ("memory-safe") {
            pointer := create(0, add(code, 32), mload(code))
        }
        if (pointer == address(0)) revert BlobNotWritten();
    }

    /// @notice Bytes kept at a pointer.
    function length(address pointer) internal view returns (uint256) {
        return pointer.code.length - 1;
    }

    /// @notice Copies `size` bytes from `from` of the blob into `target` at `place`.
    function copy(address pointer, uint256 from, uint256 size, bytes memory target, uint256 place) internal view {
        if (from + size > length(pointer)) revert BlobTooShort(pointer, from + size);
        if (place + size > target.length) revert BlobTooLarge(place + size);
        assembly ("memory-safe") {
            extcodecopy(pointer, add(add(target, 32), place), add(from, 1), size)
        }
    }

    /// @notice Four bytes from `from`, big-endian; what lies beyond the end is zero.
    function uint32At(address pointer, uint256 from) internal view returns (uint256 value) {
        assembly ("memory-safe") {
            mstore(0, 0)
            extcodecopy(pointer, 28, add(from, 1), 4)
            value := mload(0)
        }
    }

    /// @notice All parts, one after the other, `total` bytes long.
    function join(address[] memory parts, uint256 total) internal view returns (bytes memory whole) {
        whole = new bytes(total);
        uint256 place;
        for (uint256 i; i < parts.length; ++i) {
            uint256 size = length(parts[i]);
            copy(parts[i], 0, size, whole, place);
            place += size;
        }
    }

    /// @notice `size` bytes from `from` of all parts taken as one.
    function slice(address[] memory parts, uint256 from, uint256 size) internal view returns (bytes memory piece) {
        piece = new bytes(size);
        uint256 done;
        for (uint256 i; i < parts.length && done < size; ++i) {
            uint256 here = length(parts[i]);
            if (from >= here) {
                from -= here;
                continue;
            }
            uint256 most = here - from;
            uint256 take = size - done < most ? size - done : most;
            copy(parts[i], from, take, piece, done);
            (from, done) = (0, done + take);
        }
        if (done != size) revert BlobTooShort(address(0), size - done);
    }
}
