// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBundleMarket} from "../../../contracts/interfaces/IBundleMarket.sol";
import {IDeliveryOracle} from "../../../contracts/interfaces/IDeliveryOracle.sol";
import {ISettlement} from "../../../contracts/interfaces/ISettlement.sol";
import {Tree} from "./Tree.sol";
import {World} from "./World.sol";

/// @title A batch in the making
/// @notice Offers 0 (site 1, zone 0) and 1 (site 2, zone 1) of class 0, one lane of which burns 1000 Wh and 1500 Wh a
/// slot. Runs are collected first; power offers are then made to balance them.
abstract contract Batch is World {
    uint256 internal constant E0 = 1000;
    uint256 internal constant E1 = 1500;
    uint8 internal constant GREY = 0;
    uint8 internal constant GREEN = 1;

    uint32 internal greyPrice = 1_000_000;
    uint32 internal greenPrice = 1_100_000;
    int32 internal greyEnergy = 400_000;
    int32 internal greenEnergy = 300_000;
    uint64 internal ask = 100_000;
    uint16 internal gridCarbon = 600;
    uint16 internal greenFactor = 45;

    uint64 internal batchId;
    IBundleMarket.BundleOrder[] internal orders;
    bytes[] internal sigs;
    bytes internal runs;
    uint256[SLOTS][2][ZONES] internal demandWh; // [zone][mode][slot]

    // --- header and prices

    function carbonBytes() internal view returns (bytes memory data) {
        for (uint256 i; i < ZONES * SLOTS; ++i) {
            data = bytes.concat(data, bytes2(gridCarbon));
        }
    }

    function tableBytes() internal view returns (bytes memory data) {
        for (uint256 i; i < CLASSES * ZONES * 2 * SLOTS; ++i) {
            data = bytes.concat(data, bytes4(i / SLOTS % 2 == 0 ? greyPrice : greenPrice));
        }
        for (uint256 i; i < ZONES * 2 * SLOTS; ++i) {
            data = bytes.concat(data, bytes4(uint32(i / SLOTS % 2 == 0 ? greyEnergy : greenEnergy)));
        }
        data = bytes.concat(data, carbonBytes());
        for (uint256 i; i < ZONES * SLOTS; ++i) {
            data = bytes.concat(data, bytes2(greenFactor));
        }
    }

    function contentHash() internal view returns (bytes32) {
        return keccak256(abi.encode(START, SLOT, SLOTS, ZONES, keccak256(carbonBytes())));
    }

    function header() internal view returns (IBundleMarket.BatchHeader memory h) {
        h.start = START;
        h.slotSeconds = SLOT;
        h.slots = uint16(SLOTS);
        h.zones = uint16(ZONES);
        h.classes = uint16(CLASSES);
        h.publicationHash = contentHash();
        h.bookHash = keccak256("book");
        h.solutionHash = keccak256("solution");
        (h.welfareMicro, h.dualBoundMicro) = (1000, 1010);
    }

    function publish() internal {
        IDeliveryOracle.Publication memory p =
            IDeliveryOracle.Publication(START, contentHash(), oracle.configDigest());
        oracle.publish(p, memberSigs(publicationHash(p), 3));
    }

    function openBatch() internal {
        if (oracle.publication(START) == 0) publish();
        vm.prank(SOLVER);
        batchId = market.openBatch(header());
    }

    function postPrices() internal {
        bytes memory table = tableBytes();
        vm.prank(SOLVER);
        market.postPrices(batchId, 0, table);
    }

    // --- offers

    function computeOffer(uint256 siteId) internal view returns (IBundleMarket.ComputeOffer memory o) {
        o.maker = siteOwner(siteId);
        o.siteId = uint32(siteId);
        o.zoneId = uint32(siteId - 1);
        o.capacity = 10_000;
        o.energyWhPerVcuSlot = uint32(siteId == 1 ? E0 : E1);
        o.askPrice = ask;
        o.start = START;
        o.end = START + uint64(SLOTS) * SLOT;
        o.nonce = 1;
        o.expiry = START;
    }

    function addCompute(IBundleMarket.ComputeOffer memory o) internal virtual {
        IBundleMarket.ComputeOffer[] memory list = new IBundleMarket.ComputeOffer[](1);
        bytes[] memory signatures = new bytes[](1);
        list[0] = o;
        signatures[0] = sign(SITE_KEY + o.siteId, market.hashComputeOffer(o));
        vm.prank(SOLVER);
        market.addComputeOffers(batchId, list, signatures);
    }

    /// @dev Profile: one tranche a slot of `wh` at the pool's price.
    function profileOf(uint256 plantId, uint256[SLOTS] memory wh) internal view returns (bytes memory profile) {
        int32 price = plantId > 90 ? greyEnergy : greenEnergy;
        for (uint256 t; t < SLOTS; ++t) {
            profile = bytes.concat(profile, bytes4(uint32(wh[t])), bytes4(uint32(price)));
        }
    }

    function soldOf(uint256[SLOTS] memory wh) internal pure returns (bytes memory sold) {
        for (uint256 t; t < SLOTS; ++t) {
            sold = bytes.concat(sold, bytes4(uint32(wh[t])));
        }
    }

    function powerOffer(uint32 plantId, bytes memory profile)
        internal
        view
        returns (IBundleMarket.PowerOffer memory o)
    {
        o.maker = plantOwner(plantId);
        o.plantId = plantId;
        o.zoneId = registry.plant(plantId).zoneId;
        o.source = registry.plant(plantId).source;
        o.tranches = 1;
        o.start = START;
        o.slots = uint16(SLOTS);
        o.profileHash = keccak256(profile);
        o.nonce = 1;
        o.expiry = START;
    }

    function addPower(IBundleMarket.PowerOffer memory o, bytes memory profile, bytes memory sold) internal virtual {
        IBundleMarket.PowerOffer[] memory list = new IBundleMarket.PowerOffer[](1);
        bytes[] memory signatures = new bytes[](1);
        bytes[] memory profiles = new bytes[](1);
        bytes[] memory rows = new bytes[](1);
        (list[0], profiles[0], rows[0]) = (o, profile, sold);
        signatures[0] = sign(PLANT_KEY + o.plantId, market.hashPowerOffer(o));
        vm.prank(SOLVER);
        market.addPowerOffers(batchId, list, signatures, profiles, rows);
    }

    function addPower(uint32 plantId, uint256[SLOTS] memory wh) internal {
        bytes memory profile = profileOf(plantId, wh);
        addPower(powerOffer(plantId, profile), profile, soldOf(wh));
    }

    // --- orders

    function order(uint256 i) internal pure returns (IBundleMarket.BundleOrder memory o) {
        o.maker = buyer(i);
        o.zoneMask = 3;
        o.lanes = 1000;
        o.durationSlots = 2;
        o.start = START;
        o.deadline = START + uint64(SLOTS) * SLOT;
        o.limitPrice = 2_000_000;
        o.maxCarbon = type(uint32).max;
        o.nonce = 7;
        o.expiry = START;
    }

    function addOrder(uint256 i, IBundleMarket.BundleOrder memory o) internal {
        orders.push(o);
        sigs.push(sign(BUYER_KEY + i, market.hashOrder(o)));
    }

    function run(uint256 orderIdx, uint256 offerIdx, uint8 mode, uint256 from, uint256 to, uint256 lanes)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodePacked(
            uint16(orderIdx), uint16(offerIdx), mode, uint16(from), uint16(to), uint32(lanes)
        );
    }

    /// @notice Appends a run and its energy to the pools' demand.
    function addRun(uint256 orderIdx, uint256 offerIdx, uint8 mode, uint256 from, uint256 to, uint256 lanes)
        internal
    {
        runs = bytes.concat(runs, run(orderIdx, offerIdx, mode, from, to, lanes));
        for (uint256 t = from; t < to; ++t) {
            demandWh[offerIdx][mode][t] += lanes * (offerIdx == 0 ? E0 : E1);
        }
    }

    // --- the way to a final batch

    /// @notice Opens the batch with prices and both compute offers.
    function openMarket() internal {
        openBatch();
        postPrices();
        addCompute(computeOffer(1));
        addCompute(computeOffer(2));
    }

    /// @notice Power offers that meet the collected demand: power index 0 pv and 1 wind share zone 0's green (pv takes
    /// 60 %), 2 its grid, 3 hydro and 4 the grid of zone 1.
    function addPowers() internal {
        uint256[SLOTS] memory pv;
        uint256[SLOTS] memory wind;
        for (uint256 t; t < SLOTS; ++t) {
            pv[t] = demandWh[0][GREEN][t] * 6 / 10;
            wind[t] = demandWh[0][GREEN][t] - pv[t];
        }
        addPower(11, pv);
        addPower(12, wind);
        addPower(91, demandWh[0][GREY]);
        addPower(13, demandWh[1][GREEN]);
        addPower(92, demandWh[1][GREY]);
    }

    function clear() internal {
        vm.prank(SOLVER);
        market.clearChunk(batchId, packed(orders, sigs), runs);
    }

    /// @notice Orders as `clearChunk` takes them, each under a signature of its own.
    function packed(IBundleMarket.BundleOrder[] memory list, bytes[] memory signatures)
        internal
        pure
        returns (bytes memory data)
    {
        for (uint256 i; i < list.length; ++i) {
            data = bytes.concat(data, head(list[i].maker, 1, 1, signatures[i]), terms(list[i]));
        }
    }

    function head(address maker, uint8 total, uint32 present, bytes memory signature)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodePacked(maker, total, present, uint16(signature.length), signature);
    }

    function terms(IBundleMarket.BundleOrder memory o) internal pure returns (bytes memory) {
        return bytes.concat(
            abi.encodePacked(o.classId, o.zoneMask, o.lanes, o.minLanes, o.durationSlots, o.start, o.deadline),
            abi.encodePacked(o.limitPrice, o.minGreenBps, o.maxCarbon, o.carbonPrice, o.kind),
            abi.encodePacked(o.epoch, o.nonce, o.expiry)
        );
    }

    function finish() internal {
        vm.prank(SOLVER);
        market.finalize(batchId);
    }

    function chunk() internal view returns (IBundleMarket.ChunkData memory c) {
        bytes memory hashes;
        for (uint256 i; i < orders.length; ++i) {
            c.makers = bytes.concat(c.makers, bytes20(orders[i].maker));
            hashes = bytes.concat(hashes, market.hashOrder(orders[i]));
        }
        (c.ordersHash, c.runs) = (keccak256(hashes), runs);
    }

    /// @notice Order 0 of buyer 0: ten lanes for two slots, green in zone 0, slots 0 and 1, cleared and final.
    function greenBatch() internal {
        openMarket();
        addOrder(0, order(0));
        addRun(0, 0, GREEN, 0, 2, 10);
        addPowers();
        clear();
        finish();
    }

    // --- delivery

    function reading(uint32 plantId, uint256 slot, uint256 quantityMwh)
        internal
        pure
        returns (ISettlement.Reading memory r)
    {
        r.kind = 1;
        r.meterId = 100 + plantId;
        r.seq = slot;
        r.start = START + slot * SLOT;
        r.end = r.start + SLOT;
        r.quantity = quantityMwh;
        r.register = quantityMwh;
    }

    function leafOf(ISettlement.Reading memory r) internal pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(r))));
    }

    function outcomeLeaf(uint32 chunkIndex, uint16 slot, bytes memory outcomes) internal view returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(batchId, chunkIndex, slot, keccak256(outcomes)))));
    }

    /// @notice Reports a slot: readings of plants (pv, wind, hydro) and the outcomes of chunk 0; waits until final.
    function report(uint16 slot, uint256[3] memory quantityMwh, bytes memory outcomes) internal {
        bytes32[] memory leaves = readingLeaves(slot, quantityMwh);
        bytes32 outcomesRoot = outcomes.length == 0 ? bytes32(0) : outcomeLeaf(0, slot, outcomes);
        submit(nextReport(START + uint64(slot) * SLOT, Tree.root(leaves), 3, outcomesRoot));
        vm.warp(block.timestamp + WINDOW);
    }

    function readingLeaves(uint16 slot, uint256[3] memory quantityMwh)
        internal
        pure
        returns (bytes32[] memory leaves)
    {
        leaves = new bytes32[](3);
        for (uint32 i; i < 3; ++i) {
            leaves[i] = leafOf(reading(11 + i, slot, quantityMwh[i]));
        }
    }

    function position(uint16 slot, uint256[3] memory quantityMwh, uint32 i)
        internal
        pure
        returns (ISettlement.Position memory p)
    {
        p.reading = reading(11 + i, slot, quantityMwh[i]);
        p.proof = Tree.proof(readingLeaves(slot, quantityMwh), i);
    }

    /// @notice Positions of a zone: pv and wind of zone 0, hydro of zone 1.
    function positionsOf(uint16 slot, uint16 zone, uint256[3] memory quantityMwh)
        internal
        pure
        returns (ISettlement.Position[] memory list)
    {
        list = new ISettlement.Position[](zone == 0 ? 2 : 1);
        for (uint32 i; i < list.length; ++i) {
            list[i] = position(slot, quantityMwh, zone == 0 ? i : 2);
        }
    }

    function outcome(uint256 milliLanes, uint256 matchedWh) internal pure returns (bytes memory) {
        return abi.encodePacked(uint32(milliLanes), uint32(matchedWh));
    }

    function settle(uint16 slot, bytes memory outcomes) internal {
        uint16[] memory slots = new uint16[](1);
        bytes[] memory list = new bytes[](1);
        (slots[0], list[0]) = (slot, outcomes);
        settlement.settleChunk(batchId, 0, chunk(), slots, list, new bytes32[][](1));
    }

    function payPool(uint16 slot, uint16 zone) internal {
        uint16[] memory slots = new uint16[](1);
        slots[0] = slot;
        settlement.payPools(batchId, slots, zone);
    }

    function refund(uint16 slot) internal {
        uint16[] memory slots = new uint16[](1);
        slots[0] = slot;
        settlement.refundChunk(batchId, 0, chunk(), slots);
    }
}
