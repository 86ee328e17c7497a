// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IOptimisticMarket} from "../interfaces/IOptimisticMarket.sol";

/// @title The trees of an optimistic claim
/// @notice leaf = keccak256(keccak256(abi.encode(words))); node = keccak256(left, right) by position; missing leaves are zero.
/// Rows ascend by key = maker << 64 | nonce. Steps ascend by
///   key = kind << 88 | cell << 72 | slot << 56 | side << 48 | row << 16 | run
///   kind 0: cell is an offer, delta lanes; kind 1: cell is zone * 2 + mode, delta Wh
///   side 1: the run enters at its first slot; side 0: it leaves at its end
/// A mark of a run: zone u8 | cost u64 | welfare i128, 25 bytes.
library Claims {
    uint256 internal constant MARK = 25;
    uint256 internal constant LANES = 0;
    uint256 internal constant ENERGY = 1;

    uint256 private constant ROW_BYTES = 14 * 32;
    uint256 private constant STEP_BYTES = 4 * 32;
    uint256 private constant CLAIM_BYTES = 14 * 32;

    /// @dev The words of a static struct in calldata are its abi.encode; a word with dirty bits gives another hash.
    function leafOf(IOptimisticMarket.Row calldata row) internal pure returns (bytes32 leaf) {
        assembly ("memory-safe") {
            let place := mload(64)
            calldatacopy(place, row, ROW_BYTES)
            mstore(0, keccak256(place, ROW_BYTES))
            leaf := keccak256(0, 32)
        }
    }

    function leafOf(IOptimisticMarket.Step calldata step) internal pure returns (bytes32 leaf) {
        assembly ("memory-safe") {
            let place := mload(64)
            calldatacopy(place, step, STEP_BYTES)
            mstore(0, keccak256(place, STEP_BYTES))
            leaf := keccak256(0, 32)
        }
    }

    /// @notice keccak256(abi.encode(claim)).
    function hashOf(IOptimisticMarket.Claim calldata claim) internal pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            let place := mload(64)
            calldatacopy(place, claim, CLAIM_BYTES)
            hash := keccak256(place, CLAIM_BYTES)
        }
    }

    /// @notice Root above a node at `index` of its level. An index beyond the path's reach gives no root.
    function rootOf(bytes32 node, uint256 index, bytes32[] calldata path) internal pure returns (bytes32) {
        if (index >> path.length != 0) return 0;
        assembly ("memory-safe") {
            let end := add(path.offset, shl(5, path.length))
            for { let from := path.offset } lt(from, end) { from := add(from, 32) } {
                // the node goes left where the bit is 0
                let side := shl(5, and(index, 1))
                mstore(side, node)
                mstore(xor(side, 32), calldataload(from))
                node := keccak256(0, 64)
                index := shr(1, index)
            }
        }
        return node;
    }

    /// @notice Root of a subtree of 2^bits leaves, of which the first are given.
    function subtree(bytes32[] memory leaves, uint256 bits) internal pure returns (bytes32) {
        uint256 width = uint256(1) << bits;
        for (uint256 size = width; size > 1; size /= 2) {
            for (uint256 i; i < size / 2; ++i) {
                leaves[i] = pair(leaves[2 * i], leaves[2 * i + 1]);
            }
        }
        return leaves[0];
    }

    function pair(bytes32 left, bytes32 right) internal pure returns (bytes32 node) {
        assembly ("memory-safe") {
            mstore(0, left)
            mstore(32, right)
            node := keccak256(0, 64)
        }
    }

    function keyOf(IOptimisticMarket.Row calldata row) internal pure returns (uint256) {
        return rowKey(row.maker, row.nonce);
    }

    function rowKey(address maker, uint64 nonce) internal pure returns (uint256) {
        return uint256(uint160(maker)) << 64 | nonce;
    }

    function stepKey(uint256 kind, uint256 cell, uint256 slot, uint256 side, uint256 row, uint256 run)
        internal
        pure
        returns (uint256)
    {
        return kind << 88 | cell << 72 | slot << 56 | side << 48 | row << 16 | run;
    }

    /// @dev The caller checked that `marks` holds the mark.
    function mark(bytes calldata marks, uint256 index)
        internal
        pure
        returns (uint256 zone, uint256 costMicro, int256 welfareMilli)
    {
        uint256 head;
        assembly ("memory-safe") {
            let from := add(marks.offset, mul(index, MARK))
            head := calldataload(from)
            welfareMilli := sar(128, calldataload(add(from, 9)))
        }
        return (head >> 248, uint64(head >> 184), welfareMilli);
    }
}
