// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {DeliveryOracle} from "../../contracts/DeliveryOracle.sol";
import {IDeliveryOracle} from "../../contracts/interfaces/IDeliveryOracle.sol";
import {ITreasury} from "../../contracts/interfaces/ITreasury.sol";
import {World} from "./support/World.sol";

contract OracleTest is World {
    uint256 private constant ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;

    function report() internal view returns (IDeliveryOracle.Report memory) {
        return nextReport(START, keccak256("root"), 1, keccak256("outcomes"));
    }

    /// @dev Sends a report that must fail with `error_`, with good signatures.
    function refused(IDeliveryOracle.Report memory r, bytes memory error_) internal {
        bytes memory sigs = memberSigs(oracle.hashReport(r), 3);
        fails(error_);
        oracle.submit(r, sigs);
    }

    // --- committee

    function test_a_committee_needs_two_thirds() public {
        address[] memory members = new address[](4);
        for (uint256 i; i < 4; ++i) {
            members[i] = address(uint160(i + 1));
        }
        fails(abi.encodeWithSelector(IDeliveryOracle.CommitteeTooSmall.selector, 4, 2));
        new DeliveryOracle(address(registry), address(treasury), members, 2, 0, 0, 0, 0);
        fails(abi.encodeWithSelector(IDeliveryOracle.CommitteeTooSmall.selector, 4, 5));
        new DeliveryOracle(address(registry), address(treasury), members, 5, 0, 0, 0, 0);
        members[1] = members[0];
        fails(abi.encodeWithSelector(IDeliveryOracle.MembersNotAscending.selector, members[0]));
        new DeliveryOracle(address(registry), address(treasury), members, 3, 0, 0, 0, 0);
    }

    function test_postBond_checks() public {
        fails(abi.encodeWithSelector(IDeliveryOracle.NotMember.selector, STRANGER));
        vm.prank(STRANGER);
        oracle.postBond();
        address member = vm.addr(memberKeys[0]);
        eq(locked(member), BOND, "bond is locked");
        eq(oracle.bondOf(member), BOND, "bond");
        fails(abi.encodeWithSelector(IDeliveryOracle.AlreadyBonded.selector, member));
        vm.prank(member);
        oracle.postBond();
    }

    // --- submit, in the order of its checks

    function test_submit_refuses_another_config() public {
        vm.warp(START + SLOT);
        IDeliveryOracle.Report memory r = report();
        r.configDigest = keccak256("other");
        refused(
            r,
            abi.encodeWithSelector(IDeliveryOracle.WrongConfig.selector, r.configDigest, oracle.configDigest())
        );
    }

    function test_submit_refuses_another_policy() public {
        vm.warp(START + SLOT);
        IDeliveryOracle.Report memory r = report();
        r.policyHash = keccak256("other");
        refused(
            r, abi.encodeWithSelector(IDeliveryOracle.WrongPolicy.selector, r.policyHash, registry.policyHash())
        );
    }

    function test_submit_refuses_a_wrong_epoch() public {
        vm.warp(START + SLOT);
        IDeliveryOracle.Report memory r = report();
        r.epoch = 1;
        refused(r, abi.encodeWithSelector(IDeliveryOracle.WrongEpoch.selector, 1, 0));
    }

    function test_submit_refuses_a_broken_chain() public {
        vm.warp(START + SLOT);
        IDeliveryOracle.Report memory r = report();
        r.prevHash = keccak256("other");
        refused(r, abi.encodeWithSelector(IDeliveryOracle.WrongPrevHash.selector, r.prevHash, bytes32(0)));
    }

    function test_submit_refuses_an_empty_interval() public {
        vm.warp(START + SLOT);
        IDeliveryOracle.Report memory r = report();
        r.end = r.start;
        refused(r, abi.encodeWithSelector(IDeliveryOracle.EmptyInterval.selector, START, START));
    }

    function test_submit_refuses_an_overlap() public {
        submit(report());
        IDeliveryOracle.Report memory r = report();
        r.start = START + 1;
        refused(r, abi.encodeWithSelector(IDeliveryOracle.OverlapsPrevious.selector, r.start, START + SLOT));
    }

    function test_submit_refuses_the_future() public {
        vm.warp(START + SLOT - 1);
        refused(
            report(),
            abi.encodeWithSelector(IDeliveryOracle.EpochNotOver.selector, START + SLOT, START + SLOT - 1)
        );
    }

    function test_submit_refuses_a_count_without_root_and_a_root_without_count() public {
        vm.warp(START + SLOT);
        IDeliveryOracle.Report memory r = report();
        r.root = 0;
        refused(r, abi.encodeWithSelector(IDeliveryOracle.CountWithoutRoot.selector, 1, bytes32(0)));
        r = report();
        r.count = 0;
        refused(r, abi.encodeWithSelector(IDeliveryOracle.CountWithoutRoot.selector, 0, r.root));
    }

    function test_submit_refuses_cut_signatures() public {
        vm.warp(START + SLOT);
        IDeliveryOracle.Report memory r = report();
        bytes memory sigs = bytes.concat(memberSigs(oracle.hashReport(r), 3), hex"00");
        fails(abi.encodeWithSelector(IDeliveryOracle.SignatureLength.selector, 196));
        oracle.submit(r, sigs);
    }

    function test_submit_refuses_less_than_a_quorum() public {
        vm.warp(START + SLOT);
        IDeliveryOracle.Report memory r = report();
        bytes memory sigs = memberSigs(oracle.hashReport(r), 2);
        fails(abi.encodeWithSelector(IDeliveryOracle.QuorumMissing.selector, 2, 3));
        oracle.submit(r, sigs);
    }

    function test_submit_refuses_a_signer_twice() public {
        vm.warp(START + SLOT);
        IDeliveryOracle.Report memory r = report();
        bytes32 digest = oracleDigest(oracle.hashReport(r));
        bytes memory one = sign(memberKeys[0], digest);
        fails(abi.encodeWithSelector(IDeliveryOracle.SignersNotAscending.selector, vm.addr(memberKeys[0])));
        oracle.submit(r, bytes.concat(one, one, sign(memberKeys[1], digest)));
    }

    function test_submit_refuses_a_high_s() public {
        vm.warp(START + SLOT);
        IDeliveryOracle.Report memory r = report();
        bytes32 digest = oracleDigest(oracle.hashReport(r));
        (uint8 v, bytes32 rr, bytes32 s) = vm.sign(memberKeys[0], digest);
        bytes memory malleable = abi.encodePacked(rr, bytes32(ORDER - uint256(s)), v == 27 ? uint8(28) : uint8(27));
        fails(abi.encodeWithSelector(IDeliveryOracle.BadSignature.selector, 0));
        oracle.submit(r, bytes.concat(malleable, sign(memberKeys[1], digest), sign(memberKeys[2], digest)));
    }

    function test_submit_refuses_strangers() public {
        vm.warp(START + SLOT);
        IDeliveryOracle.Report memory r = report();
        bytes32 digest = oracleDigest(oracle.hashReport(r));
        uint256 key = 1;
        while (vm.addr(key) <= vm.addr(memberKeys[1])) ++key;
        bytes memory sigs = bytes.concat(memberSigs(oracle.hashReport(r), 2), sign(key, digest));
        fails(abi.encodeWithSelector(IDeliveryOracle.NotMember.selector, vm.addr(key)));
        oracle.submit(r, sigs);
    }

    function test_submit_chains_reports(uint8 gap) public {
        submit(report());
        IDeliveryOracle.Report memory first = nextReport(START + SLOT, 0, 0, 0);
        first.start += uint64(gap) * SLOT;
        first.end = first.start + SLOT;
        submit(first);
        IDeliveryOracle.Feed memory feed = oracle.feed(FEED);
        eq(feed.nextEpoch, 2, "epoch");
        eqHash(feed.headHash, oracle.hashReport(first), "head");
        eq(feed.lastEnd, first.end, "end");
    }

    function test_a_report_is_final_after_the_window() public {
        submit(report());
        (bool isFinal,,, uint64 finalAt) = oracle.finalReport(FEED, START, START + SLOT);
        isTrue(!isFinal, "not at once");
        vm.warp(finalAt - 1);
        (isFinal,,,) = oracle.finalReport(FEED, START, START + SLOT);
        isTrue(!isFinal, "not a second early");
        vm.warp(finalAt);
        (isFinal,,,) = oracle.finalReport(FEED, START, START + SLOT);
        isTrue(isFinal, "then");
        (isFinal,,,) = oracle.finalReport(FEED, START, START + 2 * SLOT);
        isTrue(!isFinal, "another interval is another report");
    }

    // --- publish

    function test_publish_counts_once() public {
        IDeliveryOracle.Publication memory p = IDeliveryOracle.Publication(START, "a", oracle.configDigest());
        oracle.publish(p, memberSigs(publicationHash(p), 3));
        eqHash(oracle.publication(START), "a", "published");
        p.contentHash = "b";
        bytes memory sigs = memberSigs(publicationHash(p), 3);
        fails(abi.encodeWithSelector(IDeliveryOracle.AlreadyPublished.selector, START));
        oracle.publish(p, sigs);
    }

    // --- equivocation

    function test_equivocation_slashes_once() public {
        IDeliveryOracle.Report memory a = report();
        IDeliveryOracle.Report memory b = report();
        b.root = keccak256("another root");
        bytes memory sigA = sign(memberKeys[1], oracleDigest(oracle.hashReport(a)));
        bytes memory sigB = sign(memberKeys[1], oracleDigest(oracle.hashReport(b)));
        address liar = vm.addr(memberKeys[1]);
        uint256 sum = ledgerSum();
        vm.prank(STRANGER);
        oracle.proveEquivocation(a, sigA, b, sigB);
        eq(locked(liar), 0, "bond is gone");
        eq(available(STRANGER), FUNDS + BOND / 2, "half to the reporter");
        eq(available(OWNER), BOND / 2, "half to the owner");
        eq(ledgerSum(), sum, "conservation");
        fails(abi.encodeWithSelector(IDeliveryOracle.NotBonded.selector, liar));
        oracle.proveEquivocation(a, sigA, b, sigB);
        vm.warp(START + SLOT);
        bytes memory sigs = memberSigs(oracle.hashReport(a), 3);
        fails(abi.encodeWithSelector(IDeliveryOracle.NotMember.selector, liar));
        oracle.submit(a, sigs);
    }

    function test_equivocation_needs_one_signer_two_reports_one_epoch() public {
        IDeliveryOracle.Report memory a = report();
        IDeliveryOracle.Report memory b = report();
        b.root = keccak256("another root");
        bytes memory sigA = sign(memberKeys[1], oracleDigest(oracle.hashReport(a)));
        bytes memory sigB = sign(memberKeys[2], oracleDigest(oracle.hashReport(b)));
        bytes memory error_ = abi.encodeWithSelector(IDeliveryOracle.NotEquivocation.selector);
        fails(error_);
        oracle.proveEquivocation(a, sigA, a, sigA);
        fails(error_);
        oracle.proveEquivocation(a, sigA, b, sigB);
        b.epoch = 1;
        sigB = sign(memberKeys[1], oracleDigest(oracle.hashReport(b)));
        fails(error_);
        oracle.proveEquivocation(a, sigA, b, sigB);
    }

    // --- dispute

    function ruling(bool upheld) internal view returns (IDeliveryOracle.Ruling memory) {
        return IDeliveryOracle.Ruling(FEED, START, upheld, oracle.configDigest());
    }

    function rule(bool upheld) internal {
        oracle.rule(ruling(upheld), memberSigs(rulingHash(ruling(upheld)), 3));
    }

    function test_dispute_only_inside_the_window() public {
        bytes memory error_ = abi.encodeWithSelector(IDeliveryOracle.NotDisputable.selector, FEED, START);
        fails(error_);
        oracle.dispute(FEED, START);
        submit(report());
        vm.warp(block.timestamp + WINDOW);
        fails(error_);
        oracle.dispute(FEED, START);
    }

    function test_dispute_needs_the_bond() public {
        submit(report());
        fails(
            abi.encodeWithSelector(
                ITreasury.InsufficientAvailable.selector, address(0xBAD), 0, -int256(DISPUTE_BOND)
            )
        );
        vm.prank(address(0xBAD));
        oracle.dispute(FEED, START);
    }

    function test_a_disputed_report_is_not_final_until_upheld() public {
        submit(report());
        vm.prank(STRANGER);
        oracle.dispute(FEED, START);
        eq(locked(STRANGER), DISPUTE_BOND, "bond");
        vm.warp(block.timestamp + 10 * WINDOW);
        (bool isFinal,,,) = oracle.finalReport(FEED, START, START + SLOT);
        isTrue(!isFinal, "disputed");
        rule(true);
        eq(locked(STRANGER), 0, "bond is gone");
        eq(available(OWNER), DISPUTE_BOND, "to the owner");
        vm.warp(block.timestamp + WINDOW);
        (isFinal,,,) = oracle.finalReport(FEED, START, START + SLOT);
        isTrue(isFinal, "upheld");
        IDeliveryOracle.Ruling memory late = ruling(false);
        bytes memory sigs = memberSigs(rulingHash(late), 3);
        fails(abi.encodeWithSelector(IDeliveryOracle.NotDisputed.selector, FEED, START));
        oracle.rule(late, sigs);
    }

    function test_a_void_report_never_becomes_final() public {
        submit(report());
        vm.prank(STRANGER);
        oracle.dispute(FEED, START);
        rule(false);
        eq(available(STRANGER), FUNDS, "bond is back");
        vm.warp(block.timestamp + 365 days);
        (bool isFinal,,,) = oracle.finalReport(FEED, START, START + SLOT);
        isTrue(!isFinal, "void");
    }
}
