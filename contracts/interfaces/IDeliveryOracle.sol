// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ISettlement} from "./ISettlement.sol";

/// @title What was measured, signed by a quorum
/// @notice A committee of n bonded members posts one report per feed and epoch: Merkle roots of readings and outcomes,
/// totals, and the hashes of evidence and archive. Reports form a hash chain per feed, never overlap in time, and are
/// final when the dispute window passed without an open dispute.
/// A single leaf can be disputed by anyone against a bond; then the device's own P-256 signature of that reading must
/// be shown on chain, or the report is void.
/// Powers of a quorum: report, publish, attest devices, rule on the dispute of a whole report (not of a leaf).
/// Powers of the Registry's owner: announce the next committee, which takes office `committeeDelay` seconds later, and
/// take the announcement back. A committee in office cannot be removed sooner, nor can a report be touched.
/// Assumes for safety: fewer than `quorum` members lie together. Assumes for liveness: `quorum` members are up; if
/// not, Settlement refunds after its delay.
interface IDeliveryOracle {
    /// @param start unix seconds, first second covered; @param end first second not covered
    /// @param root root of the reading leaves (OpenZeppelin standard tree), zero if there is none
    /// @param totals per kind 0..7, quantity of the leaves / 1000 rounded down (Wh, resource-seconds)
    /// @param outcomesRoot root of the outcome leaves, zero if there is none
    /// @param prevHash EIP-712 struct hash of the feed's previous report, zero for epoch 0
    struct Report {
        bytes32 feedId;
        uint64 epoch;
        uint64 start;
        uint64 end;
        bytes32 root;
        uint32 count;
        uint64[8] totals;
        bytes32 outcomesRoot;
        bytes32 evidenceRoot;
        bytes32 policyHash;
        bytes32 archiveHash;
        bytes32 prevHash;
        bytes32 configDigest;
    }

    /// @param start start of the batch that the content is for
    /// @param contentHash keccak256(abi.encode(start, slotSeconds, slots, zones, keccak256(carbonBytes)))
    struct Publication {
        uint64 start;
        bytes32 contentHash;
        bytes32 configDigest;
    }

    struct DeviceAttestation {
        uint32 meterId;
        uint8 assetKind;
        uint32 assetId;
        bytes32 x;
        bytes32 y;
        bytes32 measurement;
        uint64 attestedUntil;
        bytes32 evidenceHash;
        uint8 evidenceKind;
        bytes32 configDigest;
    }

    /// @param upheld true: the report stands; false: it is void and its slots are refunded
    struct Ruling {
        bytes32 feedId;
        uint64 start;
        bool upheld;
        bytes32 configDigest;
    }

    enum Standing {
        None,
        Posted,
        Disputed,
        Upheld,
        Void,
        LeafDisputed
    }

    /// @notice An open dispute of one leaf. @param answerBy unix seconds, from then on the report can be voided
    struct LeafDispute {
        address disputer;
        uint64 answerBy;
        bytes32 leaf;
    }

    /// @notice ES256 over a reading. @param quality the device's own verdict in the payload, never worse than the
    /// leaf's; @param x, y the key, whose hash is the leaf's keyId; @param r, s the signature, low s
    struct DeviceSignature {
        uint256 quality;
        bytes32 x;
        bytes32 y;
        bytes32 r;
        bytes32 s;
    }

    /// @param postedAt unix seconds; of an upheld report the time of the ruling
    struct ReportView {
        bytes32 root;
        bytes32 outcomesRoot;
        uint64 epoch;
        uint64 end;
        uint64 postedAt;
        Standing standing;
    }

    /// @param nextEpoch the epoch the next report must carry; @param lastEnd end of the last report
    /// @param headHash struct hash of the last report, zero before the first
    struct Feed {
        uint64 nextEpoch;
        uint64 lastEnd;
        bytes32 headHash;
    }

    event ReportSubmitted(
        bytes32 indexed feedId, uint64 indexed epoch, bytes32 reportHash, uint256 signerBitmap, Report report
    );
    event Published(uint64 indexed start, bytes32 contentHash);
    event DeviceAttested(uint32 indexed meterId, bytes32 evidenceHash, uint256 signerBitmap);
    event Bonded(address indexed member, uint256 amountMicro);
    event Equivocated(address indexed member, bytes32 indexed feedId, uint64 epoch, address indexed reporter);
    event Disputed(bytes32 indexed feedId, uint64 indexed start, address indexed disputer);
    event Ruled(bytes32 indexed feedId, uint64 indexed start, bool upheld);
    event LeafDisputed(
        bytes32 indexed feedId, uint64 indexed start, address indexed disputer, bytes32 leaf, uint64 answerBy
    );
    event LeafAnswered(
        bytes32 indexed feedId, uint64 indexed start, address indexed answerer, address disputer, bytes32 leaf
    );
    event LeafUnanswered(bytes32 indexed feedId, uint64 indexed start, address indexed disputer, bytes32 leaf);
    event BondReturned(address indexed member, uint256 amountMicro);
    event CommitteeAnnounced(address[] members, uint256 quorum, uint64 takesOfficeAt);
    event CommitteeInstalled(bytes32 indexed configDigest, address[] members, uint256 quorum);
    event AnnouncementWithdrawn();

