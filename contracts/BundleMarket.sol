// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {IBundleMarket} from "./interfaces/IBundleMarket.sol";
import {IDeliveryOracle} from "./interfaces/IDeliveryOracle.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {ITreasury} from "./interfaces/ITreasury.sol";
import {BatchStore} from "./libraries/BatchStore.sol";
import {ClearDesk} from "./libraries/ClearDesk.sol";
import {MarketState} from "./libraries/MarketState.sol";
import {OfferDesk} from "./libraries/OfferDesk.sol";
import {OfferWord} from "./libraries/OfferWord.sol";
import {OrderLib} from "./libraries/OrderLib.sol";
import {OrderWindow} from "./libraries/OrderWindow.sol";
import {ProvenDesk} from "./libraries/ProvenDesk.sol";
import {ReleaseDesk} from "./libraries/ReleaseDesk.sol";
import {Signatures} from "./libraries/Signatures.sol";

/// @title BundleMarket
/// @notice See IBundleMarket: the interface is the document. Header, prices and offers are checked in OfferDesk, orders
/// cleared in ClearDesk, releases made in ReleaseDesk, all of them linked.
contract BundleMarket is IBundleMarket, EIP712 {
    using BatchStore for BatchStore.Store;
    using BatchStore for Batch;
    using MarketState for MarketState.State;
    using OfferWord for uint256;
    using OrderLib for BundleOrder;
    using OrderLib for ComputeOffer;
    using OrderLib for PowerOffer;

    IRegistry private immutable REGISTRY;
    ITreasury private immutable TREASURY;
    IDeliveryOracle private immutable ORACLE;

    address private immutable DEPLOYER;

    MarketState.State private state;
    address private optimistic;

    constructor(address registry, address treasury, address oracle) EIP712("BitWatt", "1") {
        REGISTRY = IRegistry(registry);
        TREASURY = ITreasury(treasury);
        ORACLE = IDeliveryOracle(oracle);
        DEPLOYER = msg.sender;
    }

    /// @inheritdoc IBundleMarket
    function wire(address optimistic_) external {
        require(msg.sender == DEPLOYER, NotDeployer(msg.sender));
        require(optimistic == address(0), AlreadyWired());

        optimistic = optimistic_;
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
    function clearChunk(uint64 batchId, bytes calldata orders, bytes calldata runs)
        external
        returns (uint32 chunkIndex)
    {
        return ClearDesk.clearChunk(state, _wiring(), batchId, orders, runs);
    }

    /// @inheritdoc IBundleMarket
    function clearProven(
        uint64 batchId,
        bytes calldata makers,
        bytes calldata orderHashes,
        bytes calldata fills,
        bytes calldata runs
    ) external returns (uint32) {
        require(msg.sender == optimistic, NotOptimistic(msg.sender));
        return ProvenDesk.clear(state, batchId, makers, orderHashes, fills, runs);
    }

    /// @inheritdoc IBundleMarket
    function finalizeProven(uint64 batchId) external {
        require(msg.sender == optimistic, NotOptimistic(msg.sender));
        ProvenDesk.finalize(state, batchId);
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
        _cancel(msg.sender, nonce);
    }

    /// @inheritdoc IBundleMarket
    function cancelAll() external {
        _cancelAll(msg.sender);
    }

    /// @inheritdoc IBundleMarket
    function cancelFor(address maker, uint64 nonce, bytes calldata signature) external {
        _checkSigned(maker, keccak256(abi.encode(OrderLib.CANCEL, maker, epochOf(maker), nonce)), signature);

        _cancel(maker, nonce);
    }

    /// @inheritdoc IBundleMarket
    function cancelAllFor(address maker, bytes calldata signature) external {
        _checkSigned(maker, keccak256(abi.encode(OrderLib.CANCEL_ALL, maker, epochOf(maker))), signature);

        _cancelAll(maker);
    }

    function _cancel(address maker, uint64 nonce) private {
        uint256 window = TREASURY.windowOf(maker);
        uint256 next = state.cancel(window, maker, nonce);

        emit Cancelled(maker, nonce);

        if (next != window) TREASURY.setWindow(maker, next);
    }

    function _cancelAll(address maker) private {
        uint256 window = TREASURY.windowOf(maker);
        require(OrderWindow.epoch(window) + 1 < OrderWindow.EPOCHS, LastEpoch(maker));
        uint256 next = OrderWindow.nextEpoch(window);

        emit AllCancelled(maker, uint32(OrderWindow.epoch(next)));

        TREASURY.setWindow(maker, next);
    }

    function _checkSigned(address maker, bytes32 structHash, bytes calldata signature) private view {
        bytes32 hash = _hashTypedDataV4(structHash);
        require(Signatures.isValid(maker, hash, signature), BadSignature(maker, hash));
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
    function epochOf(address maker) public view returns (uint32) {
        return uint32(OrderWindow.epoch(TREASURY.windowOf(maker)));
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
        BatchStore.Store storage b = state.batches[batchId];
        return b.table(b.headOf()).data;
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
    function poolPlants(uint64 batchId, uint16 zoneId, uint16[] calldata slots)
        external
        view
        returns (PoolPlant[] memory plants, uint256[] memory soldWh_)
    {
        return state.batches[batchId].plantsOf(zoneId, slots);
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
        return uint32(state.filled(TREASURY.windowOf(maker), maker, nonce));
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
