// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {IBundleMarket} from "./interfaces/IBundleMarket.sol";
import {IOptimisticMarket} from "./interfaces/IOptimisticMarket.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {ITreasury} from "./interfaces/ITreasury.sol";
import {ChunkOpening} from "./libraries/ChunkOpening.sol";
import {MakerBook} from "./libraries/MakerBook.sol";
import {OrderLib} from "./libraries/OrderLib.sol";

/// @title What makers do in the OptimisticMarket: reserves, approvals, insistence, cancellations
/// @notice See IOptimisticMarket: the interface is the document.
abstract contract OptimisticMakers is IOptimisticMarket, EIP712 {
    using MakerBook for MakerBook.Book;
    using OrderLib for IBundleMarket.BundleOrder;

    struct Insistence {
        bytes32 orderHash;
        uint64 since;
        uint64 expiry;
        uint32 epoch;
    }

    IRegistry internal immutable REGISTRY;
    ITreasury internal immutable TREASURY;
    uint256 public immutable override window;
    uint256 public immutable override responseTime;
    uint256 public immutable override openingTime;

    MakerBook.Book internal book;
    mapping(uint256 classId => uint32) public override classEnergyWh;
    mapping(uint64 start => mapping(address maker => mapping(uint64 nonce => Insistence))) public override insisted;
    mapping(address maker => ChunkOpening.Release) private releases;

    constructor(address registry, address treasury, uint256[4] memory times) EIP712("BitWatt Optimistic", "1") {
        REGISTRY = IRegistry(registry);
        TREASURY = ITreasury(treasury);
        (window, responseTime, openingTime) = (times[0], times[1], times[2]);
    }

    /// @inheritdoc IOptimisticMarket
    function reserve(uint256 amountMicro) external {
        require(amountMicro != 0, ZeroAmount());

        book.reserved[msg.sender] += amountMicro;

        emit Reserved(msg.sender, amountMicro);

        _move(msg.sender, -int256(amountMicro), int256(amountMicro));
    }

    /// @inheritdoc IOptimisticMarket
    function requestRelease(uint256 amountMicro) external {
        require(amountMicro != 0, ZeroAmount());
        // no candidate that was posted on the strength of this reserve is still unopened then
        uint64 maturesAt = uint64(block.timestamp + 2 * window + responseTime + openingTime);

        releases[msg.sender] = ChunkOpening.Release(uint128(amountMicro), maturesAt);

        emit ReleaseRequested(msg.sender, amountMicro, maturesAt);
    }

    /// @inheritdoc IOptimisticMarket
    function release() external {
        ChunkOpening.Release memory r = releases[msg.sender];
        require(r.amountMicro != 0, NothingRequested(msg.sender));
        require(block.timestamp >= r.maturesAt, ReleaseNotMature(r.maturesAt));
        uint256 held = book.reserved[msg.sender];
        uint256 amount = r.amountMicro < held ? r.amountMicro : held;

        delete releases[msg.sender];
        book.reserved[msg.sender] = held - amount;

        emit Released(msg.sender, amount);

        _move(msg.sender, int256(amount), -int256(amount));
    }

    /// @inheritdoc IOptimisticMarket
    function approve(IBundleMarket.BundleOrder calldata order) external {
        require(msg.sender == order.maker, NotMaker(msg.sender, order.maker));
        bytes32 hash = hashOrder(order);

        if (book.approvedAt[hash] == 0) book.approvedAt[hash] = uint64(block.timestamp);

        emit Approved(msg.sender, hash);
    }

    /// @inheritdoc IOptimisticMarket
    function insist(uint64 start, IBundleMarket.BundleOrder calldata order, bytes calldata sig) external {
        bytes32 hash = hashOrder(order);
        bytes32 why = book.obstacle(hash, order, sig, block.timestamp);
        require(why == "", NotEligible(hash, why));
        Insistence storage i = insisted[start][order.maker][order.nonce];
        require(i.since == 0, AlreadyInsisted(start, order.maker, order.nonce));

        (i.orderHash, i.since, i.expiry, i.epoch) = (hash, uint64(block.timestamp), order.expiry, order.epoch);

        emit Insisted(start, order.maker, hash, order.nonce);
    }

    /// @inheritdoc IOptimisticMarket
    function cancel(uint64 nonce) external {
        if (book.cancelledAt[msg.sender][nonce] == 0) book.cancelledAt[msg.sender][nonce] = uint64(block.timestamp);

        emit Cancelled(msg.sender, nonce);
    }

    /// @inheritdoc IOptimisticMarket
    function cancelAll() external {
        uint32 epoch = ++book.epoch[msg.sender];
        book.epochStart[msg.sender][epoch] = uint64(block.timestamp);

        emit AllCancelled(msg.sender, epoch);
    }

    /// @inheritdoc IOptimisticMarket
    function setClassEnergy(uint256 classId, uint32 wattHours) external {
        require(REGISTRY.isOperator(msg.sender), NotOperator(msg.sender));
        require(wattHours != 0, ZeroAmount());
        require(classEnergyWh[classId] == 0, ClassEnergyTaken(classId));

        classEnergyWh[classId] = wattHours;

        emit ClassEnergySet(classId, wattHours);
    }

    /// @dev Moves money of one account between available and locked.
    function _move(address account, int256 available, int256 locked) internal {
        ITreasury.Posting[] memory list = new ITreasury.Posting[](1);
        list[0] = ITreasury.Posting(account, int128(available), int128(locked));
        TREASURY.post(list);
    }

    /// @dev Takes `amount` of an account's locked money: `share` to `receiver`, the rest to the Registry's owner.
    function _pay(address account, address receiver, uint256 amount, uint256 share) internal {
        ITreasury.Posting[] memory list = new ITreasury.Posting[](share == amount ? 2 : 3);
        list[0] = ITreasury.Posting(account, 0, -int128(uint128(amount)));
        list[1] = ITreasury.Posting(receiver, int128(uint128(share)), 0);
        if (share != amount) {
            list[2] = ITreasury.Posting(Ownable(address(REGISTRY)).owner(), int128(uint128(amount - share)), 0);
        }
        TREASURY.post(list);
    }

    // --- views

    /// @inheritdoc IOptimisticMarket
    function reserveOf(address maker) external view returns (uint256) {
        return book.reserved[maker];
    }

    /// @inheritdoc IOptimisticMarket
    function filledOf(address maker, uint64 nonce) external view returns (uint256) {
        return book.filled[maker][nonce];
    }

    /// @inheritdoc IOptimisticMarket
    function obstacle(IBundleMarket.BundleOrder calldata order, bytes calldata sig, uint256 time)
        external
        view
        returns (bytes32)
    {
        return book.obstacle(hashOrder(order), order, sig, time);
    }

    /// @inheritdoc IOptimisticMarket
    function isWithdrawn(address maker, uint64 nonce, uint32 epoch, uint256 time) external view returns (bool) {
        return book.isWithdrawn(maker, nonce, epoch, time);
    }

    /// @inheritdoc IOptimisticMarket
    function hashOrder(IBundleMarket.BundleOrder calldata order) public view returns (bytes32) {
        return _hashTypedDataV4(order.hash());
    }
}
