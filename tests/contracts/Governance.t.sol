// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBundleMarket} from "../../contracts/interfaces/IBundleMarket.sol";
import {IDeliveryOracle} from "../../contracts/interfaces/IDeliveryOracle.sol";
import {IRegistry} from "../../contracts/interfaces/IRegistry.sol";
import {Registry} from "../../contracts/Registry.sol";
import {Batch} from "./support/Batch.sol";

/// @notice What owner, operator and guardian can do, and what they cannot.
contract GovernanceTest is Batch {
    address private constant GUARDIAN = address(0x6A);

    uint256[] private nextKeys;

    function setUp() public override {
        super.setUp();
        vm.prank(OWNER);
        registry.setGuardian(GUARDIAN);
    }

    function pause(uint256 duration) internal {
        vm.prank(GUARDIAN);
        registry.pauseBatches(duration);
    }

    // --- pause

    function test_only_the_owner_names_the_guardian() public {
        fails(abi.encodeWithSignature("OwnableUnauthorizedAccount(address)", STRANGER));
        vm.prank(STRANGER);
        registry.setGuardian(STRANGER);
    }

    function test_only_the_guardian_pauses() public {
        fails(abi.encodeWithSelector(IRegistry.NotGuardian.selector, OWNER));
        vm.prank(OWNER);
        registry.pauseBatches(1);
    }

    function test_a_pause_is_short() public {
        bytes memory error_ = abi.encodeWithSelector(IRegistry.OutOfRange.selector, bytes32("duration"), 3 days + 1);
        fails(error_);
        pause(3 days + 1);
        fails(abi.encodeWithSelector(IRegistry.OutOfRange.selector, bytes32("duration"), 0));
        pause(0);
    }

    function test_a_pause_stops_new_batches_and_ends_by_itself() public {
        publish();
        pause(1 hours);
        IBundleMarket.BatchHeader memory h = header();
        fails(abi.encodeWithSelector(IBundleMarket.NewBatchesPaused.selector, block.timestamp + 1 hours));
        vm.prank(SOLVER);
        market.openBatch(h);
        vm.warp(block.timestamp + 1 hours);
        openBatch();
    }

    function test_a_pause_cannot_be_prolonged() public {
        pause(1 hours);
        uint256 allowedAt = block.timestamp + 1 hours + 1 days;
        vm.warp(allowedAt - 1);
        fails(abi.encodeWithSelector(IRegistry.PauseTooSoon.selector, allowedAt));
        pause(1 hours);
        vm.warp(allowedAt);
        pause(1 hours);
    }

    function test_owner_and_guardian_end_a_pause() public {
        fails(abi.encodeWithSelector(IRegistry.NotPaused.selector));
        vm.prank(OWNER);
        registry.resumeBatches();
        pause(1 hours);
        fails(abi.encodeWithSelector(IRegistry.NotGuardian.selector, STRANGER));
        vm.prank(STRANGER);
        registry.resumeBatches();
        vm.prank(OWNER);
        registry.resumeBatches();
        openBatch();
    }

    /// @notice What a pause must not touch: an open batch, settlement, withdrawal, retirement.
    function test_a_pause_leaves_everything_else_alone() public {
        greenBatch();
        pause(3 days);
        uint256[3] memory mwh = [uint256(6_000_000), 4_000_000, 0];
        report(0, mwh, outcome(10_000, 10_000));
        settlement.meterPool(batchId, 0, 0, positionsOf(0, 0, mwh));
        settle(0, outcome(10_000, 10_000));
        payPool(0, 0);
        vm.startPrank(STRANGER);
        treasury.requestWithdraw(1e6);
        vm.warp(block.timestamp + 1 days);
        treasury.withdraw(STRANGER);
        vm.stopPrank();
        eq(token.balanceOf(STRANGER), 1e6, "withdrawn");
        address[] memory to = new address[](1);
        uint256[] memory amounts = new uint256[](1);
        (to[0], amounts[0]) = (STRANGER, 5);
        vm.prank(address(settlement));
        certificates.mint(1, to, amounts);
        vm.prank(STRANGER);
        certificates.retire(1, 5, STRANGER, 0);
    }

    // --- ownership and policy

    function test_ownership_moves_in_two_steps() public {
        vm.prank(OWNER);
        registry.transferOwnership(STRANGER);
        eqAddress(registry.owner(), OWNER, "not yet");
        vm.prank(STRANGER);
        registry.acceptOwnership();
        eqAddress(registry.owner(), STRANGER, "accepted");
    }

    function test_new_device_code_waits_and_a_ban_does_not() public {
        Registry slow = new Registry(OWNER, 1 days);
        vm.prank(OWNER);
        slow.setOperator(OPERATOR, true);
        vm.startPrank(OPERATOR);
        slow.setMeasurement(CODE, 0, true);
        isTrue(!slow.measurementAllowed(CODE, 0), "not yet");
        vm.warp(block.timestamp + 1 days);
        isTrue(slow.measurementAllowed(CODE, 0), "after the delay");
        slow.setMeasurement(CODE, 0, false);
        isTrue(!slow.measurementAllowed(CODE, 0), "at once");
    }

    // --- committee

    function nextMembers() internal returns (address[] memory list) {
        list = new address[](4);
        for (uint256 i; i < 4; ++i) {
            nextKeys.push(0x1C0 + i);
            for (uint256 j = i; j > 0 && vm.addr(nextKeys[j - 1]) > vm.addr(nextKeys[j]); --j) {
                (nextKeys[j - 1], nextKeys[j]) = (nextKeys[j], nextKeys[j - 1]);
            }
        }
        for (uint256 i; i < 4; ++i) {
            list[i] = vm.addr(nextKeys[i]);
            _fund(list[i], FUNDS);
        }
    }

    function announce(address[] memory list) internal {
        vm.prank(OWNER);
        oracle.announceCommittee(list, 3);
    }

    function bondAll(address[] memory list) internal {
        for (uint256 i; i < list.length; ++i) {
            vm.prank(list[i]);
            oracle.postBond();
        }
    }

    function test_only_the_owner_announces_a_committee() public {
        address[] memory list = nextMembers();
        fails(abi.encodeWithSelector(IDeliveryOracle.NotOwner.selector, STRANGER, OWNER));
        vm.prank(STRANGER);
        oracle.announceCommittee(list, 3);
        fails(abi.encodeWithSelector(IDeliveryOracle.NotOwner.selector, STRANGER, OWNER));
        vm.prank(STRANGER);
        oracle.withdrawAnnouncement();
        fails(abi.encodeWithSelector(IDeliveryOracle.CommitteeTooSmall.selector, 4, 2));
        vm.prank(OWNER);
        oracle.announceCommittee(list, 2);
    }

    function test_a_committee_waits_and_needs_bonds() public {
        fails(abi.encodeWithSelector(IDeliveryOracle.NoCommitteeAnnounced.selector));
        oracle.installCommittee();
        address[] memory list = nextMembers();
        announce(list);
        uint256 from = block.timestamp + COMMITTEE_DELAY;
        fails(abi.encodeWithSelector(IDeliveryOracle.CommitteeTooEarly.selector, from));
        oracle.installCommittee();
        vm.warp(from);
        fails(abi.encodeWithSelector(IDeliveryOracle.CommitteeNotBonded.selector, 0, 3));
        oracle.installCommittee();
        bondAll(list);
        oracle.installCommittee();
        eqAddress(oracle.members()[0], list[0], "in office");
        fails(abi.encodeWithSelector(IDeliveryOracle.NoCommitteeAnnounced.selector));
        oracle.installCommittee();
    }

    function test_an_announcement_can_be_taken_back() public {
        announce(nextMembers());
        vm.startPrank(OWNER);
        oracle.withdrawAnnouncement();
        fails(abi.encodeWithSelector(IDeliveryOracle.NoCommitteeAnnounced.selector));
        oracle.withdrawAnnouncement();
    }

    function takeOffice() internal returns (address[] memory list) {
        list = nextMembers();
        announce(list);
        bondAll(list);
        vm.warp(block.timestamp + COMMITTEE_DELAY);
        oracle.installCommittee();
    }

    /// @notice Attack: signatures of the committee that left.
    function test_a_stale_committee_cannot_report() public {
        vm.warp(START + SLOT);
        IDeliveryOracle.Report memory r = nextReport(START, 0, 0, 0);
        bytes memory sigs_ = memberSigs(oracle.hashReport(r), 3);
        takeOffice();
        fails(
            abi.encodeWithSelector(IDeliveryOracle.WrongConfig.selector, r.configDigest, oracle.configDigest())
        );
        oracle.submit(r, sigs_);
        r.configDigest = oracle.configDigest();
        sigs_ = memberSigs(oracle.hashReport(r), 3);
        fails(abi.encodeWithSelector(IDeliveryOracle.NotMember.selector, vm.addr(memberKeys[0])));
        oracle.submit(r, sigs_);
    }

    /// @notice Attack: equivocate, leave, withdraw the bond.
    function test_a_member_that_left_still_answers_for_equivocation() public {
        IDeliveryOracle.Report memory a = nextReport(START, keccak256("a"), 1, 0);
        IDeliveryOracle.Report memory b = nextReport(START, keccak256("b"), 1, 0);
        address member = vm.addr(memberKeys[0]);
        takeOffice();
        fails(abi.encodeWithSelector(IDeliveryOracle.BondHeld.selector, member, block.timestamp + COMMITTEE_DELAY));
        vm.prank(member);
        oracle.withdrawBond();
        bytes memory sigA = sign(memberKeys[0], oracleDigest(oracle.hashReport(a)));
        bytes memory sigB = sign(memberKeys[0], oracleDigest(oracle.hashReport(b)));
        uint256 before = available(STRANGER);
        vm.prank(STRANGER);
        oracle.proveEquivocation(a, sigA, b, sigB);
        eq(available(STRANGER), before + BOND / 2, "slashed");
        vm.warp(block.timestamp + COMMITTEE_DELAY);
        fails(abi.encodeWithSelector(IDeliveryOracle.NotBonded.selector, member));
        vm.prank(member);
        oracle.withdrawBond();
    }

    function test_the_bond_returns_after_the_delay() public {
        address member = vm.addr(memberKeys[1]);
        fails(abi.encodeWithSelector(IDeliveryOracle.StillMember.selector, member));
        vm.prank(member);
        oracle.withdrawBond();
        takeOffice();
        vm.warp(block.timestamp + COMMITTEE_DELAY);
        uint256 before = available(member);
        vm.prank(member);
        oracle.withdrawBond();
        eq(available(member), before + BOND, "bond is back");
        eq(locked(member), 0, "nothing stays held");
    }

    function test_equivocation_needs_a_committee_that_was_in_office() public {
        IDeliveryOracle.Report memory a = nextReport(START, keccak256("a"), 1, 0);
        a.configDigest = keccak256("nobody");
        IDeliveryOracle.Report memory b = a;
        b.root = keccak256("b");
        bytes memory error_ =
            abi.encodeWithSelector(IDeliveryOracle.WrongConfig.selector, a.configDigest, oracle.configDigest());
        fails(error_);
        oracle.proveEquivocation(a, new bytes(65), b, new bytes(65));
    }
}
