// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title One run: a rectangle of constant lanes at one site
/// @notice 13 bytes big-endian, read into the low 104 bits of a word:
///   103..88 orderIdx | 87..72 offerIdx | 71..64 mode | 63..48 startSlot | 47..32 endSlot | 31..0 lanes
library RunWord {
    uint256 internal constant SIZE = 13;
    /// @dev Bits below a run that stands at the front of a word.
    uint256 internal constant SHIFT = 152;

    function read(bytes calldata runs, uint256 index) internal pure returns (uint256) {
        uint256 from = index * SIZE;
        return uint104(bytes13(runs[from:from + SIZE]));
    }

    function count(bytes calldata runs) internal pure returns (uint256) {
        return runs.length / SIZE;
    }

    function orderIdx(uint256 run) internal pure returns (uint256) {
        return run >> 88;
    }

    function offerIdx(uint256 run) internal pure returns (uint256) {
        return uint16(run >> 72);
    }

    function mode(uint256 run) internal pure returns (uint256) {
        return uint8(run >> 64);
    }

    function startSlot(uint256 run) internal pure returns (uint256) {
        return uint16(run >> 48);
    }

    function endSlot(uint256 run) internal pure returns (uint256) {
        return uint16(run >> 32);
    }

    function lanes(uint256 run) internal pure returns (uint256) {
        return uint32(run);
    }
}
