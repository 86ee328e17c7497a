// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBundleMarket} from "../interfaces/IBundleMarket.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";
import {BatchStore} from "./BatchStore.sol";
import {OfferWord} from "./OfferWord.sol";
import {PriceTable} from "./PriceTable.sol";

/// @title Checks offers against assets, batch and prices
library OfferChecks {
    using BatchStore for BatchStore.Store;
    using PriceTable for PriceTable.Table;

    /// @dev The top bit of a 16-bit field stays free, see Packed.allAtMost16.
    uint256 private constant MOST_LANES = 32_767;
    uint256 private constant TRANCHE_BYTES = 8;
    uint256 private constant SOLD_BYTES = 4;

    /// @dev A call's view of the batch while it checks sold rows.
    /// @param index running number of the power offer
    /// @param shift slots from the batch start to the start of the profile
    /// @param mostWhTimes3600 nameplate bound of a slot
    /// @param wh Wh sold, by pool word
    struct Rows {
        PriceTable.Table table;
        uint256 start;
        uint256 slotSeconds;
        uint256 slots;
        uint256 poolWords;
        uint256 index;
        int256 shift;
        uint256 mostWhTimes3600;
        uint256[] wh;
    }

    /// @notice Checks a compute offer and keeps it as the next one of the batch.
    function addCompute(
        BatchStore.Store storage b,
        IRegistry.Site memory site,
        IBundleMarket.ComputeOffer calldata offer,
        bytes32 hash
    ) internal {
        IBundleMarket.Batch memory head = b.headOf();
        if (site.owner != offer.maker) revert IBundleMarket.NotAssetOwner(offer.siteId, offer.maker, site.owner);
        if (offer.zoneId != site.zoneId) revert IBundleMarket.WrongZone(hash, offer.zoneId, site.zoneId);
        if (offer.zoneId >= head.zones) revert IBundleMarket.WrongZone(hash, offer.zoneId, head.zones);
        if (offer.classId >= head.classes) revert IBundleMarket.WrongClass(hash, offer.classId, head.classes);
        if (offer.capacity == 0 || offer.capacity > MOST_LANES) {
            revert IBundleMarket.CapacityOutOfRange(hash, offer.capacity);
        }
        if (offer.energyWhPerVcuSlot == 0) revert IBundleMarket.ZeroEnergy(hash);
        (uint256 from, uint256 to) = _slotsInside(head, offer.start, offer.end);
        if (from >= to) revert IBundleMarket.OfferOutsideBatch(hash, offer.start, offer.end);

        // Wh per slot * 3600 = W * slotSeconds: compared without division
        uint256 load = b.siteWattsTimesSeconds[offer.siteId]
            + uint256(offer.capacity) * offer.energyWhPerVcuSlot * 3600;
        if (load > uint256(site.nameplateW) * head.slotSeconds) {
            revert IBundleMarket.AboveNameplate(offer.siteId, load / head.slotSeconds, site.nameplateW);
        }

        b.siteWattsTimesSeconds[offer.siteId] = load;
        b.offerA.push(
            OfferWord.packA(offer.maker, offer.siteId, offer.classId, offer.zoneId, offer.capacity, from, to)
        );
        b.offerB.push(OfferWord.packB(offer.askPrice, offer.energyWhPerVcuSlot));
    }

    /// @notice Checks a power offer and keeps it as the next one of the batch.
    function addPower(
        BatchStore.Store storage b,
        uint64 batchId,
        IRegistry.Plant memory plant,
        IBundleMarket.PowerOffer calldata offer,
        bytes32 hash,
        uint256 soldRow
    ) internal {
        IBundleMarket.Batch storage head = b.head;
        if (plant.owner != offer.maker) revert IBundleMarket.NotAssetOwner(offer.plantId, offer.maker, plant.owner);
        if (offer.source != plant.source) revert IBundleMarket.WrongSource(hash, offer.source, plant.source);
        if (offer.zoneId != plant.zoneId) revert IBundleMarket.WrongZone(hash, offer.zoneId, plant.zoneId);
        if (offer.zoneId >= head.zones) revert IBundleMarket.WrongZone(hash, offer.zoneId, head.zones);
        if (b.plantOffered[offer.plantId]) {
            revert IBundleMarket.SecondPlantOffer(batchId, offer.plantId);
        }
        uint16 index = uint16(b.power.length);
        uint8 zone = uint8(offer.zoneId);

        b.plantOffered[offer.plantId] = true;
        if (offer.source == 0) {
            if (b.gridIndexPlusOne[zone] != 0) revert IBundleMarket.SecondGridOffer(batchId, zone);
            b.gridIndexPlusOne[zone] = uint256(index) + 1;
        } else {
            b.green[zone].push(index);
        }
        b.power.push(
            IBundleMarket.PowerView(
                offer.maker, offer.plantId, zone, offer.source, uint16(b.soldParts.length), uint16(soldRow)
            )
        );
    }

    /// @notice Starts a call that adds power offers.
    function rows(BatchStore.Store storage b) internal view returns (Rows memory r) {
        IBundleMarket.Batch memory head = b.headOf();
        r.table = b.table(head);
        (r.start, r.slotSeconds, r.slots) = (head.start, head.slotSeconds, head.slots);
        r.poolWords = BatchStore.poolWords(head.slots);
        r.wh = new uint256[](2 * uint256(head.zones) * r.poolWords);
        r.index = head.powerOffers;
    }

    /// @notice Checks length, hash and alignment of a profile and notes its shift and nameplate bound in `r`.
    function checkProfile(
        Rows memory r,
        IRegistry.Plant memory plant,
        IBundleMarket.PowerOffer calldata offer,
        bytes32 hash,
        bytes calldata profile,
        bytes calldata sold
    ) internal pure {
        uint256 length = uint256(offer.slots) * offer.tranches * TRANCHE_BYTES;
        if (profile.length != length) revert IBundleMarket.LengthMismatch(profile.length, length);
        if (keccak256(profile) != offer.profileHash) revert IBundleMarket.WrongProfile(hash, keccak256(profile));
        if (sold.length != r.slots * SOLD_BYTES) {
            revert IBundleMarket.LengthMismatch(sold.length, r.slots * SOLD_BYTES);
        }
        int256 shift = int256(uint256(offer.start)) - int256(r.start);
        if (shift % int256(r.slotSeconds) != 0) revert IBundleMarket.NotSlotAligned(hash, offer.start);
        r.shift = shift / int256(r.slotSeconds);
        r.mostWhTimes3600 = uint256(plant.nameplateW) * r.slotSeconds;
    }

    /// @notice Checks the sold row of a power offer and adds it to the pools in memory.
    /// @return obligationMicro what the seller locks for negative prices
    function takeSold(
        Rows memory r,
        IBundleMarket.PowerOffer calldata offer,
        bytes calldata profile,
        bytes calldata sold
    ) internal pure returns (uint256 obligationMicro) {
        uint256 mode = offer.source == 0 ? 0 : 1;
        uint256 base = (uint256(offer.zoneId) * 2 + mode) * r.poolWords;
        for (uint256 t; t < r.slots; ++t) {
            uint256 wh = uint32(bytes4(sold[t * SOLD_BYTES:(t + 1) * SOLD_BYTES]));
            if (wh == 0) continue;
            int256 price = r.table.energyPrice(offer.zoneId, mode, t);
            uint256 offered = _offeredWh(r, offer, profile, t, price);
            if (wh > offered) revert IBundleMarket.SoldAboveOffer(uint16(r.index), uint16(t), wh, offered);
            obligationMicro += BatchStore.obligationUp(wh, price);
            r.wh[base + t / 4] += wh << (64 * (t % 4));
        }
    }

    /// @dev Wh of the tranches that may sell at `price` in batch slot t; the whole slot must fit the nameplate.
    function _offeredWh(
        Rows memory r,
        IBundleMarket.PowerOffer calldata offer,
        bytes calldata profile,
        uint256 t,
        int256 price
    ) private pure returns (uint256 offered) {
        int256 row = int256(t) - r.shift;
        if (row < 0 || row >= int256(uint256(offer.slots))) return 0;
        uint256 at_ = uint256(row) * offer.tranches * TRANCHE_BYTES;
        uint256 total;
        for (uint256 n; n < offer.tranches; ++n) {
            uint64 tranche = uint64(bytes8(profile[at_:at_ + TRANCHE_BYTES]));
            total += tranche >> 32;
            if (int256(int32(uint32(tranche))) <= price) offered += tranche >> 32;
            at_ += TRANCHE_BYTES;
        }
        if (total * 3600 > r.mostWhTimes3600) {
            revert IBundleMarket.AboveNameplate(offer.plantId, total, r.mostWhTimes3600 / 3600);
        }
    }

    /// @dev Whole slots of the batch inside [start, end): first and one past the last.
    function _slotsInside(IBundleMarket.Batch memory head, uint256 start, uint256 end)
        private
        pure
        returns (uint256 from, uint256 to)
    {
        if (start > head.start) from = (start - head.start + head.slotSeconds - 1) / head.slotSeconds;
        if (end > head.start) to = (end - head.start) / head.slotSeconds;
        if (to > head.slots) to = head.slots;
    }
}
