// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {IBundleMarket} from "./interfaces/IBundleMarket.sol";
import {ICertificates} from "./interfaces/ICertificates.sol";
import {IDeliveryOracle} from "./interfaces/IDeliveryOracle.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";
import {ITreasury} from "./interfaces/ITreasury.sol";
import {CertificateId} from "./libraries/CertificateId.sol";
import {ChunkBook} from "./libraries/ChunkBook.sol";
import {DeliveryMath} from "./libraries/DeliveryMath.sol";
import {GreenRun} from "./libraries/GreenRun.sol";
import {MeterDesk} from "./libraries/MeterDesk.sol";
import {OrderReader} from "./libraries/OrderReader.sol";
import {Places} from "./libraries/Places.sol";
import {PoolDesk} from "./libraries/PoolDesk.sol";
import {RefundDesk} from "./libraries/RefundDesk.sol";
import {RunWord} from "./libraries/RunWord.sol";
import {SettlementBook} from "./libraries/SettlementBook.sol";
import {SettlementState} from "./libraries/SettlementState.sol";

/// @title Settlement
/// @notice See ISettlement: the interface is the document. The power side is in MeterDesk and PoolDesk (linked),
/// the compute side here.
contract Settlement is ISettlement, Multicall {
    using ChunkBook for ChunkBook.Book;
    using RunWord for uint256;
    using SettlementBook for SettlementBook.Context;
    using SettlementState for SettlementState.State;

    uint256 private constant OUTCOME_BYTES = 8;
    uint256 private constant GREEN = 1;
    uint256 private constant GREY = 0;

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
        MeterDesk.meterPool(state, _wiring(), batchId, slot, zoneId, positions);
    }

    /// @inheritdoc ISettlement
    function meterMissing(
        uint64 batchId,
        uint16 slot,
        uint16 zoneId,
        uint16 place,
        Position calldata position
    ) external {
        MeterDesk.meterMissing(state, _wiring(), batchId, slot, zoneId, place, position);
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
        ChunkBook.Book memory k = ChunkBook.open(_wiring(), batchId, chunkIndex, chunk);
        for (uint256 i; i < slots.length; ++i) {
            k.c.checkSlot(slots[i]);
            state.useSlot(batchId, chunkIndex, slots[i]);
            _checkOutcomes(k.c, chunkIndex, slots[i], outcomes[i], proofs[i]);
            _settleSlot(k, chunkIndex, slots[i], outcomes[i]);
        }

        k.post(chunk.makers);
    }

    /// @inheritdoc ISettlement
    function refundChunk(
        uint64 batchId,
        uint32 chunkIndex,
        IBundleMarket.ChunkData calldata chunk,
        uint16[] calldata slots
    ) external {
        RefundDesk.refundChunk(state, _wiring(), refundDelay, batchId, chunkIndex, chunk, slots);
    }

    /// @inheritdoc ISettlement
    function refundContradicted(
        uint64 batchId,
        uint32 chunkIndex,
        IBundleMarket.ChunkData calldata chunk,
        uint16 slot,
        bytes calldata outcomes,
        bytes32[] calldata proof
    ) external {
        bytes memory reason = _trySettle(batchId, chunkIndex, chunk, slot, outcomes, proof);
        RefundDesk.refundContradicted(state, _wiring(), batchId, chunkIndex, chunk, slot, outcomes, reason);
    }

    /// @dev What settling a slot is refused with; empty where it is not, and the caller then reverts as a whole.
    function _trySettle(
        uint64 batchId,
        uint32 chunkIndex,
        IBundleMarket.ChunkData calldata chunk,
        uint16 slot,
        bytes calldata outcomes,
        bytes32[] calldata proof
    ) private returns (bytes memory reason) {
        uint16[] memory slots = new uint16[](1);
        bytes[] memory rows = new bytes[](1);
        bytes32[][] memory proofs = new bytes32[][](1);
        (slots[0], rows[0], proofs[0]) = (slot, outcomes, proof);
        try this.settleChunk(batchId, chunkIndex, chunk, slots, rows, proofs) {}
        catch (bytes memory why) {
            reason = why;
        }
    }

    /// @inheritdoc ISettlement
    function claimCredits(uint256 key, address[] calldata accounts) external {
        uint256[] memory grams = new uint256[](accounts.length);
        uint256 id = CertificateId.packMonth(
            CertificateId.CREDIT, CertificateId.monthOf(key & 0xfff), key >> 12, 0, address(this)
        );
        for (uint256 i; i < accounts.length; ++i) {
            grams[i] = TREASURY.takeCredit(accounts[i], key);
            if (grams[i] != 0) emit Credited(accounts[i], id, grams[i]);
        }

        CERTIFICATES.mint(id, accounts, grams);
    }

    /// @inheritdoc ISettlement
    function payPools(uint64 batchId, uint16[] calldata slots, uint16 zoneId) external {
        PoolDesk.payPools(state, _wiring(), batchId, slots, zoneId);
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

    function _settleSlot(ChunkBook.Book memory k, uint32 chunkIndex, uint16 slot, bytes calldata outcomes) private {
        ChunkBook.Cell memory cell = k.cell;
        k.closeCell();
        (cell.compute, cell.power, cell.refund) = (0, 0, 0);
        (uint256 used, uint256 penalty) = _settleRuns(k, slot, outcomes);
        require(used != 0, NothingInSlot(chunkIndex, slot));
        require(used == outcomes.length, OutcomesLength(outcomes.length, used));
        k.closeCell();

        k.keepPools(state, slot);

        emit SlotSettled(
            k.c.batchId, chunkIndex, slot, outcomes, cell.compute, cell.power, cell.refund, penalty
        );
    }

    /// @dev Every run that is active in a slot; returns the bytes of outcomes that they took, and the penalties paid.
    function _settleRuns(ChunkBook.Book memory k, uint256 slot, bytes calldata outcomes)
        private
        view
        returns (uint256 next, uint256 penalty)
    {
        uint256 count = k.runs.length;
        uint256 at_ = OrderReader.offsetOf(outcomes);
        unchecked {
            for (uint256 i; i < count; ++i) {
                uint256 run = Places.get(k.runs, i);
                if (slot < run.startSlot() || slot >= run.endSlot()) continue;
                if (next + OUTCOME_BYTES > outcomes.length) {
                    revert OutcomesLength(outcomes.length, next + OUTCOME_BYTES);
                }
                uint256 info = Places.get(k.info, i);
                if (info >> 64 != k.cell.key) k.openCell(state, slot, info >> 64);
                uint256 outcome = uint256(OrderReader.wordAt(at_ + next)) >> 192;
                next += OUTCOME_BYTES;
                if (GreenRun.settle(k.cell, run, info, outcome)) continue;
                _setDelivery(k.d, run, info, outcome);
                _checkOutcome(k.d, slot, i);
                penalty += _settleRun(k, slot, run.orderIdx(), uint32(info >> 32));
            }
        }
    }

    function _setDelivery(DeliveryMath.Delivery memory d, uint256 run, uint256 info, uint256 outcome) private pure {
        d.lanes = run.lanes();
        d.energyWhPerLane = uint32(info);
        d.milliLanes = outcome >> 32;
        d.matchedWh = uint32(outcome);
    }

    /// @dev One run in one slot: F15, the cell, the ledger entries, the penalty, the credit (F11).
    /// Money is below 2^64 and Wh below 2^48: no sum wraps.
    function _settleRun(ChunkBook.Book memory k, uint256 slot, uint256 order, uint256 site)
        private
        view
        returns (uint256 penalty)
    {
        (DeliveryMath.Payment memory p, ChunkBook.Cell memory cell) = (k.p, k.cell);
        DeliveryMath.settle(k.d, p);
        unchecked {
            Places.add_(k.refunds, order, p.refund);
            Places.add_(k.unlocked, order, p.bundle);
            Places.add_(k.siteMoney, site, p.payCompute);
            cell.compute += p.payCompute;
            cell.power += p.payPower;
            cell.refund += p.refund;
        }
        if (k.d.green) _payGreen(k, slot, order, p);
        else _payGrey(k, p);
        if (p.penalty != 0) return k.penalise(site, order, p.penalty);
    }

    function _checkOutcome(DeliveryMath.Delivery memory d, uint256 slot, uint256 i) private pure {
        unchecked {
            (uint256 lanes, uint256 matched) = (d.lanes, d.matchedWh);
            if (d.milliLanes > 1000 * lanes) {
                revert DeliveredAboveLanes(uint16(slot), i, d.milliLanes, 1000 * lanes);
            }
            if (matched > lanes * d.energyWhPerLane) {
                revert MatchedAboveEnergy(uint16(slot), i, matched, lanes * d.energyWhPerLane);
            }
            if (matched != 0 && !d.green) revert GreyMatched(uint16(slot), i, matched);
        }
    }

    /// @dev Green money waits in this contract's account for payPools.
    function _payGreen(ChunkBook.Book memory k, uint256 slot, uint256 order, DeliveryMath.Payment memory p)
        private
        pure
    {
        ChunkBook.Cell memory cell = k.cell;
        unchecked {
            uint256 matched = cell.matchedWh + p.matchedWh;
            uint256 all = cell.pool.matchedWh + matched;
            if (all > cell.pool.deliveredWh) {
                revert MatchedAboveDelivered(uint16(slot), cell.zone, all, cell.pool.deliveredWh);
            }

            cell.matchedWh = matched;
            cell.settledWh += p.energyWh;
            cell.money += p.payPower;
            if (cell.gain != 0) Places.add_(cell.credits, order, p.matchedWh * cell.gain);
        }
    }

    /// @dev Grey money goes to the zone's grid, or at a negative price comes out of what the grid locked.
    function _payGrey(ChunkBook.Book memory k, DeliveryMath.Payment memory p) private view {
        ChunkBook.Cell memory cell = k.cell;
        unchecked {
            if (k.d.energyPrice < 0) {
                cell.settledWh += p.energyWh;
                cell.matchedWh += p.matchedWh;
                cell.money += p.payPower;
            }
        }
        k.payGrid(cell.zone, p.payPower);
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
        return MeterDesk.deliveredWh(state, MARKET, batchId, slot, powerOfferIndex);
    }

    /// @inheritdoc ISettlement
    function isMeterUsed(uint256 meterId, uint256 time) external view returns (bool) {
        uint256 step = time / SettlementState.METER_STEP;
        return state.meterUsed[meterId][step >> 8] >> (step & 0xff) & 1 == 1;
    }
}
