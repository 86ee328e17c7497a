// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {IDeliveryOracle} from "./interfaces/IDeliveryOracle.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";
import {ITreasury} from "./interfaces/ITreasury.sol";
import {CommitteeLib} from "./libraries/CommitteeLib.sol";
import {ReadingLib} from "./libraries/ReadingLib.sol";
import {ReportLib} from "./libraries/ReportLib.sol";

/// @title DeliveryOracle
/// @notice See IDeliveryOracle: the interface is the document.
contract DeliveryOracle is IDeliveryOracle, EIP712 {
    using CommitteeLib for CommitteeLib.State;
    using ReportLib for Report;
    using ReportLib for Publication;
    using ReportLib for DeviceAttestation;
    using ReportLib for Ruling;

    uint256 private constant SIGNATURE = 65;

    IRegistry private immutable REGISTRY;
    ITreasury private immutable TREASURY;
    uint256 public immutable override bondMicro;
    uint256 public immutable override disputeBondMicro;
    uint256 public immutable override disputeWindow;
    uint256 public immutable override committeeDelay;

    CommitteeLib.State private committee;
    mapping(bytes32 feedId => Feed) private feeds;
    mapping(bytes32 feedId => mapping(uint64 start => ReportView)) private reports;
    mapping(bytes32 feedId => mapping(uint64 start => address)) private disputers;
    mapping(bytes32 feedId => mapping(uint64 start => LeafDispute)) private leafDisputes;
    mapping(uint64 start => bytes32) public override publication;

    constructor(
        address registry,
        address treasury,
        address[] memory members_,
        uint256 quorum_,
        uint256 bondMicro_,
        uint256 disputeBondMicro_,
        uint256 disputeWindow_,
        uint256 committeeDelay_
    ) EIP712("BitWatt Oracle", "1") {
        CommitteeLib.check(members_, quorum_);

        REGISTRY = IRegistry(registry);
        TREASURY = ITreasury(treasury);
        bondMicro = bondMicro_;
        disputeBondMicro = disputeBondMicro_;
        disputeWindow = disputeWindow_;
        committeeDelay = committeeDelay_;
        committee.install(members_, quorum_, bondMicro_ == 0);
    }

    /// @inheritdoc IDeliveryOracle
    function postBond() external {
        require(committee.belongs(msg.sender), NotMember(msg.sender));
        require(!committee.memberOf[msg.sender].bonded, AlreadyBonded(msg.sender));

        committee.memberOf[msg.sender].bonded = true;

        emit Bonded(msg.sender, bondMicro);

        _hold(msg.sender, bondMicro);
    }

    /// @inheritdoc IDeliveryOracle
    function withdrawBond() external {
        CommitteeLib.Member memory member = committee.memberOf[msg.sender];
        require(!committee.belongs(msg.sender), StillMember(msg.sender));
        require(member.bonded, NotBonded(msg.sender));
        uint256 allowedAt = member.leftAt + committeeDelay;
        require(block.timestamp >= allowedAt, BondHeld(msg.sender, allowedAt));

        delete committee.memberOf[msg.sender];

        emit BondReturned(msg.sender, bondMicro);

        _forfeit(msg.sender, bondMicro, msg.sender, bondMicro);
    }

    /// @inheritdoc IDeliveryOracle
    function announceCommittee(address[] calldata members_, uint256 quorum_) external {
        _checkOwner();
        committee.announce(members_, quorum_, committeeDelay);
    }

    /// @inheritdoc IDeliveryOracle
    function withdrawAnnouncement() external {
        _checkOwner();
        require(committee.nextAt != 0, NoCommitteeAnnounced());

        committee.drop();

        emit AnnouncementWithdrawn();
    }

    /// @inheritdoc IDeliveryOracle
    function installCommittee() external {
        committee.takeOffice(bondMicro == 0);
    }

    /// @inheritdoc IDeliveryOracle
    function submit(Report calldata report, bytes calldata sigs) external {
        Feed memory head = feeds[report.feedId];
        _checkConfig(report.configDigest);
        bytes32 policy = REGISTRY.policyHash();
        require(report.policyHash == policy, WrongPolicy(report.policyHash, policy));
        require(report.epoch == head.nextEpoch, WrongEpoch(report.epoch, head.nextEpoch));
        require(report.prevHash == head.headHash, WrongPrevHash(report.prevHash, head.headHash));
        require(report.start < report.end, EmptyInterval(report.start, report.end));
        require(report.start >= head.lastEnd, OverlapsPrevious(report.start, head.lastEnd));
        require(report.end <= block.timestamp, EpochNotOver(report.end, block.timestamp));
        require((report.count == 0) == (report.root == 0), CountWithoutRoot(report.count, report.root));
        bytes32 structHash = report.hash();
        uint256 signers = _checkQuorum(structHash, sigs);

        feeds[report.feedId] = Feed(report.epoch + 1, report.end, structHash);
        reports[report.feedId][report.start] = ReportView(
            report.root, report.outcomesRoot, report.epoch, report.end, uint64(block.timestamp), Standing.Posted
        );

        emit ReportSubmitted(report.feedId, report.epoch, structHash, signers, report);
    }

    /// @inheritdoc IDeliveryOracle
    function publish(Publication calldata p, bytes calldata sigs) external {
        _checkConfig(p.configDigest);
        require(publication[p.start] == 0, AlreadyPublished(p.start));
        _checkQuorum(p.hash(), sigs);

        publication[p.start] = p.contentHash;

        emit Published(p.start, p.contentHash);
    }

    /// @inheritdoc IDeliveryOracle
    function attestDevice(DeviceAttestation calldata a, bytes calldata sigs) external {
        _checkConfig(a.configDigest);
        uint256 signers = _checkQuorum(a.hash(), sigs);

        emit DeviceAttested(a.meterId, a.evidenceHash, signers);

        REGISTRY.recordDevice(
            a.meterId,
            IRegistry.Device(
                a.x, a.y, a.measurement, a.evidenceHash, a.attestedUntil, a.assetId, a.assetKind, a.evidenceKind
            )
        );
    }

    /// @inheritdoc IDeliveryOracle
    function proveEquivocation(Report calldata a, bytes calldata sigA, Report calldata b, bytes calldata sigB)
        external
    {
        require(committee.known[a.configDigest], WrongConfig(a.configDigest, committee.digest));
        require(committee.known[b.configDigest], WrongConfig(b.configDigest, committee.digest));
        (bytes32 hashA, bytes32 hashB) = (a.hash(), b.hash());
        require(a.feedId == b.feedId && a.epoch == b.epoch && hashA != hashB, NotEquivocation());
        address member = _signerOf(_hashTypedDataV4(hashA), sigA, 0);
        require(member == _signerOf(_hashTypedDataV4(hashB), sigB, 1), NotEquivocation());
        // a member that left answers with its bond until it is returned
        require(committee.memberOf[member].bonded, NotBonded(member));

        delete committee.memberOf[member];

        emit Equivocated(member, a.feedId, a.epoch, msg.sender);

        // the odd micro-unit goes to the owner, not to the caller
        uint256 half = bondMicro / 2;
        _forfeit(member, bondMicro, msg.sender, half);
    }

    /// @inheritdoc IDeliveryOracle
    function dispute(bytes32 feedId, uint64 start) external {
        ReportView storage report = reports[feedId][start];
        bool open = report.standing == Standing.Posted && block.timestamp < report.postedAt + disputeWindow;
        require(open, NotDisputable(feedId, start));

        report.standing = Standing.Disputed;
        disputers[feedId][start] = msg.sender;

        emit Disputed(feedId, start, msg.sender);

        _hold(msg.sender, disputeBondMicro);
    }

    /// @inheritdoc IDeliveryOracle
    function disputeLeaf(
        bytes32 feedId,
        uint64 start,
        ISettlement.Reading calldata reading,
        bytes32[] calldata proof
    ) external {
        ReportView storage report = reports[feedId][start];
        uint256 until = report.postedAt + disputeWindow;
        bool open = report.standing == Standing.Posted && block.timestamp < until;
        require(open, NotDisputable(feedId, start));
        bytes32 leaf = ReadingLib.leafOf(reading);
        require(MerkleProof.verifyCalldata(proof, report.root, leaf), LeafNotInReport(leaf, report.root));
        uint64 answerBy = uint64(block.timestamp + disputeWindow);

        report.standing = Standing.LeafDisputed;
        leafDisputes[feedId][start] = LeafDispute(msg.sender, answerBy, leaf);

        emit LeafDisputed(feedId, start, msg.sender, leaf, answerBy);

        _hold(msg.sender, disputeBondMicro);
    }

    /// @inheritdoc IDeliveryOracle
    function answerLeaf(
        bytes32 feedId,
        uint64 start,
        ISettlement.Reading calldata reading,
        DeviceSignature calldata sig
    ) external {
        LeafDispute memory d = _openLeafDispute(feedId, start);
        bytes32 leaf = ReadingLib.leafOf(reading);
        require(leaf == d.leaf, WrongLeaf(leaf, d.leaf));
        uint256 meterId = reading.meterId;
        bool known = meterId <= type(uint32).max && REGISTRY.wasAttested(uint32(meterId), reading.keyId, reading.end);
        require(known, KeyNotAttested(meterId, reading.keyId));
        bool signed = ReadingLib.isSigned(reading, sig.quality, sig.x, sig.y, sig.r, sig.s);
        require(signed, NotSignedByDevice(meterId, reading.payloadHash));

        delete leafDisputes[feedId][start];
        reports[feedId][start].standing = Standing.Posted;
        reports[feedId][start].postedAt = uint64(block.timestamp);

        emit LeafAnswered(feedId, start, msg.sender, d.disputer, leaf);

        _forfeit(d.disputer, disputeBondMicro, msg.sender, disputeBondMicro);
    }

    /// @inheritdoc IDeliveryOracle
    function voidUnanswered(bytes32 feedId, uint64 start) external {
        LeafDispute memory d = _openLeafDispute(feedId, start);
        require(block.timestamp >= d.answerBy, AnswerStillDue(d.answerBy));

        delete leafDisputes[feedId][start];
        reports[feedId][start].standing = Standing.Void;

        emit LeafUnanswered(feedId, start, d.disputer, d.leaf);

        _forfeit(d.disputer, disputeBondMicro, d.disputer, disputeBondMicro);
    }

    /// @inheritdoc IDeliveryOracle
    function rule(Ruling calldata ruling, bytes calldata sigs) external {
        ReportView storage report = reports[ruling.feedId][ruling.start];
        _checkConfig(ruling.configDigest);
        require(report.standing == Standing.Disputed, NotDisputed(ruling.feedId, ruling.start));
        _checkQuorum(ruling.hash(), sigs);
        address disputer = disputers[ruling.feedId][ruling.start];

        report.standing = ruling.upheld ? Standing.Upheld : Standing.Void;
        report.postedAt = uint64(block.timestamp);

        emit Ruled(ruling.feedId, ruling.start, ruling.upheld);

        _forfeit(disputer, disputeBondMicro, disputer, ruling.upheld ? 0 : disputeBondMicro);
    }

    function _openLeafDispute(bytes32 feedId, uint64 start) private view returns (LeafDispute memory) {
        bool open = reports[feedId][start].standing == Standing.LeafDisputed;
        require(open, NotDisputed(feedId, start));
        return leafDisputes[feedId][start];
    }

    function _checkOwner() private view {
        address owner = Ownable(address(REGISTRY)).owner();
        require(msg.sender == owner, NotOwner(msg.sender, owner));
    }

    function _checkConfig(bytes32 given) private view {
        require(given == committee.digest, WrongConfig(given, committee.digest));
    }

    function _checkMember(address signer) private view {
        CommitteeLib.Member memory member = committee.memberOf[signer];
        require(member.place != 0, NotMember(signer));
        require(member.bonded, NotBonded(signer));
    }

    /// @dev Distinct bonded members by ascending address, at least `quorum`; returns their places as a bitmap.
    function _checkQuorum(bytes32 structHash, bytes calldata sigs) private view returns (uint256 signers) {
        uint256 n = sigs.length / SIGNATURE;
        require(sigs.length % SIGNATURE == 0, SignatureLength(sigs.length));
        require(n >= committee.quorum, QuorumMissing(n, committee.quorum));
        bytes32 digest = _hashTypedDataV4(structHash);
        address previous;
        for (uint256 i; i < n; ++i) {
            address signer = _signerOf(digest, sigs[i * SIGNATURE:(i + 1) * SIGNATURE], i);
            require(signer > previous, SignersNotAscending(signer));
            _checkMember(signer);
            signers |= 1 << (committee.memberOf[signer].place - 1);
            previous = signer;
        }
    }

    /// @dev Refuses wrong length, high s and a signature of nobody.
    function _signerOf(bytes32 digest, bytes calldata sig, uint256 index) private pure returns (address signer) {
        ECDSA.RecoverError problem;
        (signer, problem,) = ECDSA.tryRecoverCalldata(digest, sig);
        require(problem == ECDSA.RecoverError.NoError, BadSignature(index));
    }

    /// @dev Moves `amount` of an account from available to locked.
    function _hold(address account, uint256 amount) private {
        ITreasury.Posting[] memory list = new ITreasury.Posting[](1);
        list[0] = ITreasury.Posting(account, -_signed(amount), _signed(amount));
        TREASURY.post(list);
    }

    /// @dev Takes `amount` of an account's locked money: `share` to `receiver`, the rest to the Registry owner.
    function _forfeit(address account, uint256 amount, address receiver, uint256 share) private {
        ITreasury.Posting[] memory list = new ITreasury.Posting[](3);
        list[0] = ITreasury.Posting(account, 0, -_signed(amount));
        list[1] = ITreasury.Posting(receiver, _signed(share), 0);
        list[2] = ITreasury.Posting(Ownable(address(REGISTRY)).owner(), _signed(amount - share), 0);
        TREASURY.post(list);
    }

    function _signed(uint256 amount) private pure returns (int128) {
        return int128(uint128(amount));
    }

    /// @inheritdoc IDeliveryOracle
    function reportAt(bytes32 feedId, uint64 start) external view returns (ReportView memory) {
        return reports[feedId][start];
    }

    /// @inheritdoc IDeliveryOracle
    function finalReport(bytes32 feedId, uint64 start, uint64 end)
        external
        view
        returns (bool isFinal, bytes32 root, bytes32 outcomesRoot, uint64 finalAt)
    {
        ReportView memory report = reports[feedId][start];
        bool stands = report.standing == Standing.Posted || report.standing == Standing.Upheld;
        finalAt = report.postedAt + uint64(disputeWindow);
        isFinal = stands && report.end == end && block.timestamp >= finalAt;
        return (isFinal, report.root, report.outcomesRoot, finalAt);
    }

    /// @inheritdoc IDeliveryOracle
    function feed(bytes32 feedId) external view returns (Feed memory) {
        return feeds[feedId];
    }

    /// @inheritdoc IDeliveryOracle
    function members() external view returns (address[] memory) {
        return committee.list;
    }

    /// @inheritdoc IDeliveryOracle
    function quorum() external view returns (uint256) {
        return committee.quorum;
    }

    /// @inheritdoc IDeliveryOracle
    function configDigest() external view returns (bytes32) {
        return committee.digest;
    }

    /// @inheritdoc IDeliveryOracle
    function announcedCommittee() external view returns (address[] memory, uint256, uint64) {
        return (committee.nextList, committee.nextQuorum, committee.nextAt);
    }

    /// @inheritdoc IDeliveryOracle
    function leafDispute(bytes32 feedId, uint64 start) external view returns (LeafDispute memory) {
        return leafDisputes[feedId][start];
    }

    /// @inheritdoc IDeliveryOracle
    function bondOf(address member) external view returns (uint256) {
        return committee.memberOf[member].bonded ? bondMicro : 0;
    }

    /// @inheritdoc IDeliveryOracle
    function hashReport(Report calldata report) external pure returns (bytes32) {
        return report.hash();
    }
}
