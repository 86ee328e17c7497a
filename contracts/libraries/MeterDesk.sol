// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {IBundleMarket} from "../interfaces/IBundleMarket.sol";
import {ISettlement} from "../interfaces/ISettlement.sol";
import {PoolBook} from "./PoolBook.sol";
import {SettlementBook} from "./SettlementBook.sol";
import {SettlementState} from "./SettlementState.sol";

/// @title Meters the green plants of a slot
/// @notice Linked into Settlement, which runs it on its own storage; it keeps Settlement below the size limit.
library MeterDesk {
    using SettlementBook for SettlementBook.Context;
    using SettlementState for SettlementState.State;

    uint256 private constant GENERATION = 1;
    uint8 private constant PLANT_METER = 2;
    uint256 private constant ACTUAL = 0;
    uint256 private constant GREEN = PoolBook.GREEN;

    function meterPool(
        SettlementState.State storage s,
        SettlementState.Wiring memory w,
        uint64 batchId,
        uint16 slot,
        uint16 zoneId,
        ISettlement.Position[] calldata positions
    ) external {
        SettlementBook.Context memory c = SettlementBook.open(w, batchId, positions.length);
        PoolBook.Plants memory p = PoolBook.plants(c, slot, zoneId);
        ISettlement.Pool storage pool = s.poolOf(batchId, slot, zoneId, GREEN);
        require(!pool.metered, ISettlement.AlreadyMetered(batchId, slot, zoneId));
        require(
            positions.length == p.list.length, ISettlement.PositionsIncomplete(positions.length, p.list.length)
        );

        (uint256 sum, bool missing) = _meterPlants(s, c, p, positions);
        (pool.metered, pool.missing, pool.deliveredWh) = (true, missing, uint48(sum));
        if (missing || sum != p.soldWh) _keepDelivered(s, c, p);

        emit ISettlement.PoolMetered(batchId, slot, zoneId, sum);

        c.post();
    }

    function _keepDelivered(SettlementState.State storage s, SettlementBook.Context memory c, PoolBook.Plants memory p) private {
        for (uint256 i; i < p.list.length; ++i) {
            s.setDelivered(c.batchId, p.slot, p.list[i].index, p.delivered[i]);
        }
    }

    function meterMissing(
        SettlementState.State storage s,
        SettlementState.Wiring memory w,
        uint64 batchId,
        uint16 slot,
        uint16 zoneId,
        uint16 place,
        ISettlement.Position calldata position
    ) external {
        SettlementBook.Context memory c = SettlementBook.open(w, batchId, 1);
        PoolBook.Plants memory p = PoolBook.plants(c, slot, zoneId);
        _showMissing(s, c, p, place, position);
        c.post();
    }

    function _showMissing(
        SettlementState.State storage s,
        SettlementBook.Context memory c,
        PoolBook.Plants memory p,
        uint256 place,
        ISettlement.Position calldata position
    ) private {
        ISettlement.Pool storage pool = s.poolOf(c.batchId, p.slot, p.zoneId, GREEN);
        bool due = place < p.list.length && pool.missing && !pool.paid
            && s.deliveredWh(c.batchId, p.slot, p.list[place].index) == SettlementState.MISSING;
        require(due, ISettlement.NotMissing(c.batchId, p.slot, p.zoneId, place));
        (bool isFinal, bytes32 root,,) = c.report(p.slot);
        require(isFinal, ISettlement.ReportNotFinal(c.batchId, p.slot));

        uint256 metered = _checkReading(s, c, p.slot, p.list[place].plantId, position, root);
        uint256 delivered = PoolBook.meterPlant(c, p, place, metered);
        s.setDelivered(c.batchId, p.slot, p.list[place].index, delivered);
        pool.deliveredWh += uint48(delivered);
    }

    /// @notice Wh of a plant in a slot; 0 where it was not metered or is missing.
    function deliveredWh(
        SettlementState.State storage s,
        IBundleMarket market,
        uint64 batchId,
        uint16 slot,
        uint16 index
    ) external view returns (uint256 wh) {
        uint16 zoneId = market.powerOffer(batchId, index).zoneId;
        ISettlement.Pool memory pool = s.poolOf(batchId, slot, zoneId, GREEN);
        if (!pool.metered) return 0;
        wh = s.deliveredWh(batchId, slot, index);
        if (wh == SettlementState.MISSING) return 0;
        if (pool.missing) return wh;
        uint16[] memory slots = new uint16[](1);
        slots[0] = slot;
        (, uint256[] memory sold) = market.poolPlants(batchId, zoneId, slots);
        if (PoolBook.sum(sold) == pool.deliveredWh) return market.soldWh(batchId, index, slot);
    }

    function _meterPlants(
        SettlementState.State storage s,
        SettlementBook.Context memory c,
        PoolBook.Plants memory p,
        ISettlement.Position[] calldata positions
    ) private returns (uint256 sum, bool missing) {
        (bool isFinal, bytes32 root,, uint256 finalAt) = c.report(p.slot);
        require(isFinal, ISettlement.ReportNotFinal(c.batchId, p.slot));
        for (uint256 i; i < positions.length; ++i) {
            if (positions[i].missing) {
                uint256 allowedAt = finalAt + c.w.missingGrace;
                require(block.timestamp >= allowedAt, ISettlement.MissingTooEarly(allowedAt));
                _markMissing(s, c, p, i);
                missing = true;
                continue;
            }
            uint256 metered = _checkReading(s, c, p.slot, p.list[i].plantId, positions[i], root);
            p.delivered[i] = PoolBook.meterPlant(c, p, i, metered);
            sum += p.delivered[i];
        }
    }

    /// @dev Nothing is taken from a missing plant yet: its reading may still be shown for as long again.
    function _markMissing(
        SettlementState.State storage s,
        SettlementBook.Context memory c,
        PoolBook.Plants memory p,
        uint256 i
    ) private {
        uint256 until = block.timestamp + c.w.missingGrace;

        s.missingUntil[SettlementState.poolKey(c.batchId, p.slot, p.zoneId, GREEN)] = until;
        p.delivered[i] = SettlementState.MISSING;

        emit ISettlement.PlantMissing(c.batchId, p.slot, p.list[i].index, p.sold[i], until);
    }

    /// @dev Wh of a valid reading of the plant's own meter, once an interval; only actual values count.
    function _checkReading(
        SettlementState.State storage s,
        SettlementBook.Context memory c,
        uint256 slot,
        uint32 plantId,
        ISettlement.Position calldata position,
        bytes32 root
    ) private returns (uint256 metered) {
        ISettlement.Reading calldata r = position.reading;
        bool exact = r.start == c.slotStart(slot) && r.end == c.slotStart(slot + 1);
        require(r.kind == GENERATION, ISettlement.ReadingKind(r.kind));
        require(exact, ISettlement.ReadingInterval(r.start, r.end));
        _checkMeter(c, r.meterId, plantId, r.end);
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(r))));
        bool inside = MerkleProof.verifyCalldata(position.proof, root, leaf);
        require(inside, ISettlement.ReadingNotInReport(r.meterId, root));

        s.useMeter(r.meterId, r.start, r.end);

        if (r.quality != ACTUAL) return 0;
        metered = r.quantity / 1000;
        uint256 most = uint256(c.w.registry.plant(plantId).nameplateW) * c.batch.slotSeconds / 3600;
        return metered < most ? metered : most;
    }

    /// @dev The meter is attested at the end of the slot and belongs to the plant.
    function _checkMeter(SettlementBook.Context memory c, uint256 meterId, uint32 plantId, uint256 end)
        private
        view
    {
        require(meterId <= type(uint32).max, ISettlement.ReadingMeter(meterId, plantId));
        (uint64 attestedUntil, uint32 assetId, uint8 assetKind,) = c.w.registry.meterBinding(uint32(meterId));
        bool bound = assetKind == PLANT_METER && assetId == plantId;
        require(bound, ISettlement.ReadingMeter(meterId, plantId));
        require(attestedUntil >= end, ISettlement.MeterNotAttested(meterId, attestedUntil));
    }
}
