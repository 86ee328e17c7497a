// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBundleMarket} from "../../contracts/interfaces/IBundleMarket.sol";
import {ISettlement} from "../../contracts/interfaces/ISettlement.sol";
import {Batch} from "./support/Batch.sol";

contract SettleChunkTest is Batch {
    uint256[3] internal metered = [uint256(6_000_000), 4_000_000, 0];

    function setUp() public override {
        super.setUp();
        greenBatch();
    }

    function refused(bytes memory outcomes, bytes memory error_) internal {
        (uint16[] memory slots, bytes[] memory list) = (new uint16[](1), new bytes[](1));
        list[0] = outcomes;
        IBundleMarket.ChunkData memory c = chunk();
        fails(error_);
        settlement.settleChunk(batchId, 0, c, slots, list, new bytes32[][](1));
    }

    /// @notice Reports, meters and settles slot 0.
    function deliver(uint256 milliLanes, uint256 matchedWh) internal {
        bytes memory outcomes = outcome(milliLanes, matchedWh);
        report(0, metered, outcomes);
        settlement.meterPool(batchId, 0, 0, positionsOf(0, 0, metered));
        settle(0, outcomes);
    }

    /// @dev Reports and meters outcomes that settling must refuse.
    function refusedOutcome(bytes memory outcomes, bytes memory error_) internal {
        report(0, metered, outcomes);
        settlement.meterPool(batchId, 0, 0, positionsOf(0, 0, metered));
        refused(outcomes, error_);
    }

    // --- checks in their order

    function test_needs_lists_of_one_length() public {
        IBundleMarket.ChunkData memory c = chunk();
        fails(abi.encodeWithSelector(ISettlement.LengthMismatch.selector, 1, 0));
        settlement.settleChunk(batchId, 0, c, new uint16[](1), new bytes[](0), new bytes32[][](1));
        fails(abi.encodeWithSelector(ISettlement.LengthMismatch.selector, 1, 2));
        settlement.settleChunk(batchId, 0, c, new uint16[](1), new bytes[](1), new bytes32[][](2));
    }

    function test_needs_the_cleared_chunk() public {
        IBundleMarket.ChunkData memory c = chunk();
        c.makers = abi.encodePacked(STRANGER);
        fails(abi.encodeWithSelector(ISettlement.WrongChunk.selector, batchId, 0));
        settlement.settleChunk(batchId, 0, c, new uint16[](0), new bytes[](0), new bytes32[][](0));
    }

    function test_needs_a_slot_of_the_batch() public {
        IBundleMarket.ChunkData memory c = chunk();
        uint16[] memory slots = new uint16[](1);
        slots[0] = uint16(SLOTS);
        fails(abi.encodeWithSelector(ISettlement.SlotOutOfRange.selector, SLOTS, SLOTS));
        settlement.settleChunk(batchId, 0, c, slots, new bytes[](1), new bytes32[][](1));
    }

    function test_settles_once() public {
        deliver(10_000, 10_000);
        isTrue(settlement.isSettled(batchId, 0, 0), "settled");
        isTrue(!settlement.isSettled(batchId, 0, 1), "slot 1 is not");
        refused(
            outcome(10_000, 10_000), abi.encodeWithSelector(ISettlement.AlreadySettled.selector, batchId, 0, 0)
        );
    }

    function test_refuses_a_slot_twice_in_one_call() public {
        bytes memory outcomes = outcome(10_000, 10_000);
        report(0, metered, outcomes);
        settlement.meterPool(batchId, 0, 0, positionsOf(0, 0, metered));
        bytes[] memory list = new bytes[](2);
        (list[0], list[1]) = (outcomes, outcomes);
        IBundleMarket.ChunkData memory c = chunk();
        fails(abi.encodeWithSelector(ISettlement.AlreadySettled.selector, batchId, 0, 0));
        settlement.settleChunk(batchId, 0, c, new uint16[](2), list, new bytes32[][](2));
    }

    function test_needs_a_final_report() public {
        refused(outcome(0, 0), abi.encodeWithSelector(ISettlement.ReportNotFinal.selector, batchId, 0));
    }

    function test_refuses_outcomes_that_were_not_reported() public {
        report(0, metered, outcome(10_000, 10_000));
        refused(
            outcome(10_000, 9_999), abi.encodeWithSelector(ISettlement.OutcomesNotInReport.selector, batchId, 0, 0)
        );
    }

    function test_refuses_outcomes_of_another_length() public {
        refusedOutcome(hex"00", abi.encodeWithSelector(ISettlement.OutcomesLength.selector, 1, 8));
    }

    function test_refuses_outcomes_that_are_too_many() public {
        refusedOutcome(
            bytes.concat(outcome(1, 1), outcome(1, 1)),
            abi.encodeWithSelector(ISettlement.OutcomesLength.selector, 16, 8)
        );
    }

    function test_refuses_more_than_was_bought() public {
        refusedOutcome(
            outcome(10_001, 0),
            abi.encodeWithSelector(ISettlement.DeliveredAboveLanes.selector, 0, 0, 10_001, 10_000)
        );
    }

    function test_refuses_more_energy_than_the_run_has() public {
        refusedOutcome(
            outcome(10_000, 10_001),
            abi.encodeWithSelector(ISettlement.MatchedAboveEnergy.selector, 0, 0, 10_001, 10_000)
        );
    }

    function test_needs_the_pool_metered() public {
        report(0, metered, outcome(10_000, 10_000));
        refused(
            outcome(10_000, 10_000), abi.encodeWithSelector(ISettlement.PoolNotMetered.selector, batchId, 0, 0)
        );
    }

    function test_matched_never_exceeds_delivered() public {
        metered[0] = 5_000_000;
        refusedOutcome(
            outcome(10_000, 9_001),
            abi.encodeWithSelector(ISettlement.MatchedAboveDelivered.selector, 0, 0, 9_001, 9_000)
        );
    }

    function test_a_slot_without_runs_has_nothing_to_settle() public {
        IBundleMarket.ChunkData memory c = chunk();
        uint16[] memory slots = new uint16[](1);
        slots[0] = 3;
        report(3, metered, hex"01");
        (bytes[] memory list) = new bytes[](1);
        list[0] = hex"01";
        fails(abi.encodeWithSelector(ISettlement.NothingInSlot.selector, 0, 3));
        settlement.settleChunk(batchId, 0, c, slots, list, new bytes32[][](1));
    }

    // --- payments

    /// @dev 10 lanes at 1.1 = 11.0; 10 kWh at 0.3 = 3.0 of power; 8.0 of compute.
    function test_full_delivery_pays_in_full() public {
        deliver(10_000, 10_000);
        eq(available(siteOwner(1)), FUNDS + 8_000_000, "site");
        eq(available(address(settlement)), 3_000_000, "power waits for the plants");
        eq(locked(buyer(0)), 11_000_000, "slot 1 stays locked");
        eq(available(buyer(0)), FUNDS - 22_000_000, "nothing comes back");
        eq(credits(), 5_550_000, "10 kWh * (600 - 45) g/kWh");
    }

    function test_ninety_per_cent_is_paid_without_penalty() public {
        deliver(9_000, 10_000);
        eq(available(siteOwner(1)), FUNDS + 7_200_000, "site");
        eq(available(buyer(0)), FUNDS - 22_000_000 + 800_000, "refund");
    }

    function test_eighty_per_cent_pays_the_shortfall_as_penalty() public {
        deliver(8_000, 10_000);
        eq(available(siteOwner(1)), FUNDS + 6_400_000 - 1_600_000, "site");
        eq(available(buyer(0)), FUNDS - 22_000_000 + 1_600_000 + 1_600_000, "refund and penalty");
    }

    function test_half_pays_one_and_a_half_times_the_shortfall() public {
        deliver(5_000, 10_000);
        eq(available(siteOwner(1)), FUNDS + 4_000_000 - 6_000_000, "site");
        eq(available(buyer(0)), FUNDS - 22_000_000 + 4_000_000 + 6_000_000, "refund and penalty");
    }

    function test_unmatched_power_is_refunded() public {
        deliver(10_000, 2_500);
        eq(available(address(settlement)), 750_000, "a quarter of the power");
        eq(available(buyer(0)), FUNDS - 22_000_000 + 2_250_000, "the rest");
    }

    function test_a_penalty_stops_at_the_sites_balance() public {
        vm.prank(siteOwner(1));
        treasury.requestWithdraw(FUNDS);
        vm.warp(START);
        vm.prank(siteOwner(1));
        treasury.withdraw(siteOwner(1));
        deliver(4_000, 10_000); // earns 3.2, owes 7.2
        eq(available(siteOwner(1)), 0, "what it earned, and no more");
        eq(available(buyer(0)), FUNDS - 22_000_000 + 4_800_000 + 3_200_000, "buyer");
    }

    function test_money_is_conserved_for_any_delivery(uint256 milliLanes, uint256 matchedWh) public {
        milliLanes = bound(milliLanes, 0, 10_000);
        matchedWh = bound(matchedWh, 0, 10_000);
        deliver(milliLanes, matchedWh);
        payPool(0, 0);
        eq(available(address(settlement)), 0, "the pool is empty");
        eq(locked(buyer(0)), 11_000_000, "exactly one slot was unlocked");
        eq(ledgerSum(), treasury.totalMicro(), "conservation");
        eq(token.balanceOf(address(treasury)), treasury.totalMicro(), "tokens");
    }

    /// @dev Credit key of zone 0 in January 2027: 57 years and no month.
    uint256 private constant KEY = 57 * 12;

    /// @notice Milligrams that buyer 0 has not claimed.
    function credits() internal view returns (uint256) {
        return treasury.creditMgOf(buyer(0), KEY);
    }

    function test_credits_are_claimed_by_whole_grams() public {
        deliver(10_000, 7_001); // 7,001 * 555 mg = 3,885,555 mg
        uint256 id = certificates.packId(2, START, 0, 0, address(settlement));
        address[] memory list = new address[](2);
        (list[0], list[1]) = (buyer(0), STRANGER);
        settlement.claimCredits(KEY, list);
        eq(certificates.balanceOf(buyer(0), id), 3_885, "grams");
        eq(certificates.balanceOf(STRANGER, id), 0, "nothing earned");
        eq(credits(), 555, "remainder");
        settlement.claimCredits(KEY, list);
        eq(certificates.mintedOf(id), 3_885, "once");
        uint256[3] memory later = metered;
        bytes memory outcomes = outcome(10_000, 7_001);
        report(1, later, outcomes);
        settlement.meterPool(batchId, 1, 0, positionsOf(1, 0, later));
        settle(1, outcomes);
        settlement.claimCredits(KEY, list);
        eq(certificates.balanceOf(buyer(0), id), 7_771, "555 + 555 make one more gram");
        eq(credits(), 110, "remainder");
    }

    function test_one_transaction_settles_a_slot() public {
        bytes memory outcomes = outcome(10_000, 10_000);
        report(0, metered, outcomes);
        (uint16[] memory slots, bytes[] memory list) = (new uint16[](1), new bytes[](1));
        list[0] = outcomes;
        bytes[] memory calls = new bytes[](3);
        calls[0] = abi.encodeCall(settlement.meterPool, (batchId, 0, 0, positionsOf(0, 0, metered)));
        calls[1] = abi.encodeCall(
            settlement.settleChunk, (batchId, 0, chunk(), slots, list, new bytes32[][](1))
        );
        calls[2] = abi.encodeCall(settlement.payPools, (batchId, new uint16[](1), 0));
        settlement.multicall(calls);
        isTrue(settlement.pool(batchId, 0, 0).paid, "paid");
        eq(available(siteOwner(1)), FUNDS + 8_000_000, "site");
    }

    function test_no_credit_where_the_grid_is_cleaner() public {
        greenFactor = 700;
        vm.warp(START - 1 days);
        delete orders;
        delete sigs;
        delete runs;
        delete demandWh;
        openMarket();
        addOrder(1, order(1));
        addRun(0, 0, GREEN, 0, 2, 10);
        addPowers();
        clear();
        finish();
        deliver(10_000, 10_000);
        eq(treasury.creditMgOf(buyer(1), KEY), 0, "nothing");
    }
}
