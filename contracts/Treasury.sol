// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ITreasury} from "./interfaces/ITreasury.sol";

/// @title Treasury
/// @notice See ITreasury: the interface is the document.
contract Treasury is ITreasury {
    using SafeERC20 for IERC20;

    /// @dev 255..128 locked | 127..0 available
    struct Account {
        uint128 available;
        uint128 locked;
    }

    struct Withdrawal {
        uint128 amountMicro;
        uint64 maturesAt;
    }

    address private immutable DEPLOYER;
    address public immutable override token;
    uint256 public immutable override withdrawDelay;

    bool private wired;
    uint256 public override totalMicro;
    mapping(address module => bool) private isModule;
    mapping(address account => Account) private accounts;
    mapping(address account => Withdrawal) public override withdrawalOf;

    constructor(address token_, uint256 withdrawDelay_) {
        DEPLOYER = msg.sender;
        token = token_;
        withdrawDelay = withdrawDelay_;
    }

    /// @inheritdoc ITreasury
    function wire(address[] calldata modules) external {
        require(msg.sender == DEPLOYER, NotDeployer(msg.sender));
        require(!wired, AlreadyWired());

        wired = true;
        for (uint256 i; i < modules.length; ++i) {
            isModule[modules[i]] = true;
        }

        emit Wired(modules);
    }

    /// @inheritdoc ITreasury
    function deposit(address account, uint256 amountMicro) external {
        require(amountMicro != 0, ZeroAmount());
        require(amountMicro <= uint128(type(int128).max), AmountTooLarge(amountMicro));

        accounts[account].available += uint128(amountMicro);
        totalMicro += amountMicro;

        emit Deposited(msg.sender, account, amountMicro);

        IERC20(token).safeTransferFrom(msg.sender, address(this), amountMicro);
    }

    /// @inheritdoc ITreasury
    function requestWithdraw(uint256 amountMicro) external {
        require(amountMicro != 0, ZeroAmount());
        require(amountMicro <= uint128(type(int128).max), AmountTooLarge(amountMicro));

        uint256 maturesAt = block.timestamp + withdrawDelay;

        withdrawalOf[msg.sender] = Withdrawal(uint128(amountMicro), uint64(maturesAt));

        emit WithdrawalRequested(msg.sender, amountMicro, maturesAt);
    }

    /// @inheritdoc ITreasury
    function withdraw(address to) external returns (uint256 amountMicro) {
        Withdrawal memory request = withdrawalOf[msg.sender];
        uint128 available = accounts[msg.sender].available;
        require(request.amountMicro != 0, NothingRequested(msg.sender));
        require(block.timestamp >= request.maturesAt, WithdrawalNotMature(msg.sender, request.maturesAt));
        require(available != 0, InsufficientAvailable(msg.sender, 0, -int256(uint256(request.amountMicro))));

        amountMicro = request.amountMicro < available ? request.amountMicro : available;

        delete withdrawalOf[msg.sender];
        accounts[msg.sender].available = available - uint128(amountMicro);
        totalMicro -= amountMicro;

        emit Withdrawn(msg.sender, to, amountMicro);

        IERC20(token).safeTransfer(to, amountMicro);
    }

    /// @inheritdoc ITreasury
    function post(Posting[] calldata postings) external {
        require(isModule[msg.sender], NotModule(msg.sender));

        int256 sum;
        for (uint256 i; i < postings.length; ++i) {
            sum += _apply(postings[i]);
        }

        require(sum == 0, PostingsNotBalanced(sum));
    }

    /// @dev Checks, writes and announces one entry; returns what it adds to the sum.
    function _apply(Posting calldata posting) private returns (int256) {
        address account = posting.account;
        Account memory word = accounts[account];
        int256 available = int256(uint256(word.available)) + posting.available;
        int256 locked = int256(uint256(word.locked)) + posting.locked;
        require(available >= 0, InsufficientAvailable(account, word.available, posting.available));
        require(locked >= 0, InsufficientLocked(account, word.locked, posting.locked));

        accounts[account] = Account(uint128(uint256(available)), uint128(uint256(locked)));

        emit Posted(account, posting.available, posting.locked);
        return int256(posting.available) + posting.locked;
    }

    /// @inheritdoc ITreasury
    function ledger(address account) external view returns (uint128 available, uint128 locked) {
        Account memory word = accounts[account];
        return (word.available, word.locked);
    }

    /// @inheritdoc ITreasury
    function availableOf(address[] calldata list) external view returns (uint256[] memory available) {
        available = new uint256[](list.length);
        for (uint256 i; i < list.length; ++i) {
            available[i] = accounts[list[i]].available;
        }
    }
}
