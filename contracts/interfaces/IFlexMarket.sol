// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Settlement of flexibility
/// @notice What virtual power plants were awarded in one period (a delivery day) is anchored as one Merkle root; what
/// they delivered as another. Every award is then settled by F5: pay for what was delivered, a penalty for what was
/// not, out of money that payer and aggregator locked when the awards were anchored. What an aggregator earned it may
/// split over its members by a third root; members claim their part.
/// Units: energy in Wh, prices in micro-units per kWh, money in micro-units of the settlement token.
/// F5: delivered counts up to declared; pass rate = delivered / declared; from 90 % on no penalty, from 70 % on shortfall
/// times price, below that one and a half times. A payment is rounded down, a penalty up. At a negative price nothing is
/// paid and a shortfall costs the price without its sign.
/// Leaves are keccak256(bytes.concat(keccak256(abi.encode(...)))) of
///   award: (uint64 periodId, uint32 index, address aggregator, bytes32 product, uint64 declaredWh, int64 price)
///   delivery: (uint64 periodId, uint32 index, uint64 deliveredWh, bytes32 inputsHash)
///   split: (uint64 periodId, address aggregator, address account, uint128 amountMicro)
/// Never: takes more from an aggregator than it locked, pays more than the payer locked, settles an award twice, pays a
/// member twice, or holds money that nobody can get out.
/// Assumes for safety: operators anchor what was really cleared and measured; payer and aggregator named the operators
/// whom they trust; the arbiter answers disputes honestly.
/// Assumes for liveness: nothing. Without deliveries anybody may release the locks after `refundDelay`; a silent
/// arbiter leaves what was posted.
interface IFlexMarket {
    struct Award {
        uint32 index;
        address aggregator;
        bytes32 product;
        uint64 declaredWh;
        int64 priceMicroPerKwh;
    }

    /// @param inputsHash hash of baseline method, version and inputs: the measurement can be repeated from it
    struct Delivery {
        uint64 deliveredWh;
        bytes32 inputsHash;
    }

    /// @notice What an aggregator may earn and lose in a period at most, and in how many awards.
    struct Stake {
        address aggregator;
        uint32 awards;
        uint128 paymentMicro;
        uint128 penaltyMicro;
    }

    /// @param claimedMicro of the split; at most splitMicro
    struct Position {
        uint128 paymentLeftMicro;
        uint128 penaltyLeftMicro;
        uint128 paidMicro;
        uint128 splitMicro;
        uint128 claimedMicro;
        uint32 awards;
        uint32 settled;
        bytes32 splitRoot;
    }

    struct Period {
        address payer;
        uint64 end;
        uint64 deliveredAt;
        bytes32 awardsRoot;
        bytes32 deliveriesRoot;
    }

    enum DisputeState {
        None,
        Open,
        Resolved
    }

    struct Dispute {
        DisputeState state;
        uint64 openedAt;
        uint64 deliveredWh;
    }

    event Trusted(address indexed account, address indexed operator, bool trusted);
    event AwardsAnchored(uint64 indexed periodId, address indexed payer, uint64 end, bytes32 root);
    event StakeLocked(uint64 indexed periodId, address indexed aggregator, uint128 paymentMicro, uint128 penaltyMicro);
    event DeliveriesAnchored(uint64 indexed periodId, bytes32 root);
    event Disputed(uint64 indexed periodId, uint32 indexed index, address indexed by, bytes32 evidenceHash);
    event DisputeResolved(uint64 indexed periodId, uint32 indexed index, uint64 deliveredWh, bytes32 reasonHash);
    event AwardSettled(
        uint64 indexed periodId,
        uint32 indexed index,
        address indexed aggregator,
        uint64 deliveredWh,
        uint256 paymentMicro,
        uint256 penaltyMicro,
        bytes32 inputsHash
    );
    event StakeReleased(uint64 indexed periodId, address indexed aggregator, uint128 paymentMicro, uint128 penaltyMicro);
    event SplitAnchored(uint64 indexed periodId, address indexed aggregator, bytes32 root, uint128 totalMicro);
    event MemberPaid(uint64 indexed periodId, address indexed aggregator, address indexed account, uint128 amountMicro);

