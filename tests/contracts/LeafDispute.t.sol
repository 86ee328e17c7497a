// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ReadingLib} from "../../contracts/libraries/ReadingLib.sol";
import {IDeliveryOracle} from "../../contracts/interfaces/IDeliveryOracle.sol";
import {ISettlement} from "../../contracts/interfaces/ISettlement.sol";
import {Batch} from "./support/Batch.sol";
import {Tree} from "./support/Tree.sol";

/// @notice The dispute of one leaf: the device's signature must be shown on chain.
contract LeafDisputeTest is Batch {
    uint256 private constant DEVICE = 0xD0;
    uint256 private constant P256_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551;

    ISettlement.Reading private leaf;
    IDeliveryOracle.DeviceSignature private sig;

    function setUp() public override {
        super.setUp();
        (uint256 x, uint256 y) = vm.publicKeyP256(DEVICE);
        IDeliveryOracle.DeviceAttestation memory a = attestation(111, 2, 11);
        (a.x, a.y) = (bytes32(x), bytes32(y));
        oracle.attestDevice(a, memberSigs(attestationHash(a), 3));
        leaf = reading(11, 0, 5_000_000);
        leaf.keyId = keccak256(abi.encodePacked(x, y));
        leaf.payloadHash = sha256(ReadingLib.payload(leaf, 0));
        (bytes32 r, bytes32 s) = lowS(leaf.payloadHash);
        sig = IDeliveryOracle.DeviceSignature(0, bytes32(x), bytes32(y), r, s);
    }

    function lowS(bytes32 hash) internal pure returns (bytes32 r, bytes32 s) {
        (r, s) = vm.signP256(DEVICE, hash);
        if (uint256(s) > P256_N / 2) s = bytes32(P256_N - uint256(s));
    }

    function leaves() internal view returns (bytes32[] memory list) {
        list = new bytes32[](2);
        (list[0], list[1]) = (leafOf(leaf), keccak256("other"));
    }

    function post() internal {
        submit(nextReport(START, Tree.root(leaves()), 2, 0));
    }

    function disputeIt() internal {
        bytes32[] memory proof = Tree.proof(leaves(), 0);
        vm.prank(STRANGER);
        oracle.disputeLeaf(FEED, START, leaf, proof);
    }

    function answer() internal {
        vm.prank(buyer(0));
        oracle.answerLeaf(FEED, START, leaf, sig);
    }

    /// @dev The bytes of oracle/wire/reading.py for the same reading.
    function test_the_payload_is_what_devices_sign() public view {
        ISettlement.Reading memory r;
        (r.kind, r.meterId, r.agreementId, r.seq) = (1, 111, 7, 256);
        (r.start, r.end, r.quantity, r.register) = (START, START + SLOT, 70_000, 5_000_000_000);
        bytes memory expected =
            hex"ab0071626974776174742f72656164696e672f3101197a6902186f03010458200000000000000000000000000000000000000000000000000000000000000007"
            hex"05190100061a6b49d200071a6b49d584081a00011170091b000000012a05f2000a01";
        eqHash(keccak256(ReadingLib.payload(r, 1)), keccak256(expected), "payload");
    }

    // --- disputeLeaf

    function test_a_leaf_is_disputable_inside_the_window_only() public {
        bytes32[] memory proof = Tree.proof(leaves(), 0);
        fails(abi.encodeWithSelector(IDeliveryOracle.NotDisputable.selector, FEED, START));
        oracle.disputeLeaf(FEED, START, leaf, proof);
        post();
        vm.warp(block.timestamp + WINDOW);
        fails(abi.encodeWithSelector(IDeliveryOracle.NotDisputable.selector, FEED, START));
        oracle.disputeLeaf(FEED, START, leaf, proof);
    }

    function test_a_disputed_leaf_belongs_to_the_report() public {
        post();
        bytes32[] memory proof = Tree.proof(leaves(), 0);
        leaf.quantity += 1;
        bytes32 root = Tree.root(leaves());
        leaf.quantity -= 1;
        isTrue(root != Tree.root(leaves()), "another tree");
        ISettlement.Reading memory other = leaf;
        other.quantity += 1;
        fails(
            abi.encodeWithSelector(
                IDeliveryOracle.LeafNotInReport.selector, leafOf(other), Tree.root(leaves())
            )
        );
        oracle.disputeLeaf(FEED, START, other, proof);
    }

    function test_a_dispute_holds_the_bond_and_the_report() public {
        post();
        uint256 before = available(STRANGER);
        disputeIt();
        eq(available(STRANGER), before - DISPUTE_BOND, "bond is held");
        eq(oracle.leafDispute(FEED, START).answerBy, block.timestamp + WINDOW, "time to answer");
        vm.warp(block.timestamp + 10 * WINDOW);
        (bool isFinal,,,) = oracle.finalReport(FEED, START, START + SLOT);
        isTrue(!isFinal, "not final while disputed");
    }

    // --- answerLeaf

    function test_answer_needs_an_open_dispute() public {
        post();
        fails(abi.encodeWithSelector(IDeliveryOracle.NotDisputed.selector, FEED, START));
        oracle.answerLeaf(FEED, START, leaf, sig);
    }

    function test_answer_shows_the_disputed_leaf() public {
        post();
        disputeIt();
        ISettlement.Reading memory other = leaf;
        other.quantity += 1;
        fails(abi.encodeWithSelector(IDeliveryOracle.WrongLeaf.selector, leafOf(other), leafOf(leaf)));
        oracle.answerLeaf(FEED, START, other, sig);
    }

    function test_answer_needs_an_attested_key() public {
        leaf.keyId = keccak256("unknown key");
        post();
        disputeIt();
        fails(abi.encodeWithSelector(IDeliveryOracle.KeyNotAttested.selector, 111, leaf.keyId));
        oracle.answerLeaf(FEED, START, leaf, sig);
    }

    /// @dev The committee changed the quantity: payload and signature no longer fit the leaf.
    function test_an_altered_quantity_cannot_be_answered(uint256 quantity) public {
        leaf.quantity = bound(quantity, 0, type(uint64).max);
        if (leaf.quantity == 5_000_000) leaf.quantity += 1;
        post();
        disputeIt();
        bytes memory error_ =
            abi.encodeWithSelector(IDeliveryOracle.NotSignedByDevice.selector, 111, leaf.payloadHash);
        fails(error_);
        oracle.answerLeaf(FEED, START, leaf, sig);
    }

    function test_answer_refuses_a_malleable_signature() public {
        post();
        disputeIt();
        sig.s = bytes32(P256_N - uint256(sig.s));
        fails(abi.encodeWithSelector(IDeliveryOracle.NotSignedByDevice.selector, 111, leaf.payloadHash));
        oracle.answerLeaf(FEED, START, leaf, sig);
    }

    function test_answer_refuses_a_better_verdict_than_the_devices() public {
        leaf.payloadHash = sha256(ReadingLib.payload(leaf, 1));
        (sig.r, sig.s) = lowS(leaf.payloadHash);
        sig.quality = 1;
        post();
        disputeIt();
        fails(abi.encodeWithSelector(IDeliveryOracle.NotSignedByDevice.selector, 111, leaf.payloadHash));
        oracle.answerLeaf(FEED, START, leaf, sig);
    }

    function test_an_answer_pays_the_answerer_and_restarts_the_window() public {
        post();
        disputeIt();
        uint256 before = available(buyer(0));
        vm.warp(block.timestamp + WINDOW / 2);
        answer();
        eq(available(buyer(0)), before + DISPUTE_BOND, "bond to the answerer");
        eq(locked(STRANGER), 0, "nothing stays held");
        (bool isFinal,,,) = oracle.finalReport(FEED, START, START + SLOT);
        isTrue(!isFinal, "other leaves can still be disputed");
        vm.warp(block.timestamp + WINDOW);
        (isFinal,,,) = oracle.finalReport(FEED, START, START + SLOT);
        isTrue(isFinal, "final after the new window");
    }

    function test_a_replaced_key_still_answers() public {
        post();
        disputeIt();
        _attest(111, 2, 11);
        answer();
        eq(uint256(oracle.reportAt(FEED, START).standing), 1, "posted again");
    }

    function test_a_quorum_cannot_rule_on_a_leaf() public {
        post();
        disputeIt();
        IDeliveryOracle.Ruling memory ruling = IDeliveryOracle.Ruling(FEED, START, true, oracle.configDigest());
        bytes memory sigs_ = memberSigs(rulingHash(ruling), 3);
        fails(abi.encodeWithSelector(IDeliveryOracle.NotDisputed.selector, FEED, START));
        oracle.rule(ruling, sigs_);
    }

    // --- voidUnanswered

    function test_an_unanswered_leaf_voids_the_report() public {
        post();
        uint256 before = available(STRANGER);
        disputeIt();
        fails(abi.encodeWithSelector(IDeliveryOracle.AnswerStillDue.selector, block.timestamp + WINDOW));
        oracle.voidUnanswered(FEED, START);
        vm.warp(block.timestamp + WINDOW);
        oracle.voidUnanswered(FEED, START);
        eq(available(STRANGER), before, "bond is back");
        eq(uint256(oracle.reportAt(FEED, START).standing), 4, "void");
        fails(abi.encodeWithSelector(IDeliveryOracle.NotDisputed.selector, FEED, START));
        oracle.answerLeaf(FEED, START, leaf, sig);
    }
}
