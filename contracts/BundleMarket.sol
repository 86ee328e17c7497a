// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {IBundleMarket} from "./interfaces/IBundleMarket.sol";
import {IDeliveryOracle} from "./interfaces/IDeliveryOracle.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {ITreasury} from "./interfaces/ITreasury.sol";
import {AccountBook} from "./libraries/AccountBook.sol";
import {BatchStore} from "./libraries/BatchStore.sol";
import {Clearing} from "./libraries/Clearing.sol";
import {MarketState} from "./libraries/MarketState.sol";
import {OfferDesk} from "./libraries/OfferDesk.sol";
import {OfferWord} from "./libraries/OfferWord.sol";
import {OrderLib} from "./libraries/OrderLib.sol";
import {ReleaseDesk} from "./libraries/ReleaseDesk.sol";
import {RunWord} from "./libraries/RunWord.sol";

/// @title BundleMarket
/// @notice See IBundleMarket: the interface is the document. Header, prices and offers are checked in OfferDesk,
/// releases in ReleaseDesk (both linked); orders are cleared here.
contract BundleMarket is IBundleMarket, EIP712 {
    using AccountBook for AccountBook.Book;
    using BatchStore for BatchStore.Store;
    using BatchStore for Batch;
    using MarketState for MarketState.State;
    using OfferWord for uint256;
    using OrderLib for BundleOrder;
    using OrderLib for ComputeOffer;
    using OrderLib for PowerOffer;
    using RunWord for uint256;

    /// @dev What clearChunk collects over its orders.
    struct ChunkWork {
        uint64 batchId;
        AccountBook.Book book;
        address[] makers;
        bytes32[] hashes;
    }

    IRegistry private immutable REGISTRY;
    ITreasury private immutable TREASURY;
    IDeliveryOracle private immutable ORACLE;

    MarketState.State private state;

    constructor(address registry, address treasury, address oracle) EIP712("BitWatt", "1") {
        REGISTRY = IRegistry(registry);
        TREASURY = ITreasury(treasury);
        ORACLE = IDeliveryOracle(oracle);
    }

    /// @inheritdoc IBundleMarket
    function openBatch(BatchHeader calldata header) external returns (uint64 batchId) {
        return OfferDesk.openBatch(state, REGISTRY, ORACLE, header);
    }

    /// @inheritdoc IBundleMarket
    function postPrices(uint64 batchId, uint16 part, bytes calldata data) external {
        OfferDesk.postPrices(state, batchId, part, data);
    }

    /// @inheritdoc IBundleMarket
    function addComputeOffers(uint64 batchId, ComputeOffer[] calldata offers, bytes[] calldata sigs) external {
        OfferDesk.addComputeOffers(state, _wiring(), batchId, offers, sigs);
    }

    /// @inheritdoc IBundleMarket
    function addPowerOffers(
        uint64 batchId,
        PowerOffer[] calldata offers,
        bytes[] calldata sigs,
        bytes[] calldata profiles,
        bytes[] calldata sold
    ) external {
        OfferDesk.addPowerOffers(state, _wiring(), batchId, offers, sigs, profiles, sold);
    }

    /// @inheritdoc IBundleMarket
    function clearChunk(uint64 batchId, BundleOrder[] calldata orders, bytes[] calldata sigs, bytes calldata runs)
        external
        returns (uint32 chunkIndex)
    {
        BatchStore.Store storage b = state.priced(batchId);
        require(orders.length == sigs.length, LengthMismatch(orders.length, sigs.length));
        require(runs.length != 0 && runs.length % RunWord.SIZE == 0, RunsLength(runs.length));

        Clearing.Context memory c = Clearing.begin(b);
        ChunkWork memory work = ChunkWork(
            batchId,
            AccountBook.create(orders.length),
            new address[](orders.length),
            new bytes32[](orders.length)
        );
        for (uint256 i; i < orders.length; ++i) {
            _clearOrder(b, c, work, orders[i], sigs[i], i, runs);
        }
        _requireAllTaken(c, runs);

        Clearing.commit(b, c);
        chunkIndex = b.head.chunks++;
        b.chunks[chunkIndex] = keccak256(abi.encode(work.makers, work.hashes, runs));

        emit ChunkCleared(batchId, chunkIndex, work.makers, work.hashes, runs);

        TREASURY.post(work.book.postings());
    }

    /// @inheritdoc IBundleMarket
    function finalize(uint64 batchId) external {
        BatchStore.Store storage b = state.priced(batchId);
        b.requireBalanced();

        b.head.state = State.Finalised;

        emit BatchFinalised(batchId);
    }

    /// @inheritdoc IBundleMarket
    function voidBatch(uint64 batchId) external {
        Batch storage head = state.batches[batchId].head;
        require(head.state == State.Open, WrongState(batchId, head.state));
        bool allowed = msg.sender == head.solver || block.timestamp >= head.start;
        require(allowed, NotYetVoidable(batchId, head.start));

        head.state = State.Voided;

        emit BatchVoided(batchId);
    }

    /// @inheritdoc IBundleMarket
    function releaseChunk(
        uint64 batchId,
        uint32 chunkIndex,
        ChunkData calldata chunk,
        BundleOrder[] calldata orders
    ) external {
        ReleaseDesk.releaseChunk(state, _wiring(), batchId, chunkIndex, chunk, orders);
    }

    /// @inheritdoc IBundleMarket
    function releaseObligations(uint64 batchId, uint16 powerOfferIndex) external {
        ReleaseDesk.releaseObligations(state, _wiring(), batchId, powerOfferIndex);
    }

    /// @inheritdoc IBundleMarket
    function cancel(uint64 nonce) external {
        state.setFilled(msg.sender, nonce, MarketState.CANCELLED);

        emit Cancelled(msg.sender, nonce);
    }

    /// @inheritdoc IBundleMarket
    function cancelAll() external {
        uint32 epoch = ++state.epochOf[msg.sender];

        emit AllCancelled(msg.sender, epoch);
    }

    /// @dev One order of a chunk: message, runs, fill ledger, lock.
    function _clearOrder(
        BatchStore.Store storage b,
        Clearing.Context memory c,
        ChunkWork memory work,
        BundleOrder calldata order,
        bytes calldata sig,
        uint256 idx,
        bytes calldata runs
    ) private {
        bytes32 hash = _hashTypedDataV4(order.hash());
        state.checkSigned(order.maker, hash, sig, order.epoch, order.nonce, order.expiry);
        (uint256 lanes, uint256 cost) = Clearing.takeOrder(b, c, order, idx, runs);

        _fill(order, idx, lanes);
        (work.makers[idx], work.hashes[idx]) = (order.maker, hash);
        work.book.add(work.book.entryOf(order.maker), -int256(cost), int256(cost));

        emit OrderCleared(work.batchId, hash, order.maker, uint32(lanes), cost);
    }

    function _fill(BundleOrder calldata order, uint256 idx, uint256 lanes) private {
        uint256 filled = state.filled(order.maker, order.nonce);
        uint256 most = order.lanes > filled ? order.lanes - filled : 0;
        require(lanes <= most, LanesOutOfRange(idx, lanes, 1, most));

        state.setFilled(order.maker, order.nonce, filled + lanes);
    }

    function _requireAllTaken(Clearing.Context memory c, bytes calldata runs) private pure {
        if (c.next == RunWord.count(runs)) return;
        revert UnknownOrder(c.next, RunWord.read(runs, c.next).orderIdx());
    }

    function _wiring() private view returns (MarketState.Wiring memory) {
        return MarketState.Wiring(_domainSeparatorV4(), REGISTRY, TREASURY);
    }

    // --- views

    /// @inheritdoc IBundleMarket
    function batchCount() external view returns (uint64) {
        return state.batchCount;
    }

    /// @inheritdoc IBundleMarket
    function epochOf(address maker) external view returns (uint32) {
        return state.epochOf[maker];
    }

    /// @inheritdoc IBundleMarket
    function batch(uint64 batchId) external view returns (Batch memory) {
        return state.batches[batchId].headOf();
    }

    /// @inheritdoc IBundleMarket
    function tableLength(uint64 batchId) external view returns (uint256) {
        return state.batches[batchId].headOf().tableLength();
    }

    /// @inheritdoc IBundleMarket
    function pricePart(uint64 batchId, uint16 part) external view returns (address) {
        return state.batches[batchId].priceParts[part];
    }

    /// @inheritdoc IBundleMarket
    function priceTable(uint64 batchId) external view returns (bytes memory) {
        return state.batches[batchId].table().data;
    }

    /// @inheritdoc IBundleMarket
    function computeOffer(uint64 batchId, uint16 index) external view returns (OfferView memory) {
        (uint256 a, uint256 b) = (state.batches[batchId].offerA[index], state.batches[batchId].offerB[index]);
        return OfferView(
            a.maker(),
            uint8(a.classId()),
            uint8(a.zoneId()),
            uint16(a.capacity()),
            uint16(a.openSlot()),
            uint16(a.closeSlot()),
            uint32(a.site()),
            uint32(b.energy()),
            uint64(b.ask())
        );
    }

    /// @inheritdoc IBundleMarket
    function offerWords(uint64 batchId, uint16 index) external view returns (uint256 a, uint256 b) {
        return (state.batches[batchId].offerA[index], state.batches[batchId].offerB[index]);
    }

    /// @inheritdoc IBundleMarket
    function powerOffer(uint64 batchId, uint16 index) external view returns (PowerView memory) {
        return state.batches[batchId].power[index];
    }

    /// @inheritdoc IBundleMarket
    function soldPart(uint64 batchId, uint16 part) external view returns (address) {
        return state.batches[batchId].soldParts[part];
    }

    /// @inheritdoc IBundleMarket
    function soldWh(uint64 batchId, uint16 powerOfferIndex, uint16 slot) external view returns (uint32) {
        return uint32(state.batches[batchId].soldWh(powerOfferIndex, slot));
    }

    /// @inheritdoc IBundleMarket
    function greenOffers(uint64 batchId, uint16 zoneId) external view returns (uint16[] memory) {
        return state.batches[batchId].green[zoneId];
    }

    /// @inheritdoc IBundleMarket
    function gridOffer(uint64 batchId, uint16 zoneId) external view returns (uint256) {
        return state.batches[batchId].gridIndexPlusOne[zoneId];
    }

    /// @inheritdoc IBundleMarket
    function poolBalanceWh(uint64 batchId, uint16 zoneId, uint8 mode, uint16 slot) external view returns (int256) {
        return state.batches[batchId].balanceWh(zoneId, mode, slot);
    }

    /// @inheritdoc IBundleMarket
    function lanesSold(uint64 batchId, uint16 offerIndex, uint16 slot) external view returns (uint16) {
        return uint16(state.batches[batchId].lanesOf(offerIndex, slot));
    }

    /// @inheritdoc IBundleMarket
    function chunkCommitment(uint64 batchId, uint32 chunkIndex) external view returns (bytes32) {
        return state.batches[batchId].chunks[chunkIndex];
    }

    /// @inheritdoc IBundleMarket
    function chunkReleased(uint64 batchId, uint32 chunkIndex) external view returns (bool) {
        return state.batches[batchId].chunkReleased[chunkIndex];
    }

    /// @inheritdoc IBundleMarket
    function lanesFilled(address maker, uint64 nonce) external view returns (uint32) {
        return uint32(state.filled(maker, nonce));
    }

    /// @inheritdoc IBundleMarket
    function hashOrder(BundleOrder calldata order) external view returns (bytes32) {
        return _hashTypedDataV4(order.hash());
    }

    /// @inheritdoc IBundleMarket
    function hashComputeOffer(ComputeOffer calldata offer) external view returns (bytes32) {
        return _hashTypedDataV4(offer.hash());
    }

    /// @inheritdoc IBundleMarket
    function hashPowerOffer(PowerOffer calldata offer) external view returns (bytes32) {
        return _hashTypedDataV4(offer.hash());
    }
}
