// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBundleMarket} from "../interfaces/IBundleMarket.sol";

/// @title A maker's epoch and queued nonces
/// @notice 71..56 epoch | 55..32 base | 31..0 sixteen states of two bits, nonce base + i at bits 2 i
/// A nonce of [2^52, 2^52 + 2^24) is queued: nonce - 2^52 is its number. Numbers below the base are closed. Every other
/// nonce is free: its fills are in the market's storage. Queued nonces save a storage word an order, but at most
/// sixteen that follow each other can be open at once; an order that was never filled keeps its place until it is
/// cancelled, its nonce is used by another order, or the epoch ends.
library OrderWindow {
    uint256 internal constant FRESH = 0;
    uint256 internal constant PARTLY = 1;
    uint256 internal constant FILLED = 2;
    uint256 internal constant CANCELLED = 3;
    uint256 internal constant PLACES = 16;
    uint256 internal constant EPOCHS = 1 << 16;

    uint256 private constant QUEUE = 1 << 28;
    uint256 private constant NUMBERS = 1 << 24;

    function isQueued(uint256 nonce) internal pure returns (bool) {
        return nonce >> 24 == QUEUE;
    }

    function epoch(uint256 window) internal pure returns (uint256) {
        return window >> 56;
    }

    /// @notice First number that may be open.
    function base(uint256 window) internal pure returns (uint256) {
        return (window >> 32) & (NUMBERS - 1);
    }

    /// @notice State of a queued nonce; what lies above the window is fresh.
    function state(uint256 window, uint256 nonce) internal pure returns (uint256) {
        uint256 number = nonce & (NUMBERS - 1);
        uint256 first = base(window);
        if (number < first) return FILLED;
        unchecked {
            if (number >= first + PLACES) return FRESH;
            return (window >> (2 * (number - first))) & 3;
        }
    }

    /// @notice The window with another state of a queued nonce; slides over filled and cancelled numbers as far as it
    /// must. A number below the base stays closed.
    function set(uint256 window, uint256 nonce, uint256 value) internal pure returns (uint256) {
        uint256 number = nonce & (NUMBERS - 1);
        uint256 first = base(window);
        if (number < first) return window;
        uint256 states = window & 0xffffffff;
        unchecked {
            while (number >= first + PLACES && states & FILLED != 0) {
                states >>= 2;
                ++first;
            }
            if (number >= first + PLACES) {
                revert IBundleMarket.NonceOutsideWindow(uint64(nonce), uint64((QUEUE << 24) + first));
            }
            uint256 shift = 2 * (number - first);
            states = (states & ~(uint256(3) << shift)) | (value << shift);
        }
        return (window >> 56 << 56) | (first << 32) | states;
    }

    /// @notice The window of the next epoch: every number is fresh again.
    function nextEpoch(uint256 window) internal pure returns (uint256) {
        return (epoch(window) + 1) << 56;
    }
}
