// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBundleMarket} from "../interfaces/IBundleMarket.sol";
import {OrderLib} from "./OrderLib.sol";

/// @title Orders out of packed calldata, hashed where they are
/// @notice A group is the orders of one maker under one signature, all big-endian:
///   maker 20 | total u8 | present u32 | signature length u16 | signature | items
/// Item i of `total` is the terms of an order where bit i of `present` is set, else the struct hash of an order that
/// is signed with the others and not cleared here. Terms are the EIP-712 fields after the maker, in order, 77 bytes:
///   classId u32 | zoneMask u64 | lanes u32 | minLanes u32 | durationSlots u16 | start u64 | deadline u64
///   | limitPrice u64 | minGreenBps u16 | maxCarbon u32 | carbonPrice u32 | kind u8 | epoch u32 | nonce u64 | expiry u64
/// @dev tests/contracts/libraries/OrderReader.t.sol compares every function with plain slices and abi.encode.
library OrderReader {
    uint256 internal constant HEAD = 27;
    uint256 internal constant TERMS = 77;

    /// @notice An empty order whose struct hash `hashOf` computes in place.
    function create() internal pure returns (IBundleMarket.BundleOrder memory order) {
        bytes32 typeHash = OrderLib.BUNDLE_ORDER;
        assembly ("memory-safe") {
            let start := mload(0x40)
            mstore(start, typeHash)
            order := add(start, 32)
            mstore(0x40, add(start, 544))
        }
    }

    /// @notice EIP-712 struct hash of an order made by `create`.
    function hashOf(IBundleMarket.BundleOrder memory order) internal pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            hash := keccak256(sub(order, 32), 544)
        }
    }

    /// @notice Where bytes start in calldata; the functions below read at such offsets, and callers keep them inside.
    function offsetOf(bytes calldata data) internal pure returns (uint256 offset) {
        assembly ("memory-safe") {
            offset := data.offset
        }
    }

    /// @notice Head of a group.
    function head(uint256 offset)
        internal
        pure
        returns (address maker, uint256 total, uint256 present, uint256 signatureLength)
    {
        assembly ("memory-safe") {
            let word := calldataload(offset)
            maker := shr(96, word)
            total := and(shr(88, word), 0xff)
            present := and(shr(56, word), 0xffffffff)
            signatureLength := and(shr(40, word), 0xffff)
        }
    }

    function wordAt(uint256 offset) internal pure returns (bytes32 word) {
        assembly ("memory-safe") {
            word := calldataload(offset)
        }
    }

    function bytesAt(uint256 offset, uint256 length) internal pure returns (bytes calldata data) {
        assembly ("memory-safe") {
            data.offset := offset
            data.length := length
        }
    }

    /// @notice Fills `order` with a maker and the terms at `offset`.
    function readTerms(uint256 offset, address maker, IBundleMarket.BundleOrder memory order) internal pure {
        assembly ("memory-safe") {
            // bytes 0..31, 32..63 and 45..76 of the terms
            let a := calldataload(offset)
            let b := calldataload(add(offset, 32))
            let c := calldataload(add(offset, 45))
            mstore(order, maker)
            mstore(add(order, 32), shr(224, a)) // classId
            mstore(add(order, 64), and(shr(160, a), 0xffffffffffffffff)) // zoneMask
            mstore(add(order, 96), and(shr(128, a), 0xffffffff)) // lanes
            mstore(add(order, 128), and(shr(96, a), 0xffffffff)) // minLanes
            mstore(add(order, 160), and(shr(80, a), 0xffff)) // durationSlots
            mstore(add(order, 192), and(shr(16, a), 0xffffffffffffffff)) // start
            mstore(add(order, 224), or(shl(48, and(a, 0xffff)), shr(208, b))) // deadline: 2 bytes of a, 6 of b
            mstore(add(order, 256), and(shr(144, b), 0xffffffffffffffff)) // limitPrice
            mstore(add(order, 288), and(shr(128, b), 0xffff)) // minGreenBps
            mstore(add(order, 320), and(shr(96, b), 0xffffffff)) // maxCarbon
            mstore(add(order, 352), and(shr(64, b), 0xffffffff)) // carbonPrice
            mstore(add(order, 384), and(shr(56, b), 0xff)) // kind
            mstore(add(order, 416), and(shr(128, c), 0xffffffff)) // epoch
            mstore(add(order, 448), and(shr(64, c), 0xffffffffffffffff)) // nonce
            mstore(add(order, 480), and(c, 0xffffffffffffffff)) // expiry
        }
    }
}
