// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ITreasury} from "../interfaces/ITreasury.sol";

/// @title Net changes of many accounts, in memory
/// @notice An open-addressing table from account to entry, so that a transaction writes each ledger word once.
library AccountBook {
    /// @param index entry + 1 by hash place, zero when free
    struct Book {
        uint256[] index;
        address[] accounts;
        int256[] available;
        int256[] locked;
        uint256 count;
    }

    error BookFull(uint256 capacity);

    /// @param capacity most distinct accounts
    function create(uint256 capacity) internal pure returns (Book memory book) {
        uint256 places = 4;
        while (places < 2 * capacity) places *= 2;
        book.index = new uint256[](places);
        book.accounts = new address[](capacity);
        book.available = new int256[](capacity);
        book.locked = new int256[](capacity);
    }

    /// @notice Entry of an account, made when it is new.
    function entryOf(Book memory book, address account) internal pure returns (uint256 entry) {
        uint256 mask = book.index.length - 1;
        uint256 place;
        unchecked {
            place = (uint256(uint160(account)) * 0x9e3779b97f4a7c15f39cc0605cedc835 >> 96) & mask; // wraps on purpose
        }
        while (true) {
            entry = book.index[place];
            if (entry == 0) break;
            if (book.accounts[entry - 1] == account) return entry - 1;
            place = (place + 1) & mask;
        }
        entry = book.count;
        if (entry == book.accounts.length) revert BookFull(entry);
        book.accounts[entry] = account;
        book.index[place] = ++book.count;
    }

    /// @dev Amounts are below 2^127 and a transaction has less than 2^64 of them, so sums stay inside an int256;
    /// `postings` refuses what the ledger cannot hold.
    function add(Book memory book, uint256 entry, int256 available, int256 locked) internal pure {
        unchecked {
            if (available != 0) book.available[entry] += available;
            if (locked != 0) book.locked[entry] += locked;
        }
    }

    /// @notice The entries as postings, without those that cancel out.
    function postings(Book memory book) internal pure returns (ITreasury.Posting[] memory list) {
        uint256 used;
        for (uint256 i; i < book.count; ++i) {
            if (book.available[i] != 0 || book.locked[i] != 0) ++used;
        }
        list = new ITreasury.Posting[](used);
        for (uint256 i = book.count; i > 0; --i) {
            if (book.available[i - 1] == 0 && book.locked[i - 1] == 0) continue;
            list[--used] = ITreasury.Posting(
                book.accounts[i - 1], SafeCast.toInt128(book.available[i - 1]), SafeCast.toInt128(book.locked[i - 1])
            );
        }
    }
}
