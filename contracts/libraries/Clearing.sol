// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBundleMarket} from "../interfaces/IBundleMarket.sol";
import {BatchStore} from "./BatchStore.sol";
import {ByteReader} from "./ByteReader.sol";
import {MarketState} from "./MarketState.sol";
import {OfferWord} from "./OfferWord.sol";
import {OrderReader} from "./OrderReader.sol";
import {Packed} from "./Packed.sol";
import {Places} from "./Places.sol";
import {PriceTable} from "./PriceTable.sol";
import {RunWord} from "./RunWord.sol";

/// @title Checks the runs of a chunk against orders, offers and prices
/// @notice Everything is collected in memory and written once: lanes by offer, Wh by pool.
/// @dev Lanes, prices and energies are fields of at most 32 bits (limits 64): no sum or product here passes 2^200, so
/// the arithmetic is unchecked.
library Clearing {
    using BatchStore for BatchStore.Store;
    using ByteReader for bytes;
    using OfferWord for uint256;
    using PriceTable for PriceTable.Table;
    using RunWord for uint256;

    uint256 private constant NO_ZONE = type(uint256).max;
    uint32 private constant NO_CARBON_CAP = type(uint32).max;

    /// @param store slot of the batch's store
    /// @param runsAt calldata offset of the runs
    /// @param offerA, offerB offer words by index, read when first used (offerA is never zero then)
    /// @param touched offers used so far
    /// @param lanes lanes added, by lane word
    /// @param wh Wh bought, by pool word
    /// @param load lanes of one order and zone by slot: stamp << 64 | lanes
    /// @param next index of the next run
    struct Context {
        uint256 store;
        uint256 runsAt;
        uint256 runCount;
        PriceTable.Table table;
        uint256 start;
        uint256 slotSeconds;
        uint256 slots;
        uint256 laneWords;
        uint256 poolWords;
        uint256[] offerA;
        uint256[] offerB;
        uint256[] touched;
        uint256 touchedCount;
        uint256[] lanes;
        uint256[] wh;
        uint256[] load;
        uint256 stamp;
        uint256 next;
        Tally tally;
    }

    /// @notice One order while its runs are taken; one for all orders of a chunk, so that memory does not grow.
    /// @param from, to slots of the order's window
    /// @param peak most lanes in one slot of the open zone, at `peakSlot`
    struct Tally {
        uint256 from;
        uint256 to;
        uint256 zone;
        uint256 zoneVcuSlots;
        uint256 peak;
        uint256 peakSlot;
        uint256 lanes;
        uint256 vcuSlots;
        uint256 greenVcuSlots;
        uint256 costMicro;
    }

    function begin(BatchStore.Store storage b, bytes calldata runs) internal view returns (Context memory c) {
        (c.store, c.runsAt, c.runCount) = (b.slotOf(), OrderReader.offsetOf(runs), RunWord.count(runs));
        IBundleMarket.Batch memory head = b.headOf();
        uint256 offers = head.computeOffers;
        c.table = b.table(head);
        (c.start, c.slotSeconds, c.slots) = (head.start, head.slotSeconds, head.slots);
        (c.laneWords, c.poolWords) = (BatchStore.laneWords(head.slots), BatchStore.poolWords(head.slots));
        c.offerA = new uint256[](offers);
        c.offerB = new uint256[](offers);
        c.touched = new uint256[](offers);
        c.lanes = new uint256[](offers * c.laneWords);
        c.wh = new uint256[](2 * uint256(head.zones) * c.poolWords);
        c.load = new uint256[](head.slots);
    }

    /// @notice Takes the runs of order `idx`, which come next in `runs`, and checks the order as a whole.
    /// @return lanesFilled lanes the runs fill; @return costMicro what they cost at the table's prices
    function takeOrder(Context memory c, IBundleMarket.BundleOrder memory order, uint256 idx)
        internal
        view
        returns (uint256 lanesFilled, uint256 costMicro)
    {
        if (order.kind > 2) revert IBundleMarket.KindNotSupported(idx, order.kind);
        if (order.durationSlots == 0) revert IBundleMarket.BadOrder(idx, "durationSlots");
        if (order.lanes == MarketState.CANCELLED) revert IBundleMarket.BadOrder(idx, "lanes");

        Tally memory tally = c.tally;
        _open(c, tally, order);
        uint256 first = c.next;
        uint256 next = first;
        unchecked {
            for (uint256 count = c.runCount; next < count; c.next = ++next) {
                uint256 run = uint256(OrderReader.wordAt(c.runsAt + RunWord.SIZE * next)) >> RunWord.SHIFT;
                if (run.orderIdx() != idx) break;
                _takeRun(c, tally, order, idx, run);
            }
        }
        if (next == first) revert IBundleMarket.OrderNotFilled(idx);
        _closeZone(tally, order, idx);
        _checkOrder(tally, order, idx);
        return (tally.lanes, tally.costMicro);
    }

    /// @notice Writes the collected lanes, checked against what other chunks took, and the collected Wh.
    function commit(BatchStore.Store storage b, Context memory c) internal {
        uint256 words = c.laneWords;
        for (uint256 i; i < c.touchedCount; ++i) {
            uint256 offer = c.touched[i];
            uint256 cap = c.offerA[offer].capacity();
            for (uint256 w = offer * words; w < (offer + 1) * words; ++w) {
                if (c.lanes[w] == 0) continue;
                uint256 sum = b.lanes[w] + c.lanes[w];
                _checkCapacity(sum, cap, offer, (w - offer * words) * BatchStore.LANE_FIELDS);
                b.lanes[w] = sum;
            }
        }
        b.addBought(c.wh);
    }

    /// @notice VCU-slots and cost by order of a chunk that was checked before.
    function sums(BatchStore.Store storage b, uint256 orders, bytes calldata runs)
        internal
        view
        returns (uint256[] memory vcuSlots, uint256[] memory costs)
    {
        PriceTable.Table memory table = b.table(b.headOf());
        (vcuSlots, costs) = (new uint256[](orders), new uint256[](orders));
        for (uint256 i; i < RunWord.count(runs); ++i) {
            uint256 run = RunWord.read(runs, i);
            uint256 order = run.orderIdx();
            vcuSlots[order] += run.lanes() * (run.endSlot() - run.startSlot());
            costs[order] += costOf(table, b.offerA[run.offerIdx()], run);
        }
    }

    /// @notice Cost of a run at the table's prices, micro-units.
    function costOf(PriceTable.Table memory table, uint256 offerA, uint256 run) private pure returns (uint256) {
        uint256 row = table.computeRow(offerA.classId(), offerA.zoneId(), run.mode());
        uint256 sum;
        for (uint256 t = run.startSlot(); t < run.endSlot(); ++t) {
            sum += table.data.uint32At(row + 4 * t);
        }
        return sum * run.lanes();
    }

    /// @dev An empty tally with the whole batch slots inside the order's window.
    function _open(Context memory c, Tally memory tally, IBundleMarket.BundleOrder memory order) private pure {
        unchecked {
            (uint256 start, uint256 slotSeconds) = (c.start, c.slotSeconds);
            tally.from = order.start > start ? (order.start - start + slotSeconds - 1) / slotSeconds : 0;
            uint256 to = order.deadline > start ? (order.deadline - start) / slotSeconds : 0;
            tally.to = to < c.slots ? to : c.slots;
        }
        tally.zone = NO_ZONE;
        tally.zoneVcuSlots = 0;
        tally.peak = 0;
        tally.peakSlot = 0;
        tally.lanes = 0;
        tally.vcuSlots = 0;
        tally.greenVcuSlots = 0;
        tally.costMicro = 0;
    }

    /// @dev One run: terms of the order, terms of the offer, prices, then the tally.
    function _takeRun(
        Context memory c,
        Tally memory tally,
        IBundleMarket.BundleOrder memory order,
        uint256 idx,
        uint256 run
    ) private view {
        _checkWindow(c, tally, run);
        uint256 a = _offer(c, run);
        uint256 zone = a.zoneId();
        if (a.classId() != order.classId) {
            revert IBundleMarket.RunWrongClass(c.next, a.classId(), order.classId);
        }
        if ((order.zoneMask >> zone) & 1 == 0) revert IBundleMarket.ZoneNotAllowed(c.next, zone);
        if (zone != tally.zone) _openZone(c, tally, order, idx, zone);

        uint256 priceSum = _takeSlots(c, tally, order.maxCarbon, a, run);
        _takeLanes(c, a, run);
        unchecked {
            uint256 lanes = run.lanes();
            uint256 vcuSlots = lanes * (run.endSlot() - run.startSlot());
            _takeEnergy(c, zone, run, lanes * Places.get(c.offerB, run.offerIdx()).energy());
            tally.zoneVcuSlots += vcuSlots;
            tally.greenVcuSlots += vcuSlots * run.mode();
            tally.costMicro += priceSum * lanes;
        }
    }

    function _checkWindow(Context memory c, Tally memory tally, uint256 run) private pure {
        (uint256 from, uint256 to) = (run.startSlot(), run.endSlot());
        if (run.mode() > 1) revert IBundleMarket.RunMode(c.next, run.mode());
        if (from >= to || run.lanes() == 0) revert IBundleMarket.RunEmpty(c.next);
        if (from < tally.from || to > tally.to) revert IBundleMarket.RunOutsideWindow(c.next, from, to);
    }

    /// @dev Offer word a of a run, read from storage once a chunk; its window must hold the run.
    function _offer(Context memory c, uint256 run) private view returns (uint256 a) {
        uint256 index = run.offerIdx();
        if (index >= c.offerA.length) revert IBundleMarket.UnknownOffer(c.next, index);
        a = Places.get(c.offerA, index);
        if (a == 0) {
            BatchStore.Store storage b = BatchStore.at_(c.store);
            a = b.offerA[index];
            c.offerA[index] = a;
            c.offerB[index] = b.offerB[index];
            c.touched[c.touchedCount++] = index;
        }
        if (run.startSlot() < a.openSlot() || run.endSlot() > a.closeSlot()) {
            revert IBundleMarket.RunOutsideOffer(c.next, run.startSlot(), run.endSlot());
        }
    }

    function _openZone(
        Context memory c,
        Tally memory tally,
        IBundleMarket.BundleOrder memory order,
        uint256 idx,
        uint256 zone
    ) private pure {
        if (tally.zone != NO_ZONE) {
            if (zone < tally.zone) revert IBundleMarket.RunsNotSorted(c.next);
            _closeZone(tally, order, idx);
        }
        tally.zone = zone;
        unchecked {
            ++c.stamp;
        }
    }

    /// @dev Walks the slots of a run: ask met, carbon cap held, lanes by slot; returns the sum of compute prices.
    function _takeSlots(Context memory c, Tally memory tally, uint256 maxCarbon, uint256 a, uint256 run)
        private
        pure
        returns (uint256 priceSum)
    {
        priceSum = _takePrices(c, a, run);
        if (maxCarbon != NO_CARBON_CAP && run.mode() == 0) _checkCarbon(c, maxCarbon, a.zoneId(), run);
        _takeLoad(c, tally, run);
    }

    /// @dev Sum of the compute prices of a run; in every slot 1000 * price - energy * energy price is at least the ask.
    function _takePrices(Context memory c, uint256 a, uint256 run) private pure returns (uint256 priceSum) {
        uint256 b = Places.get(c.offerB, run.offerIdx());
        (uint256 energyWh, uint256 ask) = (b.energy(), b.ask() * 1000);
        (uint256 at_, uint256 energyAt) = _priceRows(c.table, a, run);
        uint256 left;
        unchecked {
            left = run.endSlot() - run.startSlot();
        }
        assembly ("memory-safe") {
            // prices are the high four bytes of the word at their place; energy prices are signed
            for {} left { left := sub(left, 1) } {
                let price := shr(224, mload(at_))
                if slt(sub(mul(price, 1000), mul(energyWh, sar(224, mload(energyAt)))), ask) { break }
                priceSum := add(priceSum, price)
                at_ := add(at_, 4)
                energyAt := add(energyAt, 4)
            }
        }
        if (left != 0) revert IBundleMarket.RunBelowAsk(c.next, run.endSlot() - left);
    }

    /// @dev Where the compute and the energy prices of a run begin in memory.
    function _priceRows(PriceTable.Table memory table, uint256 a, uint256 run)
        private
        pure
        returns (uint256 at_, uint256 energyAt)
    {
        bytes memory data = table.data;
        unchecked {
            at_ = table.computeRow(a.classId(), a.zoneId(), run.mode()) + 4 * run.startSlot();
            energyAt = table.energyRow(a.zoneId(), run.mode()) + 4 * run.startSlot();
        }
        assembly ("memory-safe") {
            at_ := add(add(data, 32), at_)
            energyAt := add(add(data, 32), energyAt)
        }
    }

    function _checkCarbon(Context memory c, uint256 maxCarbon, uint256 zone, uint256 run) private pure {
        for (uint256 t = run.startSlot(); t < run.endSlot(); ++t) {
            uint256 grams = c.table.gridCarbon(zone, t);
            if (grams > maxCarbon) revert IBundleMarket.CarbonAboveCap(c.next, t, grams);
        }
    }

    /// @dev Lanes of the order in each slot of the open zone, and their peak.
    function _takeLoad(Context memory c, Tally memory tally, uint256 run) private pure {
        uint256[] memory load = c.load;
        uint256 floor = c.stamp << 64;
        uint256 lanes = run.lanes();
        uint256 to = run.endSlot();
        uint256 peak = tally.peak;
        unchecked {
            for (uint256 t = run.startSlot(); t < to; ++t) {
                uint256 value = Places.get(load, t);
                if (value < floor) value = floor;
                value += lanes;
                Places.set(load, t, value);
                if (value - floor > peak) {
                    peak = value - floor;
                    tally.peakSlot = t;
                }
            }
        }
        tally.peak = peak;
    }

    /// @dev Adds the lanes of a run to its offer. After every step each field is at most the capacity, so the next
    /// sum is at most twice the capacity, which is what Packed.allAtMost16 needs.
    function _takeLanes(Context memory c, uint256 a, uint256 run) private pure {
        (uint256 from, uint256 to, uint256 cap) = (run.startSlot(), run.endSlot(), a.capacity());
        if (run.lanes() > cap) revert IBundleMarket.CapacityExceeded(run.offerIdx(), from, run.lanes(), cap);
        uint256[] memory lanes = c.lanes;
        unchecked {
            uint256 base = run.offerIdx() * c.laneWords;
            for (uint256 w = from / 16; w * 16 < to; ++w) {
                uint256 low = w * 16 < from ? from - w * 16 : 0;
                uint256 high = to < w * 16 + 16 ? to - w * 16 : 16;
                uint256 sum = Places.get(lanes, base + w) + Packed.spread16(run.lanes(), low, high);
                _checkCapacity(sum, cap, run.offerIdx(), w * 16);
                Places.set(lanes, base + w, sum);
            }
        }
    }

    function _takeEnergy(Context memory c, uint256 zone, uint256 run, uint256 wh) private pure {
        (uint256 from, uint256 to) = (run.startSlot(), run.endSlot());
        uint256[] memory pools = c.wh;
        unchecked {
            uint256 base = (zone * 2 + run.mode()) * c.poolWords;
            for (uint256 w = from / 4; w * 4 < to; ++w) {
                uint256 low = w * 4 < from ? from - w * 4 : 0;
                uint256 high = to < w * 4 + 4 ? to - w * 4 : 4;
                Places.add_(pools, base + w, Packed.spread64(wh, low, high));
            }
        }
    }

    function _checkCapacity(uint256 word, uint256 cap, uint256 offer, uint256 firstSlot) private pure {
        if (Packed.allAtMost16(word, cap)) return;
        uint256 field;
        while (Packed.get16(word, field) <= cap) ++field;
        revert IBundleMarket.CapacityExceeded(offer, firstSlot + field, Packed.get16(word, field), cap);
    }

    /// @dev A zone's VCU-slots are whole lanes, and no slot needs more lanes than that (then they can be laid out:
    /// fill lane after lane, wrapping around).
    function _closeZone(Tally memory tally, IBundleMarket.BundleOrder memory order, uint256 idx) private pure {
        unchecked {
            (uint256 vcuSlots, uint256 duration) = (tally.zoneVcuSlots, order.durationSlots);
            uint256 lanes = vcuSlots / duration;
            if (lanes * duration != vcuSlots) {
                revert IBundleMarket.LanesSplit(idx, tally.zone, vcuSlots, duration);
            }
            if (tally.peak > lanes) revert IBundleMarket.RateExceeded(idx, tally.peakSlot, tally.peak, lanes);
            tally.lanes += lanes;
            tally.vcuSlots += vcuSlots;
        }
        (tally.zoneVcuSlots, tally.peak, tally.peakSlot) = (0, 0, 0);
    }

    function _checkOrder(Tally memory tally, IBundleMarket.BundleOrder memory order, uint256 idx) private pure {
        (uint256 lanes, uint256 vcuSlots, uint256 most) = (tally.lanes, tally.vcuSlots, order.lanes);
        uint256 atLeast = order.kind == 2 ? most : order.minLanes;
        if (lanes < atLeast || lanes > most) revert IBundleMarket.LanesOutOfRange(idx, lanes, atLeast, most);
        unchecked {
            if (tally.greenVcuSlots * 10_000 < order.minGreenBps * vcuSlots) {
                revert IBundleMarket.GreenBelowMinimum(idx, tally.greenVcuSlots, vcuSlots);
            }
            uint256 limit = order.limitPrice * vcuSlots;
            if (tally.costMicro > limit) revert IBundleMarket.CostAboveLimit(idx, tally.costMicro, limit);
        }
    }
}
