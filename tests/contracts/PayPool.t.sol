// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ISettlement} from "../../contracts/interfaces/ISettlement.sol";
import {Batch} from "./support/Batch.sol";

contract PayPoolTest is Batch {
    uint256[3] internal metered = [uint256(6_000_000), 4_000_000, 0];

    function setUp() public override {
        super.setUp();
        greenBatch();
    }

    function deliver(uint256 matchedWh) internal {
        bytes memory outcomes = outcome(10_000, matchedWh);
        report(0, metered, outcomes);
        settlement.meterPool(batchId, 0, 0, positionsOf(0, 0, metered));
        settle(0, outcomes);
    }

    function certificate(uint256 source) internal view returns (uint256) {
        return certificates.packId(1, START, 0, source, address(settlement));
    }

    function test_waits_for_the_whole_pool() public {
        report(0, metered, outcome(10_000, 10_000));
        settlement.meterPool(batchId, 0, 0, positionsOf(0, 0, metered));
        fails(abi.encodeWithSelector(ISettlement.PoolNotSettled.selector, batchId, 0, 0, 0, 10_000));
        payPool(0, 0);
    }

    function test_pays_once() public {
        deliver(10_000);
        payPool(0, 0);
        isTrue(settlement.pool(batchId, 0, 0).paid, "paid");
        fails(abi.encodeWithSelector(ISettlement.AlreadyPaid.selector, batchId, 0, 0));
        payPool(0, 0);
    }

    function test_splits_by_delivered_share_and_retires_what_was_matched() public {
        metered[0] = 3_000_000; // pv delivers half: 3 of 7 kWh
        deliver(7_000);
        uint256 before = available(plantOwner(12));
        payPool(0, 0);
        eq(available(plantOwner(12)) - before, 1_200_000, "wind: 4/7 of 2.1");
        eq(certificates.retiredOf(certificate(1)), 3_000, "pv Wh retired");
        eq(certificates.retiredOf(certificate(2)), 4_000, "wind Wh retired");
        eq(certificates.totalSupply(certificate(1)), 0, "none outstanding");
        eq(certificates.retiredFor(certificate(1), address(settlement)), 3_000, "for the batch's buyers");
    }

    /// @dev Delivered 6000 and 4000, matched 3334: 2000.4 and 1333.6 become 2000 and 1334.
    function test_one_wh_has_one_use() public {
        deliver(3_334);
        payPool(0, 0);
        eq(certificates.retiredOf(certificate(1)), 2_000, "pv: remainder .4");
        eq(certificates.retiredOf(certificate(2)), 1_334, "wind: remainder .6");
        eq(certificates.balanceOf(plantOwner(11), certificate(1)), 4_000, "pv rest");
        eq(certificates.balanceOf(plantOwner(12), certificate(2)), 2_666, "wind rest");
        eq(certificates.mintedOf(certificate(1)), 6_000, "never more than was metered");
    }

    function test_every_metered_wh_is_minted_exactly_once(uint256 pv, uint256 wind, uint256 matched) public {
        metered = [bound(pv, 0, 9_000_000), bound(wind, 0, 9_000_000), 0];
        uint256 deliveredPv = metered[0] < 6_000_000 ? metered[0] / 1000 : 6_000;
        uint256 deliveredWind = metered[1] < 4_000_000 ? metered[1] / 1000 : 4_000;
        matched = bound(matched, 0, deliveredPv + deliveredWind);
        deliver(matched);
        payPool(0, 0);
        eq(certificates.mintedOf(certificate(1)), metered[0] / 1000, "pv minted");
        eq(certificates.mintedOf(certificate(2)), metered[1] / 1000, "wind minted");
        eq(certificates.retiredOf(certificate(1)) + certificates.retiredOf(certificate(2)), matched, "retired");
        eq(
            certificates.balanceOf(plantOwner(11), certificate(1)),
            metered[0] / 1000 - certificates.retiredOf(certificate(1)),
            "supply = minted - retired"
        );
    }

    function test_a_refunded_pool_pays_nothing_and_closes() public {
        vm.warp(START + SLOT + REFUND_DELAY);
        refund(0);
        payPool(0, 0);
        eq(available(plantOwner(11)), FUNDS, "plant");
        eq(certificates.mintedOf(certificate(1)), 0, "no certificate without a reading");
    }
}
