// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBundleMarket} from "../../../contracts/interfaces/IBundleMarket.sol";
import {ISettlement} from "../../../contracts/interfaces/ISettlement.sol";
import {Tree} from "../support/Tree.sol";
import {Batch} from "../support/Batch.sol";

/// @title Random but legal actors around one batch
/// @notice Clears up to three chunks, finalises, reports or stays silent, meters, settles, refunds, pays, trades and
/// withdraws in any order that the fuzzer finds. Every call either is legal or returns at once, so nothing may revert.
contract Handler is Batch {
    struct Run {
        uint256 orderIdx;
        uint256 offer;
        uint8 mode;
        uint256 from;
        uint256 to;
        uint256 lanes;
    }

    uint256 private constant MOST_CHUNKS = 3;

    bool public finalised;
    uint256 public chunkCount;
    mapping(uint256 chunk => IBundleMarket.ChunkData) private chunkData;
    mapping(uint256 chunk => Run[]) private chunkRuns;
    uint16 public nextSlot;
    mapping(uint256 slot => bool) public reported;
    mapping(uint256 slot => uint256[3]) private meteredMwh;
    mapping(uint256 slot => bytes32[]) private outcomeLeaves;
    mapping(uint256 slot => mapping(uint256 chunk => bytes)) private outcomesOf;
    mapping(uint256 slot => mapping(uint256 chunk => uint256)) private leafIndex;

    // what the invariants compare with
    mapping(address buyer => uint256) public expectedLock;
    mapping(uint256 nonce => uint256) public lanesBought;
    mapping(uint256 chunk => mapping(uint256 slot => uint256)) public timesClosed;
    uint256[8] public meteredWh; // by source
    uint256 public settlings;
    uint256 public refunds;
    uint256 public payments;
    uint64 private nonce = 1;

    constructor() {
        setUp();
        openMarket();
    }

    // --- clearing

    function clearChunk(uint256 seed, uint256 count) external {
        if (finalised || chunkCount == MOST_CHUNKS) return;
        delete orders;
        delete sigs;
        delete runs;
        count = bound(count, 1, 3);
        uint256 who; // makers ascend in a chunk
        for (uint256 i; i < count; ++i) {
            uint256 r = uint256(keccak256(abi.encode(seed, i)));
            who += r % (4 - who);
            IBundleMarket.BundleOrder memory o = order(who);
            o.nonce = nonce++;
            addOrder(who, o);
            _randomRuns(i, r >> 8, o);
        }
        chunkData[chunkCount] = chunk();
        clear();
        ++chunkCount;
    }

    /// @dev One lane rectangle, or two that follow each other at the same site in different modes.
    function _randomRuns(uint256 idx, uint256 r, IBundleMarket.BundleOrder memory o) private {
        uint256 offer = r % 2;
        uint256 from = (r >> 4) % (SLOTS - 1);
        uint256 lanes = 1 + (r >> 16) % 900;
        uint8 mode = uint8((r >> 64) % 2);
        if ((r >> 72) % 3 == 0) {
            _keepRun(idx, offer, mode, from, from + 1, lanes, o.maker);
            _keepRun(idx, offer, 1 - mode, from + 1, from + 2, lanes, o.maker);
        } else {
            _keepRun(idx, offer, mode, from, from + 2, lanes, o.maker);
        }
        lanesBought[o.nonce] = lanes;
    }

    function _keepRun(
        uint256 idx,
        uint256 offer,
        uint8 mode,
        uint256 from,
        uint256 to,
        uint256 lanes,
        address maker
    ) private {
        addRun(idx, offer, mode, from, to, lanes);
        chunkRuns[chunkCount].push(Run(idx, offer, mode, from, to, lanes));
        expectedLock[maker] += lanes * (to - from) * (mode == 0 ? greyPrice : greenPrice);
    }

    function finalise() external {
        if (finalised || chunkCount == 0) return;
        addPowers();
        finish();
        finalised = true;
    }

    // --- the oracle

    function reportSlot(uint256 seed, bool silent) external {
        if (!finalised || nextSlot == SLOTS) return;
        uint16 slot = nextSlot++;
        if (silent && seed % 3 == 0) return;
        for (uint256 i; i < 3; ++i) {
            meteredMwh[slot][i] = uint256(keccak256(abi.encode(seed, "meter", i))) % 3_000_000_000;
        }
        for (uint256 c; c < chunkCount; ++c) {
            bytes memory outcomes = _randomOutcomes(seed, slot, c);
            if (outcomes.length == 0) continue;
            outcomesOf[slot][c] = outcomes;
            leafIndex[slot][c] = outcomeLeaves[slot].length;
            outcomeLeaves[slot].push(outcomeLeaf(uint32(c), slot, outcomes));
        }
        bytes32[] memory readings = readingLeaves(slot, meteredMwh[slot]);
        submit(
            nextReport(START + uint64(slot) * SLOT, Tree.root(readings), 3, Tree.root(outcomeLeaves[slot]))
        );
        reported[slot] = true;
        vm.warp(block.timestamp + WINDOW);
    }

    function _randomOutcomes(uint256 seed, uint16 slot, uint256 c) private view returns (bytes memory outcomes) {
        for (uint256 i; i < chunkRuns[c].length; ++i) {
            Run memory r = chunkRuns[c][i];
            if (slot < r.from || slot >= r.to) continue;
            uint256 random = uint256(keccak256(abi.encode(seed, c, i)));
            uint256 milliLanes = random % 2 == 0 ? 1000 * r.lanes : (random >> 8) % (1000 * r.lanes + 1);
            uint256 energy = r.lanes * (r.offer == 0 ? E0 : E1);
            uint256 matched = r.mode == 0 ? 0 : energy * _deliverable(slot, r.offer) / demandWh[r.offer][GREEN][slot];
            outcomes = bytes.concat(outcomes, outcome(milliLanes, matched * ((random >> 128) % 1001) / 1000));
        }
    }

    /// @dev Wh that the plants of a zone deliver of what they sold.
    function _deliverable(uint16 slot, uint256 zone) private view returns (uint256) {
        uint256 sold = demandWh[zone][GREEN][slot];
        if (zone == 1) return _least(sold, meteredMwh[slot][2] / 1000);
        uint256 pv = sold * 6 / 10;
        return _least(pv, meteredMwh[slot][0] / 1000) + _least(sold - pv, meteredMwh[slot][1] / 1000);
    }

    // --- settlement

    function meterPool(uint256 slotSeed, uint256 zoneSeed) external {
        (uint16 slot, uint16 zone) = (uint16(slotSeed % SLOTS), uint16(zoneSeed % ZONES));
        if (!reported[slot] || settlement.pool(batchId, slot, zone).metered) return;
        settlement.meterPool(batchId, slot, zone, positionsOf(slot, zone, meteredMwh[slot]));
        for (uint256 i = zone == 0 ? 0 : 2; i < (zone == 0 ? 2 : 3); ++i) {
            meteredWh[1 + i] += _least(meteredMwh[slot][i] / 1000, 12_500_000);
        }
    }

    function settleSlot(uint256 slotSeed, uint256 chunkSeed) external {
        if (chunkCount == 0) return;
        (uint16 slot, uint32 c) = (uint16(slotSeed % SLOTS), uint32(chunkSeed % chunkCount));
        if (!reported[slot] || outcomesOf[slot][c].length == 0 || timesClosed[c][slot] != 0) return;
        if (!_poolsMetered(slot, c)) return;
        (uint16[] memory slots, bytes[] memory list, bytes32[][] memory proofs) =
            (new uint16[](1), new bytes[](1), new bytes32[][](1));
        (slots[0], list[0]) = (slot, outcomesOf[slot][c]);
        proofs[0] = Tree.proof(outcomeLeaves[slot], leafIndex[slot][c]);
        settlement.settleChunk(batchId, c, chunkData[c], slots, list, proofs);
        _close(c, slot);
        ++settlings;
    }

    function _poolsMetered(uint16 slot, uint256 c) private view returns (bool) {
        for (uint256 i; i < chunkRuns[c].length; ++i) {
            Run memory r = chunkRuns[c][i];
            bool active = r.mode == GREEN && slot >= r.from && slot < r.to;
            if (active && !settlement.pool(batchId, slot, uint16(r.offer)).metered) return false;
        }
        return true;
    }

    /// @dev Another try at what is closed must fail; it is the one call that may revert, so it is caught.
    function settleAgain(uint256 slotSeed, uint256 chunkSeed) external {
        if (chunkCount == 0) return;
        (uint16 slot, uint32 c) = (uint16(slotSeed % SLOTS), uint32(chunkSeed % chunkCount));
        if (timesClosed[c][slot] == 0) return;
        uint16[] memory slots = new uint16[](1);
        slots[0] = slot;
        try settlement.refundChunk(batchId, c, chunkData[c], slots) {
            ++timesClosed[c][slot];
        } catch {}
    }

    function refundSlot(uint256 slotSeed, uint256 chunkSeed, bool wait) external {
        if (chunkCount == 0 || !finalised) return;
        (uint16 slot, uint32 c) = (uint16(slotSeed % SLOTS), uint32(chunkSeed % chunkCount));
        if (slot >= nextSlot || timesClosed[c][slot] != 0 || !_active(slot, c)) return;
        uint256 end = START + (uint256(slot) + 1) * SLOT;
        uint256 allowedAt = end + (reported[slot] ? 2 : 1) * REFUND_DELAY;
        if (block.timestamp < allowedAt) {
            if (!wait) return;
            vm.warp(allowedAt);
        }
        uint16[] memory slots = new uint16[](1);
        slots[0] = slot;
        settlement.refundChunk(batchId, c, chunkData[c], slots);
        _close(c, slot);
        ++refunds;
    }

    function _active(uint16 slot, uint256 c) private view returns (bool) {
        for (uint256 i; i < chunkRuns[c].length; ++i) {
            if (slot >= chunkRuns[c][i].from && slot < chunkRuns[c][i].to) return true;
        }
        return false;
    }

    function _close(uint256 c, uint256 slot) private {
        ++timesClosed[c][slot];
        for (uint256 i; i < chunkRuns[c].length; ++i) {
            Run memory r = chunkRuns[c][i];
            if (slot < r.from || slot >= r.to) continue;
            expectedLock[_makerOf(c, r.orderIdx)] -= r.lanes * (r.mode == 0 ? greyPrice : greenPrice);
        }
    }

    function _makerOf(uint256 c, uint256 idx) private view returns (address) {
        bytes memory makers = chunkData[c].makers;
        bytes20 maker;
        for (uint256 i; i < 20; ++i) {
            maker |= bytes20(makers[20 * idx + i]) >> (8 * i);
        }
        return address(maker);
    }

    /// @notice Claims the credits of an account in a zone.
    function claim(uint256 who, uint256 zone) external {
        address[] memory list = new address[](1);
        list[0] = accounts[who % accounts.length];
        settlement.claimCredits(zone % ZONES << 12 | 57 * 12, list);
    }

    function payPool(uint256 slotSeed, uint256 zoneSeed) external {
        (uint16 slot, uint16 zone) = (uint16(slotSeed % SLOTS), uint16(zoneSeed % ZONES));
        if (!finalised) return;
        ISettlement.Pool memory p = settlement.pool(batchId, slot, zone);
        if (p.paid || p.settledWh != demandWh[zone][GREEN][slot]) return;
        uint16[] memory slots = new uint16[](1);
        slots[0] = slot;
        settlement.payPools(batchId, slots, zone);
        ++payments;
    }

    // --- people

    function retire(uint256 who, uint256 idSeed, uint256 amount) external {
        (address account, uint256 id) = (accounts[who % accounts.length], idOf(idSeed % ID_COUNT));
        uint256 balance = certificates.balanceOf(account, id);
        if (balance == 0) return;
        vm.prank(account);
        certificates.retire(id, bound(amount, 1, balance), STRANGER, "purpose");
    }

    function transfer(uint256 who, uint256 to, uint256 idSeed, uint256 amount) external {
        (address account, uint256 id) = (accounts[who % accounts.length], idOf(idSeed % ID_COUNT));
        uint256 balance = certificates.balanceOf(account, id);
        if (balance == 0) return;
        vm.prank(account);
        certificates.safeTransferFrom(account, accounts[to % accounts.length], id, bound(amount, 1, balance), "");
    }

    function deposit(uint256 who, uint256 amount) external {
        _fund(accounts[who % accounts.length], bound(amount, 1, FUNDS));
    }

    function withdraw(uint256 who, uint256 amount) external {
        address account = accounts[who % accounts.length];
        (uint128 requested, uint64 maturesAt) = treasury.withdrawalOf(account);
        bool payable_ = requested != 0 && block.timestamp >= maturesAt && available(account) != 0;
        vm.prank(account);
        if (requested == 0) {
            treasury.requestWithdraw(bound(amount, 1, FUNDS));
        } else if (payable_) {
            treasury.withdraw(account);
        } else {
            treasury.requestWithdraw(requested);
        }
    }

    // --- for the invariants

    uint256 public constant ID_COUNT = 5;

    /// @notice Certificate ids of the three green sources, then the credit ids of both zones.
    function idOf(uint256 i) public view returns (uint256) {
        if (i < 3) return certificates.packId(1, START, i == 2 ? 1 : 0, 1 + i, address(settlement));
        return certificates.packId(2, START, i - 3, 0, address(settlement));
    }

    function balancesOf(uint256 id) external view returns (uint256 sum) {
        for (uint256 i; i < accounts.length; ++i) {
            sum += certificates.balanceOf(accounts[i], id);
        }
    }

    function moneyLedger() external view returns (uint256) {
        return ledgerSum();
    }

    function moneyTotal() external view returns (uint256 total, uint256 tokens) {
        return (treasury.totalMicro(), token.balanceOf(address(treasury)));
    }

    function lockOf(uint256 i) external view returns (uint256 held, uint256 expected) {
        return (locked(buyer(i)), expectedLock[buyer(i)]);
    }

    function supplyOf(uint256 id) external view returns (uint256 minted, uint256 retired, uint256 supply) {
        return (certificates.mintedOf(id), certificates.retiredOf(id), certificates.totalSupply(id));
    }

    function fillOf(uint64 nonce_) external view returns (uint256 filled) {
        for (uint256 i; i < 4; ++i) {
            filled += market.lanesFilled(buyer(i), nonce_);
        }
    }

    function nonces() external view returns (uint64) {
        return nonce;
    }

    function poolOf(uint256 slot, uint256 zone) external view returns (ISettlement.Pool memory) {
        return settlement.pool(batchId, uint16(slot), uint16(zone));
    }

    function _least(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }
}
