// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBundleMarket} from "../interfaces/IBundleMarket.sol";
import {ICertificates} from "../interfaces/ICertificates.sol";
import {ISettlement} from "../interfaces/ISettlement.sol";
import {AccountBook} from "./AccountBook.sol";
import {BatchStore} from "./BatchStore.sol";
import {CertificateId} from "./CertificateId.sol";
import {DeliveryMath} from "./DeliveryMath.sol";
import {SettlementBook} from "./SettlementBook.sol";
import {SettlementState} from "./SettlementState.sol";

/// @title A green pool while it is metered or paid
library PoolBook {
    using AccountBook for AccountBook.Book;
    using SettlementBook for SettlementBook.Context;

    uint256 internal constant GREEN = 1;

    /// @notice A pool while it is worked on: its plants in order, what each sold and delivered.
    struct Plants {
        uint16 slot;
        uint16 zoneId;
        int256 price;
        IBundleMarket.PoolPlant[] list;
        uint256[] sold;
        uint256 soldWh;
        uint256[] delivered;
    }

    function plants(SettlementBook.Context memory c, uint16 slot, uint16 zoneId)
        internal
        view
        returns (Plants memory p)
    {
        p.zoneId = zoneId;
        uint16[] memory slots = new uint16[](1);
        slots[0] = slot;
        (p.list, p.sold) = c.w.market.poolPlants(c.batchId, zoneId, slots);
        p.soldWh = sum(p.sold);
        p.delivered = new uint256[](p.list.length);
        openSlot(c, p, slot);
    }

    function openSlot(SettlementBook.Context memory c, Plants memory p, uint16 slot) internal view {
        c.checkSlot(slot);
        p.slot = slot;
        if (p.list.length != 0) p.price = c.energyPrice(p.zoneId, GREEN, slot);
    }

    /// @notice Delivered Wh of one plant; its penalty, its surplus certificates, its negative-price money.
    function meterPlant(SettlementBook.Context memory c, Plants memory p, uint256 i, uint256 metered)
        internal
        returns (uint256 delivered)
    {
        IBundleMarket.PoolPlant memory plant = p.list[i];
        uint256 sold = p.sold[i];
        delivered = metered < sold ? metered : sold;
        if (delivered == SettlementState.MISSING) --delivered;

        uint256 entry = c.book.entryOf(plant.maker);
        int256 obligation = int256(BatchStore.obligationUp(sold, p.price));
        c.book.add(entry, 0, -obligation);
        c.book.add(c.self, obligation, 0);
        uint256 penalty = DeliveryMath.plantPenaltyUp(sold, delivered, p.price);
        if (penalty != 0) {
            (bool exists, uint256 grid) = c.gridOf(p.zoneId);
            penalty = exists ? c.penalise(entry, grid, penalty) : 0;
        }

        emit ISettlement.PlantMetered(c.batchId, p.slot, plant.index, sold, metered, delivered, penalty);

        if (metered > sold) {
            ICertificates.Issue[] memory surplus = new ICertificates.Issue[](1);
            uint256 month = CertificateId.yearMonth(c.slotStart(p.slot));
            surplus[0] = ICertificates.Issue(
                certificateId(month, p.zoneId, plant.source), plant.maker, uint128(metered - sold), 0
            );
            c.w.certificates.issue(surplus, address(0), 0);
        }
    }

    function certificateId(uint256 month, uint256 zoneId, uint256 source) internal view returns (uint256) {
        return CertificateId.packMonth(CertificateId.CERTIFICATE, month, zoneId, source, address(this));
    }

    function sum(uint256[] memory values) internal pure returns (uint256 total) {
        for (uint256 i; i < values.length; ++i) {
            total += values[i];
        }
    }
}
