// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ISettlement} from "../interfaces/ISettlement.sol";
import {AccountWord} from "./AccountWord.sol";

/// @title Entries of Treasury.settle, in memory
/// @notice Two words each, see ITreasury.settle. An entry of zeros is not kept.
library Entries {
    /// @param size words used
    struct List {
        uint256[] words;
        uint256 size;
    }

    /// @param capacity most entries
    function create(uint256 capacity) internal pure returns (List memory list) {
        list.words = new uint256[](2 * capacity);
    }

    /// @notice Adds an entry; `mg` is below 2^38 and `key` below 2^18.
    function add(
        List memory list,
        address account,
        int256 available,
        int256 locked,
        uint256 key,
        uint256 mg
    ) internal pure {
        if (available == 0 && locked == 0 && mg == 0) return;
        if (available != int64(available)) revert ISettlement.EntryTooLarge(account, available);
        if (locked != int64(locked)) revert ISettlement.EntryTooLarge(account, locked);
        if (mg >= AccountWord.CREDIT_LIMIT) revert ISettlement.EntryTooLarge(account, int256(mg));
        unchecked {
            uint256 at_ = list.size;
            list.words[at_] = uint256(uint160(account)) << 96 | uint256(uint64(int64(available))) << 32;
            list.words[at_ + 1] = uint256(uint64(int64(locked))) << 192 | key << 38 | mg;
            list.size = at_ + 2;
        }
    }

    /// @notice The words that are used.
    function used(List memory list) internal pure returns (uint256[] memory words) {
        (words, list.words) = (list.words, new uint256[](0));
        uint256 size = list.size;
        assembly ("memory-safe") {
            mstore(words, size)
        }
    }
}
