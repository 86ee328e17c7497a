// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBundleMarket} from "./IBundleMarket.sol";

/// @title Clearing of any number of orders, accepted unless proved wrong
/// @notice A solver opens a batch of the BundleMarket through this contract, posts prices, compute offers and power offers
/// (checked in full there), and then only the roots of orders, fills and running sums, behind a bond. During the window
/// anyone may show a single wrong step to `Challenges`; that voids the batch and takes the bond. A solution worth more
/// by at least `stepMilli` replaces the standing one. What stands at the end is final; its chunks are opened against the
/// root and settle in Settlement like any other.
/// Orders are BundleOrders signed under this contract's own EIP-712 domain, so an order belongs to one of the two paths.
/// A buyer reserves money here; what an opened order costs is taken from the reserve. Where the reserve or the order's
/// lanes do not suffice any more, the solver who chose the order takes its place with its own money.
/// Units: money micro-units, welfare and bound milli-micro-units, energy Wh. Layout of the trees: libraries/Claims.sol.
/// Powers of a solver: as in IBundleMarket; a filled order that breaks its terms costs it the bond. Powers of the owner of
/// the Registry: none here, it receives half of a lost bond, so that a solver cannot convict itself for free. Powers of an
/// operator: set the standard energy of a class, once.
/// Assumes for safety: one honest party sees the data and can send one transaction inside the window. What is not shown can
/// be demanded leaf by leaf; a demand that is not answered in time voids the batch. The fee of a demand pays its answer.
/// Assumes for liveness: nothing for money; reserves can be released after their delay, opened chunks of a batch that ends
/// void are returned.
interface IOptimisticMarket {
    enum Status {
        None,
        Preparing,
        Posted,
        Final,
        Opened,
        Void,
        Convicted
    }

    /// @param start, slotSeconds, slots, zones, classes, computeOffers as the market has them (checked when posted), so that
    /// a challenge need not ask
    /// @param rows, steps numbers of leaves; @param chunkBits a chunk is 2^chunkBits neighbouring rows, at most 64
    /// @param welfareMilli, bestMilli sums of the rows; @param dataHash bundle of the leaves in the archive
    struct Claim {
        uint64 start;
        uint32 slotSeconds;
        uint16 slots;
        uint16 zones;
        uint16 classes;
        uint16 computeOffers;
        bytes32 rowsRoot;
        bytes32 stepsRoot;
        uint32 rows;
        uint32 steps;
        uint8 chunkBits;
        int256 welfareMilli;
        uint256 bestMilli;
        bytes32 dataHash;
    }

    /// @param welfareMilli rows less the cost of the power sold; @param boundMilli rows plus what sellers could earn
    /// @param previous the candidate that this one replaced, zero if none
    struct Candidate {
        address solver;
        uint64 postedAt;
        Status status;
        uint64 start;
        uint64 previous;
        uint32 openDemands;
        uint32 opened;
        bytes32 claimHash;
        int256 welfareMilli;
        uint256 boundMilli;
    }

    /// @notice A leaf of the tree of rows: one order of the book, filled or not. @param nextKey key of the next row, all ones
    /// in the last
    struct Row {
        bytes32 orderHash;
        bytes32 sigHash;
        bytes32 runsHash;
        bytes32 marksHash;
        address maker;
        uint64 nonce;
        uint256 nextKey;
        uint32 orderLanes;
        uint32 lanes;
        uint128 costMicro;
        int128 welfareMilli;
        uint128 bestMilli;
        int256 cumWelfare;
        uint256 cumBest;
    }

    /// @notice A leaf of the tree of steps: a run enters or leaves the load of a cell. @param nextKey key of the next
    /// step, all ones in the last, so that one leaf shows that nothing lies between
    struct Step {
        uint256 key;
        uint256 nextKey;
        int256 delta;
        int256 load;
    }

