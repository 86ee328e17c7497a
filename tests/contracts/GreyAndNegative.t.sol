// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBundleMarket} from "../../contracts/interfaces/IBundleMarket.sol";
import {ISettlement} from "../../contracts/interfaces/ISettlement.sol";
import {Batch} from "./support/Batch.sol";

/// @dev Grey runs, whose power goes to the grid, and both modes at negative energy prices.
contract GreyAndNegativeTest is Batch {
    uint256[3] internal metered = [uint256(6_000_000), 4_000_000, 0];

    function batchOf(uint8 mode, uint256 lanes) internal {
        openMarket();
        addOrder(0, order(0));
        addRun(0, 0, mode, 0, 2, lanes);
        addPowers();
        clear();
        finish();
    }

    function deliver(uint256 milliLanes, uint256 matchedWh) internal {
        bytes memory outcomes = outcome(milliLanes, matchedWh);
        report(0, metered, outcomes);
        settlement.meterPool(batchId, 0, 0, positionsOf(0, 0, metered));
        settle(0, outcomes);
    }

    function test_grey_power_is_paid_to_the_grid_as_far_as_it_was_used() public {
        batchOf(GREY, 10);
        deliver(5_000, 0);
        // half of 10 kWh at 0.4 a kWh = 2.0; compute 6.0, half of it 3.0
        eq(available(plantOwner(91)), FUNDS + 2_000_000, "grid");
        eq(available(buyer(0)), FUNDS - 20_000_000 + 5_000_000 + 4_500_000, "refund and penalty");
        eq(available(siteOwner(1)), FUNDS + 3_000_000 - 4_500_000, "site");
        eq(ledgerSum(), treasury.totalMicro(), "conservation");
    }

    function test_grey_runs_match_nothing() public {
        batchOf(GREY, 10);
        bytes memory outcomes = outcome(10_000, 1);
        report(0, metered, outcomes);
        IBundleMarket.ChunkData memory c = chunk();
        bytes[] memory list = new bytes[](1);
        list[0] = outcomes;
        fails(abi.encodeWithSelector(ISettlement.GreyMatched.selector, 0, 0, 1));
        settlement.settleChunk(batchId, 0, c, new uint16[](1), list, new bytes32[][](1));
    }

    function test_releaseGrid_has_nothing_at_a_positive_price() public {
        batchOf(GREY, 10);
        fails(abi.encodeWithSelector(ISettlement.NothingToRelease.selector, batchId, 0, 0));
        settlement.releaseGrid(batchId, 0, 0);
    }

    /// @dev Price -0.05 a kWh: the grid pays the site 0.5 for taking 10 kWh, the buyer pays 10 lanes at 0.2.
    function test_a_negative_grid_price_is_paid_by_the_grid_and_the_rest_released() public {
        (greyEnergy, greyPrice) = (-50_000, 200_000);
        batchOf(GREY, 10);
        isTrue(locked(plantOwner(91)) >= 1_000_000, "two slots are locked");
        fails(abi.encodeWithSelector(ISettlement.PoolNotSettled.selector, batchId, 0, 0, 0, 10_000));
        settlement.releaseGrid(batchId, 0, 0);
        deliver(10_000, 0);
        eq(available(siteOwner(1)), FUNDS + 2_500_000, "site: 2.0 of the buyer, 0.5 of the grid");
        settlement.releaseGrid(batchId, 0, 0);
        uint256 held = locked(plantOwner(91));
        eq(available(plantOwner(91)) + held, FUNDS - 500_000, "the grid paid 0.5");
        fails(abi.encodeWithSelector(ISettlement.AlreadyPaid.selector, batchId, 0, 0));
        settlement.releaseGrid(batchId, 0, 0);
        isTrue(settlement.gridReleased(batchId, 0, 0), "released");
        eq(ledgerSum(), treasury.totalMicro(), "conservation");
    }

    function test_a_negative_green_price_is_paid_by_the_plants() public {
        (greenEnergy, greenPrice) = (-50_000, 200_000);
        batchOf(GREEN, 10);
        deliver(10_000, 10_000);
        payPool(0, 0);
        eq(available(siteOwner(1)), FUNDS + 2_500_000, "site");
        eq(available(plantOwner(11)) + locked(plantOwner(11)), FUNDS - 300_000, "pv pays 60 %");
        eq(available(plantOwner(12)) + locked(plantOwner(12)), FUNDS - 200_000, "wind pays 40 %");
        eq(available(address(settlement)), 0, "nothing stays");
        eq(ledgerSum(), treasury.totalMicro(), "conservation");
    }

    /// forge-config: default.fuzz.runs = 64
    /// @dev Nothing may stay behind or be short, whatever is delivered, at any sign of the price.
    function test_any_price_and_delivery_balances(
        int256 price,
        uint256 lanes,
        uint256 milliLanes,
        uint256 matchedWh,
        uint256[2] memory plantWh,
        bool grey
    ) public {
        int32 energyPrice = int32(boundSigned(price, -900_001, 900_001));
        lanes = bound(lanes, 1, 1000);
        milliLanes = bound(milliLanes, 0, 1000 * lanes);
        (greenEnergy, greyEnergy) = (energyPrice, energyPrice);
        ask = 0;
        batchOf(grey ? GREY : GREEN, lanes);
        metered = [bound(plantWh[0], 0, 2_000_000_000), bound(plantWh[1], 0, 2_000_000_000), 0];
        uint256 deliverable = least(metered[0] / 1000, grey ? 0 : lanes * E0 * 6 / 10);
        deliverable += least(metered[1] / 1000, grey ? 0 : lanes * E0 - lanes * E0 * 6 / 10);
        deliver(milliLanes, grey ? 0 : bound(matchedWh, 0, deliverable));
        payPool(0, 0);
        if (energyPrice < 0) {
            settlement.releaseGrid(batchId, 0, 0);
        }
        eq(available(address(settlement)), 0, "nothing stays in the pool");
        eq(ledgerSum(), treasury.totalMicro(), "conservation");
        eq(locked(buyer(0)), lanes * (grey ? greyPrice : greenPrice), "one slot is unlocked");
        uint256 sellersLock = locked(plantOwner(11)) + locked(plantOwner(12)) + locked(plantOwner(91));
        refundSlot1();
        payPool(1, 0);
        if (energyPrice < 0) {
            settlement.releaseGrid(batchId, 1, 0);
            isTrue(sellersLock > 0, "slot 1 was still locked");
        }
        eq(locked(plantOwner(11)) + locked(plantOwner(12)) + locked(plantOwner(91)), 0, "all sellers' locks end");
        eq(locked(buyer(0)), 0, "and the buyer's");
        eq(ledgerSum(), treasury.totalMicro(), "conservation to the end");
    }

    function refundSlot1() internal {
        vm.warp(block.timestamp + 3 days);
        refund(1);
    }

    function least(uint256 a, uint256 b) internal pure returns (uint256) {
        return a < b ? a : b;
    }
}
