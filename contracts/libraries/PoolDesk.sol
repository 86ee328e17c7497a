// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBundleMarket} from "../interfaces/IBundleMarket.sol";
import {ICertificates} from "../interfaces/ICertificates.sol";
import {ISettlement} from "../interfaces/ISettlement.sol";
import {AccountBook} from "./AccountBook.sol";
import {BatchStore} from "./BatchStore.sol";
import {CertificateId} from "./CertificateId.sol";
import {DeliveryMath} from "./DeliveryMath.sol";
import {PoolBook} from "./PoolBook.sol";
import {SettlementBook} from "./SettlementBook.sol";
import {SettlementState} from "./SettlementState.sol";

/// @title Pays the green plants of a slot, issues their certificates, and returns what grids had locked
/// @notice Linked into Settlement, which runs it on its own storage; it keeps Settlement below the size limit.
library PoolDesk {
    using AccountBook for AccountBook.Book;
    using SettlementBook for SettlementBook.Context;
    using SettlementState for SettlementState.State;

    uint256 private constant GREEN = PoolBook.GREEN;
    uint256 private constant GREY = 0;

    /// @dev Certificates of a plant are issued once for all slots of a month.
    function payPools(
        SettlementState.State storage s,
        SettlementState.Wiring memory w,
        uint64 batchId,
        uint16[] calldata slots,
        uint16 zoneId
    ) external {
        (IBundleMarket.PoolPlant[] memory plants, uint256[] memory sold) = w.market.poolPlants(batchId, zoneId, slots);
        SettlementBook.Context memory c = SettlementBook.open(w, batchId, 1 + plants.length);
        PoolBook.Plants memory p;
        (p.zoneId, p.list) = (zoneId, plants);
        (p.sold, p.delivered) = (new uint256[](plants.length), new uint256[](plants.length));
        ICertificates.Issue[] memory issues = new ICertificates.Issue[](plants.length);
        uint256 month;
        for (uint256 i; i < slots.length; ++i) {
            PoolBook.openSlot(c, p, slots[i]);
            _setSold(p, sold, i * plants.length);
            uint256 here = CertificateId.yearMonth(c.slotStart(slots[i]));
            if (here != month) _name(c, p, issues, month = here);
            _paySlot(s, c, p, issues);
        }
        _issue(c, p, issues);
        c.post();
    }

    function _paySlot(
        SettlementState.State storage s,
        SettlementBook.Context memory c,
        PoolBook.Plants memory p,
        ICertificates.Issue[] memory issues
    ) private {
        ISettlement.Pool storage at_ = s.poolOf(c.batchId, p.slot, p.zoneId, GREEN);
        ISettlement.Pool memory pool = at_;
        require(!pool.paid, ISettlement.AlreadyPaid(c.batchId, p.slot, p.zoneId));
        bool all = pool.settledWh == p.soldWh;
        require(all, ISettlement.PoolNotSettled(c.batchId, p.slot, p.zoneId, pool.settledWh, p.soldWh));

        at_.paid = true;
        _readDelivered(s, c, p, pool);

        emit ISettlement.PoolPaid(c.batchId, p.slot, p.zoneId, pool.moneyMicro, pool.matchedWh);

        _payPlants(c, p, pool, issues);
    }

    /// @dev What each plant delivered. One that is still missing has delivered nothing, and pays for it now.
    function _readDelivered(
        SettlementState.State storage s,
        SettlementBook.Context memory c,
        PoolBook.Plants memory p,
        ISettlement.Pool memory pool
    ) private {
        bool full = !pool.missing && pool.deliveredWh == p.soldWh;
        for (uint256 i; i < p.list.length; ++i) {
            uint256 wh = full ? p.sold[i] : s.deliveredWh(c.batchId, p.slot, p.list[i].index);
            if (wh == SettlementState.MISSING) {
                uint256 until = s.missingUntil[SettlementState.poolKey(c.batchId, p.slot, p.zoneId, GREEN)];
                bool over = block.timestamp >= until;
                require(over, ISettlement.MissingReplaceable(c.batchId, p.slot, p.zoneId, until));
                wh = PoolBook.meterPlant(c, p, i, 0);
            }
            p.delivered[i] = wh;
        }
    }

    function releaseGrid(
        SettlementState.State storage s,
        SettlementState.Wiring memory w,
        uint64 batchId,
        uint16 slot,
        uint16 zoneId
    ) external {
        SettlementBook.Context memory c = SettlementBook.open(w, batchId, 1);
        c.checkSlot(slot);
        (bool exists, uint256 grid) = c.gridOf(zoneId);
        ISettlement.Pool storage pool = s.poolOf(batchId, slot, zoneId, GREY);
        int256 price = c.energyPrice(zoneId, GREY, slot);
        require(exists && price < 0, ISettlement.NothingToRelease(batchId, slot, zoneId));
        require(!pool.paid, ISettlement.AlreadyPaid(batchId, slot, zoneId));
        uint256 sold = w.market.soldWh(batchId, uint16(w.market.gridOffer(batchId, zoneId) - 1), slot);
        bool all = pool.settledWh == sold;
        require(all, ISettlement.PoolNotSettled(batchId, slot, zoneId, pool.settledWh, sold));

        int256 left = int256(BatchStore.obligationUp(sold, price)) + pool.moneyMicro;
        c.book.add(grid, left, -left);

        pool.paid = true;

        emit ISettlement.GridReleased(batchId, slot, zoneId, uint256(left));

        c.post();
    }

    /// @dev The plants' sold Wh of one slot out of those of all slots.
    function _setSold(PoolBook.Plants memory p, uint256[] memory sold, uint256 from) private pure {
        uint256 sum;
        for (uint256 i; i < p.sold.length; ++i) {
            p.sold[i] = sold[from + i];
            sum += sold[from + i];
        }
        p.soldWh = sum;
    }

    /// @dev Money and matched Wh by delivered share; matched Wh to be retired, the rest of the delivered Wh to be minted.
    function _payPlants(
        SettlementBook.Context memory c,
        PoolBook.Plants memory p,
        ISettlement.Pool memory pool,
        ICertificates.Issue[] memory issues
    ) private {
        bool negative = pool.moneyMicro < 0;
        uint256 money = uint256(int256(negative ? -pool.moneyMicro : pool.moneyMicro));
        uint256[] memory shares = DeliveryMath.split(money, p.delivered);
        uint256[] memory matched = DeliveryMath.split(pool.matchedWh, p.delivered);
        for (uint256 i; i < p.list.length; ++i) {
            int256 share = negative ? -int256(shares[i]) : int256(shares[i]);
            IBundleMarket.PoolPlant memory plant = p.list[i];
            _payPlant(c, c.book.entryOf(plant.maker), share, BatchStore.obligationUp(p.sold[i], p.price), pool.metered);
            uint256 rest = p.delivered[i] - matched[i];
            emit ISettlement.PlantPaid(c.batchId, p.slot, plant.index, share, matched[i], rest);
            unchecked {
                // Wh are below 2^32 a slot
                issues[i].minted += uint128(rest);
                issues[i].retired += uint128(matched[i]);
            }
        }
    }

    /// @dev The share, and the return of what was locked for a negative price: metering moved it to this contract's
    /// account; without metering it still is in the seller's lock.
    function _payPlant(
        SettlementBook.Context memory c,
        uint256 entry,
        int256 share,
        uint256 obligationMicro,
        bool metered
    ) private pure {
        int256 obligation = int256(obligationMicro);
        c.book.add(entry, share + obligation, metered ? int256(0) : -obligation);
        c.book.add(c.self, metered ? -share - obligation : -share, 0);
    }

    /// @dev Issues what was collected for another month, and names whose certificates of which id come next.
    function _name(
        SettlementBook.Context memory c,
        PoolBook.Plants memory p,
        ICertificates.Issue[] memory issues,
        uint256 month
    ) private {
        _issue(c, p, issues);
        for (uint256 i; i < issues.length; ++i) {
            (issues[i].id, issues[i].account) = (PoolBook.certificateId(month, p.zoneId, p.list[i].source), p.list[i].maker);
        }
    }

    /// @dev Issues what was collected, if anything, and starts anew.
    function _issue(SettlementBook.Context memory c, PoolBook.Plants memory p, ICertificates.Issue[] memory issues) private {
        uint256 any;
        for (uint256 i; i < issues.length; ++i) {
            any |= issues[i].minted | issues[i].retired;
        }
        if (any == 0) return;
        c.w.certificates.issue(issues, address(this), keccak256(abi.encode(c.batchId, p.zoneId)));
        for (uint256 i; i < issues.length; ++i) {
            (issues[i].minted, issues[i].retired) = (0, 0);
        }
    }
}