    event CandidatePosted(
        uint64 indexed batchId,
        uint64 indexed start,
        address indexed solver,
        Claim claim,
        int256 welfareMilli,
        uint256 boundMilli,
        uint64 replaced
    );
    event Demanded(uint64 indexed batchId, uint8 tree, uint32 index, address demander, uint64 answerBy);
    event RowShown(uint64 indexed batchId, uint32 index, Row row, IBundleMarket.BundleOrder order, bytes sig, bytes runs, bytes marks);
    event StepShown(uint64 indexed batchId, uint32 index, Step step);
    event Convicted(uint64 indexed batchId, address indexed challenger, bytes32 proof);
    event Slashed(uint64 indexed batchId, address indexed solver, address indexed challenger, uint256 bondMicro);
    event CandidateFinal(uint64 indexed batchId, uint64 indexed start);
    event ChunkOpened(uint64 indexed batchId, uint32 indexed chunk, uint32 marketChunk);
    event StoodIn(uint64 indexed batchId, bytes32 indexed orderHash, address indexed solver, uint256 costMicro);
    event BatchOpened(uint64 indexed batchId);
    event CandidateClosed(uint64 indexed batchId);
    event ChunkReturned(uint64 indexed batchId, uint32 indexed chunk);
    event Reserved(address indexed maker, uint256 amountMicro);
    event ReleaseRequested(address indexed maker, uint256 amountMicro, uint256 maturesAt);
    event Released(address indexed maker, uint256 amountMicro);
    event Approved(address indexed maker, bytes32 indexed orderHash);
    event Insisted(uint64 indexed start, address indexed maker, bytes32 indexed orderHash, uint64 nonce);
    event Cancelled(address indexed maker, uint64 nonce);
    event AllCancelled(address indexed maker, uint32 epoch);
    event ClassEnergySet(uint256 indexed classId, uint32 wattHours);
    event Wired(address challenges);

    error NotDeployer(address caller);
    error AlreadyWired();
    error NotSolver(address caller);
    error NotOperator(address caller);
    error NotChallenges(address caller);
    error NotMaker(address caller, address maker);
    error WrongStatus(uint64 batchId, Status status);
    error MarketRefused(bytes reason);
    error PartLength(uint256 length, uint256 expected);
    error ClassEnergyMissing(uint256 classId);
    error ClassEnergyTaken(uint256 classId);
    error BadClaim(bytes32 what, uint256 value);
    error WrongClaim(uint64 batchId, bytes32 given);
    error WelfareAboveBound(int256 welfareMilli, uint256 boundMilli);
    error TooLateToPost(uint64 batchId, uint256 latest);
    error NotBetter(int256 welfareMilli, int256 needed);
    error StandingFinal(uint64 standing);
    error WindowOver(uint64 batchId, uint256 until);
    error WindowOpen(uint64 batchId, uint256 until);
    error DemandsOpen(uint64 batchId, uint256 count);
    error NoSuchLeaf(uint8 tree, uint32 index, uint32 leaves);
    error AlreadyDemanded(uint64 batchId, uint8 tree, uint32 index);
    error NotDemanded(uint64 batchId, uint8 tree, uint32 index);
    error AnswerStillDue(uint256 answerBy);
    error LeafNotInTree(uint8 tree, uint256 index);
    error DataNotOfLeaf(uint256 index);
    error NotStanding(uint64 batchId, uint64 standing);
    error AfterStart(uint64 batchId, uint256 start);
    error BeforeStart(uint64 batchId, uint256 start);
    error ChunkDone(uint64 batchId, uint32 chunk);
    error ChunkRows(uint256 given, uint256 expected);
    error ChunksMissing(uint64 batchId, uint256 opened, uint256 expected);
    error ZeroAmount();
    error ReserveTooSmall(address maker, uint256 reserveMicro, uint256 amountMicro);
    error NothingRequested(address maker);
    error ReleaseNotMature(uint256 maturesAt);
    error NotEligible(bytes32 orderHash, bytes32 why);
    error AlreadyInsisted(uint64 start, address maker, uint64 nonce);

    // --- solver

    /// @notice The BundleMarket's functions of the same names, forwarded; the caller becomes the candidate's solver.
    function openBatch(IBundleMarket.BatchHeader calldata header) external returns (uint64 batchId);
    /// @notice Every part but the last has 24,000 bytes, so that a challenge finds a price in one read.
    function postPrices(uint64 batchId, uint16 part, bytes calldata data) external;
    function addComputeOffers(
        uint64 batchId,
        IBundleMarket.ComputeOffer[] calldata offers,
        bytes[] calldata sigs
    ) external;
    function addPowerOffers(
        uint64 batchId,
        IBundleMarket.PowerOffer[] calldata offers,
        bytes[] calldata sigs,
        bytes[] calldata profiles,
        bytes[] calldata sold
    ) external;
    /// @notice Posts the claim of a prepared batch and locks the bond. It becomes the standing candidate of its start.
    function post(uint64 batchId, Claim calldata claim) external;
    /// @notice Shows a demanded row with everything behind its hashes. Anyone; the fee goes to the caller.
    function answerRow(
        uint64 batchId,
        Claim calldata claim,
        uint32 index,
        Row calldata row,
        bytes32[] calldata path,
        IBundleMarket.BundleOrder calldata order,
        bytes[3] calldata sigRunsMarks
    ) external;
    function answerStep(
        uint64 batchId,
        Claim calldata claim,
        uint32 index,
        Step calldata step,
        bytes32[] calldata path
    ) external;

