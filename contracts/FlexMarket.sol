// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {IFlexMarket} from "./interfaces/IFlexMarket.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {ITreasury} from "./interfaces/ITreasury.sol";
import {FlexMath} from "./libraries/FlexMath.sol";

/// @title FlexMarket
/// @notice See IFlexMarket: the interface is the document.
contract FlexMarket is IFlexMarket {
    IRegistry private immutable REGISTRY;
    ITreasury private immutable TREASURY;
    address public immutable override arbiter;
    uint256 public immutable override disputeWindow;
    uint256 public immutable override arbiterWindow;
    uint256 public immutable override refundDelay;

    mapping(address account => mapping(address operator => bool)) public override trusts;
    mapping(uint64 periodId => Period) private periods;
    mapping(uint64 periodId => mapping(address aggregator => Position)) private positions;
    mapping(uint64 periodId => mapping(uint32 index => Dispute)) private disputes;
    mapping(uint64 periodId => mapping(uint256 word => uint256)) private settledBits;
    mapping(uint64 periodId => mapping(address aggregator => mapping(address account => bool))) public override
        isClaimed;

    constructor(
        address registry,
        address treasury,
        address arbiter_,
        uint256 disputeWindow_,
        uint256 arbiterWindow_,
        uint256 refundDelay_
    ) {
        REGISTRY = IRegistry(registry);
        TREASURY = ITreasury(treasury);
        arbiter = arbiter_;
        disputeWindow = disputeWindow_;
        arbiterWindow = arbiterWindow_;
        refundDelay = refundDelay_;
    }

    /// @inheritdoc IFlexMarket
    function trust(address operator, bool trusted) external {
        trusts[msg.sender][operator] = trusted;

        emit Trusted(msg.sender, operator, trusted);
    }

    /// @inheritdoc IFlexMarket
    function anchorAwards(uint64 periodId, address payer, uint64 end, bytes32 root, Stake[] calldata stakes) external {
        require(REGISTRY.isOperator(msg.sender), NotOperator(msg.sender));
        require(periods[periodId].end == 0, PeriodExists(periodId));
        require(root != 0, EmptyRoot());
        require(end > block.timestamp, BadEnd(end, block.timestamp));
        require(trusts[payer][msg.sender], NotTrusted(payer, msg.sender));

        periods[periodId] = Period(payer, end, 0, root, 0);
        ITreasury.Posting[] memory postings = new ITreasury.Posting[](stakes.length + 1);
        uint256 payments;
        for (uint256 i; i < stakes.length; ++i) {
            postings[i] = _stake(periodId, stakes[i]);
            payments += stakes[i].paymentMicro;
        }
        postings[stakes.length] = _lock(payer, payments);

        emit AwardsAnchored(periodId, payer, end, root);

        TREASURY.post(postings);
    }

    function _stake(uint64 periodId, Stake calldata stake) private returns (ITreasury.Posting memory) {
        address aggregator = stake.aggregator;
        Position storage p = positions[periodId][aggregator];
        require(trusts[aggregator][msg.sender], NotTrusted(aggregator, msg.sender));
        require(p.awards == 0, StakeTwice(aggregator));
        require(stake.awards != 0, StakeEmpty(aggregator));

        p.paymentLeftMicro = stake.paymentMicro;
        p.penaltyLeftMicro = stake.penaltyMicro;
        p.awards = stake.awards;

        emit StakeLocked(periodId, aggregator, stake.paymentMicro, stake.penaltyMicro);
        return _lock(aggregator, stake.penaltyMicro);
    }

    function _lock(address account, uint256 amount) private pure returns (ITreasury.Posting memory) {
        return ITreasury.Posting(account, -_signed(amount), _signed(amount));
    }

    /// @dev Amounts are sums of at most 2**32 uint128 values; the treasury's ledger is narrower than int128.
    function _signed(uint256 amount) private pure returns (int128) {
        require(amount <= uint128(type(int128).max), ITreasury.AmountTooLarge(amount));
        return int128(uint128(amount));
    }

    /// @inheritdoc IFlexMarket
    function anchorDeliveries(uint64 periodId, bytes32 root) external {
        Period storage p = _known(periodId);
        require(REGISTRY.isOperator(msg.sender), NotOperator(msg.sender));
        require(root != 0, EmptyRoot());
        require(p.deliveredAt == 0, AlreadyDelivered(periodId));
        require(block.timestamp >= p.end, NotEnded(periodId, p.end));

        p.deliveredAt = uint64(block.timestamp);
        p.deliveriesRoot = root;

        emit DeliveriesAnchored(periodId, root);
    }

    /// @inheritdoc IFlexMarket
    function dispute(uint64 periodId, Award calldata award, bytes32[] calldata awardProof, bytes32 evidenceHash)
        external
    {
        Period storage p = _known(periodId);
        require(p.deliveredAt != 0, NotDelivered(periodId));
        uint256 until = p.deliveredAt + disputeWindow;
        require(block.timestamp < until, WindowClosed(periodId, until));
        require(msg.sender == p.payer || msg.sender == award.aggregator, NotParty(msg.sender));
        require(disputes[periodId][award.index].state == DisputeState.None, DisputeExists(periodId, award.index));
        _checkAward(periodId, p.awardsRoot, award, awardProof);

        disputes[periodId][award.index] = Dispute(DisputeState.Open, uint64(block.timestamp), 0);

        emit Disputed(periodId, award.index, msg.sender, evidenceHash);
    }

    /// @inheritdoc IFlexMarket
    function resolve(uint64 periodId, uint32 index, uint64 deliveredWh, bytes32 reasonHash) external {
        Dispute storage d = disputes[periodId][index];
        require(msg.sender == arbiter, NotArbiter(msg.sender));
        require(d.state == DisputeState.Open, NoOpenDispute(periodId, index));
        uint256 until = d.openedAt + arbiterWindow;
        require(block.timestamp < until, WindowClosed(periodId, until));

        d.state = DisputeState.Resolved;
        d.deliveredWh = deliveredWh;

        emit DisputeResolved(periodId, index, deliveredWh, reasonHash);
    }

    /// @inheritdoc IFlexMarket
    function settle(
        uint64 periodId,
        Award[] calldata awards,
        Delivery[] calldata deliveries,
        bytes32[][] calldata awardProofs,
        bytes32[][] calldata deliveryProofs
    ) external {
        Period memory p = _known(periodId);
        require(p.deliveredAt != 0, NotDelivered(periodId));
        uint256 until = p.deliveredAt + disputeWindow;
        require(block.timestamp >= until, WindowOpen(periodId, until));
        require(awards.length == deliveries.length, LengthMismatch(awards.length, deliveries.length));
        require(awards.length == awardProofs.length, LengthMismatch(awards.length, awardProofs.length));
        require(awards.length == deliveryProofs.length, LengthMismatch(awards.length, deliveryProofs.length));

        ITreasury.Posting[] memory postings = new ITreasury.Posting[](2 * awards.length);
        for (uint256 i; i < awards.length; ++i) {
            _checkAward(periodId, p.awardsRoot, awards[i], awardProofs[i]);
            _checkDelivery(periodId, p.deliveriesRoot, awards[i].index, deliveries[i], deliveryProofs[i]);
            _use(periodId, awards[i].index);
            (postings[2 * i], postings[2 * i + 1]) = _settle(periodId, p.payer, awards[i], deliveries[i]);
        }

        TREASURY.post(postings);
    }

    function _settle(uint64 periodId, address payer, Award calldata award, Delivery calldata delivery)
        private
        returns (ITreasury.Posting memory fromPayer, ITreasury.Posting memory toAggregator)
    {
        address aggregator = award.aggregator;
        uint64 deliveredWh = _delivered(periodId, award.index, delivery.deliveredWh);
        require(award.declaredWh != 0, NothingDeclared(award.index));

        (uint256 payment, uint256 penalty) =
            FlexMath.amounts(award.declaredWh, deliveredWh, award.priceMicroPerKwh);
        Position storage p = positions[periodId][aggregator];
        require(p.settled < p.awards, AwardsExceeded(aggregator, p.awards));
        require(payment <= p.paymentLeftMicro, StakeExceeded(aggregator, payment, p.paymentLeftMicro));
        if (penalty > p.penaltyLeftMicro) penalty = p.penaltyLeftMicro;

        p.paymentLeftMicro -= uint128(payment);
        p.penaltyLeftMicro -= uint128(penalty);
        p.paidMicro += uint128(payment);
        p.settled += 1;

        emit AwardSettled(
            periodId, award.index, aggregator, deliveredWh, payment, penalty, delivery.inputsHash
        );
        fromPayer = ITreasury.Posting(payer, _signed(penalty), -_signed(payment));
        toAggregator = ITreasury.Posting(aggregator, _signed(payment), -_signed(penalty));
    }

    /// @dev What counts as delivered: the arbiter's figure, or the posted one; an open dispute waits for the arbiter.
    function _delivered(uint64 periodId, uint32 index, uint64 posted) private view returns (uint64) {
        Dispute memory d = disputes[periodId][index];
        if (d.state == DisputeState.Resolved) return d.deliveredWh;
        if (d.state == DisputeState.Open) {
            uint256 until = d.openedAt + arbiterWindow;
            require(block.timestamp >= until, DisputeOpen(periodId, index, until));
        }
        return posted;
    }

    /// @inheritdoc IFlexMarket
    function release(uint64 periodId, address aggregator) external {
        Period memory period_ = _known(periodId);
        Position storage p = positions[periodId][aggregator];
        (uint128 payment, uint128 penalty) = (p.paymentLeftMicro, p.penaltyLeftMicro);
        require(payment != 0 || penalty != 0, NothingLocked(periodId, aggregator));
        if (period_.deliveredAt == 0) {
            uint256 from = period_.end + refundDelay;
            require(block.timestamp >= from, TooEarly(periodId, from));
        } else {
            require(p.settled == p.awards, NotAllSettled(aggregator, p.settled, p.awards));
        }

        p.paymentLeftMicro = 0;
        p.penaltyLeftMicro = 0;

        emit StakeReleased(periodId, aggregator, payment, penalty);

        ITreasury.Posting[] memory postings = new ITreasury.Posting[](2);
        postings[0] = ITreasury.Posting(period_.payer, _signed(payment), -_signed(payment));
        postings[1] = ITreasury.Posting(aggregator, _signed(penalty), -_signed(penalty));
        TREASURY.post(postings);
    }

    /// @inheritdoc IFlexMarket
    function anchorSplit(uint64 periodId, bytes32 root, uint128 totalMicro) external {
        Position storage p = positions[periodId][msg.sender];
        _known(periodId);
        require(root != 0, EmptyRoot());
        require(p.splitRoot == 0, SplitExists(periodId, msg.sender));
        require(p.awards != 0 && p.settled == p.awards, NotAllSettled(msg.sender, p.settled, p.awards));
        require(totalMicro == p.paidMicro, SplitNotPaid(totalMicro, p.paidMicro));

        p.splitRoot = root;
        p.splitMicro = totalMicro;

        emit SplitAnchored(periodId, msg.sender, root, totalMicro);

        ITreasury.Posting[] memory postings = new ITreasury.Posting[](2);
        postings[0] = ITreasury.Posting(msg.sender, -_signed(totalMicro), 0);
        postings[1] = ITreasury.Posting(address(this), 0, _signed(totalMicro));
        TREASURY.post(postings);
    }

    /// @inheritdoc IFlexMarket
    function claim(
        uint64 periodId,
        address aggregator,
        address[] calldata accounts,
        uint128[] calldata amountsMicro,
        bytes32[][] calldata proofs
    ) external {
        Position storage p = positions[periodId][aggregator];
        require(accounts.length == amountsMicro.length, LengthMismatch(accounts.length, amountsMicro.length));
        require(accounts.length == proofs.length, LengthMismatch(accounts.length, proofs.length));

        ITreasury.Posting[] memory postings = new ITreasury.Posting[](accounts.length + 1);
        uint256 total;
        for (uint256 i; i < accounts.length; ++i) {
            bytes32 inner = keccak256(abi.encode(periodId, aggregator, accounts[i], amountsMicro[i]));
            bool inside = MerkleProof.verifyCalldata(proofs[i], p.splitRoot, _leaf(inner));
            require(inside && p.splitRoot != 0, WrongShare(periodId, accounts[i]));
            postings[i] = _claim(periodId, aggregator, accounts[i], amountsMicro[i]);
            total += amountsMicro[i];
        }
        uint256 left = p.splitMicro - p.claimedMicro;
        require(total <= left, SplitExceeded(total, left));

        p.claimedMicro += uint128(total);

        postings[accounts.length] = ITreasury.Posting(address(this), 0, -_signed(total));
        TREASURY.post(postings);
    }

    function _claim(uint64 periodId, address aggregator, address account, uint128 amount)
        private
        returns (ITreasury.Posting memory)
    {
        require(!isClaimed[periodId][aggregator][account], AlreadyClaimed(periodId, aggregator, account));

        isClaimed[periodId][aggregator][account] = true;

        emit MemberPaid(periodId, aggregator, account, amount);
        return ITreasury.Posting(account, _signed(amount), 0);
    }

    function _known(uint64 periodId) private view returns (Period storage p) {
        p = periods[periodId];
        require(p.end != 0, UnknownPeriod(periodId));
    }

    function _checkAward(uint64 periodId, bytes32 root, Award calldata a, bytes32[] calldata proof) private pure {
        bytes32 inner =
            keccak256(abi.encode(periodId, a.index, a.aggregator, a.product, a.declaredWh, a.priceMicroPerKwh));
        require(MerkleProof.verifyCalldata(proof, root, _leaf(inner)), WrongAward(periodId, a.index));
    }

    function _checkDelivery(
        uint64 periodId,
        bytes32 root,
        uint32 index,
        Delivery calldata d,
        bytes32[] calldata proof
    ) private pure {
        bytes32 inner = keccak256(abi.encode(periodId, index, d.deliveredWh, d.inputsHash));
        require(MerkleProof.verifyCalldata(proof, root, _leaf(inner)), WrongDelivery(periodId, index));
    }

    /// @dev Hashed twice, so that no inner node is a leaf.
    function _leaf(bytes32 inner) private pure returns (bytes32) {
        return keccak256(bytes.concat(inner));
    }

    function _use(uint64 periodId, uint32 index) private {
        uint256 word = settledBits[periodId][index >> 8];
        uint256 bit = 1 << (index & 0xff);
        require(word & bit == 0, AlreadySettled(periodId, index));
        settledBits[periodId][index >> 8] = word | bit;
    }

    // --- views

    /// @inheritdoc IFlexMarket
    function period(uint64 periodId) external view returns (Period memory) {
        return periods[periodId];
    }

    /// @inheritdoc IFlexMarket
    function position(uint64 periodId, address aggregator) external view returns (Position memory) {
        return positions[periodId][aggregator];
    }

    /// @inheritdoc IFlexMarket
    function disputeOf(uint64 periodId, uint32 index) external view returns (Dispute memory) {
        return disputes[periodId][index];
    }

    /// @inheritdoc IFlexMarket
    function isSettled(uint64 periodId, uint32 index) external view returns (bool) {
        return settledBits[periodId][index >> 8] >> (index & 0xff) & 1 == 1;
    }

    /// @inheritdoc IFlexMarket
    function amounts(uint64 declaredWh, uint64 deliveredWh, int64 priceMicroPerKwh)
        external
        pure
        returns (uint256, uint256)
    {
        require(declaredWh != 0, NothingDeclared(0));
        return FlexMath.amounts(declaredWh, deliveredWh, priceMicroPerKwh);
    }
}
