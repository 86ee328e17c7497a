// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title The one ledger of the settlement token
/// @notice Every account has one ledger word: what it may use (`available`) and what clearings and bonds hold
/// (`locked`). Money enters by `deposit`, leaves by a withdrawal that matures, and moves inside only by postings of
/// the modules (market, settlement, oracle and those named with them) whose entries add up to zero.
/// Units: micro-units of a token with six decimals.
/// Never: mints, takes a fee, changes the token, lends, pauses. Nobody but the account itself can withdraw.
/// Assumes for safety: the token moves exactly the amount it is told (no fee on transfer, no rebasing).
/// Assumes for liveness: nothing; a matured withdrawal needs no other party.
interface ITreasury {
    /// @param account whose ledger word moves
    /// @param available signed change of the usable part, micro-units
    /// @param locked signed change of the held part, micro-units
    struct Posting {
        address account;
        int128 available;
        int128 locked;
    }

    event Deposited(address indexed payer, address indexed account, uint256 amountMicro);
    event WithdrawalRequested(address indexed account, uint256 amountMicro, uint256 maturesAt);
    event Withdrawn(address indexed account, address indexed to, uint256 amountMicro);
    event Posted(address indexed account, int128 available, int128 locked);
    event Wired(address[] modules);

    error NotDeployer(address caller);
    error AlreadyWired();
    error NotModule(address caller);
    error ZeroAmount();
    error NothingRequested(address account);
    error WithdrawalNotMature(address account, uint256 maturesAt);
    error InsufficientAvailable(address account, uint256 availableMicro, int256 changeMicro);
    error InsufficientLocked(address account, uint256 lockedMicro, int256 changeMicro);
    error PostingsNotBalanced(int256 sumMicro);
    error AmountTooLarge(uint256 amountMicro);

    /// @notice The settlement token.
    function token() external view returns (address);

    /// @notice Seconds between a withdrawal request and the earliest withdrawal.
    function withdrawDelay() external view returns (uint256);

    /// @notice Sum of all ledger words, always at most the token balance of this contract.
    function totalMicro() external view returns (uint256);

    /// @notice Names the modules, once, by the deployer.
    function wire(address[] calldata modules) external;

    /// @notice Takes `amountMicro` tokens of the caller and credits `account`.
    function deposit(address account, uint256 amountMicro) external;

    /// @notice Announces a withdrawal. The money stays usable for clearings until it is withdrawn; a new request
    /// replaces the old one and starts the delay again.
    function requestWithdraw(uint256 amountMicro) external;

    /// @notice Pays the matured request, or as much of it as is still available, to `to`.
    /// @return amountMicro what was paid
    function withdraw(address to) external returns (uint256 amountMicro);

    /// @notice Applies entries that add up to zero. Modules only; never makes a balance negative.
    function post(Posting[] calldata postings) external;

    /// @notice Ledger word of an account, micro-units.
    function ledger(address account) external view returns (uint128 available, uint128 locked);

    /// @notice Usable part of several accounts, in order.
    function availableOf(address[] calldata accounts) external view returns (uint256[] memory);

    /// @notice The standing withdrawal request of an account, zeros if none.
    function withdrawalOf(address account) external view returns (uint128 amountMicro, uint64 maturesAt);
}
