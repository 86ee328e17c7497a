// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title The one ledger of the settlement token
/// @notice Every account has one ledger word: what it may use (`available`), what clearings and bonds hold (`locked`),
/// the milligrams of avoided emissions it has earned and not yet claimed as credits, and its order window for the
/// market. Money enters by `deposit`, leaves by a withdrawal that matures, and moves inside only by postings of the
/// modules (market, settlement, oracle and those named with them) whose entries add up to zero.
/// Units: micro-units of a token with six decimals, all accounts together below 2^64; milligrams CO2e.
/// Powers: the first module named (market) alone locks by `lock` and keeps order windows; the second (settlement) alone
/// earns and takes credits.
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
    /// @param entries N x 28 bytes, big-endian: account 20 | micro-units moved from available to locked u64
    event Locked(bytes entries);
    /// @param entries N x 44 bytes, big-endian: account 20 | change of available i64 | change of locked i64
    ///        | credit key u24 | milligrams earned u40
    event Settled(bytes entries);
    event CreditTaken(address indexed account, uint256 indexed key, uint256 grams);
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
    error TooFewModules(uint256 count);
    error NotMarket(address caller);
    error NotSettlement(address caller);

    /// @notice The settlement token.
    function token() external view returns (address);

    /// @notice Seconds between a withdrawal request and the earliest withdrawal.
    function withdrawDelay() external view returns (uint256);

    /// @notice Sum of all ledger words, always at most the token balance of this contract.
    function totalMicro() external view returns (uint256);

    /// @notice Names the modules, once, by the deployer: market, settlement, then any others.
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

    /// @notice Moves money of several accounts from available to locked and sets their order windows. Market only.
    /// @param entries two words an account: account << 96 | micro-units << 32, then the window
    function lock(uint256[] calldata entries) external;

    /// @notice Sets the order window of an account. Market only.
    function setWindow(address account, uint256 window) external;

    /// @notice Applies entries that add up to zero, and credits earned. Settlement only; never makes a balance
    /// negative.
    /// @param entries two words each: account << 96 | change of available (int64) << 32, then
    /// change of locked (int64) << 192 | credit key << 38 | milligrams (below 2^38)
    function settle(uint256[] calldata entries) external;

    /// @notice Takes the whole grams of an account's credit of a key; milligrams stay. Settlement only.
    function takeCredit(address account, uint256 key) external returns (uint256 grams);

    /// @notice Milligrams earned and not taken, by credit key: zone << 12 | months since January 1970.
    function creditMgOf(address account, uint256 key) external view returns (uint256);

    /// @notice Ledger words (see libraries/AccountWord.sol) of accounts given as numbers, in order.
    function wordsOf(uint256[] calldata accounts) external view returns (uint256[] memory words);

    /// @notice Order window of an account, see libraries/OrderWindow.sol.
    function windowOf(address account) external view returns (uint256);

    /// @notice Money of an account, micro-units.
    function ledger(address account) external view returns (uint128 available, uint128 locked);

    /// @notice Usable part of several accounts, in order.
    function availableOf(address[] calldata accounts) external view returns (uint256[] memory);

    /// @notice The standing withdrawal request of an account, zeros if none.
    function withdrawalOf(address account) external view returns (uint128 amountMicro, uint64 maturesAt);
}
