// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Many small numbers in one word
/// @notice A word holds 256 / width fields, field 0 in the low bits:
///   width 16: | f15 | ... | f1 | f0 |     lanes of a compute offer, one field a slot
///   width 32: | f7  | ... | f1 | f0 |     filled lanes by nonce, metered Wh by plant
///   width 64: | f3  | f2  | f1 | f0 |     Wh of an energy pool, one field a slot
library Packed {
    uint256 private constant ONES_16 = 0x0001000100010001000100010001000100010001000100010001000100010001;
    uint256 private constant HIGH_16 = 0x8000800080008000800080008000800080008000800080008000800080008000;
    uint256 private constant ONES_64 = 0x0000000000000001000000000000000100000000000000010000000000000001;

    /// @notice Field `index` of a word with fields of 16 bits.
    function get16(uint256 word, uint256 index) internal pure returns (uint256) {
        return (word >> (16 * index)) & 0xffff;
    }

    function get32(uint256 word, uint256 index) internal pure returns (uint256) {
        return (word >> (32 * index)) & 0xffffffff;
    }

    function set32(uint256 word, uint256 index, uint256 value) internal pure returns (uint256) {
        return (word & ~(uint256(0xffffffff) << (32 * index))) | (value << (32 * index));
    }

    /// @notice `value` (< 2^16) in the fields [from, to) of an otherwise empty word.
    function spread16(uint256 value, uint256 from, uint256 to) internal pure returns (uint256) {
        unchecked {
            return (value * ONES_16) & _mask(16 * from, 16 * to);
        }
    }

    /// @notice `value` (< 2^64) in the fields [from, to) of an otherwise empty word.
    function spread64(uint256 value, uint256 from, uint256 to) internal pure returns (uint256) {
        unchecked {
            return (value * ONES_64) & _mask(64 * from, 64 * to);
        }
    }

    /// @notice Whether every 16-bit field is at most `cap`. Needs cap < 2^15 and every field <= 2 * cap: then
    /// cap + 2^15 - field stays inside its 16 bits, and its top bit says field <= cap.
    function allAtMost16(uint256 word, uint256 cap) internal pure returns (bool) {
        unchecked {
            return ((cap * ONES_16 | HIGH_16) - word) & HIGH_16 == HIGH_16;
        }
    }

    /// @notice Signed field of a word that is a sum of fields times 2^(64 * index), each of them smaller than 2^63:
    /// borrows of lower fields are given back on the way up.
    function signed64(uint256 word, uint256 index) internal pure returns (int256 field) {
        unchecked {
            for (uint256 i; i <= index; ++i) {
                field = int64(uint64(word));
                word = uint256((int256(word) - field) >> 64);
            }
        }
    }

    /// @dev Bits [from, to) set; to <= 256.
    function _mask(uint256 from, uint256 to) private pure returns (uint256) {
        unchecked {
            return ((uint256(1) << (to - from)) - 1) << from;
        }
    }
}
