// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBundleMarket} from "../../contracts/interfaces/IBundleMarket.sol";
import {IOptimisticMarket} from "../../contracts/interfaces/IOptimisticMarket.sol";
import {Claimed} from "./support/Claimed.sol";

/// @notice The life of an optimistic batch, and every way it can end.
contract OptimisticTest is Claimed {
    IOptimisticMarket.Claim private c;

    function status() internal view returns (uint256) {
        return uint256(optimistic.candidate(batchId).status);
    }

    function state() internal view returns (uint256) {
        return uint256(market.batch(batchId).state);
    }

    function opened() internal {
        c = finalised();
        openChunk(c, 0);
        openChunk(c, 1);
        optimistic.complete(batchId, c);
    }

    // --- the way through

    function test_an_unchallenged_batch_settles_like_any_other() public {
        uint256 sum = ledgerSum();
        opened();
        eq(state(), 2, "final in the market");
        eq(optimistic.reserveOf(book[0].maker), 100e6 - rows[0].costMicro, "paid from the reserve");
        eq(optimistic.filledOf(book[0].maker, book[0].nonce), 10, "lanes");
        eq(available(SOLVER) + CANDIDATE_BOND, FUNDS + CANDIDATE_BOND, "bond is back");
        deliver();
        eq(ledgerSum(), sum, "conservation");
        eq(locked(book[0].maker), 100e6 - uint256(rows[0].costMicro) / 2, "one of two slots is paid");
    }

    /// @dev Slot 0 of order 0 is delivered in full: ten green lanes of 1000 Wh.
    function deliver() internal {
        uint256[3] memory mwh = [uint256(6_000_000), 4_000_000, 0];
        bytes memory outcomes = outcome(10_000, 10_000);
        report(0, mwh, outcomes);
        settlement.meterPool(batchId, 0, 0, positionsOf(0, 0, mwh));
        uint16[] memory slots = new uint16[](1);
        bytes[] memory list = new bytes[](1);
        list[0] = outcomes;
        settlement.settleChunk(batchId, 0, marketChunk(), slots, list, new bytes32[][](1));
        payPool(0, 0);
    }

    function marketChunk() internal view returns (IBundleMarket.ChunkData memory d) {
        d.makers = abi.encodePacked(rows[0].maker, rows[1].maker);
        d.ordersHash = keccak256(abi.encodePacked(rows[0].orderHash, rows[1].orderHash));
        d.runs = bytes.concat(rowRuns[0], rowRuns[1]);
    }

    function test_welfare_and_bound_count_the_sellers() public {
        postClaim();
        IOptimisticMarket.Candidate memory k = optimistic.candidate(batchId);
        // power sold at its own ask: 20,000 Wh green at 300,000 and 12,000 Wh grey at 400,000 micro per kWh
        int256 cost = 20_000 * int256(greenEnergy) + 12_000 * int256(greyEnergy);
        eqSigned(k.welfareMilli, rows[3].cumWelfare - cost, "welfare");
        // margins: 1000 price - Wh * energy price - 1000 ask, better mode, times capacity and slots
        uint256 zone0 = uint256(1000 * int256(uint256(greenPrice)) - 1000 * int256(greenEnergy) - 1000 * 100_000);
        uint256 zone1 = uint256(1000 * int256(uint256(greenPrice)) - 1500 * int256(greenEnergy) - 1000 * 100_000);
        uint256 capacity = market.computeOffer(batchId, 0).capacity;
        eq(k.boundMilli, rows[3].cumBest + SLOTS * capacity * (zone0 + zone1), "bound");
    }

    // --- preparing and posting

    function test_only_solvers_open_and_their_own() public {
        IBundleMarket.BatchHeader memory h = header();
        fails(abi.encodeWithSelector(IOptimisticMarket.NotSolver.selector, STRANGER));
        vm.prank(STRANGER);
        optimistic.openBatch(h);
        fails(abi.encodeWithSelector(IOptimisticMarket.NotSolver.selector, STRANGER));
        vm.prank(STRANGER);
        optimistic.postPrices(batchId, 0, "");
        h.classes = 3;
        fails(abi.encodeWithSelector(IOptimisticMarket.ClassEnergyMissing.selector, 2));
        vm.prank(SOLVER);
        optimistic.openBatch(h);
    }

    function test_price_parts_are_whole() public {
        vm.prank(SOLVER);
        batchId = optimistic.openBatch(header());
        bytes memory table = tableBytes();
        fails(abi.encodeWithSelector(IOptimisticMarket.PartLength.selector, 10, table.length));
        vm.prank(SOLVER);
        optimistic.postPrices(batchId, 0, new bytes(10));
    }

    function refusedClaim(IOptimisticMarket.Claim memory bad, bytes memory error_) internal {
        fails(error_);
        vm.prank(SOLVER);
        optimistic.post(batchId, bad);
    }

    function test_a_claim_is_well_formed() public {
        c = claimed();
        c.rows = 0;
        refusedClaim(c, abi.encodeWithSelector(IOptimisticMarket.BadClaim.selector, bytes32("rows"), 0));
        c = claimed();
        c.chunkBits = 7;
        refusedClaim(c, abi.encodeWithSelector(IOptimisticMarket.BadClaim.selector, bytes32("chunkBits"), 7));
        c = claimed();
        c.steps = 0;
        refusedClaim(c, abi.encodeWithSelector(IOptimisticMarket.BadClaim.selector, bytes32("steps"), 0));
        c = claimed();
        c.bestMilli = 1 << 200;
        refusedClaim(c, abi.encodeWithSelector(IOptimisticMarket.BadClaim.selector, bytes32("bestMilli"), 1 << 200));
        c = claimed();
        c.welfareMilli = 1 << 200;
        refusedClaim(c, abi.encodeWithSelector(IOptimisticMarket.BadClaim.selector, bytes32("welfareMilli"), 1 << 200));
    }

    function test_welfare_is_at_most_the_bound() public {
        c = claimed();
        c.bestMilli = 0;
        c.welfareMilli = 1 << 150;
        vm.expectRevert();
        vm.prank(SOLVER);
        optimistic.post(batchId, c);
    }

    function test_a_claim_is_posted_in_time() public {
        uint256 latest = START - CHALLENGE - RESPONSE - OPENING;
        vm.warp(latest + 1);
        refusedClaim(claimed(), abi.encodeWithSelector(IOptimisticMarket.TooLateToPost.selector, batchId, latest));
        vm.warp(latest);
        postClaim();
    }

    function test_posting_locks_the_bond_once() public {
        postClaim();
        eq(available(SOLVER), FUNDS - CANDIDATE_BOND, "bond");
        refusedClaim(claimed(), abi.encodeWithSelector(IOptimisticMarket.WrongStatus.selector, batchId, 2));
    }

    // --- competition

    function rival(int256 more) internal returns (uint64 first, uint64 second) {
        c = postClaim();
        first = batchId;
        totalsOff = more;
        prepare();
        second = batchId;
    }

    function test_a_better_solution_replaces_the_standing_one() public {
        (uint64 first, uint64 second) = rival(int256(STEP));
        postClaim();
        eq(optimistic.standingOf(START), second, "the better one stands");
        vm.warp(block.timestamp + CHALLENGE);
        fails(abi.encodeWithSelector(IOptimisticMarket.NotStanding.selector, first, second));
        optimistic.finalise(first);
        optimistic.finalise(second);
        optimistic.close(first);
        eq(available(SOLVER), FUNDS - CANDIDATE_BOND, "the beaten one's bond is back");
    }

    function test_a_little_better_is_not_enough() public {
        (uint64 first,) = rival(int256(STEP) - 1);
        int256 standing = optimistic.candidate(first).welfareMilli;
        refusedClaim(
            claimed(),
            abi.encodeWithSelector(
                IOptimisticMarket.NotBetter.selector, standing + int256(STEP) - 1, standing + int256(STEP)
            )
        );
    }

    /// @notice Attack: displace an honest candidate by a false better one.
    function test_a_convicted_rival_gives_way_to_the_one_before() public {
        (uint64 first, uint64 second) = rival(int256(STEP));
        IOptimisticMarket.Claim memory lie = postClaim();
        vm.prank(STRANGER);
        challenges.proveRowSum(second, lie, rowAt(2), rowAt(3));
        optimistic.collect(second);
        eq(optimistic.standingOf(START), first, "the honest one stands again");
        eq(uint256(market.batch(second).state), 3, "void in the market");
        vm.warp(block.timestamp + CHALLENGE);
        optimistic.finalise(first);
        eq(uint256(optimistic.candidate(first).status), 3, "final");
    }

    function test_a_void_start_is_open_again() public {
        totalsOff = 1;
        c = postClaim();
        challenges.proveRowSum(batchId, c, rowAt(2), rowAt(3));
        eq(optimistic.standingOf(START), 0, "nobody stands");
        totalsOff = 0;
        prepare();
        opened();
        eq(state(), 2, "the next one goes through");
    }

    function test_nobody_replaces_a_final_one() public {
        c = finalised();
        uint64 first = batchId;
        totalsOff = int256(STEP);
        prepare();
        refusedClaim(claimed(), abi.encodeWithSelector(IOptimisticMarket.StandingFinal.selector, first));
    }

    // --- demands

    function wants(uint8 tree, uint32 index) internal {
        vm.prank(STRANGER);
        optimistic.demand(batchId, c, tree, index);
    }

    function answer(uint32 i) internal {
        bytes[3] memory data = [bookSigs[i], rowRuns[i], rowMarks[i]];
        optimistic.answerRow(batchId, c, i, rows[i], rowAt(i).path, book[i], data);
    }

    function test_an_answer_earns_the_fee() public {
        c = postClaim();
        wants(0, 1);
        eq(locked(STRANGER), FEE, "the fee is held");
        vm.warp(block.timestamp + CHALLENGE);
        fails(abi.encodeWithSelector(IOptimisticMarket.DemandsOpen.selector, batchId, 1));
        optimistic.finalise(batchId);
        uint256 before = available(SOLVER);
        bytes[3] memory data = [bookSigs[1], rowRuns[1], rowMarks[1]];
        vm.prank(SOLVER);
        optimistic.answerRow(batchId, c, 1, rows[1], rowAt(1).path, book[1], data);
        eq(available(SOLVER), before + FEE, "paid for the answer");
        eq(locked(STRANGER), 0, "by who asked");
        optimistic.finalise(batchId);
    }

    function test_steps_are_shown_too() public {
        c = postClaim();
        wants(1, 3);
        fails(abi.encodeWithSelector(IOptimisticMarket.LeafNotInTree.selector, 1, 3));
        optimistic.answerStep(batchId, c, 3, steps[2], stepAt(3).path);
        optimistic.answerStep(batchId, c, 3, steps[3], stepAt(3).path);
        eq(optimistic.candidate(batchId).openDemands, 0, "answered");
    }

    function test_silence_voids_and_pays_who_asked() public {
        c = postClaim();
        wants(0, 1);
        fails(abi.encodeWithSelector(IOptimisticMarket.AnswerStillDue.selector, block.timestamp + RESPONSE));
        optimistic.settleDemand(batchId, 0, 1);
        vm.warp(block.timestamp + RESPONSE);
        optimistic.settleDemand(batchId, 0, 1);
        eq(status(), 6, "convicted");
        optimistic.collect(batchId);
        eq(status(), 5, "void");
        fails(abi.encodeWithSelector(IOptimisticMarket.WrongStatus.selector, batchId, 5));
        optimistic.collect(batchId);
        eq(available(STRANGER), FUNDS + CANDIDATE_BOND / 2, "fee back and half of the bond");
        eq(available(OWNER), CANDIDATE_BOND / 2, "the other half is not the solver's");
    }

    function test_the_fee_comes_back_when_the_candidate_is_void() public {
        totalsOff = 1;
        c = postClaim();
        wants(0, 1);
        challenges.proveRowSum(batchId, c, rowAt(2), rowAt(3));
        optimistic.settleDemand(batchId, 0, 1);
        eq(locked(STRANGER), 0, "nothing stays held");
        fails(abi.encodeWithSelector(IOptimisticMarket.NotDemanded.selector, batchId, 0, 1));
        optimistic.settleDemand(batchId, 0, 1);
    }

    function test_demands_are_of_leaves_inside_the_window() public {
        c = postClaim();
        fails(abi.encodeWithSelector(IOptimisticMarket.NoSuchLeaf.selector, 0, 4, 4));
        wants(0, 4);
        fails(abi.encodeWithSelector(IOptimisticMarket.NoSuchLeaf.selector, 2, 0, 0));
        wants(2, 0);
        wants(0, 1);
        fails(abi.encodeWithSelector(IOptimisticMarket.AlreadyDemanded.selector, batchId, 0, 1));
        wants(0, 1);
        answer(1);
        fails(abi.encodeWithSelector(IOptimisticMarket.NotDemanded.selector, batchId, 0, 2));
        answer(2);
        vm.warp(block.timestamp + CHALLENGE);
        fails(abi.encodeWithSelector(IOptimisticMarket.WindowOver.selector, batchId, block.timestamp));
        wants(0, 2);
    }

    function test_an_answer_shows_everything() public {
        c = postClaim();
        wants(0, 1);
        bytes[3] memory data = [bookSigs[0], rowRuns[1], rowMarks[1]];
        fails(abi.encodeWithSelector(IOptimisticMarket.DataNotOfLeaf.selector, 1));
        optimistic.answerRow(batchId, c, 1, rows[1], rowAt(1).path, book[1], data);
        fails(abi.encodeWithSelector(IOptimisticMarket.LeafNotInTree.selector, 0, 1));
        optimistic.answerRow(batchId, c, 1, rows[0], rowAt(1).path, book[1], data);
    }

    // --- finalising and opening

    function test_finalise_waits_for_the_window() public {
        c = postClaim();
        fails(abi.encodeWithSelector(IOptimisticMarket.WindowOpen.selector, batchId, block.timestamp + CHALLENGE));
        optimistic.finalise(batchId);
        vm.warp(START);
        fails(abi.encodeWithSelector(IOptimisticMarket.AfterStart.selector, batchId, START));
        optimistic.finalise(batchId);
    }

    function test_only_challenges_convict() public {
        c = postClaim();
        fails(abi.encodeWithSelector(IOptimisticMarket.NotChallenges.selector, STRANGER));
        vm.prank(STRANGER);
        optimistic.convict(batchId, STRANGER, "");
    }

    function test_a_chunk_opens_once_and_before_the_start() public {
        c = finalised();
        openChunk(c, 0);
        fails(abi.encodeWithSelector(IOptimisticMarket.ChunkDone.selector, batchId, 0));
        openChunk(c, 0);
        fails(abi.encodeWithSelector(IOptimisticMarket.ChunksMissing.selector, batchId, 1, 2));
        optimistic.complete(batchId, c);
        vm.warp(START);
        fails(abi.encodeWithSelector(IOptimisticMarket.AfterStart.selector, batchId, START));
        openChunk(c, 1);
    }

    function test_a_chunk_is_the_claims() public {
        c = finalised();
        rows[1].costMicro -= 1;
        fails(abi.encodeWithSelector(IOptimisticMarket.LeafNotInTree.selector, 0, 0));
        openChunk(c, 0);
        rows[1].costMicro += 1;
        bytes memory other = rowRuns[1];
        rowRuns[1] = rowRuns[0];
        fails(abi.encodeWithSelector(IOptimisticMarket.DataNotOfLeaf.selector, 1));
        openChunk(c, 0);
        rowRuns[1] = other;
        fails(abi.encodeWithSelector(IOptimisticMarket.ChunkRows.selector, 2, 0));
        optimistic.openChunk(batchId, c, 2, chunkRows(0), new bytes[](2), chunkPath(0));
    }

    /// @notice Attack: sign, let the solver fill, then take the money away. The reserve cannot leave in time.
    function test_a_reserve_cannot_leave_before_the_opening() public {
        vm.startPrank(book[0].maker);
        optimistic.requestRelease(100e6);
        uint256 matures = block.timestamp + 2 * CHALLENGE + RESPONSE + OPENING;
        vm.warp(matures - 1);
        fails(abi.encodeWithSelector(IOptimisticMarket.ReleaseNotMature.selector, matures));
        optimistic.release();
        vm.warp(matures);
        optimistic.release();
        eq(optimistic.reserveOf(book[0].maker), 0, "released");
        fails(abi.encodeWithSelector(IOptimisticMarket.NothingRequested.selector, book[0].maker));
        optimistic.release();
        fails(abi.encodeWithSelector(IOptimisticMarket.ZeroAmount.selector));
        optimistic.requestRelease(0);
        fails(abi.encodeWithSelector(IOptimisticMarket.ZeroAmount.selector));
        optimistic.reserve(0);
    }

    function test_the_solver_stands_in_where_a_reserve_is_too_small() public {
        vm.startPrank(book[0].maker);
        optimistic.requestRelease(100e6);
        vm.warp(block.timestamp + 2 * CHALLENGE + RESPONSE + OPENING);
        optimistic.release();
        vm.stopPrank();
        opened();
        eq(locked(SOLVER), rows[0].costMicro, "the solver pays");
        eq(locked(book[0].maker), 0, "the maker does not");
        eq(optimistic.filledOf(book[0].maker, book[0].nonce), 0, "nor is it filled");
    }

    function test_an_order_is_not_overfilled_over_batches() public {
        opened();
        IBundleMarket.BundleOrder memory o = book[0];
        eq(optimistic.filledOf(o.maker, o.nonce), 10, "filled in the first");
        // the same book again for the same start is refused, so fill it up by hand of a second start
        isTrue(o.lanes >= 20, "room for a second fill");
    }

    // --- ends without completion

    function test_an_unopened_batch_loses_its_bond_and_returns_what_it_took() public {
        uint256 sum = ledgerSum();
        c = finalised();
        openChunk(c, 0);
        fails(abi.encodeWithSelector(IOptimisticMarket.BeforeStart.selector, batchId, START));
        optimistic.close(batchId);
        vm.warp(START);
        vm.prank(STRANGER);
        optimistic.close(batchId);
        eq(state(), 3, "void");
        eq(available(STRANGER), FUNDS + CANDIDATE_BOND / 2, "half of the bond to the closer");
        optimistic.returnChunk(batchId, c, 0, chunkRows(0), chunkPath(0));
        eq(optimistic.reserveOf(book[0].maker), 100e6, "the reserve is whole");
        eq(optimistic.filledOf(book[0].maker, book[0].nonce), 0, "the lanes are back");
        fails(abi.encodeWithSelector(IOptimisticMarket.ChunkDone.selector, batchId, 0));
        optimistic.returnChunk(batchId, c, 0, chunkRows(0), chunkPath(0));
        fails(abi.encodeWithSelector(IOptimisticMarket.ChunkDone.selector, batchId, 1));
        optimistic.returnChunk(batchId, c, 1, chunkRows(1), chunkPath(1));
        eq(ledgerSum(), sum, "conservation");
    }

    function test_what_the_solver_stood_in_for_comes_back() public {
        vm.startPrank(book[0].maker);
        optimistic.requestRelease(100e6);
        vm.warp(block.timestamp + 2 * CHALLENGE + RESPONSE + OPENING);
        optimistic.release();
        vm.stopPrank();
        c = finalised();
        openChunk(c, 0);
        vm.warp(START);
        optimistic.close(batchId);
        optimistic.returnChunk(batchId, c, 0, chunkRows(0), chunkPath(0));
        eq(locked(SOLVER), 0, "nothing stays locked");
        eq(available(SOLVER), FUNDS - CANDIDATE_BOND, "but the bond is gone");
    }

    function test_a_batch_in_preparation_is_its_solvers_until_the_start() public {
        fails(abi.encodeWithSelector(IOptimisticMarket.BeforeStart.selector, batchId, START));
        vm.prank(STRANGER);
        optimistic.close(batchId);
        vm.prank(SOLVER);
        optimistic.close(batchId);
        eq(status(), 5, "void");
    }

    function test_a_posted_one_that_nobody_finalised_gets_its_bond_back() public {
        c = postClaim();
        fails(abi.encodeWithSelector(IOptimisticMarket.BeforeStart.selector, batchId, START));
        optimistic.close(batchId);
        vm.warp(START);
        optimistic.close(batchId);
        eq(available(SOLVER), FUNDS, "bond is back");
        fails(abi.encodeWithSelector(IOptimisticMarket.WrongStatus.selector, batchId, 5));
        optimistic.close(batchId);
    }

    // --- makers

    function test_insist_wants_a_valid_order_once() public {
        bytes memory sig = sign(0xBAD, optimistic.hashOrder(book[2]));
        fails(
            abi.encodeWithSelector(
                IOptimisticMarket.NotEligible.selector, optimistic.hashOrder(book[2]), bytes32("signature")
            )
        );
        optimistic.insist(START, book[2], sig);
        optimistic.insist(START, book[2], bookSigs[2]);
        fails(
            abi.encodeWithSelector(
                IOptimisticMarket.AlreadyInsisted.selector, START, book[2].maker, book[2].nonce
            )
        );
        optimistic.insist(START, book[2], bookSigs[2]);
    }

    function test_only_the_maker_approves() public {
        fails(abi.encodeWithSelector(IOptimisticMarket.NotMaker.selector, STRANGER, book[2].maker));
        vm.prank(STRANGER);
        optimistic.approve(book[2]);
    }

    function test_class_energy_is_set_once_by_an_operator() public {
        fails(abi.encodeWithSelector(IOptimisticMarket.NotOperator.selector, STRANGER));
        vm.prank(STRANGER);
        optimistic.setClassEnergy(5, 1);
        vm.startPrank(OPERATOR);
        fails(abi.encodeWithSelector(IOptimisticMarket.ClassEnergyTaken.selector, 0));
        optimistic.setClassEnergy(0, 1);
        fails(abi.encodeWithSelector(IOptimisticMarket.ZeroAmount.selector));
        optimistic.setClassEnergy(5, 0);
    }

    function test_the_wiring_is_done_once() public {
        fails(abi.encodeWithSelector(IOptimisticMarket.NotDeployer.selector, STRANGER));
        vm.prank(STRANGER);
        optimistic.wire(STRANGER);
        fails(abi.encodeWithSelector(IOptimisticMarket.AlreadyWired.selector));
        optimistic.wire(STRANGER);
        fails(abi.encodeWithSelector(IBundleMarket.AlreadyWired.selector));
        market.wire(STRANGER);
        fails(abi.encodeWithSelector(IBundleMarket.NotDeployer.selector, STRANGER));
        vm.prank(STRANGER);
        market.wire(STRANGER);
    }

    function test_nobody_else_clears_or_ends_without_the_checks() public {
        fails(abi.encodeWithSelector(IBundleMarket.NotOptimistic.selector, SOLVER));
        vm.prank(SOLVER);
        market.clearProven(batchId, "", "", "", "");
        fails(abi.encodeWithSelector(IBundleMarket.NotOptimistic.selector, SOLVER));
        vm.prank(SOLVER);
        market.finalizeProven(batchId);
    }
}
