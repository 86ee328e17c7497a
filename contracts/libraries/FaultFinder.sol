// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBundleMarket} from "../interfaces/IBundleMarket.sol";
import {IChallenges} from "../interfaces/IChallenges.sol";
import {IOptimisticMarket} from "../interfaces/IOptimisticMarket.sol";
import {ByteReader} from "./ByteReader.sol";
import {Claims} from "./Claims.sol";
import {PriceRows} from "./PriceRows.sol";
import {PriceTable} from "./PriceTable.sol";
import {RunWord} from "./RunWord.sol";

/// @title Whether one run or one order of a claim is wrong
/// @notice The terms are those of libraries/Clearing.sol, one at a time.
library FaultFinder {
    using ByteReader for bytes;
    using PriceTable for PriceTable.Table;
    using RunWord for uint256;

    uint256 internal constant MOST_RUNS = 16;
    uint256 internal constant LONGEST_RUN = 96;
    uint256 private constant MOST_KIND_FILLED = 2;
    uint256 private constant CONTIGUOUS = 3;
    uint32 private constant NO_CARBON_CAP = type(uint32).max;

    /// @notice Where a claim's batch is read from.
    struct Source {
        IOptimisticMarket optimistic;
        PriceRows.Cache table;
    }

    /// @dev Sums of the runs of one order.
    struct Tally {
        uint256 zone;
        uint256 zoneVcuSlots;
        uint256 lanesAt;
        uint256 lanes;
        uint256 vcuSlots;
        uint256 greenVcuSlots;
        uint256 cost;
        int256 welfare;
        bool broken;
    }

    /// @dev What a shown bundle is priced with.
    struct Rows {
        uint256 from;
        uint256 to;
        bytes prices;
        uint256 greenAt;
        bytes greyCarbon;
        bytes greenCarbon;
        uint256 perGram;
        uint256 maxCarbon;
    }

    /// @notice Whether run `run` breaks a term of its order or offer.
    function runIsWrong(
        Source memory source,
        IOptimisticMarket.Claim calldata head,
        IBundleMarket.BundleOrder calldata order,
        uint256 run,
        uint256 orderIdx
    ) internal view returns (bool) {
        (uint256 from, uint256 to) = (run.startSlot(), run.endSlot());
        if (run.orderIdx() != orderIdx || run.mode() > 1 || from >= to || run.lanes() == 0) return true;
        if (to > head.slots || to - from > LONGEST_RUN || run.offerIdx() >= head.computeOffers) return true;
        if (head.start + from * head.slotSeconds < order.start) return true;
        if (head.start + to * head.slotSeconds > order.deadline) return true;
        IBundleMarket.OfferView memory offer = source.table.market.computeOffer(source.table.batchId, uint16(run.offerIdx()));
        if (from < offer.startSlot || to > offer.endSlot || offer.classId != order.classId) return true;
        if ((order.zoneMask >> offer.zoneId) & 1 == 0) return true;
        return _pricesAreWrong(source, head, order.maxCarbon, run, offer);
    }

    /// @dev The ask is not met in a slot, or a grey slot is above the carbon cap.
    function _pricesAreWrong(
        Source memory source,
        IOptimisticMarket.Claim calldata head,
        uint256 maxCarbon,
        uint256 run,
        IBundleMarket.OfferView memory offer
    ) private view returns (bool) {
        PriceTable.Table memory t = PriceRows.sections(head);
        (uint256 from, uint256 n) = (run.startSlot(), run.endSlot() - run.startSlot());
        bytes memory prices = PriceRows.read(
            source.table, t.computeRow(offer.classId, offer.zoneId, run.mode()) + 4 * from, 4 * n
        );
        bytes memory energy =
            PriceRows.read(source.table, t.energyRow(offer.zoneId, run.mode()) + 4 * from, 4 * n);
        int256 wh = int256(uint256(offer.energyWhPerVcuSlot));
        int256 ask = int256(uint256(offer.askPrice) * 1000);
        for (uint256 i; i < n; ++i) {
            if (int256(prices.uint32At(4 * i) * 1000) - wh * energy.int32At(4 * i) < ask) return true;
        }
        if (run.mode() == 1 || maxCarbon == NO_CARBON_CAP) return false;
        bytes memory carbon = _carbon(source, t, t.carbonAt, offer.zoneId, from, n);
        for (uint256 i; i < n; ++i) {
            if (carbon.uint16At(2 * i) > maxCarbon) return true;
        }
        return false;
    }

    /// @notice Whether a mark says what table and offer say.
    function markIsWrong(
        Source memory source,
        IOptimisticMarket.Claim calldata head,
        IBundleMarket.BundleOrder calldata order,
        uint256 run,
        bytes calldata marks,
        uint256 index
    ) internal view returns (bool) {
        // a run outside the table is proveRun's case
        if (run.offerIdx() >= head.computeOffers || run.startSlot() >= run.endSlot()) return false;
        if (run.endSlot() > head.slots || run.mode() > 1) return false;
        IBundleMarket.OfferView memory offer = source.table.market.computeOffer(source.table.batchId, uint16(run.offerIdx()));
        (uint256 price, uint256 carbon) = _sums(source, head, run, offer);
        (uint256 zone, uint256 costMicro, int256 welfareMilli) = Claims.mark(marks, index);
        if (zone != offer.zoneId) return true;
        if (costMicro != price * run.lanes()) return true;
        return welfareMilli != _welfare(source, order, run, offer, carbon);
    }

    /// @dev lanes * sum of 1000 (limit - ask) - carbon price * standard energy * carbon.
    function _welfare(
        Source memory source,
        IBundleMarket.BundleOrder calldata order,
        uint256 run,
        IBundleMarket.OfferView memory offer,
        uint256 carbon
    ) private view returns (int256) {
        int256 n = int256(run.endSlot() - run.startSlot());
        int256 surplus = 1000 * (int256(uint256(order.limitPrice)) - int256(uint256(offer.askPrice))) * n;
        uint256 adder;
        if (order.carbonPrice != 0) {
            adder = uint256(order.carbonPrice) * source.optimistic.classEnergyWh(order.classId) * carbon;
        }
        return int256(run.lanes()) * (surplus - int256(adder));
    }

    /// @dev Sums of prices and of carbon over the slots of a run.
    function _sums(
        Source memory source,
        IOptimisticMarket.Claim calldata head,
        uint256 run,
        IBundleMarket.OfferView memory offer
    ) private view returns (uint256 price, uint256 carbon) {
        PriceTable.Table memory t = PriceRows.sections(head);
        (uint256 from, uint256 n) = (run.startSlot(), run.endSlot() - run.startSlot());
        uint256 row = t.computeRow(offer.classId, offer.zoneId, run.mode());
        bytes memory prices = PriceRows.read(source.table, row + 4 * from, 4 * n);
        uint256 section = run.mode() == 0 ? t.carbonAt : t.greenAt;
        bytes memory grams = _carbon(source, t, section, offer.zoneId, from, n);
        for (uint256 i; i < n; ++i) {
            price += prices.uint32At(4 * i);
            carbon += grams.uint16At(2 * i);
        }
    }

    function _carbon(
        Source memory source,
        PriceTable.Table memory t,
        uint256 section,
        uint256 zone,
        uint256 from,
        uint256 n
    ) private view returns (bytes memory) {
        return PriceRows.read(source.table, section + 2 * (zone * t.slots + from), 2 * n);
    }

    /// @notice Whether the runs of an order, taken together with their marks, break its terms or its row.
    function orderIsWrong(
        IOptimisticMarket.Row calldata row,
        IBundleMarket.BundleOrder calldata order,
        bytes calldata runs,
        bytes calldata marks,
        uint256 zone,
        uint256 slot
    ) internal pure returns (bool) {
        uint256 n = RunWord.count(runs);
        if (runs.length != n * RunWord.SIZE || marks.length != n * Claims.MARK || n > MOST_RUNS) return true;
        if (n == 0) return row.lanes != 0 || row.costMicro != 0 || row.welfareMilli != 0;
        if (order.kind > MOST_KIND_FILLED || order.durationSlots == 0) return true;
        Tally memory tally;
        for (uint256 i; i < n; ++i) {
            _add(tally, order, _word(runs, i), marks, i, zone, slot);
        }
        _close(tally, order, zone);
        return tally.broken || _sumsAreWrong(tally, row, order);
    }

    /// @dev The caller counted the runs.
    function _word(bytes calldata runs, uint256 i) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := shr(152, calldataload(add(runs.offset, mul(i, 13))))
        }
    }

    function _add(
        Tally memory tally,
        IBundleMarket.BundleOrder calldata order,
        uint256 run,
        bytes calldata marks,
        uint256 i,
        uint256 zone,
        uint256 slot
    ) private pure {
        (uint256 markZone, uint256 cost, int256 welfare) = Claims.mark(marks, i);
        if (i != 0 && markZone != tally.zone) {
            if (markZone < tally.zone) tally.broken = true;
            _close(tally, order, zone);
        }
        tally.zone = markZone;
        // at most MOST_RUNS runs of fields below 2^64 and 2^127: no sum can wrap
        unchecked {
            // an empty run is proveRun's case
            uint256 slots = run.endSlot() > run.startSlot() ? run.endSlot() - run.startSlot() : 0;
            uint256 vcuSlots = run.lanes() * slots;
            if (markZone == zone && run.startSlot() <= slot && slot < run.endSlot()) tally.lanesAt += run.lanes();
            tally.zoneVcuSlots += vcuSlots;
            if (run.mode() == 1) tally.greenVcuSlots += vcuSlots;
            tally.cost += cost;
            tally.welfare += welfare;
        }
    }

    /// @dev A zone holds whole lanes, and in no slot more of them than it has.
    function _close(Tally memory tally, IBundleMarket.BundleOrder calldata order, uint256 zone) private pure {
        uint256 lanes = tally.zoneVcuSlots / order.durationSlots;
        if (tally.zoneVcuSlots % order.durationSlots != 0) tally.broken = true;
        if (tally.zone == zone && tally.lanesAt > lanes) tally.broken = true;
        tally.lanes += lanes;
        tally.vcuSlots += tally.zoneVcuSlots;
        tally.zoneVcuSlots = 0;
    }

    function _sumsAreWrong(
        Tally memory tally,
        IOptimisticMarket.Row calldata row,
        IBundleMarket.BundleOrder calldata order
    ) private pure returns (bool) {
        uint256 least = order.kind == 2 ? order.lanes : order.minLanes;
        if (tally.lanes < least || tally.lanes > order.lanes || tally.lanes != row.lanes) return true;
        if (tally.greenVcuSlots * 10_000 < uint256(order.minGreenBps) * tally.vcuSlots) return true;
        if (tally.cost > type(uint64).max || tally.cost > uint256(order.limitPrice) * tally.vcuSlots) return true;
        return tally.cost != row.costMicro || tally.welfare != row.welfareMilli;
    }

    /// @notice Milli-micro-units that the shown lanes would give an order at the posted prices.
    function shownProfit(
        Source memory source,
        IOptimisticMarket.Claim calldata head,
        IBundleMarket.BundleOrder calldata order,
        IChallenges.Shown calldata green,
        IChallenges.Shown calldata free
    ) internal view returns (int256 profit) {
        uint256 few = (uint256(order.minGreenBps) * order.lanes + 9_999) / 10_000;
        uint256 value = 1000 * uint256(order.limitPrice) * order.durationSlots * order.lanes;
        uint256 wh = order.carbonPrice == 0 ? 0 : source.optimistic.classEnergyWh(order.classId);
        profit = int256(value);
        if (few != 0) profit -= int256(few * _laneCost(source, head, order, green, wh, true));
        if (few < order.lanes) {
            profit -= int256((order.lanes - few) * _laneCost(source, head, order, free, wh, false));
        }
    }

    /// @dev Perceived cost of one lane in the shown slots; reverts where they are not the order's.
    function _laneCost(
        Source memory source,
        IOptimisticMarket.Claim calldata head,
        IBundleMarket.BundleOrder calldata order,
        IChallenges.Shown calldata shown,
        uint256 wh,
        bool greenOnly
    ) private view returns (uint256 cost) {
        bool allowed = shown.zone < head.zones && (order.zoneMask >> shown.zone) & 1 == 1;
        require(allowed, IChallenges.ShownSlots("zone", shown.zone));
        Rows memory rows = _rows(source, head, order, shown.zone);
        (rows.perGram, rows.maxCarbon) = (order.carbonPrice * wh, order.maxCarbon);
        uint256 found;
        uint256 last;
        bytes calldata slots = shown.slots;
        found = slots.length / 2;
        require(found == order.durationSlots && slots.length == 2 * found, IChallenges.ShownSlots("slots", found));
        for (uint256 i; i < found; ++i) {
            uint256 t = uint16(bytes2(slots[2 * i:2 * i + 2]));
            bool ascends = i == 0 ? true : order.kind < CONTIGUOUS ? t > last : t == last + 1;
            require(ascends && t >= rows.from && t < rows.to, IChallenges.ShownSlots("slot", t));
            cost += _slotCost(rows, t - rows.from, greenOnly);
            last = t;
        }
    }

    /// @dev Below 2^32 * 1000 + 2^32 * 2^32 * 2^16 each: sums of 960 of them stay far below 2^256.
    function _slotCost(Rows memory rows, uint256 i, bool greenOnly) private pure returns (uint256 cost) {
        unchecked {
            cost = 1000 * rows.prices.uint32At(rows.greenAt + 4 * i) + rows.perGram * rows.greenCarbon.uint16At(2 * i);
            if (greenOnly) return cost;
            uint256 carbon = rows.greyCarbon.uint16At(2 * i);
            if (carbon > rows.maxCarbon) return cost;
            uint256 grey = 1000 * rows.prices.uint32At(4 * i) + rows.perGram * carbon;
            if (grey < cost) return grey;
        }
    }

    /// @dev Price rows of a zone over the slots of the batch that lie inside the order's window.
    function _rows(
        Source memory source,
        IOptimisticMarket.Claim calldata head,
        IBundleMarket.BundleOrder calldata order,
        uint256 zone
    ) private view returns (Rows memory r) {
        PriceTable.Table memory t = PriceRows.sections(head);
        if (order.start > head.start) {
            r.from = (order.start - head.start + head.slotSeconds - 1) / head.slotSeconds;
        }
        if (order.deadline > head.start) r.to = (order.deadline - head.start) / head.slotSeconds;
        if (r.to > head.slots) r.to = head.slots;
        require(r.from < r.to && order.classId < head.classes, IChallenges.ShownSlots("window", r.from));
        uint256 n = r.to - r.from;
        // the green row follows the grey one
        r.greenAt = 4 * t.slots;
        r.prices = PriceRows.read(
            source.table, t.computeRow(order.classId, zone, 0) + 4 * r.from, r.greenAt + 4 * n
        );
        r.greyCarbon = _carbon(source, t, t.carbonAt, zone, r.from, n);
        r.greenCarbon = _carbon(source, t, t.greenAt, zone, r.from, n);
    }
}
