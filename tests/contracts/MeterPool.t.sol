// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IDeliveryOracle} from "../../contracts/interfaces/IDeliveryOracle.sol";
import {ISettlement} from "../../contracts/interfaces/ISettlement.sol";
import {Tree} from "./support/Tree.sol";
import {Batch} from "./support/Batch.sol";

contract MeterPoolTest is Batch {
    uint256[3] internal metered = [uint256(6_000_000), 4_000_000, 0];

    function setUp() public override {
        super.setUp();
        greenBatch();
    }

    function refused(ISettlement.Position[] memory list, bytes memory error_) internal {
        fails(error_);
        settlement.meterPool(batchId, 0, 0, list);
    }

    function meter() internal {
        settlement.meterPool(batchId, 0, 0, positionsOf(0, 0, metered));
    }

    /// @dev Reports one reading alone and offers it as the pv position.
    function refusedReading(ISettlement.Reading memory r, bytes memory error_) internal {
        uint256 state = vm.snapshotState();
        bytes32[] memory leaves = new bytes32[](2);
        leaves[0] = leafOf(r);
        leaves[1] = leafOf(reading(12, 0, metered[1]));
        submit(nextReport(START, Tree.root(leaves), 2, 0));
        vm.warp(block.timestamp + WINDOW);
        ISettlement.Position[] memory list = positionsOf(0, 0, metered);
        (list[0].reading, list[0].proof) = (r, Tree.proof(leaves, 0));
        list[1].proof = Tree.proof(leaves, 1);
        refused(list, error_);
        vm.revertToState(state);
    }

    function test_needs_a_final_batch_and_a_slot_of_it() public {
        ISettlement.Position[] memory list = positionsOf(0, 0, metered);
        fails(abi.encodeWithSelector(ISettlement.NotFinalised.selector, 2));
        settlement.meterPool(2, 0, 0, list);
        fails(abi.encodeWithSelector(ISettlement.SlotOutOfRange.selector, SLOTS, SLOTS));
        settlement.meterPool(batchId, uint16(SLOTS), 0, list);
    }

    function test_needs_every_plant_of_the_zone() public {
        report(0, metered, "");
        refused(
            new ISettlement.Position[](1), abi.encodeWithSelector(ISettlement.PositionsIncomplete.selector, 1, 2)
        );
    }

    function test_needs_a_final_report() public {
        ISettlement.Position[] memory list = positionsOf(0, 0, metered);
        bytes memory error_ = abi.encodeWithSelector(ISettlement.ReportNotFinal.selector, batchId, 0);
        refused(list, error_);
        submit(nextReport(START, Tree.root(readingLeaves(0, metered)), 3, 0));
        refused(list, error_);
    }

    function test_refuses_other_kinds_intervals_and_meters() public {
        ISettlement.Reading memory r = reading(11, 0, metered[0]);
        r.kind = 2;
        refusedReading(r, abi.encodeWithSelector(ISettlement.ReadingKind.selector, 2));
        r = reading(11, 1, metered[0]);
        refusedReading(r, abi.encodeWithSelector(ISettlement.ReadingInterval.selector, r.start, r.end));
        r = reading(12, 0, metered[0]);
        refusedReading(r, abi.encodeWithSelector(ISettlement.ReadingMeter.selector, 112, 11));
        r = reading(11, 0, metered[0]);
        r.meterId = uint256(1) << 32;
        refusedReading(r, abi.encodeWithSelector(ISettlement.ReadingMeter.selector, r.meterId, 11));
    }

    function test_refuses_a_site_meter_with_the_plants_number() public {
        vm.prank(OPERATOR);
        registry.addSite(11, STRANGER, 0, 1);
        _attest(500, 0, 11);
        ISettlement.Reading memory r = reading(11, 0, metered[0]);
        r.meterId = 500;
        refusedReading(r, abi.encodeWithSelector(ISettlement.ReadingMeter.selector, 500, 11));
    }

    function test_refuses_a_meter_whose_attestation_ends_inside_the_slot() public {
        IDeliveryOracle.DeviceAttestation memory a = attestation(111, 2, 11);
        a.attestedUntil = START + SLOT - 1;
        oracle.attestDevice(a, memberSigs(attestationHash(a), 3));
        report(0, metered, "");
        refused(
            positionsOf(0, 0, metered),
            abi.encodeWithSelector(ISettlement.MeterNotAttested.selector, 111, START + SLOT - 1)
        );
    }

    function test_refuses_a_reading_that_was_not_reported() public {
        report(0, metered, "");
        ISettlement.Position[] memory list = positionsOf(0, 0, metered);
        list[0].reading.quantity += 1;
        refused(
            list,
            abi.encodeWithSelector(
                ISettlement.ReadingNotInReport.selector, 111, Tree.root(readingLeaves(0, metered))
            )
        );
    }

    function test_refuses_an_early_missing_marker() public {
        report(0, metered, "");
        ISettlement.Position[] memory list = positionsOf(0, 0, metered);
        list[1].missing = true;
        uint256 finalAt = block.timestamp;
        refused(list, abi.encodeWithSelector(ISettlement.MissingTooEarly.selector, finalAt + GRACE));
        vm.warp(finalAt + GRACE);
        settlement.meterPool(batchId, 0, 0, list);
        eq(settlement.pool(batchId, 0, 0).deliveredWh, 6_000, "the missing plant counts as zero");
        eq(settlement.deliveredWh(batchId, 0, 1), 0, "wind");
    }

    function test_meters_once() public {
        report(0, metered, "");
        meter();
        refused(
            positionsOf(0, 0, metered), abi.encodeWithSelector(ISettlement.AlreadyMetered.selector, batchId, 0, 0)
        );
    }

    /// @dev A second batch over the same day cannot use the same metered interval.
    function test_a_metered_interval_is_used_once_over_all_batches() public {
        uint256 early = START - 1 days;
        vm.warp(early);
        uint64 first = batchId;
        delete orders;
        delete sigs;
        delete runs;
        openMarketOfTwo();
        report(0, metered, "");
        settlement.meterPool(first, 0, 0, positionsOf(0, 0, metered));
        ISettlement.Position[] memory list = positionsOf(0, 0, metered);
        fails(abi.encodeWithSelector(ISettlement.MeterAlreadyUsed.selector, 111, START));
        settlement.meterPool(batchId, 0, 0, list);
        isTrue(settlement.isMeterUsed(111, START + 899), "used");
        isTrue(!settlement.isMeterUsed(111, START + 900), "the next interval is not");
    }

    function openMarketOfTwo() internal {
        openMarket();
        addOrder(1, order(1));
        delete demandWh;
        addRun(0, 0, GREEN, 0, 2, 10);
        addPowers();
        clear();
        finish();
    }

    function test_only_actual_values_count() public {
        bytes32[] memory leaves = new bytes32[](2);
        ISettlement.Reading memory estimated = reading(11, 0, metered[0]);
        estimated.quality = 1;
        leaves[0] = leafOf(estimated);
        leaves[1] = leafOf(reading(12, 0, metered[1]));
        submit(nextReport(START, Tree.root(leaves), 2, 0));
        vm.warp(block.timestamp + WINDOW);
        ISettlement.Position[] memory list = positionsOf(0, 0, metered);
        (list[0].reading, list[0].proof) = (estimated, Tree.proof(leaves, 0));
        list[1].proof = Tree.proof(leaves, 1);
        settlement.meterPool(batchId, 0, 0, list);
        eq(settlement.deliveredWh(batchId, 0, 0), 0, "estimated");
        eq(settlement.deliveredWh(batchId, 0, 1), 4_000, "actual");
    }

    /// @dev 50 MW for a quarter of an hour: 12.5 MWh.
    function test_surplus_becomes_certificates_up_to_the_nameplate() public {
        metered[0] = 99_000_000_000;
        report(0, metered, "");
        meter();
        uint256 id = certificates.packId(1, START, 0, 1, address(settlement));
        eq(settlement.deliveredWh(batchId, 0, 0), 6_000, "delivered is what was sold");
        eq(certificates.balanceOf(plantOwner(11), id), 12_500_000 - 6_000, "surplus");
        eq(certificates.totalSupply(id), 12_500_000 - 6_000, "supply");
    }

    /// @dev Sold 6000 and 4000 Wh at 0.3 a kWh: below 90 % once the shortfall's value, below 70 % one and a half times.
    function test_penalties_follow_the_tiers(uint256 wh) public {
        wh = bound(wh, 0, 7_000);
        metered[0] = wh * 1000 + 999;
        uint256 grid = available(plantOwner(91));
        report(0, metered, "");
        meter();
        uint256 value = wh < 6_000 ? (6_000 - wh) * 300_000 : 0;
        uint256 expected = wh >= 5_400 ? 0 : wh >= 4_200 ? (value + 999) / 1000 : (3 * value + 1999) / 2000;
        eq(available(plantOwner(91)) - grid, expected, "penalty to the grid");
        eq(available(plantOwner(11)), FUNDS - expected, "from the plant");
        eq(ledgerSum(), treasury.totalMicro(), "conservation");
    }

    function test_a_penalty_stops_at_the_plants_balance() public {
        metered[0] = 0;
        vm.prank(plantOwner(11));
        treasury.requestWithdraw(FUNDS - 5);
        vm.warp(START);
        vm.prank(plantOwner(11));
        treasury.withdraw(plantOwner(11));
        report(0, metered, "");
        meter();
        eq(available(plantOwner(11)), 0, "all it had");
        eq(available(plantOwner(91)), FUNDS + 5, "and no more");
    }

    // --- a plant marked missing

    /// @dev Wind is marked missing though the report holds its reading; pv is metered.
    function markWind() internal returns (uint256 until) {
        report(0, metered, outcome(10_000, 6_000));
        vm.warp(block.timestamp + GRACE);
        ISettlement.Position[] memory list = positionsOf(0, 0, metered);
        list[1].missing = true;
        settlement.meterPool(batchId, 0, 0, list);
        return block.timestamp + GRACE;
    }

    function test_a_reading_replaces_a_missing_mark_until_the_pool_is_paid() public {
        uint256 until = markWind();
        uint256 wind = available(plantOwner(12));
        eq(available(plantOwner(12)), FUNDS, "no penalty yet");
        settle(0, outcome(10_000, 6_000));
        fails(abi.encodeWithSelector(ISettlement.MissingReplaceable.selector, batchId, 0, 0, until));
        payPool(0, 0);
        settlement.meterMissing(batchId, 0, 0, 1, positionsOf(0, 0, metered)[1]);
        eq(settlement.deliveredWh(batchId, 0, 1), 4_000, "as if it had been metered");
        eq(settlement.pool(batchId, 0, 0).deliveredWh, 10_000, "the pool too");
        payPool(0, 0);
        isTrue(available(plantOwner(12)) > wind, "paid its share");
        eq(certificates.mintedOf(certificate(2)), 4_000, "its certificates");
        eq(ledgerSum(), treasury.totalMicro(), "conservation");
    }

    function certificate(uint256 source) internal view returns (uint256) {
        return certificates.packId(1, START, 0, source, address(settlement));
    }

    function test_a_plant_that_stays_missing_pays_when_the_pool_is_paid() public {
        uint256 until = markWind();
        settle(0, outcome(10_000, 6_000));
        uint256 grid = available(plantOwner(91));
        vm.warp(until);
        payPool(0, 0);
        // 4,000 Wh at 0.3 a kWh, one and a half times
        eq(available(plantOwner(91)) - grid, 1_800_000, "penalty to the grid");
        eq(available(plantOwner(12)), FUNDS - 1_800_000, "from the plant");
        eq(certificates.mintedOf(certificate(2)), 0, "no certificates");
        eq(ledgerSum(), treasury.totalMicro(), "conservation");
        ISettlement.Position memory late = positionsOf(0, 0, metered)[1];
        fails(abi.encodeWithSelector(ISettlement.NotMissing.selector, batchId, 0, 0, 1));
        settlement.meterMissing(batchId, 0, 0, 1, late);
    }

    function test_only_a_missing_plant_is_replaced_and_once() public {
        markWind();
        ISettlement.Position[] memory list = positionsOf(0, 0, metered);
        fails(abi.encodeWithSelector(ISettlement.NotMissing.selector, batchId, 0, 0, 0));
        settlement.meterMissing(batchId, 0, 0, 0, list[0]);
        fails(abi.encodeWithSelector(ISettlement.NotMissing.selector, batchId, 0, 0, 2));
        settlement.meterMissing(batchId, 0, 0, 2, list[1]);
        fails(abi.encodeWithSelector(ISettlement.ReadingMeter.selector, 111, 12));
        settlement.meterMissing(batchId, 0, 0, 1, list[0]);
        settlement.meterMissing(batchId, 0, 0, 1, list[1]);
        fails(abi.encodeWithSelector(ISettlement.NotMissing.selector, batchId, 0, 0, 1));
        settlement.meterMissing(batchId, 0, 0, 1, list[1]);
    }

    function test_a_late_reading_brings_its_surplus() public {
        metered[1] = 5_000_000;
        markWind();
        settlement.meterMissing(batchId, 0, 0, 1, positionsOf(0, 0, metered)[1]);
        eq(certificates.balanceOf(plantOwner(12), certificate(2)), 1_000, "surplus");
    }
}
