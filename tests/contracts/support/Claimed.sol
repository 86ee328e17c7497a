// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Challenges} from "../../../contracts/Challenges.sol";
import {OptimisticMarket} from "../../../contracts/OptimisticMarket.sol";
import {IBundleMarket} from "../../../contracts/interfaces/IBundleMarket.sol";
import {IChallenges} from "../../../contracts/interfaces/IChallenges.sol";
import {IOptimisticMarket} from "../../../contracts/interfaces/IOptimisticMarket.sol";
import {Claims} from "../../../contracts/libraries/Claims.sol";
import {Batch} from "./Batch.sol";
import {Positional} from "./Positional.sol";

/// @title An optimistic claim in the making
/// @notice Four orders of buyers 0..3, in the order of their addresses. Order `at(0)` gets ten green lanes in zone 0 for
/// slots 0 and 1, `at(1)` four grey lanes in zone 1 for slots 1 and 2; the others nothing. The two trees are kept as
/// arrays, so that a test can spoil a leaf before the claim is posted; `deep` hangs them under a path of 20 siblings.
abstract contract Claimed is Batch {
    uint256 internal constant CANDIDATE_BOND = 10_000e6;
    uint256 internal constant FEE = 5e6;
    uint256 internal constant CHALLENGE = 2 hours;
    uint256 internal constant RESPONSE = 30 minutes;
    uint256 internal constant OPENING = 1 hours;
    uint256 internal constant LEAD = 10 minutes;
    uint256 internal constant STEP = 1_000;
    uint256 internal constant BITS = 1;
    uint32 internal constant CLASS_WH = 900;

    uint256[] internal rank; // place -> buyer
    IBundleMarket.BundleOrder[] internal book;
    bytes[] internal bookSigs;
    bytes[] internal rowRuns;
    bytes[] internal rowMarks;
    IOptimisticMarket.Row[] internal rows;
    IOptimisticMarket.Step[] internal steps;
    uint256 internal rowHeight;
    uint256 internal stepHeight;
    uint256 internal depth; // siblings above both trees
    int256 internal totalsOff; // added to the claim's welfare

    function _deployOptimistic() internal {
        optimistic = new OptimisticMarket(
            address(registry),
            address(treasury),
            address(market),
            CANDIDATE_BOND,
            FEE,
            STEP,
            [CHALLENGE, RESPONSE, OPENING, LEAD]
        );
        challenges = new Challenges(address(optimistic), address(market));
    }

    OptimisticMarket internal optimistic;
    Challenges internal challenges;

    function _modules() internal virtual override returns (address[] memory list) {
        _deployOptimistic();
        address[] memory others = super._modules();
        list = new address[](others.length + 1);
        for (uint256 i; i < others.length; ++i) {
            list[i] = others[i];
        }
        list[others.length] = address(optimistic);
    }

    function setUp() public virtual override {
        super.setUp();
        optimistic.wire(address(challenges));
        market.wire(address(optimistic));
        vm.startPrank(OWNER);
        registry.setSolver(address(optimistic), true);
        vm.stopPrank();
        vm.startPrank(OPERATOR);
        optimistic.setClassEnergy(0, CLASS_WH);
        optimistic.setClassEnergy(1, CLASS_WH);
        vm.stopPrank();
        _fund(SOLVER, FUNDS);
        accounts.push(SOLVER);
        for (uint256 i; i < 4; ++i) {
            vm.prank(buyer(i));
            optimistic.reserve(100e6);
        }
        _rankBuyers();
        publish();
        prepare();
        draft();
    }

    function _rankBuyers() private {
        for (uint256 i; i < 4; ++i) {
            rank.push(i);
            for (uint256 j = i; j > 0 && buyer(rank[j - 1]) > buyer(rank[j]); --j) {
                (rank[j - 1], rank[j]) = (rank[j], rank[j - 1]);
            }
        }
    }

    /// @notice A batch with prices, both compute offers, and power that meets `demandWh`.
    function prepare() internal {
        delete demandWh;
        _demand(0, GREEN, 0, 2, 10);
        _demand(1, GREY, 1, 3, 4);
        vm.prank(SOLVER);
        batchId = optimistic.openBatch(header());
        bytes memory table = tableBytes();
        vm.prank(SOLVER);
        optimistic.postPrices(batchId, 0, table);
        addCompute(computeOffer(1));
        addCompute(computeOffer(2));
        addPowers();
    }

    function _demand(uint256 offer, uint8 mode, uint256 from, uint256 to, uint256 lanes) private {
        for (uint256 t = from; t < to; ++t) {
            demandWh[offer][mode][t] += lanes * (offer == 0 ? E0 : E1);
        }
    }

    function addCompute(IBundleMarket.ComputeOffer memory o) internal override {
        IBundleMarket.ComputeOffer[] memory list = new IBundleMarket.ComputeOffer[](1);
        bytes[] memory signatures = new bytes[](1);
        list[0] = o;
        signatures[0] = sign(SITE_KEY + o.siteId, market.hashComputeOffer(o));
        vm.prank(SOLVER);
        optimistic.addComputeOffers(batchId, list, signatures);
    }

    function addPower(IBundleMarket.PowerOffer memory o, bytes memory profile, bytes memory sold) internal override {
        IBundleMarket.PowerOffer[] memory list = new IBundleMarket.PowerOffer[](1);
        bytes[] memory signatures = new bytes[](1);
        bytes[] memory profiles = new bytes[](1);
        bytes[] memory soldRows = new bytes[](1);
        (list[0], profiles[0], soldRows[0]) = (o, profile, sold);
        signatures[0] = sign(PLANT_KEY + o.plantId, market.hashPowerOffer(o));
        vm.prank(SOLVER);
        optimistic.addPowerOffers(batchId, list, signatures, profiles, soldRows);
    }

    // --- drafting a claim

    /// @notice Rows and steps of the honest claim.
    function draft() internal {
        for (uint256 i; i < 4; ++i) {
            IBundleMarket.BundleOrder memory o = order(rank[i]);
            o.carbonPrice = 3;
            o.minGreenBps = i == 0 ? 10_000 : 0;
            book.push(o);
            rowRuns.push();
            rowMarks.push();
        }
        fill(0, 0, GREEN, 0, 2, 10);
        fill(1, 1, GREY, 1, 3, 4);
        build();
    }

    /// @notice Appends a run and its mark to order `i`.
    function fill(uint256 i, uint256 offer, uint8 mode, uint256 from, uint256 to, uint256 lanes) internal {
        rowRuns[i] = bytes.concat(rowRuns[i], run(i % 2, offer, mode, from, to, lanes));
        rowMarks[i] = bytes.concat(rowMarks[i], markOf(i, offer, mode, to - from, lanes));
    }

    function markOf(uint256 i, uint256 offer, uint8 mode, uint256 n, uint256 lanes)
        internal
        view
        returns (bytes memory)
    {
        uint256 cost = lanes * n * (mode == GREEN ? greenPrice : greyPrice);
        int256 each = 1000 * (int256(uint256(book[i].limitPrice)) - int256(uint256(ask)));
        each -= int256(uint256(book[i].carbonPrice) * CLASS_WH * (mode == GREEN ? greenFactor : gridCarbon));
        return abi.encodePacked(uint8(offer), uint64(cost), int128(int256(lanes * n) * each));
    }

    /// @notice Cost a lane perceives for two slots, the cheaper mode if `free`.
    function laneCost(uint256 i, bool free) internal view returns (uint256) {
        uint256 perGram = uint256(book[i].carbonPrice) * CLASS_WH;
        uint256 green = 1000 * uint256(greenPrice) + perGram * greenFactor;
        uint256 grey = 1000 * uint256(greyPrice) + perGram * gridCarbon;
        return book[i].durationSlots * (free && grey < green && gridCarbon <= book[i].maxCarbon ? grey : green);
    }

    function bestOf(uint256 i) internal view returns (uint256) {
        IBundleMarket.BundleOrder memory o = book[i];
        uint256 value = 1000 * uint256(o.limitPrice) * o.durationSlots * o.lanes;
        uint256 few = (uint256(o.minGreenBps) * o.lanes + 9_999) / 10_000;
        uint256 cost = few * laneCost(i, false) + (o.lanes - few) * laneCost(i, true);
        return value > cost ? value - cost : 0;
    }

    /// @notice Signs the book and makes rows and steps of it.
    function build() internal {
        delete rows;
        delete steps;
        delete bookSigs;
        int256 welfare;
        uint256 best;
        for (uint256 i; i < book.length; ++i) {
            bookSigs.push(sign(BUYER_KEY + rank[i], optimistic.hashOrder(book[i])));
            IOptimisticMarket.Row memory row = rowOf(i);
            welfare += row.welfareMilli;
            best += row.bestMilli;
            (row.cumWelfare, row.cumBest) = (welfare, best);
            rows.push(row);
            for (uint256 r; r < rowRuns[i].length / 13; ++r) {
                _stepsOf(i, r);
            }
        }
        linkRows();
        _sortSteps();
    }

    function linkRows() internal {
        for (uint256 i; i < rows.length; ++i) {
            bool last = i + 1 == rows.length;
            rows[i].nextKey = last ? type(uint256).max : Claims.rowKey(rows[i + 1].maker, rows[i + 1].nonce);
        }
    }

    function rowOf(uint256 i) internal view returns (IOptimisticMarket.Row memory row) {
        row.orderHash = optimistic.hashOrder(book[i]);
        row.sigHash = keccak256(bookSigs[i]);
        row.runsHash = keccak256(rowRuns[i]);
        row.marksHash = keccak256(rowMarks[i]);
        (row.maker, row.nonce, row.orderLanes) = (book[i].maker, book[i].nonce, book[i].lanes);
        row.bestMilli = uint128(bestOf(i));
        for (uint256 r; r < rowRuns[i].length / 13; ++r) {
            uint256 word = runWord(i, r);
            uint256 n = uint16(word >> 32) - uint16(word >> 48);
            row.lanes += uint32(uint32(word) * n / book[i].durationSlots);
            (uint64 cost, int128 gain) = markAt(i, r);
            row.costMicro += cost;
            row.welfareMilli += gain;
        }
    }

    function runWord(uint256 i, uint256 r) internal view returns (uint256 word) {
        bytes memory all = rowRuns[i];
        for (uint256 k; k < 13; ++k) {
            word = word << 8 | uint8(all[13 * r + k]);
        }
    }

    function markAt(uint256 i, uint256 r) internal view returns (uint64 cost, int128 gain) {
        bytes memory all = rowMarks[i];
        uint256 word;
        for (uint256 k = 1; k < 25; ++k) {
            word = word << 8 | uint8(all[25 * r + k]);
        }
        return (uint64(word >> 128), int128(uint128(word)));
    }

    function _stepsOf(uint256 i, uint256 r) private {
        uint256 word = runWord(i, r);
        (uint256 offer, uint256 mode) = (uint16(word >> 72), uint8(word >> 64));
        int256 lanes = int256(uint256(uint32(word)));
        int256 wh = lanes * int256(offer == 0 ? E0 : E1);
        _push(Claims.stepKey(0, offer, uint16(word >> 48), 1, i, r), lanes);
        _push(Claims.stepKey(0, offer, uint16(word >> 32), 0, i, r), -lanes);
        _push(Claims.stepKey(1, 2 * offer + mode, uint16(word >> 48), 1, i, r), wh);
        _push(Claims.stepKey(1, 2 * offer + mode, uint16(word >> 32), 0, i, r), -wh);
    }

    function _push(uint256 key, int256 delta) private {
        steps.push(IOptimisticMarket.Step(key, 0, delta, 0));
    }

    function _sortSteps() private {
        for (uint256 i = 1; i < steps.length; ++i) {
            for (uint256 j = i; j > 0 && steps[j - 1].key > steps[j].key; --j) {
                IOptimisticMarket.Step memory other = steps[j];
                steps[j] = steps[j - 1];
                steps[j - 1] = other;
            }
        }
        addUpSteps();
    }

    function addUpSteps() internal {
        for (uint256 i; i < steps.length; ++i) {
            bool same = i != 0 && steps[i - 1].key >> 72 == steps[i].key >> 72;
            steps[i].nextKey = i + 1 < steps.length ? steps[i + 1].key : type(uint256).max;
            steps[i].load = steps[i].delta + (same ? steps[i - 1].load : int256(0));
        }
    }

    // --- trees

    function rowLeaves() internal view returns (bytes32[] memory list) {
        list = new bytes32[](rows.length);
        for (uint256 i; i < rows.length; ++i) {
            list[i] = keccak256(bytes.concat(keccak256(abi.encode(rows[i]))));
        }
    }

    function stepLeaves() internal view returns (bytes32[] memory list) {
        list = new bytes32[](steps.length);
        for (uint256 i; i < steps.length; ++i) {
            list[i] = keccak256(bytes.concat(keccak256(abi.encode(steps[i]))));
        }
    }

    /// @dev Hangs a root on the left end of `depth` made-up siblings.
    function _hang(bytes32 node) private view returns (bytes32) {
        for (uint256 i; i < depth; ++i) {
            node = keccak256(abi.encodePacked(node, keccak256(abi.encode(i))));
        }
        return node;
    }

    function _longer(bytes32[] memory path) private view returns (bytes32[] memory list) {
        list = new bytes32[](path.length + depth);
        for (uint256 i; i < list.length; ++i) {
            list[i] = i < path.length ? path[i] : keccak256(abi.encode(i - path.length));
        }
    }

    function claimed() internal view returns (IOptimisticMarket.Claim memory c) {
        (c.start, c.slotSeconds, c.slots) = (START, SLOT, uint16(SLOTS));
        (c.zones, c.classes, c.computeOffers) = (uint16(ZONES), uint16(CLASSES), 2);
        uint256 high = Positional.heightOf(rows.length);
        c.rowsRoot = _hang(Positional.root(rowLeaves(), high));
        (c.rows, c.steps, c.chunkBits) = (uint32(rows.length), uint32(steps.length), uint8(BITS));
        if (steps.length != 0) {
            c.stepsRoot = _hang(Positional.root(stepLeaves(), Positional.heightOf(steps.length)));
        }
        IOptimisticMarket.Row memory last = rows[rows.length - 1];
        (c.welfareMilli, c.bestMilli) = (last.cumWelfare + totalsOff, last.cumBest);
        c.dataHash = keccak256("bundle");
    }

    function rowAt(uint256 i) internal view returns (IChallenges.RowAt memory a) {
        a.index = uint32(i);
        a.row = rows[i];
        a.path = _longer(Positional.path(rowLeaves(), Positional.heightOf(rows.length), i));
    }

    function stepAt(uint256 i) internal view returns (IChallenges.StepAt memory a) {
        a.index = uint32(i);
        a.step = steps[i];
        a.path = _longer(Positional.path(stepLeaves(), Positional.heightOf(steps.length), i));
    }

    /// @notice The last step at or below a key, or the first of all.
    function lastBelow(uint256 key) internal view returns (IChallenges.StepAt memory) {
        uint256 n;
        while (n + 1 < steps.length && steps[n + 1].key <= key) ++n;
        if (steps.length == 0) return IChallenges.StepAt(0, IOptimisticMarket.Step(0, 0, 0, 0), new bytes32[](0));
        return stepAt(n);
    }

    function postClaim() internal returns (IOptimisticMarket.Claim memory c) {
        c = claimed();
        vm.prank(SOLVER);
        optimistic.post(batchId, c);
    }

    // --- the way on

    function finalised() internal returns (IOptimisticMarket.Claim memory c) {
        c = postClaim();
        vm.warp(block.timestamp + CHALLENGE);
        optimistic.finalise(batchId);
    }

    function chunkRows(uint256 chunk_) internal view returns (IOptimisticMarket.Row[] memory list) {
        list = new IOptimisticMarket.Row[](2);
        (list[0], list[1]) = (rows[2 * chunk_], rows[2 * chunk_ + 1]);
    }

    function chunkPath(uint256 chunk_) internal view returns (bytes32[] memory path) {
        bytes32[] memory long = rowAt(2 * chunk_).path;
        path = new bytes32[](long.length - BITS);
        for (uint256 i; i < path.length; ++i) {
            path[i] = long[i + BITS];
        }
    }

    function openChunk(IOptimisticMarket.Claim memory c, uint256 chunk_) internal {
        bytes[] memory list = new bytes[](2);
        (list[0], list[1]) = (rowRuns[2 * chunk_], rowRuns[2 * chunk_ + 1]);
        optimistic.openChunk(batchId, c, uint32(chunk_), chunkRows(chunk_), list, chunkPath(chunk_));
    }
}