    error NotOperator(address caller);
    error NotArbiter(address caller);
    error NotTrusted(address account, address operator);
    error PeriodExists(uint64 periodId);
    error UnknownPeriod(uint64 periodId);
    error EmptyRoot();
    error BadEnd(uint64 end, uint256 now_);
    error StakeTwice(address aggregator);
    error StakeEmpty(address aggregator);
    error AlreadyDelivered(uint64 periodId);
    error NotEnded(uint64 periodId, uint64 end);
    error NotDelivered(uint64 periodId);
    error WindowOpen(uint64 periodId, uint256 until);
    error WindowClosed(uint64 periodId, uint256 until);
    error NotParty(address caller);
    error DisputeExists(uint64 periodId, uint32 index);
    error NoOpenDispute(uint64 periodId, uint32 index);
    error DisputeOpen(uint64 periodId, uint32 index, uint256 until);
    error WrongAward(uint64 periodId, uint32 index);
    error WrongDelivery(uint64 periodId, uint32 index);
    error AlreadySettled(uint64 periodId, uint32 index);
    error NothingDeclared(uint32 index);
    error StakeExceeded(address aggregator, uint256 neededMicro, uint256 lockedMicro);
    error AwardsExceeded(address aggregator, uint32 awards);
    error NotAllSettled(address aggregator, uint32 settled, uint32 awards);
    error SplitExists(uint64 periodId, address aggregator);
    error SplitNotPaid(uint256 totalMicro, uint256 paidMicro);
    error WrongShare(uint64 periodId, address account);
    error AlreadyClaimed(uint64 periodId, address aggregator, address account);
    error SplitExceeded(uint256 neededMicro, uint256 leftMicro);
    error TooEarly(uint64 periodId, uint256 from);
    error NothingLocked(uint64 periodId, address aggregator);
    error LengthMismatch(uint256 a, uint256 b);

    /// @notice Seconds after the deliveries are anchored in which a party may dispute one.
    function disputeWindow() external view returns (uint256);

    /// @notice Seconds in which the arbiter answers a dispute; afterwards what was posted stands.
    function arbiterWindow() external view returns (uint256);

    /// @notice Seconds after a period's end from which its locks may be released if no deliveries were anchored.
    function refundDelay() external view returns (uint256);

    function arbiter() external view returns (address);

    /// @notice Lets (or no longer lets) an operator lock the caller's money for awards.
    function trust(address operator, bool trusted) external;

    /// @notice Anchors a period's awards and locks payment and penalties at their most.
    /// Operators only; payer and every aggregator must trust the caller and have the money.
    /// @param end unix second at which the last award's delivery ends
    function anchorAwards(uint64 periodId, address payer, uint64 end, bytes32 root, Stake[] calldata stakes) external;

    /// @notice Anchors what was delivered, once, after the end. Operators only.
    function anchorDeliveries(uint64 periodId, bytes32 root) external;

    /// @notice Disputes an award's delivery within the window. Payer or the award's aggregator only.
    function dispute(
        uint64 periodId,
        Award calldata award,
        bytes32[] calldata awardProof,
        bytes32 evidenceHash
    ) external;

    /// @notice Decides an open dispute in time: the award will be settled on `deliveredWh`. Arbiter only.
    function resolve(uint64 periodId, uint32 index, uint64 deliveredWh, bytes32 reasonHash) external;

    /// @notice Settles awards by F5. Anybody, after the window, with proofs against both roots.
    function settle(
        uint64 periodId,
        Award[] calldata awards,
        Delivery[] calldata deliveries,
        bytes32[][] calldata awardProofs,
        bytes32[][] calldata deliveryProofs
    ) external;

    /// @notice Gives back what a settled aggregator's stake still holds. Anybody, once all its awards are settled; or
    /// `refundDelay` after the end when no deliveries were anchored (then nothing is paid).
    function release(uint64 periodId, address aggregator) external;

    /// @notice The calling aggregator sets aside exactly what it was paid in a period for its members.
    function anchorSplit(uint64 periodId, bytes32 root, uint128 totalMicro) external;

    /// @notice Pays members their parts of a split. Anybody, with proofs.
    function claim(
        uint64 periodId,
        address aggregator,
        address[] calldata accounts,
        uint128[] calldata amountsMicro,
        bytes32[][] calldata proofs
    ) external;

    function period(uint64 periodId) external view returns (Period memory);
    function position(uint64 periodId, address aggregator) external view returns (Position memory);
    function disputeOf(uint64 periodId, uint32 index) external view returns (Dispute memory);
    function isSettled(uint64 periodId, uint32 index) external view returns (bool);
    function isClaimed(uint64 periodId, address aggregator, address account) external view returns (bool);
    function trusts(address account, address operator) external view returns (bool);

    /// @notice F5 for one award: what is paid and what is charged, before any cap.
    function amounts(uint64 declaredWh, uint64 deliveredWh, int64 priceMicroPerKwh)
        external
        pure
        returns (uint256 paymentMicro, uint256 penaltyMicro);
}
