// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBundleMarket} from "../interfaces/IBundleMarket.sol";
import {ISettlement} from "../interfaces/ISettlement.sol";
import {AccountBook} from "./AccountBook.sol";
import {Blob} from "./Blob.sol";
import {DeliveryMath} from "./DeliveryMath.sol";
import {OfferWord} from "./OfferWord.sol";
import {PriceTable} from "./PriceTable.sol";
import {RunWord} from "./RunWord.sol";
import {SettlementState} from "./SettlementState.sol";

/// @title What a settling call knows of its batch, in memory
library SettlementBook {
    using AccountBook for AccountBook.Book;
    using OfferWord for uint256;
    using PriceTable for PriceTable.Table;
    using RunWord for uint256;
    using SettlementState for SettlementState.State;

    /// @param w Settlement's immutables
    /// @param runs run words of the chunk; @param a, b offer words by run
    /// @param buyer, site account entries by order and by run; @param grid entry + 1 by zone
    /// @param funds available micro-units + 1 of an entry before this call, zero when not read yet
    /// @param creditMg milligrams earned, zone * orders + orderIdx
    /// @param pools copies of the pools of one slot, by zone * 2 + mode; @param poolSlot slot + 1 that a copy is of
    /// @param d, p the run being settled, reused so that memory does not grow with runs and slots
    struct Context {
        SettlementState.Wiring w;
        uint64 batchId;
        IBundleMarket.Batch batch;
        PriceTable.Table table;
        AccountBook.Book book;
        uint256[] runs;
        uint256[] a;
        uint256[] b;
        uint256[] buyer;
        uint256[] site;
        uint256[] grid;
        uint256[] funds;
        uint256[] creditMg;
        uint256 self;
        ISettlement.Pool[] pools;
        uint256[] poolSlot;
        DeliveryMath.Delivery d;
        DeliveryMath.Payment p;
    }

    /// @notice Reads header and prices of a final batch; room for `accounts` accounts beside the zones' grids and this
    /// contract.
    function open(SettlementState.Wiring memory w, uint64 batchId, uint256 accounts)
        internal
        view
        returns (Context memory c)
    {
        c.batch = w.market.batch(batchId);
        require(c.batch.state == IBundleMarket.State.Finalised, ISettlement.NotFinalised(batchId));
        (c.w, c.batchId) = (w, batchId);
        address[] memory parts = new address[](c.batch.priceParts);
        for (uint256 i; i < parts.length; ++i) {
            parts[i] = w.market.pricePart(batchId, uint16(i));
        }
        uint256 length = PriceTable.byteLength(c.batch.classes, c.batch.zones, c.batch.slots);
        c.table = PriceTable.wrap(Blob.join(parts, length), c.batch.classes, c.batch.zones, c.batch.slots);
        uint256 most = accounts + c.batch.zones + 1;
        c.book = AccountBook.create(most);
        c.funds = new uint256[](most);
        c.grid = new uint256[](c.batch.zones);
        c.self = c.book.entryOf(address(this));
    }

    /// @notice Reads the runs of a chunk, their offers and accounts.
    function load(Context memory c, IBundleMarket.ChunkData calldata chunk) internal view {
        uint256 n = RunWord.count(chunk.runs);
        (c.runs, c.a, c.b, c.site) =
            (new uint256[](n), new uint256[](n), new uint256[](n), new uint256[](n));
        c.pools = new ISettlement.Pool[](2 * c.batch.zones);
        c.poolSlot = new uint256[](2 * c.batch.zones);
        c.buyer = new uint256[](chunk.makers.length);
        c.creditMg = new uint256[](chunk.makers.length * c.batch.zones);
        for (uint256 i; i < chunk.makers.length; ++i) {
            c.buyer[i] = c.book.entryOf(chunk.makers[i]);
        }
        uint256[] memory runOf = new uint256[](c.batch.computeOffers);
        for (uint256 i; i < n; ++i) {
            uint256 run = RunWord.read(chunk.runs, i);
            uint256 offer = run.offerIdx();
            uint256 known = runOf[offer];
            c.runs[i] = run;
            if (known == 0) {
                runOf[offer] = i + 1;
                (c.a[i], c.b[i]) = c.w.market.offerWords(c.batchId, uint16(offer));
                c.site[i] = c.book.entryOf(c.a[i].maker());
            } else {
                (c.a[i], c.b[i], c.site[i]) = (c.a[known - 1], c.b[known - 1], c.site[known - 1]);
            }
        }
    }

    function checkSlot(Context memory c, uint16 slot) internal pure {
        require(slot < c.batch.slots, ISettlement.SlotOutOfRange(slot, c.batch.slots));
    }

    function slotStart(Context memory c, uint256 slot) internal pure returns (uint64) {
        return uint64(c.batch.start + slot * c.batch.slotSeconds);
    }

    /// @notice The report that covers exactly a slot.
    function report(Context memory c, uint256 slot)
        internal
        view
        returns (bool isFinal, bytes32 root, bytes32 outcomesRoot, uint64 finalAt)
    {
        return c.w.oracle.finalReport(c.w.feedId, slotStart(c, slot), slotStart(c, slot + 1));
    }

    /// @notice Fills c.d for run `i` in a slot.
    function setDelivery(Context memory c, uint256 slot, uint256 i, uint256 milliLanes, uint256 matchedWh)
        internal
        pure
    {
        DeliveryMath.Delivery memory d = c.d;
        (uint256 run, uint256 a) = (c.runs[i], c.a[i]);
        (uint256 zone, uint256 mode) = (a.zoneId(), run.mode());
        d.lanes = run.lanes();
        d.price = c.table.computePrice(a.classId(), zone, mode, slot);
        d.energyPrice = c.table.energyPrice(zone, mode, slot);
        d.energyWhPerLane = c.b[i].energy();
        (d.milliLanes, d.matchedWh, d.green) = (milliLanes, matchedWh, mode == 1);
    }

    /// @notice The copy of a pool in a slot, read from storage when it is not there yet.
    function poolOf(
        Context memory c,
        SettlementState.State storage s,
        uint256 slot,
        uint256 zone,
        uint256 mode
    ) internal view returns (ISettlement.Pool memory) {
        uint256 index = zone * 2 + mode;
        if (c.poolSlot[index] != slot + 1) {
            c.pools[index] = s.poolOf(c.batchId, slot, zone, mode);
            c.poolSlot[index] = slot + 1;
        }
        return c.pools[index];
    }

    /// @notice Writes the copies of a slot back.
    function keepPools(Context memory c, SettlementState.State storage s, uint256 slot) internal {
        for (uint256 i; i < c.pools.length; ++i) {
            if (c.poolSlot[i] == slot + 1) s.setPool(c.batchId, slot, i, c.pools[i]);
        }
    }

    /// @notice Account of a zone's grid, and whether the zone has one.
    function gridOf(Context memory c, uint256 zone) internal view returns (bool exists, uint256 entry) {
        if (c.grid[zone] == 0) {
            uint256 indexPlusOne = c.w.market.gridOffer(c.batchId, uint16(zone));
            if (indexPlusOne == 0) return (false, 0);
            address maker = c.w.market.powerOffer(c.batchId, uint16(indexPlusOne - 1)).maker;
            c.grid[zone] = c.book.entryOf(maker) + 1;
        }
        return (true, c.grid[zone] - 1);
    }

    /// @notice Moves a penalty, as far as the payer's running available balance goes.
    /// @return paid micro-units that moved
    function penalise(Context memory c, uint256 payer, uint256 receiver, uint256 amount)
        internal
        view
        returns (uint256 paid)
    {
        if (amount == 0) return 0;
        if (c.funds[payer] == 0) {
            (uint128 available,) = c.w.treasury.ledger(c.book.accounts[payer]);
            c.funds[payer] = uint256(available) + 1;
        }
        int256 funds = int256(c.funds[payer]) - 1 + c.book.available[payer];
        if (funds <= 0) return 0;
        paid = amount < uint256(funds) ? amount : uint256(funds);
        c.book.add(payer, -int256(paid), 0);
        c.book.add(receiver, int256(paid), 0);
    }

    /// @notice Writes the collected ledger changes.
    function post(Context memory c) internal {
        c.w.treasury.post(c.book.postings());
    }
}
