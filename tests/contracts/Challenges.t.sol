// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBundleMarket} from "../../contracts/interfaces/IBundleMarket.sol";
import {IChallenges} from "../../contracts/interfaces/IChallenges.sol";
import {IOptimisticMarket} from "../../contracts/interfaces/IOptimisticMarket.sol";
import {Claims} from "../../contracts/libraries/Claims.sol";
import {Claimed} from "./support/Claimed.sol";

/// @notice Each fraud proof convicts a claim that is wrong in one step, never an honest one, and fits in 100k gas with
/// paths of more than twenty siblings (a million orders).
contract ChallengesTest is Claimed {
    uint256 private constant MOST_GAS = 100_000;
    /// @dev Proofs that read prices over a run or a bundle.
    uint256 private constant MOST_GAS_PRICED = 120_000;
    bytes private constant NOTHING = abi.encodeWithSelector(IChallenges.NothingWrong.selector);

    IOptimisticMarket.Claim private c;

    function setUp() public override {
        super.setUp();
        depth = 18; // a million rows, two million steps
    }

    function post_() internal {
        c = postClaim();
    }

    /// @dev Sends a proof, which must convict, and counts what the transaction would cost.
    function convicts(bytes memory data, string memory name) internal {
        uint256 before = available(STRANGER);
        vm.cool(address(challenges));
        vm.cool(address(optimistic));
        vm.cool(address(market));
        vm.cool(address(treasury));
        vm.cool(address(registry));
        uint256 gas = 21_000;
        for (uint256 i; i < data.length; ++i) {
            gas += data[i] == 0 ? 4 : 16;
        }
        vm.prank(STRANGER);
        uint256 left = gasleft();
        (bool ok, bytes memory answer) = address(challenges).call(data);
        gas += left - gasleft();
        if (!ok) {
            assembly {
                revert(add(answer, 32), mload(answer))
            }
        }
        emit log_named_uint(name, gas);
        bytes4 proof = bytes4(data);
        bool priced = proof == IChallenges.proveRun.selector || proof == IChallenges.provePriceRow.selector
            || proof == IChallenges.proveBetterBundle.selector;
        isTrue(gas <= (priced ? MOST_GAS_PRICED : MOST_GAS), "fits");
        eq(uint256(optimistic.candidate(batchId).status), uint256(IOptimisticMarket.Status.Convicted), "convicted");
        optimistic.collect(batchId);
        eq(available(STRANGER), before + CANDIDATE_BOND / 2, "half of the bond to the challenger");
    }

    function acquits(bytes memory data) internal {
        refuses(data, NOTHING);
    }

    function refuses(bytes memory data, bytes memory error_) internal {
        (bool ok, bytes memory answer) = address(challenges).call(data);
        isTrue(!ok, "refused");
        eqHash(keccak256(answer), keccak256(error_), "why");
    }

    // --- 1a

    function runProof(uint256 i, uint256 r) internal view returns (bytes memory) {
        return abi.encodeCall(IChallenges.proveRun, (batchId, c, rowAt(i), book[i], rowRuns[i], r));
    }

    function respell(uint256 i, bytes memory runs_) internal {
        rowRuns[i] = runs_;
        build();
        post_();
    }

    function test_honest_runs_are_acquitted() public {
        post_();
        acquits(runProof(0, 0));
        acquits(runProof(1, 0));
    }

    function test_a_run_before_the_window_convicts() public {
        book[1].start = START + 2 * SLOT;
        build();
        post_();
        convicts(runProof(1, 0), "run outside window");
    }

    function test_a_run_after_the_deadline_convicts() public {
        book[1].deadline = START + 2 * SLOT;
        build();
        post_();
        convicts(runProof(1, 0), "run after deadline");
    }

    function test_a_run_of_another_order_convicts() public {
        respell(1, run(0, 1, GREY, 1, 3, 4));
        convicts(runProof(1, 0), "run of another order");
    }

    function test_a_run_in_no_mode_convicts() public {
        respell(1, run(1, 1, 2, 1, 3, 4));
        convicts(runProof(1, 0), "run mode");
    }

    function test_an_empty_run_convicts() public {
        respell(1, run(1, 1, GREY, 1, 3, 0));
        convicts(runProof(1, 0), "empty run");
    }

    function test_a_run_beyond_the_batch_convicts() public {
        respell(1, run(1, 1, GREY, 3, 5, 4));
        convicts(runProof(1, 0), "run beyond the batch");
    }

    function test_a_run_at_no_offer_convicts() public {
        respell(1, run(1, 2, GREY, 1, 3, 4));
        convicts(runProof(1, 0), "run at no offer");
    }

    function test_a_run_of_another_class_convicts() public {
        book[1].classId = 1;
        build();
        post_();
        convicts(runProof(1, 0), "run of another class");
    }

    function test_a_run_in_a_forbidden_zone_convicts() public {
        book[1].zoneMask = 1;
        build();
        post_();
        convicts(runProof(1, 0), "run in a forbidden zone");
    }

    function test_a_run_above_the_carbon_cap_convicts() public {
        book[1].maxCarbon = gridCarbon - 1;
        build();
        post_();
        convicts(runProof(1, 0), "run above the carbon cap");
    }

    // --- 1b

    function orderProof(uint256 i, uint256 zone, uint256 slot) internal view returns (bytes memory) {
        return abi.encodeCall(
            IChallenges.proveOrder, (batchId, c, rowAt(i), book[i], rowRuns[i], rowMarks[i], zone, slot)
        );
    }

    function test_honest_orders_are_acquitted() public {
        post_();
        for (uint256 i; i < 4; ++i) {
            acquits(orderProof(i, i % 2, 1));
        }
    }

    function test_half_a_lane_convicts() public {
        book[1].durationSlots = 3;
        build();
        post_();
        convicts(orderProof(1, 0, 0), "lanes split");
    }

    function test_too_many_lanes_at_once_convict() public {
        fill(1, 1, GREY, 2, 3, 4); // 12 VCU-slots are six lanes, slot 2 has eight
        build();
        rows[1].lanes = 6;
        post_();
        convicts(orderProof(1, 1, 2), "rate exceeded");
    }

    function test_less_than_the_minimum_convicts() public {
        book[1].minLanes = 5;
        build();
        post_();
        convicts(orderProof(1, 0, 0), "lanes out of range");
    }

    function test_too_little_green_convicts() public {
        book[1].minGreenBps = 1;
        build();
        post_();
        convicts(orderProof(1, 0, 0), "green below minimum");
    }

    function test_a_cost_above_the_limit_convicts() public {
        book[1].limitPrice = greyPrice - 1;
        build();
        post_();
        convicts(orderProof(1, 0, 0), "cost above limit");
    }

    function test_a_row_that_does_not_add_up_convicts() public {
        rows[1].costMicro += 1;
        post_();
        convicts(orderProof(1, 0, 0), "row of marks");
    }

    function test_a_cost_without_runs_convicts() public {
        rows[2].costMicro = 1;
        post_();
        convicts(orderProof(2, 0, 0), "row without runs");
    }

    function test_a_kind_that_may_not_be_filled_convicts() public {
        book[1].kind = 3;
        build();
        post_();
        convicts(orderProof(1, 0, 0), "kind");
    }

    /// @dev The worst case for gas: as many runs as an order may have.
    function test_an_order_of_many_runs_fits() public {
        book[1].durationSlots = 1;
        for (uint256 n; n < 15; ++n) {
            fill(1, 1, GREY, n % 4, n % 4 + 1, 1);
        }
        build();
        rows[1].welfareMilli += 1;
        post_();
        convicts(orderProof(1, 1, 2), "order of 16 runs");
    }

    function test_too_many_runs_convict() public {
        for (uint256 n; n < 16; ++n) {
            fill(1, 1, GREY, n % 4, n % 4 + 1, 1);
        }
        build();
        post_();
        convicts(orderProof(1, 1, 2), "17 runs");
    }

    // --- 1c

    function authorityProof(uint256 i, bytes memory sig) internal view returns (bytes memory) {
        return abi.encodeCall(IChallenges.proveAuthority, (batchId, c, rowAt(i), book[i], sig));
    }

    function test_signed_orders_are_acquitted() public {
        post_();
        acquits(authorityProof(1, bookSigs[1]));
        refuses(
            authorityProof(1, bookSigs[0]), abi.encodeWithSelector(IChallenges.DataNotOfRow.selector, bytes32("sig"))
        );
    }

    function test_an_unsigned_order_convicts() public {
        bytes memory sig = sign(0xBAD, optimistic.hashOrder(book[1]));
        rows[1].sigHash = keccak256(sig);
        post_();
        convicts(authorityProof(1, sig), "bad signature");
    }

    function test_another_makers_row_convicts() public {
        rows[1].orderLanes += 1;
        post_();
        convicts(authorityProof(1, bookSigs[1]), "wrong lanes");
    }

    function test_an_expired_order_convicts() public {
        book[1].expiry = uint64(block.timestamp - 1);
        build();
        post_();
        convicts(authorityProof(1, bookSigs[1]), "expired");
    }

    function test_an_order_cancelled_before_the_posting_convicts() public {
        vm.prank(book[1].maker);
        optimistic.cancel(book[1].nonce);
        post_();
        convicts(authorityProof(1, bookSigs[1]), "cancelled");
    }

    /// @notice Attack: a maker cancels afterwards to make the claim wrong and take the bond.
    function test_a_later_cancellation_does_not_convict() public {
        post_();
        vm.warp(block.timestamp + 1);
        vm.startPrank(book[1].maker);
        optimistic.cancel(book[1].nonce);
        optimistic.cancelAll();
        optimistic.cancelAll();
        vm.stopPrank();
        acquits(authorityProof(1, bookSigs[1]));
    }

    function test_a_stale_epoch_convicts() public {
        vm.prank(book[1].maker);
        optimistic.cancelAll();
        post_();
        convicts(authorityProof(1, bookSigs[1]), "stale epoch");
    }

    function test_an_approved_order_needs_no_signature() public {
        vm.prank(book[1].maker);
        optimistic.approve(book[1]);
        rows[1].sigHash = keccak256("");
        rows[0].sigHash = keccak256("");
        post_();
        acquits(authorityProof(1, ""));
        convicts(authorityProof(0, ""), "not approved");
    }

    // --- 2

    /// @dev The slots whose bits are set.
    function shown(uint8 zone, uint256 bits) internal pure returns (IChallenges.Shown memory s) {
        s.zone = zone;
        for (uint256 t; bits >> t != 0; ++t) {
            if (bits >> t & 1 == 1) s.slots = bytes.concat(s.slots, bytes2(uint16(t)));
        }
    }

    function bundleProof(uint256 i, uint256 bits) internal view returns (bytes memory) {
        return abi.encodeCall(
            IChallenges.proveBetterBundle, (batchId, c, rowAt(i), book[i], shown(0, bits), shown(1, bits))
        );
    }

    function test_no_bundle_beats_an_honest_best() public {
        post_();
        acquits(bundleProof(0, 5));
        acquits(bundleProof(1, 3));
        acquits(bundleProof(3, 12));
    }

    function test_a_better_bundle_convicts() public {
        book[1].minGreenBps = 5_000;
        rowRuns[1] = rowMarks[1] = "";
        build();
        rows[1].bestMilli -= 1;
        post_();
        convicts(bundleProof(1, 6), "better bundle");
    }

    function test_a_shown_bundle_is_the_orders() public {
        post_();
        refuses(bundleProof(1, 7), abi.encodeWithSelector(IChallenges.ShownSlots.selector, bytes32("slots"), 3));
        refuses(bundleProof(1, 17), abi.encodeWithSelector(IChallenges.ShownSlots.selector, bytes32("slot"), 4));
    }

    // --- 3

    function noRow() internal pure returns (IChallenges.RowAt memory none) {}

    function noStep() internal pure returns (IChallenges.StepAt memory none) {}

    function rowSumProof(uint256 i) internal view returns (bytes memory) {
        return abi.encodeCall(IChallenges.proveRowSum, (batchId, c, i == 0 ? noRow() : rowAt(i - 1), rowAt(i)));
    }

    function stepSumProof(uint256 i) internal view returns (bytes memory) {
        return abi.encodeCall(IChallenges.proveStepSum, (batchId, c, i == 0 ? noStep() : stepAt(i - 1), stepAt(i)));
    }

    function test_honest_sums_are_acquitted() public {
        post_();
        for (uint256 i; i < rows.length; ++i) {
            acquits(rowSumProof(i));
        }
        for (uint256 i; i < steps.length; ++i) {
            acquits(stepSumProof(i));
        }
    }

    function test_a_wrong_welfare_sum_convicts() public {
        rows[2].cumWelfare += 1;
        post_();
        convicts(rowSumProof(2), "welfare sum");
    }

    function test_a_wrong_first_sum_convicts() public {
        rows[0].cumBest -= 1;
        post_();
        convicts(rowSumProof(0), "first sum");
    }

    function test_a_wrong_total_convicts() public {
        totalsOff = 1;
        post_();
        convicts(rowSumProof(3), "total");
    }

    function test_a_wrong_load_convicts(uint256 i) public {
        i = bound(i, 0, steps.length - 1);
        steps[i].load += 1;
        post_();
        convicts(stepSumProof(i), "load sum");
    }

    function test_sums_are_of_neighbours() public {
        post_();
        refuses(
            abi.encodeCall(IChallenges.proveRowSum, (batchId, c, rowAt(0), rowAt(2))),
            abi.encodeWithSelector(IChallenges.NotNeighbours.selector, 0, 2)
        );
    }

    // --- 4

    function loadProof(uint256 kind, uint256 cell, uint256 slot) internal view returns (bytes memory) {
        uint256 key = Claims.stepKey(kind, cell, slot, 255, type(uint32).max, type(uint16).max);
        return abi.encodeCall(IChallenges.proveLoad, (batchId, c, kind, cell, slot, lastBelow(key)));
    }

    function test_honest_loads_are_acquitted() public {
        post_();
        for (uint256 slot; slot < SLOTS; ++slot) {
            acquits(loadProof(0, 0, slot));
            acquits(loadProof(0, 1, slot));
            for (uint256 pool; pool < 4; ++pool) {
                acquits(loadProof(1, pool, slot));
            }
        }
        acquits(loadProof(0, 2, 0)); // no such offer
        acquits(loadProof(2, 0, 0)); // no such kind
    }

    function test_a_load_above_capacity_convicts() public {
        uint256 capacity = market.computeOffer(batchId, 1).capacity;
        respell(1, run(1, 1, GREY, 1, 3, capacity + 1));
        convicts(loadProof(0, 1, 2), "above capacity");
    }

    function test_a_pool_that_does_not_balance_convicts() public {
        respell(1, run(1, 1, GREY, 1, 3, 5));
        convicts(loadProof(1, 2, 1), "imbalance");
    }

    function test_power_sold_to_nobody_convicts() public {
        rowRuns[1] = rowMarks[1] = "";
        build();
        post_();
        convicts(loadProof(1, 2, 1), "sold to nobody");
    }

    // --- 5

    function test_honest_orders_of_leaves_are_acquitted() public {
        post_();
        acquits(abi.encodeCall(IChallenges.proveRowOrder, (batchId, c, rowAt(1))));
        acquits(abi.encodeCall(IChallenges.proveStepOrder, (batchId, c, stepAt(1))));
    }

    function test_rows_out_of_order_convict() public {
        IOptimisticMarket.Row memory other = rows[2];
        rows[2] = rows[3];
        rows[3] = other;
        linkRows();
        post_();
        convicts(abi.encodeCall(IChallenges.proveRowOrder, (batchId, c, rowAt(2))), "row order");
    }

    function test_a_row_twice_convicts() public {
        rows[3] = rows[2];
        linkRows();
        post_();
        convicts(abi.encodeCall(IChallenges.proveRowOrder, (batchId, c, rowAt(2))), "row twice");
    }

    function test_steps_out_of_order_convict() public {
        steps[2].nextKey = steps[2].key;
        post_();
        convicts(abi.encodeCall(IChallenges.proveStepOrder, (batchId, c, stepAt(2))), "step order");
    }

    function test_a_step_after_the_last_convicts() public {
        steps[7].nextKey -= 1;
        post_();
        convicts(abi.encodeCall(IChallenges.proveStepOrder, (batchId, c, stepAt(7))), "after the last step");
    }

    function test_a_broken_link_convicts(uint256 i) public {
        i = bound(i, 0, steps.length - 2);
        steps[i].nextKey += 1;
        post_();
        convicts(stepSumProof(i + 1), "broken link");
    }

    function omittedOrderProof(uint256 i, uint256 last) internal view returns (bytes memory) {
        return abi.encodeCall(
            IChallenges.proveOmittedOrder, (batchId, c, book[i].maker, book[i].nonce, rowAt(last))
        );
    }

    function insistOn(uint256 i) internal {
        optimistic.insist(START, book[i], bookSigs[i]);
        vm.warp(block.timestamp + LEAD);
    }

    function test_an_order_that_is_there_was_not_omitted() public {
        insistOn(2);
        post_();
        acquits(omittedOrderProof(2, 2));
        uint256 key = Claims.rowKey(book[2].maker, book[2].nonce);
        refuses(omittedOrderProof(2, 1), abi.encodeWithSelector(IChallenges.NotNeighbours.selector, 1, key));
        refuses(omittedOrderProof(2, 3), abi.encodeWithSelector(IChallenges.NotNeighbours.selector, 3, key));
    }

    function drop(uint256 i) internal {
        for (uint256 k = i; k + 1 < rows.length; ++k) {
            rows[k] = rows[k + 1];
        }
        rows.pop();
        linkRows();
    }

    function test_an_omitted_order_convicts(uint256 i) public {
        i = bound(i, 2, 3);
        insistOn(i);
        drop(i);
        post_();
        convicts(omittedOrderProof(i, i - 1), "omitted order");
    }

    function test_another_order_in_its_place_convicts() public {
        insistOn(2);
        book[2].limitPrice += 1;
        build();
        post_();
        convicts(omittedOrderProof(2, 2), "misplaced order");
    }

    function test_an_order_withdrawn_or_late_was_not_omitted() public {
        optimistic.insist(START, book[2], bookSigs[2]);
        vm.warp(block.timestamp + LEAD - 1);
        drop(2);
        post_();
        refuses(
            omittedOrderProof(2, 1),
            abi.encodeWithSelector(IChallenges.NotInsisted.selector, book[2].maker, book[2].nonce)
        );
    }

    function omittedStepProof(uint256 i, uint256 key, uint256 part) internal view returns (bytes memory) {
        return abi.encodeCall(
            IChallenges.proveOmittedStep, (batchId, c, rowAt(i), rowRuns[i], 0, part, lastBelow(key))
        );
    }

    function keyOf(uint256 part) internal pure returns (uint256) {
        if (part == 0) return Claims.stepKey(0, 1, 1, 1, 1, 0);
        if (part == 1) return Claims.stepKey(0, 1, 3, 0, 1, 0);
        return Claims.stepKey(1, 2, part == 2 ? 1 : 3, part == 2 ? 1 : 0, 1, 0);
    }

    function test_an_omitted_step_convicts(uint256 part) public {
        part = bound(part, 0, 3);
        uint256 key = keyOf(part);
        uint256 where;
        while (steps[where].key != key) ++where;
        for (uint256 k = where; k + 1 < steps.length; ++k) {
            steps[k] = steps[k + 1];
        }
        steps.pop();
        addUpSteps();
        post_();
        convicts(omittedStepProof(1, key, part), "omitted step");
    }

    function test_steps_that_are_there_are_acquitted() public {
        post_();
        for (uint256 part; part < 4; ++part) {
            acquits(omittedStepProof(1, keyOf(part), part));
        }
    }

    function strayProof(uint256 i) internal view returns (bytes memory) {
        uint256 row = uint32(steps[i].key >> 16);
        return abi.encodeCall(
            IChallenges.proveStrayStep,
            (batchId, c, stepAt(i), rowAt(row < rows.length ? row : 0), rowRuns[row < rows.length ? row : 0])
        );
    }

    function test_honest_steps_are_not_stray() public {
        post_();
        for (uint256 i; i < steps.length; ++i) {
            acquits(strayProof(i));
        }
    }

    function test_a_step_with_a_wrong_change_convicts(uint256 i) public {
        i = bound(i, 0, steps.length - 1);
        steps[i].delta += 1;
        addUpSteps();
        post_();
        convicts(strayProof(i), "stray change");
    }

    function test_a_step_of_no_row_or_run_convicts(bool ofNoRow) public {
        steps[7].key = ofNoRow ? steps[7].key | (9 << 16) : steps[7].key + 1;
        post_();
        convicts(strayProof(7), "stray step");
    }

    // --- 6

    function priceProof(uint256 i) internal view returns (bytes memory) {
        return abi.encodeCall(
            IChallenges.provePriceRow, (batchId, c, rowAt(i), book[i], rowRuns[i], rowMarks[i], 0)
        );
    }

    function test_honest_marks_are_acquitted() public {
        post_();
        acquits(priceProof(0));
        acquits(priceProof(1));
    }

    function test_a_wrong_mark_convicts(uint256 place) public {
        place = bound(place, 0, 8); // zone, low bytes of cost and of welfare
        place = place == 0 ? 0 : place < 5 ? place + 4 : place + 16;
        bytes memory marks = rowMarks[1];
        marks[place] = bytes1(uint8(marks[place]) ^ 1);
        rowMarks[1] = marks;
        build();
        post_();
        convicts(priceProof(1), "wrong mark");
    }

    // --- what a proof is bound to

    function test_a_proof_is_of_the_posted_claim() public {
        post_();
        c.rows += 1;
        refuses(
            rowSumProof(1),
            abi.encodeWithSelector(IChallenges.WrongClaim.selector, batchId, keccak256(abi.encode(c)))
        );
    }

    function test_a_leaf_is_of_the_tree() public {
        post_();
        rows[1].cumWelfare += 1;
        refuses(rowSumProof(1), abi.encodeWithSelector(IChallenges.NotInTree.selector, 0, 1));
    }

    function test_runs_marks_and_order_are_the_rows() public {
        post_();
        bytes memory other = bytes.concat(rowRuns[1], rowRuns[1]);
        refuses(
            abi.encodeCall(IChallenges.proveRun, (batchId, c, rowAt(1), book[1], other, 0)),
            abi.encodeWithSelector(IChallenges.DataNotOfRow.selector, bytes32("runs"))
        );
        refuses(
            abi.encodeCall(IChallenges.proveRun, (batchId, c, rowAt(1), book[0], rowRuns[1], 0)),
            abi.encodeWithSelector(IChallenges.DataNotOfRow.selector, bytes32("order"))
        );
    }

    function test_only_posted_claims_are_challenged() public {
        c = claimed();
        refuses(rowSumProof(1), abi.encodeWithSelector(IChallenges.NotPosted.selector, batchId));
    }
}
