// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBundleMarket} from "../interfaces/IBundleMarket.sol";
import {ISettlement} from "../interfaces/ISettlement.sol";
import {CertificateId} from "./CertificateId.sol";
import {DeliveryMath} from "./DeliveryMath.sol";
import {Entries} from "./Entries.sol";
import {OfferWord} from "./OfferWord.sol";
import {OrderReader} from "./OrderReader.sol";
import {Places} from "./Places.sol";
import {PriceTable} from "./PriceTable.sol";
import {RunWord} from "./RunWord.sol";
import {SettlementBook} from "./SettlementBook.sol";
import {SettlementState} from "./SettlementState.sol";

/// @title A chunk while it is settled: its runs, and what each account is owed
/// @notice Buyers are kept by order, sites by account, grids by zone; `post` nets neighbouring orders of one maker.
/// @dev Money is below 2^64 a maker and Wh below 2^32 a run: sums cannot wrap, so they are unchecked.
library ChunkBook {
    using Entries for Entries.List;
    using OfferWord for uint256;
    using PriceTable for PriceTable.Table;
    using RunWord for uint256;
    using SettlementBook for SettlementBook.Context;
    using SettlementState for SettlementState.State;

    uint256 private constant MAKER_BYTES = 20;

    /// @param info of each run: cell << 64 | place in `sites` << 32 | Wh of a lane
    /// @param a, b offer words by offer index, zero while not read; @param offerInfo `info` of a grey run of an offer
    /// @param siteFunds available micro-units + 1 of a site before this call, zero while not read
    /// @param siteMoney what a site has got and paid in this call
    /// @param refunds, unlocked by order; @param creditMg rows by order of the first `creditZones` zones that gain credits,
    /// @param creditKeys their zones
    /// @param gridAccounts by zone, zero while not read
    /// @param pools copies of the pools of one slot, by zone * 2 + mode; @param poolSlot slot + 1 that a copy is of
    /// @param d, p the run being settled, reused so that memory does not grow with runs and slots
    struct Book {
        SettlementBook.Context c;
        PriceTable.Table table;
        uint256[] runs;
        uint256[] info;
        uint256[] a;
        uint256[] b;
        uint256[] offerInfo;
        address[] sites;
        uint256 siteCount;
        int256[] siteMoney;
        uint256[] siteFunds;
        uint256[] refunds;
        uint256[] unlocked;
        uint256[][] creditMg;
        uint256[] creditKeys;
        uint256 creditZones;
        address[] gridAccounts;
        int256[] gridMoney;
        int256[] gridUnlocked;
        int256 self;
        ISettlement.Pool[] pools;
        uint256[] poolSlot;
        DeliveryMath.Delivery d;
        DeliveryMath.Payment p;
        Cell cell;
    }

    /// @notice What the runs of one class, zone and mode share in a slot, and their sums until they reach the pool.
    /// GreenRun reads and writes these fields by their place: keep their order.
    /// @param key class << 16 | zone << 8 | mode, all ones before the first
    /// @param gain mg of credit a matched Wh; @param credits row of the zone, empty where nothing is gained
    /// @param room Wh that the pool delivered and nobody has matched yet
    /// @param plain whether runs are green and their energy price is not negative, so that GreenRun may settle them
    /// @param refunds, unlocked, siteMoney those of the book
    /// @param compute, power, refund sums of the slot, over all its cells
    struct Cell {
        uint256 key;
        uint256 zone;
        uint256 gain;
        uint256[] credits;
        ISettlement.Pool pool;
        uint256 settledWh;
        uint256 matchedWh;
        int256 money;
        uint256 price;
        uint256 energyPrice;
        uint256 room;
        bool plain;
        uint256[] refunds;
        uint256[] unlocked;
        int256[] siteMoney;
        uint256 compute;
        int256 power;
        uint256 refund;
    }

    /// @notice A final batch and one of its chunks, with the offers of its runs.
    function open(
        SettlementState.Wiring memory w,
        uint64 batchId,
        uint32 chunkIndex,
        IBundleMarket.ChunkData calldata chunk
    ) internal view returns (Book memory k) {
        SettlementBook.Context memory c = SettlementBook.open(w, batchId, 0);
        bytes32 commitment =
            keccak256(abi.encode(keccak256(chunk.makers), chunk.ordersHash, keccak256(chunk.runs)));
        bool known = commitment == w.market.chunkCommitment(batchId, chunkIndex);
        require(known, ISettlement.WrongChunk(batchId, chunkIndex));
        (k.c, k.table) = (c, c.table());
        _makeRoom(k, chunk.makers.length / MAKER_BYTES, RunWord.count(chunk.runs));
        _readRuns(k, OrderReader.offsetOf(chunk.runs));
    }

    /// @dev Order and site of every run are checked here once, so that the settling loop need not.
    function _readRuns(Book memory k, uint256 at_) private view {
        (uint256[] memory runs, uint256[] memory info, uint256[] memory offers) = (k.runs, k.info, k.offerInfo);
        uint256 orders = k.refunds.length;
        unchecked {
            for (uint256 i; i < runs.length; ++i) {
                uint256 run = uint256(OrderReader.wordAt(at_)) >> RunWord.SHIFT;
                at_ += RunWord.SIZE;
                uint256 offer = run.offerIdx();
                if (offers[offer] == 0) _readOffer(k, offer);
                if (run.orderIdx() >= orders) revert ISettlement.UnknownOrder(i, run.orderIdx());
                runs[i] = run;
                info[i] = offers[offer] | run.mode() << 64;
            }
        }
    }

    function _makeRoom(Book memory k, uint256 orders, uint256 runs) private pure {
        (uint256 offers, uint256 zones) = (k.c.batch.computeOffers, k.c.batch.zones);
        (k.runs, k.info) = (new uint256[](runs), new uint256[](runs));
        (k.a, k.b, k.offerInfo) = (new uint256[](offers), new uint256[](offers), new uint256[](offers));
        (k.sites, k.siteMoney, k.siteFunds) = (new address[](offers), new int256[](offers), new uint256[](offers));
        (k.refunds, k.unlocked) = (new uint256[](orders), new uint256[](orders));
        (k.creditMg, k.creditKeys) = (new uint256[][](zones), new uint256[](zones));
        (k.cell.refunds, k.cell.unlocked, k.cell.siteMoney) = (k.refunds, k.unlocked, k.siteMoney);
        (k.gridAccounts, k.gridMoney, k.gridUnlocked) =
            (new address[](zones), new int256[](zones), new int256[](zones));
        (k.pools, k.poolSlot) = (new ISettlement.Pool[](2 * zones), new uint256[](2 * zones));
    }

    function _readOffer(Book memory k, uint256 offer) private view {
        (uint256 a, uint256 b) = k.c.w.market.offerWords(k.c.batchId, uint16(offer));
        (k.a[offer], k.b[offer]) = (a, b);
        address account = a.maker();
        uint256 place;
        while (place < k.siteCount && k.sites[place] != account) ++place;
        if (place == k.siteCount) k.sites[k.siteCount++] = account;
        // an offer's energy is never zero
        k.offerInfo[offer] = (a.classId() << 16 | a.zoneId() << 8) << 64 | place << 32 | b.energy();
    }

    /// @notice Fills k.d for a run in a slot.
    function setDelivery(Book memory k, uint256 slot, uint256 run, uint256 milliLanes, uint256 matchedWh)
        internal
        pure
    {
        DeliveryMath.Delivery memory d = k.d;
        (uint256 a, uint256 mode) = (k.a[run.offerIdx()], run.mode());
        uint256 zone = a.zoneId();
        d.lanes = run.lanes();
        d.price = k.table.computePrice(a.classId(), zone, mode, slot);
        d.energyPrice = k.table.energyPrice(zone, mode, slot);
        d.energyWhPerLane = k.b[run.offerIdx()].energy();
        (d.milliLanes, d.matchedWh, d.green) = (milliLanes, matchedWh, mode == 1);
    }

    /// @notice Makes `key` the cell of a slot; the sums of the one before go to its pool.
    function openCell(Book memory k, SettlementState.State storage s, uint256 slot, uint256 key) internal view {
        Cell memory cell = k.cell;
        closeCell(k);
        (uint256 zone, uint256 mode) = (uint8(key >> 8), key & 0xff);
        (cell.key, cell.zone, cell.gain) = (key, zone, 0);
        k.d.price = cell.price = k.table.computePrice(key >> 16, zone, mode, slot);
        k.d.energyPrice = k.table.energyPrice(zone, mode, slot);
        k.d.green = mode == 1;
        cell.plain = mode == 1 && k.d.energyPrice >= 0;
        cell.energyPrice = uint256(k.d.energyPrice);
        if (!k.d.green && k.d.energyPrice >= 0) return; // such a pool is not kept
        cell.pool = poolOf(k, s, slot, zone, mode);
        if (!k.d.green) return;
        if (!cell.pool.metered) revert ISettlement.PoolNotMetered(k.c.batchId, uint16(slot), uint16(zone));
        cell.room = cell.pool.deliveredWh - cell.pool.matchedWh;
        (uint256 base, uint256 supply) = (k.table.gridCarbon(zone, slot), k.table.greenFactor(zone, slot));
        if (base > supply) {
            (cell.gain, cell.credits) = (base - supply, _creditsOf(k, zone));
        }
    }

    /// @dev The credits of a zone by order, made when it is first used.
    function _creditsOf(Book memory k, uint256 zone) private pure returns (uint256[] memory row) {
        uint256 i;
        for (; i < k.creditZones; ++i) {
            if (k.creditKeys[i] == zone) return k.creditMg[i];
        }
        (k.creditKeys[i], k.creditZones) = (zone, i + 1);
        row = k.creditMg[i] = new uint256[](k.refunds.length);
    }

    /// @notice Adds the sums of the cell to its pool.
    function closeCell(Book memory k) internal pure {
        Cell memory cell = k.cell;
        if (cell.settledWh != 0) {
            cell.pool.settledWh += uint48(cell.settledWh);
            cell.pool.matchedWh += uint48(cell.matchedWh);
            cell.pool.moneyMicro += int88(cell.money);
            if (k.d.green) k.self += cell.money;
        }
        (cell.settledWh, cell.matchedWh, cell.money) = (0, 0, 0);
        cell.key = type(uint256).max;
    }

    /// @notice The copy of a pool in a slot, read from storage when it is not there yet.
    function poolOf(Book memory k, SettlementState.State storage s, uint256 slot, uint256 zone, uint256 mode)
        internal
        view
        returns (ISettlement.Pool memory)
    {
        uint256 index = zone * 2 + mode;
        if (k.poolSlot[index] != slot + 1) {
            k.pools[index] = s.poolOf(k.c.batchId, slot, zone, mode);
            k.poolSlot[index] = slot + 1;
        }
        return k.pools[index];
    }

    /// @notice Writes the copies of a slot back.
    function keepPools(Book memory k, SettlementState.State storage s, uint256 slot) internal {
        for (uint256 i; i < k.pools.length; ++i) {
            if (k.poolSlot[i] == slot + 1) s.setPool(k.c.batchId, slot, i, k.pools[i]);
        }
    }

    /// @notice Money of a grey run: to the zone's grid, or at a negative price out of what it locked.
    function payGrid(Book memory k, uint256 zone, int256 money) internal view {
        if (k.gridAccounts[zone] == address(0)) (, k.gridAccounts[zone]) = k.c.gridAccount(zone);
        unchecked {
            if (money < 0) k.gridUnlocked[zone] += money;
            else k.gridMoney[zone] += money;
        }
    }

    /// @notice Moves a penalty of a site to the buyer of an order, as far as the site's money goes: what was available
    /// before this call, and what its compute earned in it.
    function penalise(Book memory k, uint256 site, uint256 order, uint256 amount) internal view returns (uint256 paid) {
        if (k.siteFunds[site] == 0) {
            (uint128 available,) = k.c.w.treasury.ledger(k.sites[site]);
            k.siteFunds[site] = uint256(available) + 1;
        }
        int256 funds = int256(k.siteFunds[site]) - 1 + k.siteMoney[site];
        if (funds <= 0) return 0;
        paid = amount < uint256(funds) ? amount : uint256(funds);
        k.siteMoney[site] -= int256(paid);
        k.refunds[order] += paid;
    }

    /// @notice Writes what was collected to the ledger.
    function post(Book memory k, bytes calldata makers) internal {
        uint256 rows = k.creditZones == 0 ? 1 : k.creditZones;
        Entries.List memory list =
            Entries.create(k.refunds.length * rows + k.siteCount + k.gridAccounts.length + 1);
        _postBuyers(k, list, makers);
        for (uint256 i; i < k.siteCount; ++i) {
            list.add(k.sites[i], k.siteMoney[i], 0, 0, 0);
        }
        for (uint256 zone; zone < k.gridAccounts.length; ++zone) {
            list.add(k.gridAccounts[zone], k.gridMoney[zone], k.gridUnlocked[zone], 0, 0);
        }
        list.add(address(this), k.self, 0, 0, 0);

        k.c.w.treasury.settle(list.used());
    }

    /// @dev Neighbouring orders of one maker become one entry.
    function _postBuyers(Book memory k, Entries.List memory list, bytes calldata makers) private pure {
        uint256 month = CertificateId.monthIndex(k.c.batch.start);
        uint256 orders = k.refunds.length;
        uint256 base = OrderReader.offsetOf(makers);
        unchecked {
            for (uint256 first; first < orders;) {
                uint256 maker = uint256(OrderReader.wordAt(base + MAKER_BYTES * first)) >> 96;
                uint256 end = first + 1;
                while (end < orders && uint256(OrderReader.wordAt(base + MAKER_BYTES * end)) >> 96 == maker) ++end;
                _postBuyer(k, list, address(uint160(maker)), first, end, month);
                first = end;
            }
        }
    }

    /// @dev Money and the credits of one zone in one entry, credits of other zones in entries of their own.
    function _postBuyer(
        Book memory k,
        Entries.List memory list,
        address maker,
        uint256 first,
        uint256 end,
        uint256 month
    ) private pure {
        int256 available = int256(_sum(k.refunds, first, end));
        int256 locked = -int256(_sum(k.unlocked, first, end));
        for (uint256 i; i < k.creditZones; ++i) {
            uint256 mg = _sum(k.creditMg[i], first, end);
            if (mg == 0) continue;
            list.add(maker, available, locked, k.creditKeys[i] << 12 | month, mg);
            (available, locked) = (0, 0);
        }
        if (available != 0 || locked != 0) list.add(maker, available, locked, 0, 0);
    }

    function _sum(uint256[] memory row, uint256 first, uint256 end) private pure returns (uint256 sum) {
        sum = Places.get(row, first);
        unchecked {
            while (++first < end) sum += Places.get(row, first);
        }
    }
}
