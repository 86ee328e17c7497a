// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBundleMarket} from "../interfaces/IBundleMarket.sol";
import {Blob} from "./Blob.sol";
import {ByteReader} from "./ByteReader.sol";
import {Packed} from "./Packed.sol";
import {PriceTable} from "./PriceTable.sol";

/// @title What the market keeps of a batch
/// @notice Pool word w of (zone, mode): (zone * 2 + mode) * poolWords + slot / 4, fields of 64 bits: Wh sold minus Wh
/// bought. Lane word of an offer: offer * laneWords + slot / 16, fields of 16 bits: lanes sold.
library BatchStore {
    using ByteReader for bytes;

    uint256 internal constant POOL_FIELDS = 4;
    uint256 internal constant LANE_FIELDS = 16;
    uint256 private constant SOLD_BYTES = 4;
    /// @dev Micro-units per Wh / 1000 that a seller locks beyond a negative price: covers two roundings a run.
    uint256 private constant ROUNDING_RESERVE = 2_000;

    struct Store {
        IBundleMarket.Batch head;
        address[] priceParts;
        address[] soldParts;
        uint256[] offerA;
        uint256[] offerB;
        IBundleMarket.PowerView[] power;
        mapping(uint256 word => uint256) lanes;
        mapping(uint256 word => uint256) pools;
        mapping(uint256 siteId => uint256) siteWattsTimesSeconds;
        mapping(uint256 plantId => bool) plantOffered;
        mapping(uint256 zone => uint16[]) green;
        mapping(uint256 zone => uint256) gridIndexPlusOne;
        mapping(uint256 chunkIndex => bytes32) chunks;
        mapping(uint256 chunkIndex => bool) chunkReleased;
        mapping(uint256 powerIndex => bool) obligationsReleased;
    }

    /// @dev One copy of the unpacking code, which the compiler would otherwise repeat at every use.
    function headOf(Store storage b) internal view returns (IBundleMarket.Batch memory) {
        return b.head;
    }

    /// @notice A store as a number and back, for contexts in memory.
    function slotOf(Store storage b) internal pure returns (uint256 slot) {
        assembly ("memory-safe") {
            slot := b.slot
        }
    }

    function at_(uint256 slot) internal pure returns (Store storage b) {
        assembly ("memory-safe") {
            b.slot := slot
        }
    }

    function poolWords(uint256 slots) internal pure returns (uint256) {
        return (slots + POOL_FIELDS - 1) / POOL_FIELDS;
    }

    function laneWords(uint256 slots) internal pure returns (uint256) {
        return (slots + LANE_FIELDS - 1) / LANE_FIELDS;
    }

    function tableLength(IBundleMarket.Batch memory head) internal pure returns (uint256) {
        return PriceTable.byteLength(head.classes, head.zones, head.slots);
    }

    function table(Store storage b, IBundleMarket.Batch memory head)
        internal
        view
        returns (PriceTable.Table memory)
    {
        bytes memory data = Blob.join(b.priceParts, tableLength(head));
        return PriceTable.wrap(data, head.classes, head.zones, head.slots);
    }

    /// @notice What the market keeps of a chunk.
    function chunkHash(bytes32 makersHash, bytes32 ordersHash, bytes32 runsHash) internal pure returns (bytes32) {
        return keccak256(abi.encode(makersHash, ordersHash, runsHash));
    }

    /// @notice Applies Wh collected in memory to the pools: sold adds, bought subtracts.
    /// @dev Whole words modulo 2^256. Each field stays inside +-2^63 (2^16 offers x 2^15 lanes x 2^32 Wh), so a word is
    /// zero only if all of its fields are.
    function addSold(Store storage b, uint256[] memory wh) internal {
        unchecked {
            for (uint256 i; i < wh.length; ++i) {
                if (wh[i] != 0) b.pools[i] += wh[i];
            }
        }
    }

    function addBought(Store storage b, uint256[] memory wh) internal {
        unchecked {
            for (uint256 i; i < wh.length; ++i) {
                if (wh[i] != 0) b.pools[i] -= wh[i];
            }
        }
    }

    function balanceWh(Store storage b, uint256 zone, uint256 mode, uint256 slot) internal view returns (int256) {
        uint256 word = (zone * 2 + mode) * poolWords(b.head.slots) + slot / POOL_FIELDS;
        return Packed.signed64(b.pools[word], slot % POOL_FIELDS);
    }

    /// @notice Reverts with the first pool that does not balance.
    function requireBalanced(Store storage b) internal view {
        uint256 words = poolWords(b.head.slots);
        uint256 pools = uint256(b.head.zones) * 2;
        for (uint256 i; i < pools * words; ++i) {
            uint256 word = b.pools[i];
            if (word == 0) continue;
            uint256 field;
            while (Packed.signed64(word, field) == 0) ++field;
            revert IBundleMarket.PoolNotBalanced(
                uint16(i / words / 2),
                uint8(i / words % 2),
                uint16(i % words * POOL_FIELDS + field),
                Packed.signed64(word, field)
            );
        }
    }

    /// @notice The sold row of a power offer, uint32 Wh a slot.
    function soldRow(Store storage b, uint256 index) internal view returns (bytes memory row) {
        IBundleMarket.PowerView memory offer = b.power[index];
        uint256 size = SOLD_BYTES * b.head.slots;
        row = new bytes(size);
        Blob.copy(b.soldParts[offer.soldPart], offer.soldRow * size, size, row, 0);
    }

    function soldWh(Store storage b, uint256 index, uint256 slot) internal view returns (uint256) {
        IBundleMarket.PowerView memory offer = b.power[index];
        uint256 from = (uint256(offer.soldRow) * b.head.slots + slot) * SOLD_BYTES;
        return Blob.uint32At(b.soldParts[offer.soldPart], from);
    }

    /// @notice Green plants of a zone, and the Wh that each sold in each slot; see IBundleMarket.poolPlants.
    function plantsOf(Store storage b, uint256 zone, uint16[] calldata slots)
        internal
        view
        returns (IBundleMarket.PoolPlant[] memory plants, uint256[] memory sold)
    {
        uint16[] memory indices = b.green[zone];
        (uint256 n, uint256 all) = (indices.length, b.head.slots);
        (plants, sold) = (new IBundleMarket.PoolPlant[](n), new uint256[](n * slots.length));
        for (uint256 j; j < n; ++j) {
            IBundleMarket.PowerView memory offer = b.power[indices[j]];
            plants[j] = IBundleMarket.PoolPlant(offer.maker, offer.plantId, offer.source, indices[j]);
            address part = b.soldParts[offer.soldPart];
            for (uint256 i; i < slots.length; ++i) {
                sold[i * n + j] = Blob.uint32At(part, (offer.soldRow * all + slots[i]) * SOLD_BYTES);
            }
        }
    }

    /// @notice Lanes sold of a compute offer in a slot.
    function lanesOf(Store storage b, uint256 offer, uint256 slot) internal view returns (uint256) {
        uint256 word = offer * laneWords(b.head.slots) + slot / LANE_FIELDS;
        return Packed.get16(b.lanes[word], slot % LANE_FIELDS);
    }

    /// @notice Micro-units that a power offer has locked over the batch.
    function obligationsOf(Store storage b, uint256 index) internal view returns (uint256 sum) {
        IBundleMarket.PowerView memory offer = b.power[index];
        PriceTable.Table memory prices = table(b, headOf(b));
        bytes memory row = soldRow(b, index);
        uint256 mode = offer.source == 0 ? 0 : 1;
        for (uint256 t; t < prices.slots; ++t) {
            int256 price = PriceTable.energyPrice(prices, offer.zoneId, mode, t);
            sum += obligationUp(row.uint32At(SOLD_BYTES * t), price);
        }
    }

    /// @notice Micro-units a seller locks for `wh` at a price: nothing unless the price is negative.
    function obligationUp(uint256 wh, int256 pricePerKwh) internal pure returns (uint256) {
        if (pricePerKwh >= 0) return 0;
        return (wh * (uint256(-pricePerKwh) + ROUNDING_RESERVE) + 999) / 1000;
    }
}
