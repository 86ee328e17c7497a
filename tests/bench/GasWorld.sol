// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBundleMarket} from "../../contracts/interfaces/IBundleMarket.sol";
import {IDeliveryOracle} from "../../contracts/interfaces/IDeliveryOracle.sol";
import {ISettlement} from "../../contracts/interfaces/ISettlement.sol";
import {OrderLib} from "../../contracts/libraries/OrderLib.sol";
import {Tree} from "../contracts/support/Tree.sol";
import {World} from "../contracts/support/World.sol";

/// @title Whole market days of a size that a market has
/// @notice 96 slots, 3 zones, 4 classes. Every order buys three green lanes at site 1 in zone 0 for some slots from
/// slot 0; plants 11 and 12 sell the energy. One order in ten gets 80 % of its compute, the others 97 %.
abstract contract GasWorld is World {
    uint256 internal constant DAY_SLOTS = 96;
    uint256 internal constant DAY_ZONES = 3;
    uint256 internal constant DAY_CLASSES = 4;
    uint256 internal constant MAKER_KEY = 0x10000;
    uint256 internal constant LANES = 3;
    uint256 internal constant LANE_WH = 1000;
    uint256 internal constant CHUNK = 100;
    uint256 internal constant READINGS = 64;
    uint256 internal constant OUTCOMES = 8;

    /// @param orders how many; @param makers how many different makers they have
    /// @param slots of each order
    struct Day {
        uint256 orders;
        uint256 makers;
        uint256 slots;
    }

    uint64 internal begin;
    uint64 internal batchId;
    uint256 internal nextNonce = 1 << 52;
    uint256[] internal makerKeys;

    // --- measuring

    /// @notice Gas of one transaction.
    function _measure(address target, address sender, bytes memory data) internal returns (uint256) {
        vm.prank(sender);
        (bool success, bytes memory answer) = target.call(data);
        if (!success) {
            assembly {
                revert(add(answer, 32), mload(answer))
            }
        }
        return vm.lastCallGas().gasTotalUsed;
    }

    // --- the batch

    function carbonBytes() internal pure returns (bytes memory data) {
        return _fill(abi.encodePacked(uint16(600)), DAY_ZONES * DAY_SLOTS);
    }

    function table() internal pure returns (bytes memory data) {
        bytes memory rows = bytes.concat(
            _fill(abi.encodePacked(uint32(1_000_000)), DAY_SLOTS), _fill(abi.encodePacked(uint32(1_100_000)), DAY_SLOTS)
        );
        for (uint256 i; i < DAY_CLASSES * DAY_ZONES; ++i) {
            data = bytes.concat(data, rows);
        }
        rows = bytes.concat(
            _fill(abi.encodePacked(int32(400_000)), DAY_SLOTS), _fill(abi.encodePacked(int32(300_000)), DAY_SLOTS)
        );
        for (uint256 i; i < DAY_ZONES; ++i) {
            data = bytes.concat(data, rows);
        }
        data = bytes.concat(data, carbonBytes(), _fill(abi.encodePacked(uint16(45)), DAY_ZONES * DAY_SLOTS));
    }

    function _fill(bytes memory field, uint256 times) private pure returns (bytes memory data) {
        data = new bytes(field.length * times);
        for (uint256 i; i < data.length; ++i) {
            data[i] = field[i % field.length];
        }
    }

    /// @notice Opens the batch of a day that begins at `start`, up to its offers.
    function open(uint64 start, Day memory d) internal returns (uint256 used) {
        begin = start;
        if (block.timestamp < start - 2 hours) vm.warp(start - 2 hours);
        bytes32 content =
            keccak256(abi.encode(start, SLOT, DAY_SLOTS, DAY_ZONES, keccak256(carbonBytes())));
        IDeliveryOracle.Publication memory p = IDeliveryOracle.Publication(start, content, oracle.configDigest());
        oracle.publish(p, memberSigs(publicationHash(p), 3));
        IBundleMarket.BatchHeader memory h;
        (h.start, h.slotSeconds, h.publicationHash) = (start, SLOT, content);
        (h.slots, h.zones, h.classes) = (uint16(DAY_SLOTS), uint16(DAY_ZONES), uint16(DAY_CLASSES));
        used = _measure(address(market), SOLVER, abi.encodeCall(market.openBatch, (h)));
        batchId = market.batchCount();
        used += _measure(address(market), SOLVER, abi.encodeCall(market.postPrices, (batchId, 0, table())));
        used += _addCompute();
        used += _addPower(11, _soldWh(d) * 6 / 10, d.slots);
        used += _addPower(12, _soldWh(d) - _soldWh(d) * 6 / 10, d.slots);
    }

    function _soldWh(Day memory d) internal pure returns (uint256) {
        return d.orders * LANES * LANE_WH;
    }

    function _addCompute() private returns (uint256) {
        IBundleMarket.ComputeOffer[] memory list = new IBundleMarket.ComputeOffer[](1);
        bytes[] memory signatures = new bytes[](1);
        IBundleMarket.ComputeOffer memory o = list[0];
        (o.maker, o.siteId, o.capacity, o.askPrice) = (siteOwner(1), 1, 10_000, 100_000);
        o.energyWhPerVcuSlot = uint32(LANE_WH);
        (o.start, o.end, o.expiry) = (begin, begin + uint64(DAY_SLOTS) * SLOT, begin);
        signatures[0] = sign(SITE_KEY + 1, market.hashComputeOffer(o));
        return _measure(
            address(market), SOLVER, abi.encodeCall(market.addComputeOffers, (batchId, list, signatures))
        );
    }

    function _addPower(uint32 plantId, uint256 wh, uint256 slots) private returns (uint256) {
        IBundleMarket.PowerOffer[] memory list = new IBundleMarket.PowerOffer[](1);
        bytes[] memory signatures = new bytes[](1);
        bytes[] memory profiles = new bytes[](1);
        bytes[] memory sold = new bytes[](1);
        profiles[0] = _fill(abi.encodePacked(uint32(wh), int32(300_000)), DAY_SLOTS);
        sold[0] = bytes.concat(_fill(abi.encodePacked(uint32(wh)), slots), new bytes(4 * (DAY_SLOTS - slots)));
        IBundleMarket.PowerOffer memory o = list[0];
        (o.maker, o.plantId, o.source) = (plantOwner(plantId), plantId, registry.plant(plantId).source);
        (o.tranches, o.start, o.slots, o.expiry) = (1, begin, uint16(DAY_SLOTS), begin);
        o.profileHash = keccak256(profiles[0]);
        signatures[0] = sign(PLANT_KEY + plantId, market.hashPowerOffer(o));
        return _measure(
            address(market),
            SOLVER,
            abi.encodeCall(market.addPowerOffers, (batchId, list, signatures, profiles, sold))
        );
    }

    // --- the orders; orders of one maker stand together

    function makerKey(Day memory d, uint256 i) internal view returns (uint256) {
        return makerKeys[i * d.makers / d.orders];
    }

    /// @notice Keys of makers whose addresses ascend, as a chunk wants them, with money.
    function makeMakers(uint256 n) internal {
        uint256[] memory keys = new uint256[](n);
        for (uint256 i; i < n; ++i) {
            uint256 at_ = i;
            for (; at_ > 0 && vm.addr(keys[at_ - 1]) > vm.addr(MAKER_KEY + i); --at_) {
                keys[at_] = keys[at_ - 1];
            }
            keys[at_] = MAKER_KEY + i;
            _fund(vm.addr(MAKER_KEY + i), FUNDS);
        }
        makerKeys = keys;
    }

    function orderOf(Day memory d, uint256 i) internal view returns (IBundleMarket.BundleOrder memory o) {
        o.maker = vm.addr(makerKey(d, i));
        o.zoneMask = 7;
        (o.lanes, o.minLanes) = (uint32(LANES), uint32(LANES));
        o.durationSlots = uint16(d.slots);
        (o.start, o.deadline, o.expiry) = (begin, begin + uint64(DAY_SLOTS) * SLOT, begin);
        (o.limitPrice, o.minGreenBps, o.maxCarbon) = (2_000_000, 10_000, 100);
        o.nonce = uint64(nextNonce + i % (d.orders / d.makers));
    }

    function _chunkSize(Day memory d, uint256 c) internal pure returns (uint256) {
        uint256 left = d.orders - c * CHUNK;
        return left < CHUNK ? left : CHUNK;
    }

    function chunks(Day memory d) internal pure returns (uint256) {
        return (d.orders + CHUNK - 1) / CHUNK;
    }

    /// @notice A run of three green lanes for each order of a chunk.
    function runsOf(Day memory d, uint256 c) internal pure returns (bytes memory runs) {
        for (uint256 i; i < _chunkSize(d, c); ++i) {
            runs = bytes.concat(
                runs, abi.encodePacked(uint16(i), uint16(0), uint8(1), uint16(0), uint16(d.slots), uint32(LANES))
            );
        }
    }

    /// @notice A chunk's orders; those of one maker under one signature.
    function clearCall(Day memory d, uint256 c) internal view returns (bytes memory) {
        bytes memory orders;
        uint256 together = d.orders / d.makers;
        for (uint256 i = c * CHUNK; i < c * CHUNK + _chunkSize(d, c); i += together) {
            orders = bytes.concat(orders, together == 1 ? _alone(d, i) : _group(d, i, together));
        }
        return abi.encodeCall(market.clearChunk, (batchId, orders, runsOf(d, c)));
    }

    function _alone(Day memory d, uint256 i) private view returns (bytes memory) {
        IBundleMarket.BundleOrder memory o = orderOf(d, i);
        return bytes.concat(head(o.maker, 1, 1, _compact(makerKey(d, i), market.hashOrder(o))), terms(o));
    }

    function _group(Day memory d, uint256 first, uint256 n) private view returns (bytes memory) {
        bytes memory structs;
        bytes memory all;
        for (uint256 i; i < n; ++i) {
            IBundleMarket.BundleOrder memory o = orderOf(d, first + i);
            structs = bytes.concat(structs, keccak256(abi.encode(OrderLib.BUNDLE_ORDER, o)));
            all = bytes.concat(all, terms(o));
        }
        bytes32 list = keccak256(abi.encode(OrderLib.BUNDLE_ORDERS, keccak256(structs)));
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", domain("BitWatt", address(market)), list));
        uint256 key = makerKey(d, first);
        return bytes.concat(head(vm.addr(key), uint8(n), uint32((1 << n) - 1), _compact(key, digest)), all);
    }

    function _compact(uint256 key, bytes32 digest) private pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, bytes32(uint256(s) | uint256(v - 27) << 255));
    }

    function chunkData(Day memory d, uint256 c) internal view returns (IBundleMarket.ChunkData memory data) {
        bytes memory hashes;
        for (uint256 i = c * CHUNK; i < c * CHUNK + _chunkSize(d, c); ++i) {
            IBundleMarket.BundleOrder memory o = orderOf(d, i);
            data.makers = bytes.concat(data.makers, bytes20(o.maker));
            hashes = bytes.concat(hashes, market.hashOrder(o));
        }
        (data.ordersHash, data.runs) = (keccak256(hashes), runsOf(d, c));
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

    // --- delivery

    function outcomesOf(Day memory d, uint256 c) internal pure returns (bytes memory outcomes) {
        for (uint256 i; i < _chunkSize(d, c); ++i) {
            bool late = i % 10 == 9;
            outcomes = bytes.concat(outcomes, abi.encodePacked(uint32(late ? 2_400 : 2_910), uint32(2_910)));
        }
    }

    /// @dev 64 leaves, of which the first two are the plants': pv delivers 5 % more than sold, wind all of it.
    function readingLeaves(Day memory d, uint16 slot) internal view returns (bytes32[] memory leaves) {
        leaves = new bytes32[](READINGS);
        for (uint256 i; i < READINGS; ++i) {
            leaves[i] = i < 2
                ? keccak256(bytes.concat(keccak256(abi.encode(reading(d, uint32(11 + i), slot)))))
                : keccak256(abi.encode("reading", slot, i));
        }
    }

    function reading(Day memory d, uint32 plantId, uint16 slot) internal view returns (ISettlement.Reading memory r) {
        uint256 sold = _soldWh(d);
        (r.kind, r.meterId, r.seq) = (1, 100 + plantId, 1_000 + slot);
        r.start = begin + uint64(slot) * SLOT;
        r.end = r.start + SLOT;
        r.quantity = plantId == 11 ? sold * 630 : (sold - sold * 6 / 10) * 1000;
        r.register = 1e12 + r.quantity;
        r.keyId = keccak256(abi.encode("key", plantId));
        r.evidenceHash = keccak256(abi.encode("evidence", plantId));
        r.payloadHash = keccak256(abi.encode("payload", plantId, slot));
    }

    function outcomeLeaves(Day memory d, uint16 slot) internal view returns (bytes32[] memory leaves) {
        leaves = new bytes32[](OUTCOMES);
        for (uint32 c; c < OUTCOMES; ++c) {
            leaves[c] = c < chunks(d)
                ? keccak256(bytes.concat(keccak256(abi.encode(batchId, c, slot, keccak256(outcomesOf(d, c))))))
                : keccak256(abi.encode("outcome", slot, c));
        }
    }

    function reportCall(Day memory d, uint16 slot) internal returns (bytes memory) {
        uint64 start = begin + uint64(slot) * SLOT;
        bytes32 root = Tree.root(readingLeaves(d, slot));
        IDeliveryOracle.Report memory r = nextReport(start, root, uint32(READINGS), Tree.root(outcomeLeaves(d, slot)));
        (r.evidenceRoot, r.archiveHash) = (keccak256("evidence"), keccak256(abi.encode("archive", slot)));
        (r.totals[0], r.totals[1], r.totals[2]) = (uint64(_soldWh(d) * 1000), 1e9, 1e9);
        if (block.timestamp < r.end) vm.warp(r.end);
        return abi.encodeCall(oracle.submit, (r, memberSigs(oracle.hashReport(r), 3)));
    }

    function meterCall(Day memory d, uint16 slot) internal view returns (bytes memory) {
        ISettlement.Position[] memory list = new ISettlement.Position[](2);
        bytes32[] memory leaves = readingLeaves(d, slot);
        for (uint32 i; i < 2; ++i) {
            list[i].reading = reading(d, 11 + i, slot);
            list[i].proof = Tree.proof(leaves, i);
        }
        return abi.encodeCall(settlement.meterPool, (batchId, slot, 0, list));
    }

    function settleCall(Day memory d, uint256 c, uint16 from, uint16 to) internal view returns (bytes memory) {
        uint16[] memory slots = new uint16[](to - from);
        bytes[] memory outcomes = new bytes[](to - from);
        bytes32[][] memory proofs = new bytes32[][](to - from);
        for (uint16 t = from; t < to; ++t) {
            (slots[t - from], outcomes[t - from]) = (t, outcomesOf(d, c));
            proofs[t - from] = Tree.proof(outcomeLeaves(d, t), c);
        }
        return abi.encodeCall(settlement.settleChunk, (batchId, uint32(c), chunkData(d, c), slots, outcomes, proofs));
    }
}
