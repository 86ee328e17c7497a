// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFlexMarket} from "../../contracts/interfaces/IFlexMarket.sol";
import {ITreasury} from "../../contracts/interfaces/ITreasury.sol";
import {Tree} from "./support/Tree.sol";
import {World} from "./support/World.sol";

contract FlexMarketTest is World {
    uint64 internal constant DAY = 20_833;
    uint64 internal constant END = START + 1 days;
    address internal constant PAYER = address(0xF0);
    address internal constant AGG = address(0xF1);
    address internal constant OTHER = address(0xF2);
    uint256 internal constant COLLATERAL = 1_000e6;

    IFlexMarket.Award[] internal awards;
    IFlexMarket.Delivery[] internal deliveries;
    bytes32[] internal awardLeaves;
    bytes32[] internal deliveryLeaves;

    function setUp() public override {
        super.setUp();
        _fund(PAYER, COLLATERAL);
        _fund(AGG, COLLATERAL);
        _fund(OTHER, COLLATERAL);
        address[3] memory all = [PAYER, AGG, OTHER];
        for (uint256 i; i < 3; ++i) {
            vm.prank(all[i]);
            flex.trust(OPERATOR, true);
        }
        _add(AGG, 1_000_000, 500_000, 1_000_000);
        _add(AGG, 1_000_000, 500_000, 750_000);
        _add(OTHER, 2_000_000, 300_000, 100_000);
    }

    // --- helpers

    function _add(address aggregator, uint64 declared, int64 price, uint64 delivered) internal {
        uint32 index = uint32(awards.length);
        awards.push(IFlexMarket.Award(index, aggregator, "shed", declared, price));
        deliveries.push(IFlexMarket.Delivery(delivered, keccak256(abi.encode("inputs", index))));
        bytes32 a = keccak256(abi.encode(DAY, index, aggregator, bytes32("shed"), declared, price));
        awardLeaves.push(keccak256(bytes.concat(a)));
        bytes32 d = keccak256(abi.encode(DAY, index, delivered, deliveries[index].inputsHash));
        deliveryLeaves.push(keccak256(bytes.concat(d)));
    }

    function _stakes() internal pure returns (IFlexMarket.Stake[] memory stakes) {
        stakes = new IFlexMarket.Stake[](2);
        stakes[0] = IFlexMarket.Stake(AGG, 2, 1_000e6, 750e6);
        stakes[1] = IFlexMarket.Stake(OTHER, 1, 600e6, 900e6);
        (stakes[0].paymentMicro, stakes[1].paymentMicro) = (400e6, 200e6);
    }

    function _anchor() internal {
        IFlexMarket.Stake[] memory stakes = _stakes();
        (stakes[0].paymentMicro, stakes[1].paymentMicro) = (900e6, 60e6);
        vm.prank(OPERATOR);
        flex.anchorAwards(DAY, PAYER, END, Tree.root(awardLeaves), stakes);
    }

    function _deliver() internal {
        vm.warp(END);
        vm.prank(OPERATOR);
        flex.anchorDeliveries(DAY, Tree.root(deliveryLeaves));
    }

    function _settle(uint256 from, uint256 to) internal {
        uint256 n = to - from;
        IFlexMarket.Award[] memory a = new IFlexMarket.Award[](n);
        IFlexMarket.Delivery[] memory d = new IFlexMarket.Delivery[](n);
        bytes32[][] memory ap = new bytes32[][](n);
        bytes32[][] memory dp = new bytes32[][](n);
        for (uint256 i; i < n; ++i) {
            (a[i], d[i]) = (awards[from + i], deliveries[from + i]);
            ap[i] = Tree.proof(awardLeaves, from + i);
            dp[i] = Tree.proof(deliveryLeaves, from + i);
        }
        flex.settle(DAY, a, d, ap, dp);
    }

    function _locked(address account) internal view returns (uint256 locked) {
        (, locked) = treasury.ledger(account);
    }

    // --- anchorAwards, in the order of its checks

    function test_anchor_reverts_for_strangers() public {
        fails(abi.encodeWithSelector(IFlexMarket.NotOperator.selector, STRANGER));
        vm.prank(STRANGER);
        flex.anchorAwards(DAY, PAYER, END, "root", _stakes());
    }

    function test_anchor_works_once_a_period() public {
        _anchor();
        fails(abi.encodeWithSelector(IFlexMarket.PeriodExists.selector, DAY));
        vm.prank(OPERATOR);
        flex.anchorAwards(DAY, PAYER, END, "root", _stakes());
    }

    function test_anchor_reverts_without_root_or_future_end() public {
        vm.startPrank(OPERATOR);
        fails(abi.encodeWithSelector(IFlexMarket.EmptyRoot.selector));
        flex.anchorAwards(DAY, PAYER, END, 0, _stakes());
        fails(abi.encodeWithSelector(IFlexMarket.BadEnd.selector, block.timestamp, block.timestamp));
        flex.anchorAwards(DAY, PAYER, uint64(block.timestamp), "root", _stakes());
    }

    function test_anchor_reverts_without_trust() public {
        vm.prank(PAYER);
        flex.trust(OPERATOR, false);
        fails(abi.encodeWithSelector(IFlexMarket.NotTrusted.selector, PAYER, OPERATOR));
        vm.prank(OPERATOR);
        flex.anchorAwards(DAY, PAYER, END, "root", _stakes());
        vm.prank(PAYER);
        flex.trust(OPERATOR, true);
        vm.prank(AGG);
        flex.trust(OPERATOR, false);
        fails(abi.encodeWithSelector(IFlexMarket.NotTrusted.selector, AGG, OPERATOR));
        vm.prank(OPERATOR);
        flex.anchorAwards(DAY, PAYER, END, "root", _stakes());
    }

    function test_anchor_reverts_for_an_aggregator_twice_or_without_awards() public {
        IFlexMarket.Stake[] memory stakes = _stakes();
        stakes[1].aggregator = AGG;
        fails(abi.encodeWithSelector(IFlexMarket.StakeTwice.selector, AGG));
        vm.prank(OPERATOR);
        flex.anchorAwards(DAY, PAYER, END, "root", stakes);
        stakes[1].aggregator = OTHER;
        stakes[1].awards = 0;
        fails(abi.encodeWithSelector(IFlexMarket.StakeEmpty.selector, OTHER));
        vm.prank(OPERATOR);
        flex.anchorAwards(DAY, PAYER, END, "root", stakes);
    }

    function test_anchor_reverts_for_an_aggregator_without_collateral() public {
        IFlexMarket.Stake[] memory stakes = _stakes();
        stakes[0].penaltyMicro = uint128(COLLATERAL + 1);
        fails(
            abi.encodeWithSelector(
                ITreasury.InsufficientAvailable.selector, AGG, COLLATERAL, -int256(COLLATERAL + 1)
            )
        );
        vm.prank(OPERATOR);
        flex.anchorAwards(DAY, PAYER, END, "root", stakes);
    }

    function test_anchor_locks_both_sides() public {
        _anchor();
        eq(_locked(PAYER), 960e6, "payer");
        eq(_locked(AGG), 750e6, "aggregator");
        eq(_locked(OTHER), 900e6, "other");
    }

    // --- deliveries

    function test_deliveries_revert_in_order() public {
        fails(abi.encodeWithSelector(IFlexMarket.UnknownPeriod.selector, DAY));
        flex.anchorDeliveries(DAY, "root");
        _anchor();
        fails(abi.encodeWithSelector(IFlexMarket.NotOperator.selector, STRANGER));
        vm.prank(STRANGER);
        flex.anchorDeliveries(DAY, "root");
        fails(abi.encodeWithSelector(IFlexMarket.EmptyRoot.selector));
        vm.prank(OPERATOR);
        flex.anchorDeliveries(DAY, 0);
        fails(abi.encodeWithSelector(IFlexMarket.NotEnded.selector, DAY, END));
        vm.prank(OPERATOR);
        flex.anchorDeliveries(DAY, "root");
        _deliver();
        fails(abi.encodeWithSelector(IFlexMarket.AlreadyDelivered.selector, DAY));
        vm.prank(OPERATOR);
        flex.anchorDeliveries(DAY, "root");
    }

    // --- settle

    function test_settle_reverts_before_deliveries_and_in_the_window() public {
        _anchor();
        fails(abi.encodeWithSelector(IFlexMarket.NotDelivered.selector, DAY));
        _settle(0, 1);
        _deliver();
        fails(abi.encodeWithSelector(IFlexMarket.WindowOpen.selector, DAY, END + WINDOW));
        _settle(0, 1);
    }

    function test_settle_reverts_for_wrong_awards_deliveries_and_twice() public {
        _anchor();
        _deliver();
        vm.warp(END + WINDOW);
        awards[0].declaredWh += 1;
        fails(abi.encodeWithSelector(IFlexMarket.WrongAward.selector, DAY, 0));
        _settle(0, 1);
        awards[0].declaredWh -= 1;
        deliveries[0].deliveredWh += 1;
        fails(abi.encodeWithSelector(IFlexMarket.WrongDelivery.selector, DAY, 0));
        _settle(0, 1);
        deliveries[0].deliveredWh -= 1;
        _settle(0, 1);
        fails(abi.encodeWithSelector(IFlexMarket.AlreadySettled.selector, DAY, 0));
        _settle(0, 1);
    }

    function test_settle_pays_and_penalises_by_tier() public {
        _anchor();
        _deliver();
        vm.warp(END + WINDOW);
        _settle(0, 3);
        // 1 MWh at 0.5 per kWh; 750 kWh (75 %: shortfall x 1.0); 100 of 2,000 kWh (5 %: shortfall x 1.5)
        eq(available(AGG), COLLATERAL - 750e6 + 500e6 + 375e6, "aggregator");
        eq(_locked(AGG), 750e6 - 125e6, "its stake");
        eq(available(OTHER), COLLATERAL - 900e6 + 30e6, "other");
        eq(_locked(OTHER), 900e6 - 855e6, "other's stake");
        flex.release(DAY, AGG);
        flex.release(DAY, OTHER);
        eq(_locked(AGG) + _locked(OTHER) + _locked(PAYER), 0, "all released");
        eq(available(AGG) + available(OTHER) + available(PAYER), 3 * COLLATERAL, "conserved");
        fails(abi.encodeWithSelector(IFlexMarket.NothingLocked.selector, DAY, AGG));
        flex.release(DAY, AGG);
    }

    function test_more_awards_than_staked_cannot_settle() public {
        _add(OTHER, 1, 1, 1);
        _anchor();
        _deliver();
        vm.warp(END + WINDOW);
        fails(abi.encodeWithSelector(IFlexMarket.AwardsExceeded.selector, OTHER, 1));
        _settle(2, 4);
    }

    function test_penalty_never_exceeds_the_stake() public {
        IFlexMarket.Stake[] memory stakes = _stakes();
        stakes[1] = IFlexMarket.Stake(OTHER, 1, 60e6, 10e6);
        vm.prank(OPERATOR);
        flex.anchorAwards(DAY, PAYER, END, Tree.root(awardLeaves), stakes);
        _deliver();
        vm.warp(END + WINDOW);
        _settle(2, 3);
        eq(available(OTHER), COLLATERAL - 10e6 + 30e6, "no more than was locked");
    }

    // --- release without deliveries

    function test_locks_come_back_when_the_operator_is_silent() public {
        _anchor();
        fails(abi.encodeWithSelector(IFlexMarket.TooEarly.selector, DAY, END + REFUND_DELAY));
        flex.release(DAY, AGG);
        vm.warp(END + REFUND_DELAY);
        flex.release(DAY, AGG);
        flex.release(DAY, OTHER);
        eq(available(AGG) + available(OTHER) + available(PAYER), 3 * COLLATERAL, "everything back");
    }

    function test_release_waits_for_all_awards() public {
        _anchor();
        _deliver();
        vm.warp(END + WINDOW);
        _settle(0, 1);
        fails(abi.encodeWithSelector(IFlexMarket.NotAllSettled.selector, AGG, 1, 2));
        flex.release(DAY, AGG);
    }

    // --- disputes

    function test_dispute_reverts_in_order() public {
        _anchor();
        bytes32[] memory proof = Tree.proof(awardLeaves, 1);
        fails(abi.encodeWithSelector(IFlexMarket.NotDelivered.selector, DAY));
        vm.prank(AGG);
        flex.dispute(DAY, awards[1], proof, "e");
        _deliver();
        fails(abi.encodeWithSelector(IFlexMarket.NotParty.selector, OTHER));
        vm.prank(OTHER);
        flex.dispute(DAY, awards[1], proof, "e");
        IFlexMarket.Award memory forged = awards[2];
        forged.aggregator = AGG;
        fails(abi.encodeWithSelector(IFlexMarket.WrongAward.selector, DAY, 2));
        vm.prank(AGG);
        flex.dispute(DAY, forged, Tree.proof(awardLeaves, 2), "e");
        vm.prank(AGG);
        flex.dispute(DAY, awards[1], proof, "e");
        fails(abi.encodeWithSelector(IFlexMarket.DisputeExists.selector, DAY, 1));
        vm.prank(PAYER);
        flex.dispute(DAY, awards[1], proof, "e");
        vm.warp(END + WINDOW);
        fails(abi.encodeWithSelector(IFlexMarket.WindowClosed.selector, DAY, END + WINDOW));
        vm.prank(AGG);
        flex.dispute(DAY, awards[0], Tree.proof(awardLeaves, 0), "e");
    }

    function test_the_arbiters_figure_counts() public {
        _anchor();
        _deliver();
        vm.prank(AGG);
        flex.dispute(DAY, awards[1], Tree.proof(awardLeaves, 1), "e");
        fails(abi.encodeWithSelector(IFlexMarket.NotArbiter.selector, OPERATOR));
        vm.prank(OPERATOR);
        flex.resolve(DAY, 1, 1_000_000, "r");
        fails(abi.encodeWithSelector(IFlexMarket.NoOpenDispute.selector, DAY, 0));
        vm.prank(ARBITER);
        flex.resolve(DAY, 0, 1_000_000, "r");
        vm.warp(END + WINDOW);
        fails(abi.encodeWithSelector(IFlexMarket.DisputeOpen.selector, DAY, 1, END + 1 hours));
        _settle(1, 2);
        vm.prank(ARBITER);
        flex.resolve(DAY, 1, 1_000_000, "r");
        _settle(1, 2);
        eq(available(AGG), COLLATERAL - 750e6 + 500e6, "paid in full");
    }

    function test_a_silent_arbiter_leaves_what_was_posted() public {
        _anchor();
        _deliver();
        vm.prank(PAYER);
        flex.dispute(DAY, awards[1], Tree.proof(awardLeaves, 1), "e");
        vm.warp(END + 1 hours);
        fails(abi.encodeWithSelector(IFlexMarket.WindowClosed.selector, DAY, END + 1 hours));
        vm.prank(ARBITER);
        flex.resolve(DAY, 1, 0, "late");
        _settle(1, 2);
        eq(available(AGG), COLLATERAL - 750e6 + 375e6, "as posted");
    }

    // --- split over members

    function _split(uint256 first, uint256 second) internal returns (bytes32[] memory leaves) {
        leaves = new bytes32[](2);
        leaves[0] = keccak256(bytes.concat(keccak256(abi.encode(DAY, AGG, address(0xE0), uint128(first)))));
        leaves[1] = keccak256(bytes.concat(keccak256(abi.encode(DAY, AGG, address(0xE1), uint128(second)))));
        vm.prank(AGG);
        flex.anchorSplit(DAY, Tree.root(leaves), 875e6);
    }

    function _claim(bytes32[] memory leaves, uint256 who, uint256 amount) internal {
        address[] memory to = new address[](1);
        uint128[] memory micro = new uint128[](1);
        bytes32[][] memory proofs = new bytes32[][](1);
        (to[0], micro[0], proofs[0]) = (address(uint160(0xE0 + who)), uint128(amount), Tree.proof(leaves, who));
        flex.claim(DAY, AGG, to, micro, proofs);
    }

    function _settledDay() internal {
        _anchor();
        _deliver();
        vm.warp(END + WINDOW);
        _settle(0, 2);
    }

    function test_split_must_be_what_was_paid() public {
        _anchor();
        fails(abi.encodeWithSelector(IFlexMarket.NotAllSettled.selector, AGG, 0, 2));
        vm.prank(AGG);
        flex.anchorSplit(DAY, "root", 0);
        _deliver();
        vm.warp(END + WINDOW);
        _settle(0, 2);
        fails(abi.encodeWithSelector(IFlexMarket.SplitNotPaid.selector, 875e6 - 1, 875e6));
        vm.prank(AGG);
        flex.anchorSplit(DAY, "root", 875e6 - 1);
        _split(800e6, 75e6);
        fails(abi.encodeWithSelector(IFlexMarket.SplitExists.selector, DAY, AGG));
        vm.prank(AGG);
        flex.anchorSplit(DAY, "root", 875e6);
    }

    function test_members_claim_once() public {
        _settledDay();
        bytes32[] memory leaves = _split(800e6, 75e6);
        fails(abi.encodeWithSelector(IFlexMarket.WrongShare.selector, DAY, address(0xE0)));
        _claim(leaves, 0, 800e6 + 1);
        _claim(leaves, 0, 800e6);
        fails(abi.encodeWithSelector(IFlexMarket.AlreadyClaimed.selector, DAY, AGG, address(0xE0)));
        _claim(leaves, 0, 800e6);
        _claim(leaves, 1, 75e6);
        eq(available(address(0xE0)) + available(address(0xE1)), 875e6, "members have it all");
        eq(_locked(address(flex)), 0, "nothing stays behind");
    }

    function test_a_split_that_promises_too_much_pays_no_more_than_it_holds() public {
        _settledDay();
        bytes32[] memory leaves = _split(800e6, 76e6);
        _claim(leaves, 0, 800e6);
        fails(abi.encodeWithSelector(IFlexMarket.SplitExceeded.selector, 76e6, 75e6));
        _claim(leaves, 1, 76e6);
    }

    // --- F5

    function test_amounts_by_tier(uint64 declared, uint64 delivered, int64 price) public view {
        declared = uint64(bound(declared, 1, 1e12));
        delivered = uint64(bound(delivered, 0, 2e12));
        price = int64(boundSigned(price, -1e9, 1e9));
        (uint256 payment, uint256 penalty) = flex.amounts(declared, delivered, price);
        uint256 counted = delivered < declared ? delivered : declared;
        uint256 size = uint256(uint64(price < 0 ? -price : price));
        isTrue(payment * 1000 <= counted * size, "never above delivered");
        if (price <= 0) eq(payment, 0, "nothing is paid at a negative price");
        else isTrue((payment + 1) * 1000 > counted * size, "rounded down by less than one");
        uint256 pass = counted * 10_000 / declared;
        uint256 factor = pass >= 9_000 ? 0 : pass >= 7_000 ? 10_000 : 15_000;
        uint256 exact = (declared - counted) * size * factor;
        isTrue(penalty * 1e7 >= exact && (penalty == 0 || (penalty - 1) * 1e7 < exact), "rounded up");
    }

    function test_money_is_conserved(uint64[4] memory delivered, uint64 declared, uint64 price) public {
        delete awards;
        delete deliveries;
        delete awardLeaves;
        delete deliveryLeaves;
        declared = uint64(bound(declared, 1, 400_000));
        price = uint64(bound(price, 0, 400_000));
        for (uint256 i; i < 4; ++i) {
            _add(i < 2 ? AGG : OTHER, declared, int64(price), uint64(bound(delivered[i], 0, 800_000)));
        }
        IFlexMarket.Stake[] memory stakes = new IFlexMarket.Stake[](2);
        stakes[0] = IFlexMarket.Stake(AGG, 2, 400e6, 600e6);
        stakes[1] = IFlexMarket.Stake(OTHER, 2, 400e6, 600e6);
        vm.prank(OPERATOR);
        flex.anchorAwards(DAY, PAYER, END, Tree.root(awardLeaves), stakes);
        _deliver();
        vm.warp(END + WINDOW);
        _settle(0, 4);
        uint256 paid = flex.position(DAY, AGG).paidMicro;
        flex.release(DAY, AGG);
        flex.release(DAY, OTHER);
        eq(available(PAYER) + available(AGG) + available(OTHER), 3 * COLLATERAL, "conserved");
        eq(_locked(PAYER) + _locked(AGG) + _locked(OTHER), 0, "nothing stays locked");
        vm.prank(AGG);
        flex.anchorSplit(DAY, "root", uint128(paid));
    }
}
