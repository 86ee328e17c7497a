// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ByteReader} from "./ByteReader.sol";

/// @title The price table of a batch
/// @notice K classes, Z zones, modes 0 grey and 1 green, T slots; sections follow each other, big-endian:
///   compute price uint32 [k][z][m][t] micro/VCU-slot   8 K Z T bytes
///   energy price   int32 [z][m][t]    micro/kWh        8 Z T bytes
///   grid carbon   uint16 [z][t]       g/kWh            2 Z T bytes
///   green factor  uint16 [z][t]       g/kWh            2 Z T bytes
/// @dev Indices are below 2^16 each, so offsets cannot wrap; callers keep them inside the table.
library PriceTable {
    using ByteReader for bytes;

    struct Table {
        bytes data;
        uint256 zones;
        uint256 slots;
        uint256 energyAt;
        uint256 carbonAt;
        uint256 greenAt;
    }

    function byteLength(uint256 classes, uint256 zones, uint256 slots) internal pure returns (uint256) {
        return (8 * classes + 12) * zones * slots;
    }

    function wrap(bytes memory data, uint256 classes, uint256 zones, uint256 slots)
        internal
        pure
        returns (Table memory)
    {
        uint256 cells = zones * slots;
        uint256 energyAt = 8 * classes * cells;
        return Table(data, zones, slots, energyAt, energyAt + 8 * cells, energyAt + 10 * cells);
    }

    /// @notice Offset of the compute prices of (class, zone, mode), one uint32 a slot.
    function computeRow(Table memory table, uint256 classId, uint256 zone, uint256 mode)
        internal
        pure
        returns (uint256)
    {
        unchecked {
            return 4 * table.slots * ((classId * table.zones + zone) * 2 + mode);
        }
    }

    /// @notice Offset of the energy prices of (zone, mode), one int32 a slot.
    function energyRow(Table memory table, uint256 zone, uint256 mode) internal pure returns (uint256) {
        unchecked {
            return table.energyAt + 4 * table.slots * (zone * 2 + mode);
        }
    }

    function computePrice(Table memory table, uint256 classId, uint256 zone, uint256 mode, uint256 slot)
        internal
        pure
        returns (uint256)
    {
        unchecked {
            return table.data.uint32At(computeRow(table, classId, zone, mode) + 4 * slot);
        }
    }

    function energyPrice(Table memory table, uint256 zone, uint256 mode, uint256 slot)
        internal
        pure
        returns (int256)
    {
        unchecked {
            return table.data.int32At(energyRow(table, zone, mode) + 4 * slot);
        }
    }

    function gridCarbon(Table memory table, uint256 zone, uint256 slot) internal pure returns (uint256) {
        unchecked {
            return table.data.uint16At(table.carbonAt + 2 * (zone * table.slots + slot));
        }
    }

    function greenFactor(Table memory table, uint256 zone, uint256 slot) internal pure returns (uint256) {
        unchecked {
            return table.data.uint16At(table.greenAt + 2 * (zone * table.slots + slot));
        }
    }

    /// @notice keccak256 of the grid-carbon section.
    function carbonHash(Table memory table) internal pure returns (bytes32) {
        return table.data.hashOf(table.carbonAt, 2 * table.zones * table.slots);
    }
}
