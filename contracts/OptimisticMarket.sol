// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {OptimisticMakers} from "./OptimisticMakers.sol";
import {IBundleMarket} from "./interfaces/IBundleMarket.sol";
import {IOptimisticMarket} from "./interfaces/IOptimisticMarket.sol";
import {Claims} from "./libraries/Claims.sol";
import {PriceRows} from "./libraries/PriceRows.sol";
import {ChunkOpening} from "./libraries/ChunkOpening.sol";
import {SellerBound} from "./libraries/SellerBound.sol";

/// @title OptimisticMarket
/// @notice See IOptimisticMarket: the interface is the document. What makers do is in OptimisticMakers.
contract OptimisticMarket is OptimisticMakers {
    uint64 private constant ANSWERED = type(uint64).max;

    struct Sellers {
        uint128 bestMilli;
        int128 costMilli;
    }

    struct Demand {
        address demander;
        uint64 answerBy;
    }

    address private immutable DEPLOYER;
    IBundleMarket private immutable MARKET;
    uint256 public immutable override bondMicro;
    uint256 public immutable override demandFeeMicro;
    uint256 public immutable override insistLead;
    uint256 public immutable override stepMilli;

    address private challenges;
    mapping(uint64 batchId => Candidate) private candidates;
    mapping(uint64 batchId => Sellers) private sellers;
    mapping(uint64 start => uint64) private lastPosted;
    mapping(uint64 batchId => mapping(uint256 leaf => Demand)) private demands;
    mapping(uint64 batchId => mapping(uint32 chunk => ChunkOpening.Opened)) private opened;

    modifier onlySolver(uint64 batchId) {
        require(msg.sender == candidates[batchId].solver, NotSolver(msg.sender));
        _;
    }

    constructor(
        address registry,
        address treasury,
        address market,
        uint256 bondMicro_,
        uint256 demandFeeMicro_,
        uint256 stepMilli_,
        uint256[4] memory times
    ) OptimisticMakers(registry, treasury, times) {
        DEPLOYER = msg.sender;
        MARKET = IBundleMarket(market);
        bondMicro = bondMicro_;
        demandFeeMicro = demandFeeMicro_;
        stepMilli = stepMilli_;
        insistLead = times[3];
    }

    /// @inheritdoc IOptimisticMarket
    function wire(address challenges_) external {
        require(msg.sender == DEPLOYER, NotDeployer(msg.sender));
        require(challenges == address(0), AlreadyWired());

        challenges = challenges_;

        emit Wired(challenges_);
    }

    // --- solver

    /// @inheritdoc IOptimisticMarket
    function openBatch(IBundleMarket.BatchHeader calldata header) external returns (uint64 batchId) {
        require(REGISTRY.isSolver(msg.sender), NotSolver(msg.sender));
        for (uint256 k; k < header.classes; ++k) {
            require(classEnergyWh[k] != 0, ClassEnergyMissing(k));
        }

        batchId = MARKET.openBatch(header);
        Candidate storage c = candidates[batchId];
        (c.solver, c.start, c.status) = (msg.sender, header.start, Status.Preparing);
    }

    /// @inheritdoc IOptimisticMarket
    function postPrices(uint64 batchId, uint16, bytes calldata data) external onlySolver(batchId) {
        uint256 left = MARKET.tableLength(batchId) - MARKET.batch(batchId).tableBytes;
        uint256 due = left < PriceRows.PART ? left : PriceRows.PART;
        require(data.length == due, PartLength(data.length, due));
        _forward();
    }

    /// @inheritdoc IOptimisticMarket
    function addComputeOffers(
        uint64 batchId,
        IBundleMarket.ComputeOffer[] calldata offers,
        bytes[] calldata
    ) external onlySolver(batchId) {
        _require(batchId, Status.Preparing);
        uint256 first = MARKET.batch(batchId).computeOffers;
        _forward();

        uint256 best = SellerBound.computeBest(MARKET, batchId, first, first + offers.length);
        sellers[batchId].bestMilli += uint128(best);
    }

    /// @inheritdoc IOptimisticMarket
    function addPowerOffers(
        uint64 batchId,
        IBundleMarket.PowerOffer[] calldata offers,
        bytes[] calldata,
        bytes[] calldata profiles,
        bytes[] calldata sold
    ) external onlySolver(batchId) {
        _require(batchId, Status.Preparing);
        _forward();

        (uint256 best, int256 cost) = SellerBound.powerBest(MARKET, batchId, offers, profiles, sold);
        sellers[batchId].bestMilli += uint128(best);
        sellers[batchId].costMilli += int128(cost);
    }

    /// @inheritdoc IOptimisticMarket
    function post(uint64 batchId, Claim calldata claim) external onlySolver(batchId) {
        Candidate storage c = candidates[batchId];
        _require(batchId, Status.Preparing);
        ChunkOpening.checkClaim(MARKET, batchId, claim);
        uint256 latest = c.start - window - responseTime - openingTime;
        require(block.timestamp <= latest, TooLateToPost(batchId, latest));
        int256 welfare = claim.welfareMilli - sellers[batchId].costMilli;
        uint256 bound = claim.bestMilli + sellers[batchId].bestMilli;
        require(welfare <= int256(bound), WelfareAboveBound(welfare, bound));
        uint64 standing = standingOf(c.start);
        if (standing != 0) _checkBetter(standing, welfare);

        c.postedAt = uint64(block.timestamp);
        (c.status, c.previous) = (Status.Posted, standing);
        (c.claimHash, c.welfareMilli, c.boundMilli) = (Claims.hashOf(claim), welfare, bound);
        lastPosted[c.start] = batchId;

        emit CandidatePosted(batchId, c.start, msg.sender, claim, welfare, bound, standing);

        _move(msg.sender, -int256(bondMicro), int256(bondMicro));
    }

    function _checkBetter(uint64 standing, int256 welfare) private view {
        Candidate storage s = candidates[standing];
        require(s.status == Status.Posted, StandingFinal(standing));
        int256 needed = s.welfareMilli + int256(stepMilli);
        require(welfare >= needed, NotBetter(welfare, needed));
    }

    /// @dev Passes the call on as it is: the functions have the market's names and arguments.
    function _forward() private {
        (bool ok, bytes memory answer) = address(MARKET).call(msg.data);
        if (ok) return;
        assembly ("memory-safe") {
            revert(add(answer, 32), mload(answer))
        }
    }

    // --- data on demand

    /// @inheritdoc IOptimisticMarket
    function demand(uint64 batchId, Claim calldata claim, uint8 tree, uint32 index) external {
        _posted(batchId, claim);
        uint256 until = candidates[batchId].postedAt + window;
        require(block.timestamp < until, WindowOver(batchId, until));
        uint32 leaves = tree == 0 ? claim.rows : tree == 1 ? claim.steps : 0;
        require(index < leaves, NoSuchLeaf(tree, index, leaves));
        Demand storage d = demands[batchId][_leafId(tree, index)];
        require(d.answerBy == 0, AlreadyDemanded(batchId, tree, index));

        (d.demander, d.answerBy) = (msg.sender, uint64(block.timestamp + responseTime));
        ++candidates[batchId].openDemands;

        emit Demanded(batchId, tree, index, msg.sender, d.answerBy);

        _move(msg.sender, -int256(demandFeeMicro), int256(demandFeeMicro));
    }

    /// @inheritdoc IOptimisticMarket
    function answerRow(
        uint64 batchId,
        Claim calldata claim,
        uint32 index,
        Row calldata row,
        bytes32[] calldata path,
        IBundleMarket.BundleOrder calldata order,
        bytes[3] calldata data
    ) external {
        _posted(batchId, claim);
        ChunkOpening.checkAnswer(claim, index, row, path, hashOrder(order), data);

        emit RowShown(batchId, index, row, order, data[0], data[1], data[2]);

        _endDemand(batchId, 0, index, msg.sender);
    }

    /// @inheritdoc IOptimisticMarket
    function answerStep(
        uint64 batchId,
        Claim calldata claim,
        uint32 index,
        Step calldata step,
        bytes32[] calldata path
    ) external {
        _posted(batchId, claim);
        require(Claims.rootOf(Claims.leafOf(step), index, path) == claim.stepsRoot, LeafNotInTree(1, index));

        emit StepShown(batchId, index, step);

        _endDemand(batchId, 1, index, msg.sender);
    }

    /// @inheritdoc IOptimisticMarket
    function settleDemand(uint64 batchId, uint8 tree, uint32 index) external {
        Demand memory d = demands[batchId][_leafId(tree, index)];
        bool void_ = _isVoid(batchId);
        require(void_ || block.timestamp >= d.answerBy, AnswerStillDue(d.answerBy));
        _endDemand(batchId, tree, index, d.demander);
        if (!void_) _convict(batchId, d.demander, "silent");
    }

    /// @dev Closes an open demand; its fee goes to `receiver`.
    function _endDemand(uint64 batchId, uint8 tree, uint32 index, address receiver) private {
        Demand storage d = demands[batchId][_leafId(tree, index)];
        require(d.answerBy != 0 && d.answerBy != ANSWERED, NotDemanded(batchId, tree, index));
        address demander = d.demander;

        d.answerBy = ANSWERED;
        --candidates[batchId].openDemands;

        _pay(demander, receiver, demandFeeMicro, demandFeeMicro);
    }

    function _leafId(uint8 tree, uint32 index) private pure returns (uint256) {
        return uint256(tree) << 32 | index;
    }

    // --- the end of the window

    /// @inheritdoc IOptimisticMarket
    function convict(uint64 batchId, address challenger, bytes32 proof) external {
        require(msg.sender == challenges, NotChallenges(msg.sender));
        _convict(batchId, challenger, proof);
    }

    function _convict(uint64 batchId, address challenger, bytes32 proof) private {
        Candidate storage c = candidates[batchId];
        _require(batchId, Status.Posted);

        // nothing of a candidate that was never final is opened, so the claim's hash is not needed any more
        (c.status, c.claimHash) = (Status.Convicted, bytes32(uint256(uint160(challenger))));

        emit Convicted(batchId, challenger, proof);
    }

    /// @inheritdoc IOptimisticMarket
    function collect(uint64 batchId) external {
        Candidate storage c = candidates[batchId];
        _require(batchId, Status.Convicted);
        address challenger = address(uint160(uint256(c.claimHash)));

        c.status = Status.Void;

        emit Slashed(batchId, c.solver, challenger, bondMicro);

        _pay(c.solver, challenger, bondMicro, bondMicro / 2);
        MARKET.voidBatch(batchId);
    }

    function _isVoid(uint64 batchId) private view returns (bool) {
        return candidates[batchId].status >= Status.Void;
    }

    /// @inheritdoc IOptimisticMarket
    function finalise(uint64 batchId) external {
        Candidate storage c = candidates[batchId];
        _require(batchId, Status.Posted);
        require(standingOf(c.start) == batchId, NotStanding(batchId, standingOf(c.start)));
        uint256 until = c.postedAt + window;
        require(block.timestamp >= until, WindowOpen(batchId, until));
        require(c.openDemands == 0, DemandsOpen(batchId, c.openDemands));
        require(block.timestamp < c.start, AfterStart(batchId, c.start));

        c.status = Status.Final;

        emit CandidateFinal(batchId, c.start);
    }

    /// @inheritdoc IOptimisticMarket
    function openChunk(
        uint64 batchId,
        Claim calldata claim,
        uint32 chunk,
        Row[] calldata rows,
        bytes[] calldata runs,
        bytes32[] calldata path
    ) external {
        Candidate storage c = candidates[batchId];
        _require(batchId, Status.Final);
        _checkHash(batchId, claim);
        require(block.timestamp < c.start, AfterStart(batchId, c.start));
        ChunkOpening.Opened storage o = opened[batchId][chunk];
        require(o.marketChunkPlusOne == 0, ChunkDone(batchId, chunk));
        ChunkOpening.checkRows(claim, chunk, rows, path);

        ChunkOpening.Packed memory packed = ChunkOpening.take(book, o, batchId, c.solver, rows, runs);
        uint32 marketChunk =
            MARKET.clearProven(batchId, packed.makers, packed.hashes, packed.fills, packed.runs);
        o.marketChunkPlusOne = marketChunk + 1;
        ++c.opened;

        emit ChunkOpened(batchId, chunk, marketChunk);

        if (packed.stoodInMicro != 0) {
            _move(c.solver, -int256(packed.stoodInMicro), int256(packed.stoodInMicro));
        }
    }

    /// @inheritdoc IOptimisticMarket
    function complete(uint64 batchId, Claim calldata claim) external {
        Candidate storage c = candidates[batchId];
        _require(batchId, Status.Final);
        _checkHash(batchId, claim);
        uint256 chunks = _chunks(claim);
        require(c.opened == chunks, ChunksMissing(batchId, c.opened, chunks));

        c.status = Status.Opened;

        emit BatchOpened(batchId);

        _pay(c.solver, c.solver, bondMicro, bondMicro);
        MARKET.finalizeProven(batchId);
    }

    /// @inheritdoc IOptimisticMarket
    function close(uint64 batchId) external {
        Candidate storage c = candidates[batchId];
        Status was = c.status;
        bool started = block.timestamp >= c.start;
        if (was == Status.Preparing) {
            require(started || msg.sender == c.solver, BeforeStart(batchId, c.start));
        } else if (was == Status.Posted) {
            require(c.openDemands == 0, DemandsOpen(batchId, c.openDemands));
            require(started || _beaten(batchId), BeforeStart(batchId, c.start));
        } else {
            _require(batchId, Status.Final);
            require(started, BeforeStart(batchId, c.start));
        }

        c.status = Status.Void;

        emit CandidateClosed(batchId);

        if (was == Status.Posted) _pay(c.solver, c.solver, bondMicro, bondMicro);
        if (was == Status.Final) _pay(c.solver, msg.sender, bondMicro, bondMicro / 2);
        MARKET.voidBatch(batchId);
    }

    /// @dev Whether another candidate of the same start is final.
    function _beaten(uint64 batchId) private view returns (bool) {
        uint64 standing = standingOf(candidates[batchId].start);
        Status status = candidates[standing].status;
        return standing != batchId && (status == Status.Final || status == Status.Opened);
    }

    /// @inheritdoc IOptimisticMarket
    function returnChunk(
        uint64 batchId,
        Claim calldata claim,
        uint32 chunk,
        Row[] calldata rows,
        bytes32[] calldata path
    ) external {
        _require(batchId, Status.Void);
        _checkHash(batchId, claim);
        ChunkOpening.Opened storage o = opened[batchId][chunk];
        require(o.marketChunkPlusOne != 0 && !o.returned, ChunkDone(batchId, chunk));
        ChunkOpening.checkRows(claim, chunk, rows, path);

        o.returned = true;
        uint256 stoodIn = ChunkOpening.giveBack(book, o, rows);

        emit ChunkReturned(batchId, chunk);

        if (stoodIn != 0) _move(candidates[batchId].solver, int256(stoodIn), -int256(stoodIn));
    }

    // --- shared

    function _require(uint64 batchId, Status status) private view {
        require(candidates[batchId].status == status, WrongStatus(batchId, candidates[batchId].status));
    }

    function _posted(uint64 batchId, Claim calldata claim) private view {
        _require(batchId, Status.Posted);
        _checkHash(batchId, claim);
    }

    function _checkHash(uint64 batchId, Claim calldata claim) private view {
        bytes32 hash = Claims.hashOf(claim);
        require(hash == candidates[batchId].claimHash, WrongClaim(batchId, hash));
    }

    function _chunks(Claim calldata claim) private pure returns (uint256) {
        return (uint256(claim.rows) + (uint256(1) << claim.chunkBits) - 1) >> claim.chunkBits;
    }

    // --- views

    /// @inheritdoc IOptimisticMarket
    function candidate(uint64 batchId) external view returns (Candidate memory) {
        return candidates[batchId];
    }

    /// @inheritdoc IOptimisticMarket
    function standingOf(uint64 start) public view returns (uint64 batchId) {
        batchId = lastPosted[start];
        while (batchId != 0 && _isVoid(batchId)) batchId = candidates[batchId].previous;
    }

    /// @inheritdoc IOptimisticMarket
    function claimState(uint64 batchId) external view returns (bytes32 claimHash, uint64 postedAt, Status status) {
        Candidate storage c = candidates[batchId];
        return (c.claimHash, c.postedAt, c.status);
    }

    /// @inheritdoc IOptimisticMarket
    function chunkState(uint64 batchId, uint32 chunk) external view returns (uint32, bool) {
        return (opened[batchId][chunk].marketChunkPlusOne, opened[batchId][chunk].returned);
    }
}