    // --- anyone

    /// @notice Asks for a leaf (tree 0 rows, 1 steps) inside the window; locks the fee.
    function demand(uint64 batchId, Claim calldata claim, uint8 tree, uint32 index) external;
    /// @notice Ends a demand that was not answered in time, or whose candidate is void: the fee goes back. A candidate that
    /// still was posted is voided, and the demander gets half of the bond.
    function settleDemand(uint64 batchId, uint8 tree, uint32 index) external;
    /// @notice Makes the standing candidate final after its window.
    function finalise(uint64 batchId) external;
    /// @notice Opens a chunk of the final candidate: `rows` and `runs` in order, `path` from the chunk's subtree up.
    function openChunk(
        uint64 batchId,
        Claim calldata claim,
        uint32 chunk,
        Row[] calldata rows,
        bytes[] calldata runs,
        bytes32[] calldata path
    ) external;
    /// @notice Makes the batch final in the market when every chunk is open; returns the bond.
    function complete(uint64 batchId, Claim calldata claim) external;
    /// @notice Ends a candidate that does not stand (bond returned), or one not completed by the first slot (bond lost).
    function close(uint64 batchId) external;
    /// @notice Of a closed batch: returns what an opened chunk took from reserves, and its lanes.
    function returnChunk(
        uint64 batchId,
        Claim calldata claim,
        uint32 chunk,
        Row[] calldata rows,
        bytes32[] calldata path
    ) external;
    /// @notice Pays out the bond of a convicted candidate, half to its challenger, and voids its batch in the market. Anyone.
    function collect(uint64 batchId) external;
    /// @notice Challenges only: voids a candidate; `collect` pays the challenger.
    function convict(uint64 batchId, address challenger, bytes32 proof) external;

    // --- makers

    /// @notice Moves money of the caller from available to the reserve for optimistic orders.
    function reserve(uint256 amountMicro) external;
    function requestRelease(uint256 amountMicro) external;
    function release() external;
    /// @notice Approves an order of the caller on chain, in place of a signature (for contract wallets).
    function approve(IBundleMarket.BundleOrder calldata order) external;
    /// @notice Demands that an order be part of every candidate of `start` posted `insistLead` seconds from now on.
    function insist(uint64 start, IBundleMarket.BundleOrder calldata order, bytes calldata sig) external;
    function cancel(uint64 nonce) external;
    function cancelAll() external;
    /// @notice Standard energy of a class, Wh per VCU-slot, which ranks slots by carbon. Operator, once a class.
    function setClassEnergy(uint256 classId, uint32 wattHours) external;
    function wire(address challenges) external;

    // --- views

    function candidate(uint64 batchId) external view returns (Candidate memory);
    /// @notice The part of a candidate that a challenge needs.
    function claimState(uint64 batchId) external view returns (bytes32 claimHash, uint64 postedAt, Status status);
    function standingOf(uint64 start) external view returns (uint64 batchId);
    function reserveOf(address maker) external view returns (uint256);
    function filledOf(address maker, uint64 nonce) external view returns (uint256);
    function classEnergyWh(uint256 classId) external view returns (uint32);
    function chunkState(uint64 batchId, uint32 chunk) external view returns (uint32 marketChunkPlusOne, bool returned);
    /// @notice Whether an order may be filled by a candidate posted at `time`: "" or what speaks against it.
    function obstacle(IBundleMarket.BundleOrder calldata order, bytes calldata sig, uint256 time)
        external
        view
        returns (bytes32 why);
    /// @notice Hash of an insisted order and when it was insisted on, zeros if none.
    function insisted(uint64 start, address maker, uint64 nonce)
        external
        view
        returns (bytes32 orderHash, uint64 since, uint64 expiry, uint32 epoch);
    function isWithdrawn(address maker, uint64 nonce, uint32 epoch, uint256 time) external view returns (bool);
    function hashOrder(IBundleMarket.BundleOrder calldata order) external view returns (bytes32 digest);
    function bondMicro() external view returns (uint256);
    function demandFeeMicro() external view returns (uint256);
    function window() external view returns (uint256);
    function responseTime() external view returns (uint256);
    function openingTime() external view returns (uint256);
    function insistLead() external view returns (uint256);
    function stepMilli() external view returns (uint256);
}
