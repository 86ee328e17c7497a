// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBundleMarket} from "../../contracts/interfaces/IBundleMarket.sol";
import {ISettlement} from "../../contracts/interfaces/ISettlement.sol";
import {IDeliveryOracle} from "../../contracts/interfaces/IDeliveryOracle.sol";
import {Batch} from "./support/Batch.sol";

contract RefundChunkTest is Batch {
    uint256[3] internal metered = [uint256(6_000_000), 4_000_000, 0];

    function setUp() public override {
        super.setUp();
        greenBatch();
    }

    function refused(uint16 slot, bytes memory error_) internal {
        IBundleMarket.ChunkData memory c = chunk();
        uint16[] memory slots = new uint16[](1);
        slots[0] = slot;
        fails(error_);
        settlement.refundChunk(batchId, 0, c, slots);
    }

    function test_not_before_the_delay() public {
        uint256 allowedAt = START + SLOT + REFUND_DELAY;
        vm.warp(allowedAt - 1);
        refused(0, abi.encodeWithSelector(ISettlement.RefundTooEarly.selector, 0, allowedAt));
    }

    function test_a_silent_oracle_refunds_in_full() public {
        vm.warp(START + 2 * SLOT + REFUND_DELAY);
        refund(0);
        refund(1);
        eq(available(buyer(0)), FUNDS, "all is back");
        eq(locked(buyer(0)), 0, "nothing is held");
        eq(ledgerSum(), treasury.totalMicro(), "conservation");
    }

    function test_a_final_report_holds_the_refund_as_long_again() public {
        report(0, metered, outcome(10_000, 10_000));
        uint256 allowedAt = START + SLOT + 2 * REFUND_DELAY;
        vm.warp(allowedAt - 1);
        refused(0, abi.encodeWithSelector(ISettlement.RefundTooEarly.selector, 0, allowedAt));
        vm.warp(allowedAt);
        refund(0);
        eq(locked(buyer(0)), 11_000_000, "slot 0 is refunded");
    }

    function test_a_void_report_counts_as_none() public {
        submit(nextReport(START, "root", 1, "outcomes"));
        vm.prank(STRANGER);
        oracle.dispute(FEED, START);
        IDeliveryOracle.Ruling memory r = IDeliveryOracle.Ruling(FEED, START, false, oracle.configDigest());
        oracle.rule(r, memberSigs(rulingHash(r), 3));
        vm.warp(START + SLOT + REFUND_DELAY);
        refund(0);
        eq(locked(buyer(0)), 11_000_000, "slot 0 is refunded");
    }

    function test_refund_and_settlement_share_one_nullifier() public {
        vm.warp(START + SLOT + REFUND_DELAY);
        refund(0);
        bytes memory error_ = abi.encodeWithSelector(ISettlement.AlreadySettled.selector, batchId, 0, 0);
        refused(0, error_);
        bytes memory outcomes = outcome(10_000, 10_000);
        report(0, metered, outcomes);
        settlement.meterPool(batchId, 0, 0, positionsOf(0, 0, metered));
        IBundleMarket.ChunkData memory c = chunk();
        bytes[] memory list = new bytes[](1);
        list[0] = outcomes;
        fails(error_);
        settlement.settleChunk(batchId, 0, c, new uint16[](1), list, new bytes32[][](1));
    }

    function test_an_empty_slot_cannot_be_refunded() public {
        vm.warp(START + 4 * SLOT + REFUND_DELAY);
        refused(3, abi.encodeWithSelector(ISettlement.NothingInSlot.selector, 0, 3));
    }

    // --- outcomes that contradict themselves

    function contradicted(bytes memory outcomes, bytes memory error_) internal {
        IBundleMarket.ChunkData memory c = chunk();
        if (error_.length != 0) fails(error_);
        settlement.refundContradicted(batchId, 0, c, 0, outcomes, new bytes32[](0));
    }

    function notContradicted(bytes memory outcomes, bytes memory why) internal {
        contradicted(outcomes, abi.encodeWithSelector(ISettlement.NotContradicted.selector, batchId, 0, 0, why));
    }

    function test_contradictory_outcomes_are_refunded_at_once() public {
        bytes[4] memory wrong =
            [outcome(10_001, 0), outcome(10_000, 10_001), bytes(hex"00"), bytes.concat(outcome(1, 0), outcome(1, 0))];
        uint256 state = vm.snapshotState();
        for (uint256 i; i < wrong.length; ++i) {
            report(0, metered, wrong[i]);
            settlement.meterPool(batchId, 0, 0, positionsOf(0, 0, metered));
            contradicted(wrong[i], "");
            eq(locked(buyer(0)), 11_000_000, "slot 0 is refunded");
            isTrue(settlement.isSettled(batchId, 0, 0), "and closed");
            eq(ledgerSum(), treasury.totalMicro(), "conservation");
            vm.revertToState(state);
        }
    }

    function test_sound_or_unreported_outcomes_are_not_contradicted() public {
        report(0, metered, outcome(10_000, 10_000));
        bytes memory sound = outcome(10_000, 10_000);
        notContradicted(sound, abi.encodeWithSelector(ISettlement.PoolNotMetered.selector, batchId, 0, 0));
        settlement.meterPool(batchId, 0, 0, positionsOf(0, 0, metered));
        notContradicted(sound, "");
        notContradicted(
            outcome(10_001, 0), abi.encodeWithSelector(ISettlement.OutcomesNotInReport.selector, batchId, 0, 0)
        );
        settle(0, sound);
        notContradicted(sound, abi.encodeWithSelector(ISettlement.AlreadySettled.selector, batchId, 0, 0));
    }

    /// @dev Marking a plant missing must not make sound outcomes look contradictory while its reading can be shown.
    function test_a_missing_mark_is_no_contradiction_before_its_time_is_over() public {
        bytes memory outcomes = outcome(10_000, 10_000);
        report(0, metered, outcomes);
        vm.warp(block.timestamp + GRACE);
        ISettlement.Position[] memory list = positionsOf(0, 0, metered);
        list[1].missing = true;
        settlement.meterPool(batchId, 0, 0, list);
        notContradicted(
            outcomes, abi.encodeWithSelector(ISettlement.MatchedAboveDelivered.selector, 0, 0, 10_000, 6_000)
        );
        vm.warp(block.timestamp + GRACE);
        contradicted(outcomes, "");
        eq(locked(buyer(0)), 11_000_000, "slot 0 is refunded");
    }
}
