// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBundleMarket} from "../interfaces/IBundleMarket.sol";
import {ISettlement} from "../interfaces/ISettlement.sol";
import {ChunkBook} from "./ChunkBook.sol";
import {DeliveryMath} from "./DeliveryMath.sol";
import {OfferWord} from "./OfferWord.sol";
import {RunWord} from "./RunWord.sol";
import {SettlementBook} from "./SettlementBook.sol";
import {SettlementState} from "./SettlementState.sol";

/// @title Refunds of slots that cannot be settled
/// @notice Linked into Settlement, which runs it on its own storage; it keeps Settlement below the size limit.
library RefundDesk {
    using ChunkBook for ChunkBook.Book;
    using OfferWord for uint256;
    using RunWord for uint256;
    using SettlementBook for SettlementBook.Context;
    using SettlementState for SettlementState.State;

    uint256 private constant GREEN = 1;
    uint256 private constant GREY = 0;

    function refundChunk(
        SettlementState.State storage s,
        SettlementState.Wiring memory w,
        uint256 refundDelay,
        uint64 batchId,
        uint32 chunkIndex,
        IBundleMarket.ChunkData calldata chunk,
        uint16[] calldata slots
    ) external {
        ChunkBook.Book memory k = ChunkBook.open(w, batchId, chunkIndex, chunk);
        for (uint256 i; i < slots.length; ++i) {
            k.c.checkSlot(slots[i]);
            s.useSlot(batchId, chunkIndex, slots[i]);
            _checkRefund(k.c, refundDelay, slots[i]);
            _refundSlot(s, k, chunkIndex, slots[i]);
        }

        k.post(chunk.makers);
    }

    /// @param reason what settling the slot by these outcomes was refused with
    function refundContradicted(
        SettlementState.State storage s,
        SettlementState.Wiring memory w,
        uint64 batchId,
        uint32 chunkIndex,
        IBundleMarket.ChunkData calldata chunk,
        uint16 slot,
        bytes calldata outcomes,
        bytes calldata reason
    ) external {
        _checkContradiction(s, batchId, chunkIndex, slot, reason);

        emit ISettlement.SlotContradicted(batchId, chunkIndex, slot, outcomes, reason);

        _refundOne(s, w, batchId, chunkIndex, chunk, slot);
    }

    function _refundOne(
        SettlementState.State storage s,
        SettlementState.Wiring memory w,
        uint64 batchId,
        uint32 chunkIndex,
        IBundleMarket.ChunkData calldata chunk,
        uint16 slot
    ) private {
        s.useSlot(batchId, chunkIndex, slot);
        ChunkBook.Book memory k = ChunkBook.open(w, batchId, chunkIndex, chunk);
        _refundSlot(s, k, chunkIndex, slot);

        k.post(chunk.makers);
    }

    function _checkContradiction(
        SettlementState.State storage s,
        uint64 batchId,
        uint32 chunkIndex,
        uint16 slot,
        bytes calldata reason
    ) private view {
        bool contradicted = _isContradiction(s, batchId, reason);
        require(contradicted, ISettlement.NotContradicted(batchId, chunkIndex, slot, reason));
    }

    /// @dev Errors that only the outcomes themselves can cause: they were found in the final report before. Nothing else
    /// counts, least of all a call that ran out of gas.
    function _isContradiction(SettlementState.State storage s, uint64 batchId, bytes calldata reason)
        private
        view
        returns (bool)
    {
        if (reason.length < 4) return false;
        bytes4 kind = bytes4(reason[:4]);
        if (kind == ISettlement.MatchedAboveDelivered.selector) {
            (uint256 slot, uint256 zone) = abi.decode(reason[4:68], (uint256, uint256));
            return _isMeteredForGood(s, batchId, slot, zone);
        }
        return kind == ISettlement.OutcomesLength.selector || kind == ISettlement.DeliveredAboveLanes.selector
            || kind == ISettlement.MatchedAboveEnergy.selector || kind == ISettlement.GreyMatched.selector;
    }

    /// @dev Whether what a pool delivered cannot grow any more.
    function _isMeteredForGood(SettlementState.State storage s, uint64 batchId, uint256 slot, uint256 zoneId)
        private
        view
        returns (bool)
    {
        if (!s.poolOf(batchId, slot, zoneId, GREEN).missing) return true;
        return block.timestamp >= s.missingUntil[SettlementState.poolKey(batchId, slot, zoneId, GREEN)];
    }

    function _checkRefund(SettlementBook.Context memory c, uint256 refundDelay, uint16 slot) private view {
        uint256 allowedAt = uint256(c.slotStart(slot + 1)) + refundDelay;
        (bool isFinal,,,) = c.report(slot);
        if (isFinal) allowedAt += refundDelay;
        require(block.timestamp >= allowedAt, ISettlement.RefundTooEarly(slot, allowedAt));
    }

    function _addToPool(ISettlement.Pool memory pool_, DeliveryMath.Payment memory p) private pure {
        pool_.settledWh += uint48(p.energyWh);
        pool_.matchedWh += uint48(p.matchedWh);
        pool_.moneyMicro += int88(p.payPower);
    }

    function _refundSlot(SettlementState.State storage s, ChunkBook.Book memory k, uint32 chunkIndex, uint16 slot)
        private
    {
        (DeliveryMath.Delivery memory d, DeliveryMath.Payment memory p) = (k.d, k.p);
        uint256 refund;
        bool any;
        for (uint256 i; i < k.runs.length; ++i) {
            uint256 run = k.runs[i];
            if (slot < run.startSlot() || slot >= run.endSlot()) continue;
            any = true;
            k.setDelivery(slot, run, 0, 0);
            (p.bundle, p.energyWh) = (d.lanes * d.price, d.lanes * d.energyWhPerLane);
            (p.matchedWh, p.payPower) = (0, 0);
            refund += p.bundle;
            k.refunds[run.orderIdx()] += p.bundle;
            k.unlocked[run.orderIdx()] += p.bundle;
            if (d.green || d.energyPrice < 0) {
                uint256 zone = k.a[run.offerIdx()].zoneId();
                _addToPool(k.poolOf(s, slot, zone, d.green ? GREEN : GREY), p);
            }
        }
        require(any, ISettlement.NothingInSlot(chunkIndex, slot));

        k.keepPools(s, slot);

        emit ISettlement.SlotRefunded(k.c.batchId, chunkIndex, slot, refund);
    }
}
