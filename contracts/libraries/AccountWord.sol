// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title An account of the Treasury in one word
/// @notice 255..192 available micro | 191..128 locked micro | 127..90 credit milligrams | 89..72 credit key
///         | 71..0 order window (see OrderWindow)
/// The total of all accounts stays below 2^64 (Treasury.deposit), so no part can overflow.
library AccountWord {
    uint256 internal constant CREDIT_LIMIT = 1 << 38;
    uint256 private constant WINDOW_MASK = (1 << 72) - 1;
    uint256 private constant MONEY_SHIFT = 128;
    uint256 private constant LOW_MASK = (1 << 128) - 1;

    function available(uint256 word) internal pure returns (uint256) {
        return word >> 192;
    }

    function locked(uint256 word) internal pure returns (uint256) {
        return uint64(word >> 128);
    }

    function creditMg(uint256 word) internal pure returns (uint256) {
        return (word >> 90) & (CREDIT_LIMIT - 1);
    }

    function creditKey(uint256 word) internal pure returns (uint256) {
        return (word >> 72) & 0x3ffff;
    }

    function window(uint256 word) internal pure returns (uint256) {
        return word & WINDOW_MASK;
    }

    /// @notice The word with other money; both parts below 2^64.
    function withMoney(uint256 word, uint256 availableMicro, uint256 lockedMicro) internal pure returns (uint256) {
        return (word & LOW_MASK) | (availableMicro << 192) | (lockedMicro << MONEY_SHIFT);
    }

    /// @notice The word with another credit; `mg` below 2^38, `key` below 2^18.
    function withCredit(uint256 word, uint256 mg, uint256 key) internal pure returns (uint256) {
        uint256 mask = ((CREDIT_LIMIT - 1) << 90) | (0x3ffff << 72);
        return (word & ~mask) | (mg << 90) | (key << 72);
    }

    function withWindow(uint256 word, uint256 window_) internal pure returns (uint256) {
        return (word & ~WINDOW_MASK) | window_;
    }
}
