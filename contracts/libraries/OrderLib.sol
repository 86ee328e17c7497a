// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBundleMarket} from "../interfaces/IBundleMarket.sol";

/// @title EIP-712 struct hashes of the signed messages of the market
/// @dev All fields are static words, so the encoding of the struct is the encoding of its fields.
library OrderLib {
    bytes32 internal constant BUNDLE_ORDER = keccak256(
        "BundleOrder(address maker,uint32 classId,uint64 zoneMask,uint32 lanes,uint32 minLanes,uint16 durationSlots,"
        "uint64 start,uint64 deadline,uint64 limitPrice,uint16 minGreenBps,uint32 maxCarbon,uint32 carbonPrice,"
        "uint8 kind,uint32 epoch,uint64 nonce,uint64 expiry)"
    );
    /// @dev Many orders of a maker under one signature; wallets show each of them.
    bytes32 internal constant BUNDLE_ORDERS = keccak256(
        "BundleOrders(BundleOrder[] orders)"
        "BundleOrder(address maker,uint32 classId,uint64 zoneMask,uint32 lanes,uint32 minLanes,uint16 durationSlots,"
        "uint64 start,uint64 deadline,uint64 limitPrice,uint16 minGreenBps,uint32 maxCarbon,uint32 carbonPrice,"
        "uint8 kind,uint32 epoch,uint64 nonce,uint64 expiry)"
    );
    bytes32 internal constant CANCEL = keccak256("Cancel(address maker,uint32 epoch,uint64 nonce)");
    bytes32 internal constant CANCEL_ALL = keccak256("CancelAll(address maker,uint32 epoch)");
    bytes32 internal constant COMPUTE_OFFER = keccak256(
        "ComputeOffer(address maker,uint32 siteId,uint32 classId,uint32 zoneId,uint32 capacity,"
        "uint32 energyWhPerVcuSlot,uint64 askPrice,uint64 start,uint64 end,uint32 epoch,uint64 nonce,uint64 expiry)"
    );
    bytes32 internal constant POWER_OFFER = keccak256(
        "PowerOffer(address maker,uint32 plantId,uint32 zoneId,uint8 source,uint8 tranches,uint64 start,uint16 slots,"
        "bytes32 profileHash,uint32 epoch,uint64 nonce,uint64 expiry)"
    );

    function hash(IBundleMarket.BundleOrder calldata order) internal pure returns (bytes32) {
        return keccak256(abi.encode(BUNDLE_ORDER, order));
    }

    function hash(IBundleMarket.ComputeOffer calldata offer) internal pure returns (bytes32) {
        return keccak256(abi.encode(COMPUTE_OFFER, offer));
    }

    function hash(IBundleMarket.PowerOffer calldata offer) internal pure returns (bytes32) {
        return keccak256(abi.encode(POWER_OFFER, offer));
    }
}
