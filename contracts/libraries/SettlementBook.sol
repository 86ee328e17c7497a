// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBundleMarket} from "../interfaces/IBundleMarket.sol";
import {ISettlement} from "../interfaces/ISettlement.sol";
import {AccountBook} from "./AccountBook.sol";
import {Blob} from "./Blob.sol";
import {ByteReader} from "./ByteReader.sol";
import {Entries} from "./Entries.sol";
import {PriceTable} from "./PriceTable.sol";
import {SettlementState} from "./SettlementState.sol";

/// @title What a settling call knows of its batch, in memory
library SettlementBook {
    using AccountBook for AccountBook.Book;
    using ByteReader for bytes;
    using Entries for Entries.List;
    using PriceTable for PriceTable.Table;

    /// @param w Settlement's immutables
    /// @param parts where the price table is; @param grid entry + 1 by zone
    /// @param funds available micro-units + 1 of an entry before this call, zero when not read yet
    struct Context {
        SettlementState.Wiring w;
        uint64 batchId;
        IBundleMarket.Batch batch;
        address[] parts;
        AccountBook.Book book;
        uint256[] grid;
        uint256[] funds;
        uint256 self;
    }

    /// @notice Reads the header of a final batch; room for `accounts` accounts beside the zones' grids and this
    /// contract.
    function open(SettlementState.Wiring memory w, uint64 batchId, uint256 accounts)
        internal
        view
        returns (Context memory c)
    {
        c.batch = w.market.batch(batchId);
        require(c.batch.state == IBundleMarket.State.Finalised, ISettlement.NotFinalised(batchId));
        (c.w, c.batchId) = (w, batchId);
        c.parts = new address[](c.batch.priceParts);
        for (uint256 i; i < c.parts.length; ++i) {
            c.parts[i] = w.market.pricePart(batchId, uint16(i));
        }
        if (accounts == 0) return c;
        uint256 most = accounts + c.batch.zones + 1;
        c.book = AccountBook.create(most);
        c.funds = new uint256[](most);
        c.grid = new uint256[](c.batch.zones);
        c.self = c.book.entryOf(address(this));
    }

    /// @notice The whole price table.
    function table(Context memory c) internal view returns (PriceTable.Table memory) {
        IBundleMarket.Batch memory batch = c.batch;
        uint256 length = PriceTable.byteLength(batch.classes, batch.zones, batch.slots);
        return PriceTable.wrap(Blob.join(c.parts, length), batch.classes, batch.zones, batch.slots);
    }

    /// @notice One energy price, read alone.
    function energyPrice(Context memory c, uint256 zone, uint256 mode, uint256 slot) internal view returns (int256) {
        IBundleMarket.Batch memory batch = c.batch;
        PriceTable.Table memory empty = PriceTable.wrap("", batch.classes, batch.zones, batch.slots);
        return Blob.slice(c.parts, empty.energyRow(zone, mode) + 4 * slot, 4).int32At(0);
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

    /// @notice Account of a zone's grid, and whether the zone has one.
    function gridAccount(Context memory c, uint256 zone) internal view returns (bool exists, address account) {
        uint256 indexPlusOne = c.w.market.gridOffer(c.batchId, uint16(zone));
        if (indexPlusOne == 0) return (false, address(0));
        return (true, c.w.market.powerOffer(c.batchId, uint16(indexPlusOne - 1)).maker);
    }

    /// @notice Entry of a zone's grid, and whether the zone has one.
    function gridOf(Context memory c, uint256 zone) internal view returns (bool exists, uint256 entry) {
        if (c.grid[zone] == 0) {
            (bool known, address account) = gridAccount(c, zone);
            if (!known) return (false, 0);
            c.grid[zone] = c.book.entryOf(account) + 1;
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
        Entries.List memory list = Entries.create(c.book.count);
        for (uint256 i; i < c.book.count; ++i) {
            list.add(c.book.accounts[i], c.book.available[i], c.book.locked[i], 0, 0);
        }
        if (list.size != 0) c.w.treasury.settle(list.used());
    }
}
