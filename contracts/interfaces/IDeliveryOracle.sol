// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title What was measured, signed by a quorum
/// @notice A committee of n bonded members posts one report per feed and epoch: Merkle roots of readings and outcomes,
/// totals, and the hashes of evidence and archive. Reports form a hash chain per feed, never overlap in time, and are
/// final when the dispute window passed without an open dispute.
/// Powers of a quorum: report, publish, attest devices, rule on a dispute. Nobody else has any; there is no owner.
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
        Void
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

    /// @notice Locks the member's bond in the Treasury; signatures of members without a bond do not count.
    function postBond() external;

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
    /// @notice keccak256(abi.encode(chainId, address(this), members, quorum)).
    function configDigest() external view returns (bytes32);
    function hashReport(Report calldata report) external view returns (bytes32 structHash);
}
