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
}