    error CommitteeTooSmall(uint256 members, uint256 quorum);
    error MembersNotAscending(address member);
    error WrongConfig(bytes32 given, bytes32 expected);
    error WrongPolicy(bytes32 given, bytes32 expected);
    error SignatureLength(uint256 length);
    error QuorumMissing(uint256 signatures, uint256 quorum);
    error BadSignature(uint256 index);
    error SignersNotAscending(address signer);
    error NotMember(address signer);
    error NotBonded(address member);
    error AlreadyBonded(address member);
    error WrongEpoch(uint64 given, uint64 expected);
    error WrongPrevHash(bytes32 given, bytes32 expected);
    error EmptyInterval(uint64 start, uint64 end);
    error OverlapsPrevious(uint64 start, uint64 previousEnd);
    error EpochNotOver(uint64 end, uint256 timestamp);
    error CountWithoutRoot(uint32 count, bytes32 root);
    error AlreadyPublished(uint64 start);
    error NotEquivocation();
    error NotDisputable(bytes32 feedId, uint64 start);
    error NotDisputed(bytes32 feedId, uint64 start);
    error LeafNotInReport(bytes32 leaf, bytes32 root);
    error WrongLeaf(bytes32 given, bytes32 disputed);
    error KeyNotAttested(uint256 meterId, bytes32 keyId);
    error NotSignedByDevice(uint256 meterId, bytes32 payloadHash);
    error AnswerStillDue(uint256 answerBy);
    error NotOwner(address caller, address owner);
    error StillMember(address member);
    error BondHeld(address member, uint256 until);
    error NoCommitteeAnnounced();
    error CommitteeTooEarly(uint256 takesOfficeAt);
    error CommitteeNotBonded(uint256 bonds, uint256 quorum);

    /// @notice Locks the bond of a member in office or announced; signatures of members without a bond do not count.
    function postBond() external;

    /// @notice Returns the bond of an account that left the committee `committeeDelay` seconds ago or was never
    /// installed. Until then it answers for equivocation.
    function withdrawBond() external;

    /// @notice Announces the next committee. Owner of the Registry only; a new announcement replaces the old one and
    /// starts the delay again.
    /// @param members ascending; @param quorum more than two thirds of them
    function announceCommittee(address[] calldata members, uint256 quorum) external;

    /// @notice Takes the announcement back. Owner of the Registry only.
    function withdrawAnnouncement() external;

    /// @notice Puts the announced committee in office after its delay, once a quorum of it has bonds. Anyone.
    function installCommittee() external;

    /// @notice Posts the next report of a feed. Anyone may send it; `sigs` are 65-byte signatures of at least
    /// `quorum` members, ascending by signer address.
    function submit(Report calldata report, bytes calldata sigs) external;

    /// @notice Posts the carbon table hash of the batch that starts at `publication.start`; once per start.
    function publish(Publication calldata publication, bytes calldata sigs) external;

    /// @notice Records a device in the Registry.
    function attestDevice(DeviceAttestation calldata attestation, bytes calldata sigs) external;

    /// @notice Slashes a member that signed two different reports for one feed and epoch: half of the bond goes to
    /// the caller, half to the owner of the Registry. `sigA` and `sigB` are the member's signatures.
    function proveEquivocation(Report calldata a, bytes calldata sigA, Report calldata b, bytes calldata sigB)
        external;

    /// @notice Challenges a report inside its window; holds `disputeBond` of the caller.
    function dispute(bytes32 feedId, uint64 start) external;

    /// @notice Disputes one leaf of a report inside its window; holds `disputeBond` of the caller. The report is not
    /// final meanwhile.
    function disputeLeaf(
        bytes32 feedId,
        uint64 start,
        ISettlement.Reading calldata reading,
        bytes32[] calldata proof
    ) external;

    /// @notice Ends the dispute of a leaf: shows the device's signature of the reading. The key was attested for the
    /// meter at the end of the interval. Anyone; the disputer's bond goes to the caller, and the report's window
    /// starts again, so that other leaves can still be disputed.
    function answerLeaf(
        bytes32 feedId,
        uint64 start,
        ISettlement.Reading calldata reading,
        DeviceSignature calldata signature
    ) external;

    /// @notice Voids a report whose disputed leaf nobody answered in time; the bond goes back to the disputer.
    function voidUnanswered(bytes32 feedId, uint64 start) external;

    /// @notice Ends a dispute by quorum: upheld, the bond goes to the Registry owner; void, back to the disputer.
    function rule(Ruling calldata ruling, bytes calldata sigs) external;

    /// @notice The report whose interval starts at `start` (unix seconds).
    function reportAt(bytes32 feedId, uint64 start) external view returns (ReportView memory);
    /// @notice Roots of the report that covers exactly [start, end), and whether it is final now.
    function finalReport(bytes32 feedId, uint64 start, uint64 end)
        external
        view
        returns (bool isFinal, bytes32 root, bytes32 outcomesRoot, uint64 finalAt);
    function feed(bytes32 feedId) external view returns (Feed memory);
    /// @notice Content hash published for a batch start, zero if none.
    function publication(uint64 start) external view returns (bytes32);
    function members() external view returns (address[] memory);
    function bondOf(address member) external view returns (uint256);
    function quorum() external view returns (uint256);
    function bondMicro() external view returns (uint256);
    function disputeBondMicro() external view returns (uint256);
    function disputeWindow() external view returns (uint256);
    /// @notice Seconds from the announcement of a committee to its office, and from leaving it to the bond's return.
    function committeeDelay() external view returns (uint256);
    /// @notice Members, quorum and the time from which on they may take office; zeros if none is announced.
    function announcedCommittee()
        external
        view
        returns (address[] memory members, uint256 quorum, uint64 takesOfficeAt);
    function leafDispute(bytes32 feedId, uint64 start) external view returns (LeafDispute memory);
    /// @notice keccak256(abi.encode(chainId, address(this), members, quorum)) of the committee in office.
    function configDigest() external view returns (bytes32);
    function hashReport(Report calldata report) external view returns (bytes32 structHash);
}
