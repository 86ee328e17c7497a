// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBundleMarket} from "../../contracts/interfaces/IBundleMarket.sol";
import {ITreasury} from "../../contracts/interfaces/ITreasury.sol";
import {OrderLib} from "../../contracts/libraries/OrderLib.sol";
import {Batch} from "./support/Batch.sol";

/// @dev The struct hash as Solidity encodes it.
library OrderLibHash {
    function hash(IBundleMarket.BundleOrder memory o) internal pure returns (bytes32) {
        return keccak256(abi.encode(OrderLib.BUNDLE_ORDER, o));
    }
}

/// @dev An EIP-1271 wallet that accepts one hash.
contract Wallet {
    bytes32 internal accepted;

    function accept(bytes32 hash) external {
        accepted = hash;
    }

    function isValidSignature(bytes32 hash, bytes calldata) external view returns (bytes4) {
        return hash == accepted ? this.isValidSignature.selector : bytes4(0);
    }
}

contract ClearChunkTest is Batch {
    function setUp() public override {
        super.setUp();
        openMarket();
    }

    function refused(bytes memory error_) internal {
        IBundleMarket.BundleOrder[] memory list = orders;
        bytes[] memory signatures = sigs;
        bytes memory data = runs;
        fails(error_);
        vm.prank(SOLVER);
        market.clearChunk(batchId, packed(list, signatures), data);
    }

    function one(IBundleMarket.BundleOrder memory o) internal {
        delete orders;
        delete sigs;
        delete runs;
        addOrder(0, o);
    }

    // --- the call

    function test_only_the_batchs_solver() public {
        fails(abi.encodeWithSelector(IBundleMarket.NotSolver.selector, STRANGER));
        vm.prank(STRANGER);
        market.clearChunk(batchId, "", "");
    }

    function test_only_before_the_start() public {
        addOrder(0, order(0));
        addRun(0, 0, GREEN, 0, 2, 1);
        vm.warp(START);
        refused(abi.encodeWithSelector(IBundleMarket.TooLate.selector, batchId, START));
    }

    function test_lengths() public {
        one(order(0));
        refused(abi.encodeWithSelector(IBundleMarket.RunsLength.selector, 0));
        runs = hex"00";
        refused(abi.encodeWithSelector(IBundleMarket.RunsLength.selector, 1));
    }

    function test_groups_are_whole_and_makers_ascend() public {
        IBundleMarket.BundleOrder memory o = order(0);
        bytes memory sig = sign(BUYER_KEY, market.hashOrder(o));
        addRun(0, 0, GREEN, 0, 2, 1);
        groupRefused(
            bytes.concat(head(o.maker, 0, 1, sig), terms(o)),
            abi.encodeWithSelector(IBundleMarket.BadGroup.selector, 0, 0, 1)
        );
        groupRefused(
            bytes.concat(head(o.maker, 33, 1, sig), terms(o)),
            abi.encodeWithSelector(IBundleMarket.BadGroup.selector, 0, 33, 1)
        );
        groupRefused(head(o.maker, 1, 0, sig), abi.encodeWithSelector(IBundleMarket.BadGroup.selector, 0, 1, 0));
        groupRefused(
            bytes.concat(head(o.maker, 1, 2, sig), terms(o)),
            abi.encodeWithSelector(IBundleMarket.BadGroup.selector, 0, 1, 2)
        );
        groupRefused(
            head(o.maker, 1, 1, sig), abi.encodeWithSelector(IBundleMarket.OrdersLength.selector, 92, 169)
        );
        IBundleMarket.BundleOrder memory first = order(1);
        bytes memory both = bytes.concat(
            head(first.maker, 1, 1, sign(BUYER_KEY + 1, market.hashOrder(first))),
            terms(first),
            head(o.maker, 1, 1, sig),
            terms(o)
        );
        groupRefused(both, abi.encodeWithSelector(IBundleMarket.MakersNotAscending.selector, 1, o.maker));
    }

    function groupRefused(bytes memory data, bytes memory error_) internal {
        bytes memory list = runs;
        fails(error_);
        vm.prank(SOLVER);
        market.clearChunk(batchId, data, list);
    }

    // --- one signature for many orders

    /// @dev Orders 0 to 2 of buyer 0 with nonces 20 to 22; the middle one is not cleared.
    function together(uint256 key) internal returns (bytes memory data, IBundleMarket.BundleOrder[] memory list) {
        list = new IBundleMarket.BundleOrder[](3);
        bytes memory hashes;
        for (uint64 i; i < 3; ++i) {
            list[i] = order(0);
            list[i].nonce = 20 + i;
            hashes = bytes.concat(hashes, OrderLibHash.hash(list[i]));
        }
        bytes32 digest = keccak256(
            abi.encodePacked(
                hex"1901",
                domain("BitWatt", address(market)),
                keccak256(abi.encode(OrderLib.BUNDLE_ORDERS, keccak256(hashes)))
            )
        );
        data = bytes.concat(
            head(list[0].maker, 3, 5, sign(key, digest)),
            terms(list[0]),
            OrderLibHash.hash(list[1]),
            terms(list[2])
        );
        addRun(0, 0, GREEN, 0, 2, 3);
        addRun(1, 0, GREEN, 0, 2, 4);
    }

    function test_one_signature_for_many_orders() public {
        (bytes memory data, IBundleMarket.BundleOrder[] memory list) = together(BUYER_KEY);
        vm.prank(SOLVER);
        market.clearChunk(batchId, data, runs);
        eq(market.lanesFilled(buyer(0), 20), 3, "first");
        eq(market.lanesFilled(buyer(0), 21), 0, "the one left out");
        eq(market.lanesFilled(buyer(0), 22), 4, "third");
        bytes32 hashes = keccak256(bytes.concat(market.hashOrder(list[0]), market.hashOrder(list[2])));
        bytes32 makers = keccak256(abi.encodePacked(buyer(0), buyer(0)));
        eqHash(
            market.chunkCommitment(batchId, 0), keccak256(abi.encode(makers, hashes, keccak256(runs))), "commitment"
        );
    }

    function test_refuses_a_foreign_signature_of_many_orders() public {
        (bytes memory data,) = together(BUYER_KEY + 1);
        bytes memory list = runs;
        vm.expectPartialRevert(IBundleMarket.BadSignature.selector);
        vm.prank(SOLVER);
        market.clearChunk(batchId, data, list);
    }

    function test_takes_a_compact_signature() public {
        IBundleMarket.BundleOrder memory o = order(0);
        one(o);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(BUYER_KEY, market.hashOrder(o));
        sigs[0] = abi.encodePacked(r, bytes32(uint256(s) | uint256(v - 27) << 255));
        addRun(0, 0, GREEN, 0, 2, 1);
        clear();
        eq(market.lanesFilled(buyer(0), 7), 1, "filled");
    }

    // --- queued nonces

    uint64 private constant QUEUE = 1 << 52;

    function queued(uint64 number, uint32 lanes, uint256 fill_) internal {
        IBundleMarket.BundleOrder memory o = order(0);
        (o.nonce, o.lanes, o.epoch) = (QUEUE + number, lanes, market.epochOf(buyer(0)));
        one(o);
        runs = run(0, 0, GREEN, 0, 2, fill_);
    }

    function test_queued_nonces_are_filled_once_in_part_and_slide() public {
        queued(0, 5, 5);
        clear();
        eq(market.lanesFilled(buyer(0), QUEUE), type(uint32).max, "filled");
        refused(abi.encodeWithSelector(IBundleMarket.NonceCancelled.selector, buyer(0), QUEUE));
        queued(1, 5, 2);
        clear();
        eq(market.lanesFilled(buyer(0), QUEUE + 1), 2, "in part");
        queued(1, 5, 4);
        refused(abi.encodeWithSelector(IBundleMarket.LanesOutOfRange.selector, 0, 4, 1, 3));
        queued(1, 5, 3);
        clear();
        queued(18, 5, 5);
        refused(abi.encodeWithSelector(IBundleMarket.NonceOutsideWindow.selector, QUEUE + 18, QUEUE + 2));
        queued(17, 5, 5);
        clear();
        queued(0, 5, 5);
        refused(abi.encodeWithSelector(IBundleMarket.NonceCancelled.selector, buyer(0), QUEUE));
    }

    function test_queued_nonces_are_cancelled_one_by_one_and_by_epoch() public {
        vm.prank(buyer(0));
        market.cancel(QUEUE + 3);
        queued(3, 5, 5);
        refused(abi.encodeWithSelector(IBundleMarket.NonceCancelled.selector, buyer(0), QUEUE + 3));
        vm.prank(buyer(0));
        market.cancelAll();
        queued(3, 5, 5);
        clear();
        eq(market.lanesFilled(buyer(0), QUEUE + 3), type(uint32).max, "fresh in the new epoch");
    }

    // --- cancelled by a signature that somebody else sends

    function signedCancel(uint256 key, bytes32 structHash) internal view returns (bytes memory) {
        return sign(
            key, keccak256(abi.encodePacked(hex"1901", domain("BitWatt", address(market)), structHash))
        );
    }

    function test_a_signed_cancel_is_sent_by_anyone() public {
        bytes32 hash = keccak256(abi.encode(OrderLib.CANCEL, buyer(0), uint32(0), uint64(7)));
        bytes memory foreign = signedCancel(BUYER_KEY + 1, hash);
        vm.expectPartialRevert(IBundleMarket.BadSignature.selector);
        market.cancelFor(buyer(0), 7, foreign);
        market.cancelFor(buyer(0), 7, signedCancel(BUYER_KEY, hash));
        eq(market.lanesFilled(buyer(0), 7), type(uint32).max, "cancelled");
    }

    function test_a_signed_cancelAll_is_sent_once() public {
        bytes memory sig = signedCancel(BUYER_KEY, keccak256(abi.encode(OrderLib.CANCEL_ALL, buyer(0), uint32(0))));
        market.cancelAllFor(buyer(0), sig);
        eq(market.epochOf(buyer(0)), 1, "epoch");
        vm.expectPartialRevert(IBundleMarket.BadSignature.selector);
        market.cancelAllFor(buyer(0), sig);
    }

    // --- the message

    function test_refuses_an_expired_order() public {
        IBundleMarket.BundleOrder memory o = order(0);
        o.expiry = uint64(block.timestamp - 1);
        one(o);
        addRun(0, 0, GREEN, 0, 2, 1);
        refused(abi.encodeWithSelector(IBundleMarket.Expired.selector, market.hashOrder(o), o.expiry));
    }

    function test_refuses_after_cancelAll_and_cancel() public {
        one(order(0));
        addRun(0, 0, GREEN, 0, 2, 1);
        uint256 state = vm.snapshotState();
        vm.prank(buyer(0));
        market.cancelAll();
        refused(abi.encodeWithSelector(IBundleMarket.StaleEpoch.selector, market.hashOrder(order(0)), 0, 1));
        vm.revertToState(state);
        vm.prank(buyer(0));
        market.cancel(7);
        eq(market.lanesFilled(buyer(0), 7), type(uint32).max, "cancelled");
        refused(abi.encodeWithSelector(IBundleMarket.NonceCancelled.selector, buyer(0), 7));
    }

    function test_refuses_a_foreign_a_malleable_and_a_padded_signature() public {
        IBundleMarket.BundleOrder memory o = order(0);
        one(o);
        addRun(0, 0, GREEN, 0, 2, 1);
        bytes32 hash = market.hashOrder(o);
        bytes memory error_ = abi.encodeWithSelector(IBundleMarket.BadSignature.selector, buyer(0), hash);
        sigs[0] = sign(BUYER_KEY + 1, hash);
        refused(error_);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(BUYER_KEY, hash);
        uint256 n = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
        sigs[0] = abi.encodePacked(r, bytes32(n - uint256(s)), v == 27 ? uint8(28) : uint8(27));
        refused(error_);
        sigs[0] = abi.encodePacked(r, s, v, uint8(0));
        refused(error_);
    }

    function test_refuses_an_order_for_another_chain() public {
        IBundleMarket.BundleOrder memory o = order(0);
        vm.chainId(1);
        one(o);
        vm.chainId(31337);
        addRun(0, 0, GREEN, 0, 2, 1);
        refused(abi.encodeWithSelector(IBundleMarket.BadSignature.selector, buyer(0), market.hashOrder(o)));
    }

    function test_takes_a_contract_wallet() public {
        Wallet wallet = new Wallet();
        _fund(address(wallet), FUNDS);
        IBundleMarket.BundleOrder memory o = order(0);
        o.maker = address(wallet);
        orders.push(o);
        sigs.push(hex"01");
        addRun(0, 0, GREEN, 0, 2, 1);
        refused(abi.encodeWithSelector(IBundleMarket.BadSignature.selector, o.maker, market.hashOrder(o)));
        wallet.accept(market.hashOrder(o));
        clear();
        eq(locked(address(wallet)), 2_200_000, "locked");
    }

    // --- the order

    function test_refuses_kinds_not_cleared_yet() public {
        IBundleMarket.BundleOrder memory o = order(0);
        o.kind = 3;
        one(o);
        addRun(0, 0, GREEN, 0, 2, 1);
        refused(abi.encodeWithSelector(IBundleMarket.KindNotSupported.selector, 0, 3));
    }

    function test_refuses_an_order_without_duration_or_with_all_lanes() public {
        IBundleMarket.BundleOrder memory o = order(0);
        o.durationSlots = 0;
        one(o);
        addRun(0, 0, GREEN, 0, 2, 1);
        refused(abi.encodeWithSelector(IBundleMarket.BadOrder.selector, 0, bytes32("durationSlots")));
        o = order(0);
        o.lanes = type(uint32).max;
        one(o);
        addRun(0, 0, GREEN, 0, 2, 1);
        refused(abi.encodeWithSelector(IBundleMarket.BadOrder.selector, 0, bytes32("lanes")));
    }

    function test_every_order_has_a_run_and_every_run_an_order() public {
        one(order(0));
        addOrder(1, order(1));
        addRun(0, 0, GREEN, 0, 2, 1);
        refused(abi.encodeWithSelector(IBundleMarket.OrderNotFilled.selector, 1));
        one(order(0));
        addRun(0, 0, GREEN, 0, 2, 1);
        addRun(1, 0, GREEN, 0, 2, 1);
        refused(abi.encodeWithSelector(IBundleMarket.UnknownOrder.selector, 1, 1));
    }

    // --- the run

    function runRefused(bytes memory data, bytes memory error_) internal {
        one(order(0));
        runs = data;
        refused(error_);
    }

    function test_refuses_modes_and_empty_runs() public {
        runRefused(run(0, 0, 2, 0, 2, 1), abi.encodeWithSelector(IBundleMarket.RunMode.selector, 0, 2));
        runRefused(run(0, 0, GREEN, 0, 2, 0), abi.encodeWithSelector(IBundleMarket.RunEmpty.selector, 0));
        runRefused(run(0, 0, GREEN, 2, 2, 1), abi.encodeWithSelector(IBundleMarket.RunEmpty.selector, 0));
    }

    function test_refuses_slots_outside_the_orders_window() public {
        runRefused(
            run(0, 0, GREEN, 3, 5, 1), abi.encodeWithSelector(IBundleMarket.RunOutsideWindow.selector, 0, 3, 5)
        );
        IBundleMarket.BundleOrder memory o = order(0);
        o.start = START + 1;
        one(o);
        runs = run(0, 0, GREEN, 0, 2, 1);
        refused(abi.encodeWithSelector(IBundleMarket.RunOutsideWindow.selector, 0, 0, 2));
        o = order(0);
        o.deadline -= 1;
        one(o);
        runs = run(0, 0, GREEN, 2, 4, 1);
        refused(abi.encodeWithSelector(IBundleMarket.RunOutsideWindow.selector, 0, 2, 4));
    }

    function test_refuses_unknown_offers_other_classes_and_zones() public {
        runRefused(
            run(0, 2, GREEN, 0, 2, 1), abi.encodeWithSelector(IBundleMarket.UnknownOffer.selector, 0, 2)
        );
        IBundleMarket.BundleOrder memory o = order(0);
        o.classId = 1;
        one(o);
        runs = run(0, 0, GREEN, 0, 2, 1);
        refused(abi.encodeWithSelector(IBundleMarket.RunWrongClass.selector, 0, 0, 1));
        o = order(0);
        o.zoneMask = 1;
        one(o);
        runs = run(0, 1, GREEN, 0, 2, 1);
        refused(abi.encodeWithSelector(IBundleMarket.ZoneNotAllowed.selector, 0, 1));
    }

    function test_refuses_slots_outside_the_offer() public {
        IBundleMarket.ComputeOffer memory short = computeOffer(1);
        short.start += SLOT;
        short.nonce = 2;
        addCompute(short);
        runRefused(
            run(0, 2, GREEN, 0, 2, 1), abi.encodeWithSelector(IBundleMarket.RunOutsideOffer.selector, 0, 0, 2)
        );
    }

    /// @dev 1.1 a VCU-slot pays 0.3 a kWh for 1 kWh and leaves 0.8.
    function test_refuses_a_site_below_its_ask() public {
        IBundleMarket.ComputeOffer memory dear = computeOffer(1);
        dear.nonce = 2;
        (dear.askPrice, dear.capacity) = (800_000, 1000);
        addCompute(dear);
        dear.nonce = 3;
        dear.askPrice = 800_001;
        addCompute(dear);
        runRefused(
            run(0, 3, GREEN, 0, 2, 1), abi.encodeWithSelector(IBundleMarket.RunBelowAsk.selector, 0, 0)
        );
        one(order(0));
        runs = run(0, 2, GREEN, 0, 2, 1);
        clear();
    }

    function test_carbon_cap_masks_grey_only() public {
        IBundleMarket.BundleOrder memory o = order(0);
        o.maxCarbon = gridCarbon - 1;
        one(o);
        runs = run(0, 0, GREY, 0, 2, 1);
        refused(abi.encodeWithSelector(IBundleMarket.CarbonAboveCap.selector, 0, 0, gridCarbon));
        one(o);
        runs = run(0, 0, GREEN, 0, 2, 1);
        clear();
        o.maxCarbon = gridCarbon;
        o.nonce = 8;
        one(o);
        runs = run(0, 0, GREY, 0, 2, 1);
        clear();
    }

    function test_refuses_more_lanes_than_the_site_has_in_one_chunk_and_over_chunks() public {
        runRefused(
            run(0, 0, GREEN, 1, 3, 10_001),
            abi.encodeWithSelector(IBundleMarket.CapacityExceeded.selector, 0, 1, 10_001, 10_000)
        );
        IBundleMarket.BundleOrder memory o = order(0);
        o.lanes = 10_000;
        one(o);
        addRun(0, 0, GREEN, 0, 2, 10_000);
        addOrder(1, order(1));
        addRun(1, 0, GREY, 1, 3, 1);
        refused(abi.encodeWithSelector(IBundleMarket.CapacityExceeded.selector, 0, 1, 10_001, 10_000));
        one(o);
        addRun(0, 0, GREEN, 0, 2, 10_000);
        clear();
        eq(market.lanesSold(batchId, 0, 1), 10_000, "sold out");
        delete orders;
        delete sigs;
        delete runs;
        addOrder(1, order(1));
        addRun(0, 0, GREY, 1, 3, 1);
        refused(abi.encodeWithSelector(IBundleMarket.CapacityExceeded.selector, 0, 1, 10_001, 10_000));
    }

    // --- the order as a whole

    function test_lanes_are_whole_in_every_zone() public {
        one(order(0));
        addRun(0, 0, GREEN, 0, 1, 1);
        addRun(0, 1, GREEN, 1, 2, 1);
        refused(abi.encodeWithSelector(IBundleMarket.LanesSplit.selector, 0, 0, 1, 2));
    }

    function test_zones_of_an_order_ascend() public {
        one(order(0));
        addRun(0, 1, GREEN, 0, 2, 1);
        addRun(0, 0, GREEN, 0, 2, 1);
        refused(abi.encodeWithSelector(IBundleMarket.RunsNotSorted.selector, 1));
    }

    /// @dev Two lanes for two slots cannot be three in one slot and one in another.
    function test_no_slot_has_more_lanes_than_the_order_got() public {
        one(order(0));
        addRun(0, 0, GREEN, 0, 1, 3);
        addRun(0, 0, GREY, 1, 2, 1);
        refused(abi.encodeWithSelector(IBundleMarket.RateExceeded.selector, 0, 0, 3, 2));
        one(order(0));
        addRun(0, 0, GREEN, 0, 1, 2);
        addRun(0, 0, GREY, 1, 3, 1);
        clear();
        eq(market.lanesFilled(buyer(0), 7), 2, "a lane may change mode and pause");
    }

    function test_lanes_stay_in_their_range() public {
        IBundleMarket.BundleOrder memory o = order(0);
        (o.minLanes, o.lanes) = (5, 10);
        one(o);
        addRun(0, 0, GREEN, 0, 2, 4);
        refused(abi.encodeWithSelector(IBundleMarket.LanesOutOfRange.selector, 0, 4, 5, 10));
        one(o);
        addRun(0, 0, GREEN, 0, 2, 11);
        refused(abi.encodeWithSelector(IBundleMarket.LanesOutOfRange.selector, 0, 11, 5, 10));
        o.kind = 2;
        one(o);
        addRun(0, 0, GREEN, 0, 2, 9);
        refused(abi.encodeWithSelector(IBundleMarket.LanesOutOfRange.selector, 0, 9, 10, 10));
        one(o);
        addRun(0, 0, GREEN, 0, 2, 10);
        clear();
    }

    function test_green_share_is_kept() public {
        IBundleMarket.BundleOrder memory o = order(0);
        o.minGreenBps = 5_000;
        one(o);
        addRun(0, 0, GREEN, 0, 2, 4);
        addRun(0, 0, GREY, 0, 2, 5);
        refused(abi.encodeWithSelector(IBundleMarket.GreenBelowMinimum.selector, 0, 8, 18));
        one(o);
        addRun(0, 0, GREEN, 0, 2, 4);
        addRun(0, 0, GREY, 0, 2, 4);
        clear();
    }

    function test_cost_stays_at_the_limit() public {
        IBundleMarket.BundleOrder memory o = order(0);
        o.limitPrice = greenPrice - 1;
        one(o);
        addRun(0, 0, GREEN, 0, 2, 3);
        refused(abi.encodeWithSelector(IBundleMarket.CostAboveLimit.selector, 0, 6_600_000, 6_599_994));
        o.limitPrice = greenPrice;
        one(o);
        addRun(0, 0, GREEN, 0, 2, 3);
        clear();
        eq(locked(buyer(0)), 6_600_000, "locked");
    }

    function test_an_order_is_never_overfilled() public {
        IBundleMarket.BundleOrder memory o = order(0);
        o.lanes = 10;
        one(o);
        addRun(0, 0, GREEN, 0, 2, 6);
        clear();
        eq(market.lanesFilled(buyer(0), 7), 6, "first fill");
        one(o);
        addRun(0, 0, GREEN, 0, 2, 5);
        refused(abi.encodeWithSelector(IBundleMarket.LanesOutOfRange.selector, 0, 5, 1, 4));
        one(o);
        addRun(0, 0, GREEN, 0, 2, 4);
        clear();
        eq(market.lanesFilled(buyer(0), 7), 10, "filled");
        one(o);
        addRun(0, 0, GREEN, 0, 2, 1);
        refused(abi.encodeWithSelector(IBundleMarket.LanesOutOfRange.selector, 0, 1, 1, 0));
    }

    function test_a_buyer_without_money_reverts_the_chunk() public {
        IBundleMarket.BundleOrder memory o = order(0);
        o.maker = vm.addr(0xE0);
        orders.push(o);
        sigs.push(sign(0xE0, market.hashOrder(o)));
        addRun(0, 0, GREEN, 0, 2, 1);
        refused(
            abi.encodeWithSelector(
                ITreasury.InsufficientAvailable.selector, o.maker, 0, int256(-2_200_000)
            )
        );
    }

    function test_clears_two_orders_of_one_maker_in_one_ledger_word() public {
        IBundleMarket.BundleOrder memory o = order(0);
        one(o);
        o.nonce = 8;
        addOrder(0, o);
        addRun(0, 0, GREEN, 0, 2, 3);
        addRun(1, 0, GREY, 2, 4, 2);
        clear();
        eq(locked(buyer(0)), 3 * 2_200_000 + 2 * 2_000_000, "locked");
        eq(available(buyer(0)), FUNDS - locked(buyer(0)), "available");
        eq(market.lanesFilled(buyer(0), 8), 2, "second order");
    }

    function test_clears_any_legal_rectangle(uint256 lanes, uint256 from, uint256 mode, uint256 site) public {
        lanes = bound(lanes, 1, 1000);
        from = bound(from, 0, SLOTS - 2);
        mode = bound(mode, 0, 1);
        site = bound(site, 0, 1);
        one(order(0));
        addRun(0, site, uint8(mode), from, from + 2, lanes);
        clear();
        eq(market.lanesFilled(buyer(0), 7), lanes, "filled");
        eq(locked(buyer(0)), 2 * lanes * (mode == 0 ? greyPrice : greenPrice), "locked");
        for (uint16 t; t < SLOTS; ++t) {
            bool inside = t >= from && t < from + 2;
            eq(market.lanesSold(batchId, uint16(site), t), inside ? lanes : 0, "lanes sold");
            eqSigned(
                market.poolBalanceWh(batchId, uint16(site), uint8(mode), t),
                -int256(inside ? lanes * (site == 0 ? E0 : E1) : 0),
                "pool"
            );
        }
        IBundleMarket.ChunkData memory c = chunk();
        eqHash(
            market.chunkCommitment(batchId, 0), keccak256(abi.encode(keccak256(c.makers), c.ordersHash, keccak256(c.runs))), "commitment"
        );
    }
}
