// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBundleMarket} from "../interfaces/IBundleMarket.sol";
import {ByteReader} from "./ByteReader.sol";
import {PriceTable} from "./PriceTable.sol";

/// @title What sellers could earn at the posted prices, and what the power sold costs
/// @notice Linked into OptimisticMarket. Exact integers in milli-micro-units; see docs/mechanism.md, the certificate.
library SellerBound {
    using ByteReader for bytes;
    using PriceTable for PriceTable.Table;

    uint256 private constant TRANCHE_BYTES = 8;
    uint256 private constant SOLD_BYTES = 4;

    /// @notice Sum over compute offers [from, to) and their slots of capacity * max(0, 1000 pc - e pe - 1000 ask) in the
    /// better mode.
    function computeBest(IBundleMarket market, uint64 batchId, uint256 from, uint256 to)
        external
        view
        returns (uint256 best)
    {
        PriceTable.Table memory table = _table(market, batchId);
        for (uint256 i = from; i < to; ++i) {
            IBundleMarket.OfferView memory offer = market.computeOffer(batchId, uint16(i));
            uint256 sum;
            for (uint256 t = offer.startSlot; t < offer.endSlot; ++t) {
                int256 grey = _margin(table, offer, 0, t);
                int256 green = _margin(table, offer, 1, t);
                int256 margin = grey > green ? grey : green;
                if (margin > 0) sum += uint256(margin);
            }
            best += sum * offer.capacity;
        }
    }

    /// @notice Of new power offers: what they could earn, and the cost of what was sold, cheapest tranches first.
    function powerBest(
        IBundleMarket market,
        uint64 batchId,
        IBundleMarket.PowerOffer[] calldata offers,
        bytes[] calldata profiles,
        bytes[] calldata sold
    ) external view returns (uint256 best, int256 cost) {
        PriceTable.Table memory table = _table(market, batchId);
        IBundleMarket.Batch memory head = market.batch(batchId);
        for (uint256 i; i < offers.length; ++i) {
            // the market checked that the shift is whole slots
            int256 shift = int256(uint256(offers[i].start)) - int256(uint256(head.start));
            shift /= int256(uint256(head.slotSeconds));
            best += _best(table, offers[i], profiles[i], shift);
            cost += _cost(offers[i], profiles[i], sold[i], shift);
        }
    }

    function _best(
        PriceTable.Table memory table,
        IBundleMarket.PowerOffer calldata offer,
        bytes calldata profile,
        int256 shift
    ) private pure returns (uint256 best) {
        uint256 energyRow = table.energyRow(offer.zoneId, offer.source == 0 ? 0 : 1);
        for (uint256 t; t < table.slots; ++t) {
            best += trancheBest(_tranches(offer, profile, int256(t) - shift), table.data.int32At(energyRow + 4 * t));
        }
    }

    function _cost(
        IBundleMarket.PowerOffer calldata offer,
        bytes calldata profile,
        bytes calldata sold,
        int256 shift
    ) private pure returns (int256 cost) {
        for (uint256 t; t < sold.length / SOLD_BYTES; ++t) {
            uint256 wh = uint32(bytes4(sold[t * SOLD_BYTES:(t + 1) * SOLD_BYTES]));
            cost += trancheCost(_tranches(offer, profile, int256(t) - shift), wh);
        }
    }

    /// @dev Tranches of one slot of a profile; none outside of it.
    function _tranches(IBundleMarket.PowerOffer calldata offer, bytes calldata profile, int256 row)
        private
        pure
        returns (bytes calldata)
    {
        if (row < 0 || row >= int256(uint256(offer.slots))) return profile[:0];
        uint256 wide = uint256(offer.tranches) * TRANCHE_BYTES;
        return profile[uint256(row) * wide:(uint256(row) + 1) * wide];
    }

    /// @notice Wh * max(0, price - ask) over the tranches of one slot.
    function trancheBest(bytes calldata tranches, int256 price) public pure returns (uint256 best) {
        for (uint256 place; place < tranches.length; place += TRANCHE_BYTES) {
            (uint256 wh, int256 ask) = _tranche(tranches, place);
            if (price > ask) best += wh * uint256(price - ask);
        }
    }

    /// @notice Cost of `sold` Wh of one slot, cheapest tranches first.
    function trancheCost(bytes calldata tranches, uint256 sold) public pure returns (int256 cost) {
        uint256 used; // bit per tranche
        while (sold != 0) {
            uint256 cheapest = type(uint256).max;
            int256 least;
            for (uint256 place; place < tranches.length; place += TRANCHE_BYTES) {
                (, int256 ask) = _tranche(tranches, place);
                bool free = used >> (place / TRANCHE_BYTES) & 1 == 0;
                if (free && (cheapest == type(uint256).max || ask < least)) (cheapest, least) = (place, ask);
            }
            if (cheapest == type(uint256).max) break; // the market refuses more than was offered
            (uint256 wh,) = _tranche(tranches, cheapest);
            uint256 take = wh < sold ? wh : sold;
            used |= uint256(1) << (cheapest / TRANCHE_BYTES);
            cost += int256(take) * least;
            sold -= take;
        }
    }

    function _tranche(bytes calldata tranches, uint256 place) private pure returns (uint256 wh, int256 ask) {
        uint64 word = uint64(bytes8(tranches[place:place + TRANCHE_BYTES]));
        return (word >> 32, int32(uint32(word)));
    }

    function _margin(PriceTable.Table memory table, IBundleMarket.OfferView memory offer, uint256 mode, uint256 t)
        private
        pure
        returns (int256)
    {
        int256 price = int256(table.computePrice(offer.classId, offer.zoneId, mode, t));
        int256 energy = int256(uint256(offer.energyWhPerVcuSlot)) * table.energyPrice(offer.zoneId, mode, t);
        return 1000 * price - energy - 1000 * int256(uint256(offer.askPrice));
    }

    function _table(IBundleMarket market, uint64 batchId) private view returns (PriceTable.Table memory) {
        IBundleMarket.Batch memory head = market.batch(batchId);
        return PriceTable.wrap(market.priceTable(batchId), head.classes, head.zones, head.slots);
    }
}
