// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {IBundleMarket} from "./interfaces/IBundleMarket.sol";
import {ICertificates} from "./interfaces/ICertificates.sol";
import {IDeliveryOracle} from "./interfaces/IDeliveryOracle.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";
import {ITreasury} from "./interfaces/ITreasury.sol";
import {AccountBook} from "./libraries/AccountBook.sol";
import {CertificateId} from "./libraries/CertificateId.sol";
import {DeliveryMath} from "./libraries/DeliveryMath.sol";
import {OfferWord} from "./libraries/OfferWord.sol";
import {PoolDesk} from "./libraries/PoolDesk.sol";
import {PriceTable} from "./libraries/PriceTable.sol";
import {RunWord} from "./libraries/RunWord.sol";
import {SettlementBook} from "./libraries/SettlementBook.sol";
import {SettlementState} from "./libraries/SettlementState.sol";

/// @title Settlement
/// @notice See ISettlement: the interface is the document. The power side is in PoolDesk (linked), the compute side
/// here.
contract Settlement is ISettlement {
    using AccountBook for AccountBook.Book;
    using OfferWord for uint256;
    using PriceTable for PriceTable.Table;
    using RunWord for uint256;
    using SettlementBook for SettlementBook.Context;
    using SettlementState for SettlementState.State;

    uint256 private constant OUTCOME_BYTES = 8;
    uint256 private constant GREEN = 1;
    uint256 private constant GREY = 0;

    /// @dev Sums of one slot for its event.
    struct SlotSums {
        uint256 compute;
        int256 power;
        uint256 refund;
        uint256 penalty;
    }

    IRegistry private immutable REGISTRY;
    ITreasury private immutable TREASURY;
    IDeliveryOracle private immutable ORACLE;
    IBundleMarket private immutable MARKET;
    ICertificates private immutable CERTIFICATES;
    bytes32 public immutable override feedId;
    uint256 public immutable override refundDelay;
    uint256 public immutable override missingGrace;

    SettlementState.State private state;

    constructor(
        address registry,
        address treasury,
        address oracle,
        address market,
        address certificates,
        bytes32 feedId_,
        uint256 refundDelay_,
        uint256 missingGrace_
    ) {
        REGISTRY = IRegistry(registry);
        TREASURY = ITreasury(treasury);
        ORACLE = IDeliveryOracle(oracle);
        MARKET = IBundleMarket(market);
        CERTIFICATES = ICertificates(certificates);
        feedId = feedId_;
        refundDelay = refundDelay_;
        missingGrace = missingGrace_;
    }

    /// @inheritdoc ISettlement
    function meterPool(uint64 batchId, uint16 slot, uint16 zoneId, Position[] calldata positions) external {
        PoolDesk.meterPool(state, _wiring(), batchId, slot, zoneId, positions);
    }

    /// @inheritdoc ISettlement
    function settleChunk(
        uint64 batchId,
        uint32 chunkIndex,
        IBundleMarket.ChunkData calldata chunk,
        uint16[] calldata slots,
        bytes[] calldata outcomes,
        bytes32[][] calldata proofs
    ) external {
        require(slots.length == outcomes.length, LengthMismatch(slots.length, outcomes.length));
        require(slots.length == proofs.length, LengthMismatch(slots.length, proofs.length));
        SettlementBook.Context memory c = _openChunk(batchId, chunkIndex, chunk);
        for (uint256 i; i < slots.length; ++i) {
            c.checkSlot(slots[i]);
            state.useSlot(batchId, chunkIndex, slots[i]);
            _checkOutcomes(c, chunkIndex, slots[i], outcomes[i], proofs[i]);
            _settleSlot(c, chunkIndex, slots[i], outcomes[i]);
        }
        _credit(c, chunk.makers);

        c.post();
    }

    /// @inheritdoc ISettlement
    function refundChunk(
        uint64 batchId,
        uint32 chunkIndex,
        IBundleMarket.ChunkData calldata chunk,
        uint16[] calldata slots
    ) external {
        SettlementBook.Context memory c = _openChunk(batchId, chunkIndex, chunk);
        for (uint256 i; i < slots.length; ++i) {
            c.checkSlot(slots[i]);
            state.useSlot(batchId, chunkIndex, slots[i]);
            _checkRefund(c, slots[i]);
            _refundSlot(c, chunkIndex, slots[i]);
        }

        c.post();
    }

    /// @inheritdoc ISettlement
    function payPool(uint64 batchId, uint16 slot, uint16 zoneId) external {
        PoolDesk.payPool(state, _wiring(), batchId, slot, zoneId);
    }

    /// @inheritdoc ISettlement
    function releaseGrid(uint64 batchId, uint16 slot, uint16 zoneId) external {
        PoolDesk.releaseGrid(state, _wiring(), batchId, slot, zoneId);
    }

    function _wiring() private view returns (SettlementState.Wiring memory) {
        return
            SettlementState.Wiring(
                REGISTRY, TREASURY, ORACLE, MARKET, CERTIFICATES, feedId, missingGrace
            );
    }

    /// @dev A final batch and one of its chunks.
    function _openChunk(uint64 batchId, uint32 chunkIndex, IBundleMarket.ChunkData calldata chunk)
        private
        view
        returns (SettlementBook.Context memory c)
    {
        c = SettlementBook.open(_wiring(), batchId, chunk.makers.length + RunWord.count(chunk.runs));
        bytes32 commitment = keccak256(abi.encode(chunk.makers, chunk.orderHashes, chunk.runs));
        require(commitment == MARKET.chunkCommitment(batchId, chunkIndex), WrongChunk(batchId, chunkIndex));
        c.load(chunk);
    }

    function _checkOutcomes(
        SettlementBook.Context memory c,
        uint32 chunkIndex,
        uint16 slot,
        bytes calldata outcomes,
        bytes32[] calldata proof
    ) private view {
        (bool isFinal,, bytes32 outcomesRoot,) = c.report(slot);
        require(isFinal, ReportNotFinal(c.batchId, slot));
        bytes32 inner = keccak256(abi.encode(c.batchId, chunkIndex, slot, keccak256(outcomes)));
        bytes32 leaf = keccak256(bytes.concat(inner));
        bool inside = MerkleProof.verifyCalldata(proof, outcomesRoot, leaf);
        require(inside, OutcomesNotInReport(c.batchId, chunkIndex, slot));
    }

    function _checkRefund(SettlementBook.Context memory c, uint16 slot) private view {
        uint256 allowedAt = uint256(c.slotStart(slot + 1)) + refundDelay;
        (bool isFinal,,,) = c.report(slot);
        if (isFinal) allowedAt += refundDelay;
        require(block.timestamp >= allowedAt, RefundTooEarly(slot, allowedAt));
    }

    function _settleSlot(
        SettlementBook.Context memory c,
        uint32 chunkIndex,
        uint16 slot,
        bytes calldata outcomes
    ) private {
        SlotSums memory sums;
        uint256 next;
        uint256[] memory runs = c.runs;
        for (uint256 i; i < runs.length; ++i) {
            if (slot < runs[i].startSlot() || slot >= runs[i].endSlot()) continue;
            if (next + OUTCOME_BYTES > outcomes.length) revert OutcomesLength(outcomes.length, next + OUTCOME_BYTES);
            uint64 outcome = uint64(bytes8(outcomes[next:next + OUTCOME_BYTES]));
            next += OUTCOME_BYTES;
            c.setDelivery(slot, i, outcome >> 32, uint32(outcome));
            _settleRun(c, slot, i, sums);
        }
        require(next != 0, NothingInSlot(chunkIndex, slot));
        require(next == outcomes.length, OutcomesLength(outcomes.length, next));

        c.keepPools(state, slot);

        emit SlotSettled(
            c.batchId, chunkIndex, slot, outcomes, sums.compute, sums.power, sums.refund, sums.penalty
        );
    }

    /// @dev One run in one slot: F15, the pool, the ledger entries, the penalty, the credit.
    function _settleRun(SettlementBook.Context memory c, uint256 slot, uint256 i, SlotSums memory sums) private view {
        (DeliveryMath.Delivery memory d, DeliveryMath.Payment memory p) = (c.d, c.p);
        uint256 energyWh = d.lanes * d.energyWhPerLane;
        if (d.milliLanes > 1000 * d.lanes) revert DeliveredAboveLanes(uint16(slot), i, d.milliLanes, 1000 * d.lanes);
        if (d.matchedWh > energyWh) revert MatchedAboveEnergy(uint16(slot), i, d.matchedWh, energyWh);
        if (!d.green && d.matchedWh != 0) revert GreyMatched(uint16(slot), i, d.matchedWh);

        DeliveryMath.settle(d, p);
        uint256 order = c.runs[i].orderIdx();
        uint256 buyer = c.buyer[order];
        c.book.add(buyer, int256(p.refund), -int256(p.bundle));
        c.book.add(c.site[i], int256(p.payCompute), 0);
        if (d.green) _payGreen(c, slot, c.a[i].zoneId(), order);
        else _payGrey(c, slot, c.a[i].zoneId());
        sums.penalty += c.penalise(c.site[i], buyer, p.penalty);
        sums.compute += p.payCompute;
        sums.power += p.payPower;
        sums.refund += p.refund;
    }

    /// @dev Green money waits in this contract's account for payPool.
    function _payGreen(SettlementBook.Context memory c, uint256 slot, uint256 zone, uint256 order) private view {
        DeliveryMath.Payment memory p = c.p;
        Pool memory pool_ = c.poolOf(state, slot, zone, GREEN);
        uint256 matched = pool_.matchedWh + p.matchedWh;
        if (!pool_.metered) revert PoolNotMetered(c.batchId, uint16(slot), uint16(zone));
        if (matched > pool_.deliveredWh) {
            revert MatchedAboveDelivered(uint16(slot), zone, matched, pool_.deliveredWh);
        }

        _addToPool(pool_, p);
        c.book.add(c.self, p.payPower, 0);
        _earn(c, slot, zone, order, p.matchedWh);
    }

    /// @dev Grey money goes to the zone's grid, or at a negative price comes out of what the grid locked.
    function _payGrey(SettlementBook.Context memory c, uint256 slot, uint256 zone) private view {
        (, uint256 grid) = c.gridOf(zone);
        if (c.d.energyPrice < 0) _addToPool(c.poolOf(state, slot, zone, GREY), c.p);
        if (c.p.payPower < 0) c.book.add(grid, 0, c.p.payPower);
        else c.book.add(grid, c.p.payPower, 0);
    }

    function _addToPool(Pool memory pool_, DeliveryMath.Payment memory p) private pure {
        pool_.settledWh += uint48(p.energyWh);
        pool_.matchedWh += uint48(p.matchedWh);
        pool_.moneyMicro += int96(p.payPower);
    }

    /// @dev F11: Wh * g/kWh = mg, on the batch's own factors, floored at 0.
    function _earn(SettlementBook.Context memory c, uint256 slot, uint256 zone, uint256 order, uint256 matchedWh)
        private
        pure
    {
        uint256 base = c.table.gridCarbon(zone, slot);
        uint256 supply = c.table.greenFactor(zone, slot);
        if (base > supply) c.creditMg[zone * c.buyer.length + order] += matchedWh * (base - supply);
    }

    function _refundSlot(SettlementBook.Context memory c, uint32 chunkIndex, uint16 slot) private {
        (DeliveryMath.Delivery memory d, DeliveryMath.Payment memory p) = (c.d, c.p);
        uint256 refund;
        bool any;
        for (uint256 i; i < c.runs.length; ++i) {
            if (slot < c.runs[i].startSlot() || slot >= c.runs[i].endSlot()) continue;
            any = true;
            c.setDelivery(slot, i, 0, 0);
            (p.bundle, p.energyWh) = (d.lanes * d.price, d.lanes * d.energyWhPerLane);
            refund += p.bundle;
            c.book.add(c.buyer[c.runs[i].orderIdx()], int256(p.bundle), -int256(p.bundle));
            if (d.green || d.energyPrice < 0) {
                _addToPool(c.poolOf(state, slot, c.a[i].zoneId(), d.green ? GREEN : GREY), p);
            }
        }
        require(any, NothingInSlot(chunkIndex, slot));

        c.keepPools(state, slot);

        emit SlotRefunded(c.batchId, chunkIndex, slot, refund);
    }

    /// @dev Whole grams by zone to the makers; what is below a gram stays on the account.
    function _credit(SettlementBook.Context memory c, address[] calldata makers) private {
        for (uint256 zone; zone < c.batch.zones; ++zone) {
            uint256[] memory grams = new uint256[](makers.length);
            uint256 id = CertificateId.pack(CertificateId.CREDIT, c.batch.start, zone, 0, address(this));
            uint256 total;
            for (uint256 i; i < makers.length; ++i) {
                uint256 earned = c.creditMg[zone * makers.length + i];
                if (earned == 0) continue;
                earned += state.creditRemainderMg[makers[i]];
                grams[i] = earned / 1000;
                total += grams[i];
                state.creditRemainderMg[makers[i]] = earned % 1000;
                emit Credited(makers[i], id, grams[i], earned % 1000);
            }
            if (total != 0) CERTIFICATES.mint(id, makers, grams);
        }
    }

    // --- views

    /// @inheritdoc ISettlement
    function isSettled(uint64 batchId, uint32 chunkIndex, uint16 slot) external view returns (bool) {
        return state.settledWord(batchId, chunkIndex, slot >> 8) >> (slot & 0xff) & 1 == 1;
    }

    /// @inheritdoc ISettlement
    function settledBitmap(uint64 batchId, uint32 chunkIndex, uint256 word) external view returns (uint256) {
        return state.settledWord(batchId, chunkIndex, word);
    }

    /// @inheritdoc ISettlement
    function pool(uint64 batchId, uint16 slot, uint16 zoneId) external view returns (Pool memory) {
        return state.poolOf(batchId, slot, zoneId, GREEN);
    }

    /// @inheritdoc ISettlement
    function gridReleased(uint64 batchId, uint16 slot, uint16 zoneId) external view returns (bool) {
        return state.poolOf(batchId, slot, zoneId, GREY).paid;
    }

    /// @inheritdoc ISettlement
    function deliveredWh(uint64 batchId, uint16 slot, uint16 powerOfferIndex) external view returns (uint256) {
        return state.deliveredWh(batchId, slot, powerOfferIndex);
    }

    /// @inheritdoc ISettlement
    function creditRemainderMg(address account) external view returns (uint256) {
        return state.creditRemainderMg[account];
    }

    /// @inheritdoc ISettlement
    function isMeterUsed(uint256 meterId, uint256 time) external view returns (bool) {
        uint256 step = time / SettlementState.METER_STEP;
        return state.meterUsed[meterId][step >> 8] >> (step & 0xff) & 1 == 1;
    }
}
