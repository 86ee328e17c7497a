// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBundleMarket} from "../../contracts/interfaces/IBundleMarket.sol";
import {ISettlement} from "../../contracts/interfaces/ISettlement.sol";
import {Batch} from "./support/Batch.sol";

/// @dev finalize, voidBatch, releaseChunk, releaseObligations.
contract BatchEndTest is Batch {
    function setUp() public override {
        super.setUp();
        openMarket();
        addOrder(0, order(0));
        addRun(0, 0, GREEN, 0, 2, 10);
    }

    function notBalanced(uint16 zone, uint8 mode, uint16 slot, int256 wh) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(IBundleMarket.PoolNotBalanced.selector, zone, mode, slot, wh);
    }

    function test_finalize_refuses_unmet_demand() public {
        clear();
        fails(notBalanced(0, GREEN, 0, -10_000));
        finish();
    }

    function test_finalize_refuses_unused_supply() public {
        addPowers();
        addOrder(1, order(1));
        clearOther();
        fails(notBalanced(0, GREEN, 0, 10_000));
        finish();
    }

    /// @dev Leaves the collected order out: nothing is bought.
    function clearOther() internal {
        delete orders;
        delete sigs;
        delete runs;
    }

    function test_finalize_finds_any_unbalanced_field(uint256 zone, uint256 slot, uint256 wh) public {
        zone = bound(zone, 0, 1);
        slot = bound(slot, 0, SLOTS - 1);
        wh = bound(wh, 1, 1e6);
        uint256[SLOTS] memory row;
        row[slot] = wh;
        addPower(zone == 0 ? 91 : 92, row);
        fails(notBalanced(uint16(zone), GREY, uint16(slot), int256(wh)));
        finish();
    }

    function test_finalize_is_the_solvers_before_the_start_and_once() public {
        addPowers();
        clear();
        fails(abi.encodeWithSelector(IBundleMarket.NotSolver.selector, STRANGER));
        vm.prank(STRANGER);
        market.finalize(batchId);
        uint256 state = vm.snapshotState();
        vm.warp(START);
        fails(abi.encodeWithSelector(IBundleMarket.TooLate.selector, batchId, START));
        finish();
        vm.revertToState(state);
        finish();
        fails(
            abi.encodeWithSelector(
                IBundleMarket.WrongState.selector, batchId, IBundleMarket.State.Finalised
            )
        );
        finish();
    }

    function test_a_final_batch_cannot_be_voided_or_released() public {
        addPowers();
        clear();
        finish();
        bytes memory error_ = abi.encodeWithSelector(
            IBundleMarket.WrongState.selector, batchId, IBundleMarket.State.Finalised
        );
        vm.warp(START);
        fails(error_);
        market.voidBatch(batchId);
        IBundleMarket.ChunkData memory c = chunk();
        fails(error_);
        market.releaseChunk(batchId, 0, c, orders);
        fails(error_);
        market.releaseObligations(batchId, 0);
    }

    function test_voidBatch_is_the_solvers_first_and_everybodys_later() public {
        fails(abi.encodeWithSelector(IBundleMarket.NotYetVoidable.selector, batchId, START));
        vm.prank(STRANGER);
        market.voidBatch(batchId);
        uint256 state = vm.snapshotState();
        vm.prank(SOLVER);
        market.voidBatch(batchId);
        vm.revertToState(state);
        vm.warp(START);
        vm.prank(STRANGER);
        market.voidBatch(batchId);
        eq(uint256(market.batch(batchId).state), uint256(IBundleMarket.State.Voided), "state");
    }

    function test_release_gives_money_and_lanes_back_once() public {
        clear();
        IBundleMarket.ChunkData memory c = chunk();
        vm.warp(START);
        market.voidBatch(batchId);
        market.releaseChunk(batchId, 0, c, orders);
        eq(locked(buyer(0)), 0, "locked");
        eq(available(buyer(0)), FUNDS, "available");
        eq(market.lanesFilled(buyer(0), 7), 0, "lanes");
        isTrue(market.chunkReleased(batchId, 0), "released");
        fails(abi.encodeWithSelector(IBundleMarket.AlreadyReleased.selector, batchId, 0));
        market.releaseChunk(batchId, 0, c, orders);
    }

    function test_release_refuses_another_chunk_and_other_orders() public {
        clear();
        IBundleMarket.ChunkData memory c = chunk();
        vm.warp(START);
        market.voidBatch(batchId);
        bytes memory error_ = abi.encodeWithSelector(IBundleMarket.WrongChunk.selector, batchId, 0);
        c.makers = abi.encodePacked(STRANGER);
        fails(error_);
        market.releaseChunk(batchId, 0, c, orders);
        c = chunk();
        orders[0].lanes += 1;
        fails(error_);
        market.releaseChunk(batchId, 0, c, orders);
        orders.push(orders[0]);
        fails(error_);
        market.releaseChunk(batchId, 0, c, orders);
    }

    function test_release_leaves_a_cancelled_nonce_cancelled() public {
        clear();
        vm.prank(buyer(0));
        market.cancel(7);
        IBundleMarket.ChunkData memory c = chunk();
        vm.warp(START);
        market.voidBatch(batchId);
        market.releaseChunk(batchId, 0, c, orders);
        eq(market.lanesFilled(buyer(0), 7), type(uint32).max, "cancelled for ever");
        eq(available(buyer(0)), FUNDS, "but the money is back");
    }

    function test_releaseObligations_gives_back_once() public {
        greenEnergy = -50_000;
        greenPrice = 200_000;
        openMarketAgain();
        uint256[SLOTS] memory wh = [uint256(1000), 0, 3000, 0];
        addPower(11, wh);
        isTrue(locked(plantOwner(11)) > 0, "locked");
        vm.prank(SOLVER);
        market.voidBatch(batchId);
        market.releaseObligations(batchId, 0);
        eq(locked(plantOwner(11)), 0, "released");
        eq(available(plantOwner(11)), FUNDS, "available");
        fails(abi.encodeWithSelector(IBundleMarket.AlreadyReleased.selector, batchId, 0));
        market.releaseObligations(batchId, 0);
    }

    function openMarketAgain() internal {
        openBatch();
        postPrices();
    }

    function test_a_voided_batch_is_not_settled() public {
        addPowers();
        clear();
        vm.prank(SOLVER);
        market.voidBatch(batchId);
        IBundleMarket.ChunkData memory c = chunk();
        fails(abi.encodeWithSelector(ISettlement.NotFinalised.selector, batchId));
        settlement.refundChunk(batchId, 0, c, new uint16[](1));
    }
}
