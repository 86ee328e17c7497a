// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ITreasury} from "./interfaces/ITreasury.sol";
import {AccountWord} from "./libraries/AccountWord.sol";
import {PackedWriter} from "./libraries/PackedWriter.sol";

/// @title Treasury
/// @notice See ITreasury: the interface is the document.
contract Treasury is ITreasury {
    using AccountWord for uint256;
    using PackedWriter for bytes;
    using SafeERC20 for IERC20;

    uint256 private constant ENTRY_BYTES = 64;
    uint256 private constant LOCKED_BYTES = 28;
    uint256 private constant SETTLED_BYTES = 44;
    uint256 private constant MG_PER_GRAM = 1000;

    struct Withdrawal {
        uint128 amountMicro;
        uint64 maturesAt;
    }

    address private immutable DEPLOYER;
    address public immutable override token;
    uint256 public immutable override withdrawDelay;

    address private market;
    address private settlement;
    uint256 public override totalMicro;
    mapping(address module => bool) private isModule;
    mapping(uint256 account => uint256) private words;
    mapping(address account => Withdrawal) public override withdrawalOf;
    /// @dev Credits of other keys than the one in the account's word.
    mapping(uint256 account => mapping(uint256 key => uint256)) private creditsMg;

    constructor(address token_, uint256 withdrawDelay_) {
        DEPLOYER = msg.sender;
        token = token_;
        withdrawDelay = withdrawDelay_;
    }

    /// @inheritdoc ITreasury
    function wire(address[] calldata modules) external {
        require(msg.sender == DEPLOYER, NotDeployer(msg.sender));
        require(market == address(0), AlreadyWired());
        require(modules.length > 1, TooFewModules(modules.length));

        (market, settlement) = (modules[0], modules[1]);
        for (uint256 i; i < modules.length; ++i) {
            isModule[modules[i]] = true;
        }
        // Settlement's own account is emptied by every slot: a mark in its order window, which it never uses, keeps the
        // word from becoming zero, and the next slot from paying for a new one
        words[_key(modules[1])] = 1;

        emit Wired(modules);
    }

    /// @inheritdoc ITreasury
    function deposit(address account, uint256 amountMicro) external {
        require(amountMicro != 0, ZeroAmount());
        require(amountMicro <= type(uint64).max - totalMicro, AmountTooLarge(amountMicro));

        uint256 word = words[_key(account)];
        words[_key(account)] = word.withMoney(word.available() + amountMicro, word.locked());
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
        uint256 word = words[_key(msg.sender)];
        uint256 available = word.available();
        require(request.amountMicro != 0, NothingRequested(msg.sender));
        require(block.timestamp >= request.maturesAt, WithdrawalNotMature(msg.sender, request.maturesAt));
        require(available != 0, InsufficientAvailable(msg.sender, 0, -int256(uint256(request.amountMicro))));

        amountMicro = request.amountMicro < available ? request.amountMicro : available;

        delete withdrawalOf[msg.sender];
        words[_key(msg.sender)] = word.withMoney(available - amountMicro, word.locked());
        totalMicro -= amountMicro;

        emit Withdrawn(msg.sender, to, amountMicro);

        IERC20(token).safeTransfer(to, amountMicro);
    }

    /// @inheritdoc ITreasury
    function post(Posting[] calldata postings) external {
        require(isModule[msg.sender], NotModule(msg.sender));

        int256 sum;
        for (uint256 i; i < postings.length; ++i) {
            (address account, int256 available, int256 locked) =
                (postings[i].account, postings[i].available, postings[i].locked);
            words[_key(account)] = _moved(words[_key(account)], account, available, locked);
            sum += available + locked;
            emit Posted(account, int128(available), int128(locked));
        }

        require(sum == 0, PostingsNotBalanced(sum));
    }

    /// @inheritdoc ITreasury
    function lock(uint256[] calldata entries) external {
        require(msg.sender == market, NotMarket(msg.sender));

        uint256 size = entries.length / 2 * LOCKED_BYTES;
        bytes memory log = PackedWriter.create(size);
        uint256 at_ = _offsetOf(entries);
        unchecked {
            for (uint256 place; place < size; place += LOCKED_BYTES) {
                (uint256 head, uint256 window) = _entryAt(at_);
                at_ += ENTRY_BYTES;
                uint256 slot = _slotOf(head >> 96);
                uint256 word = _load(slot);
                (uint256 available, uint256 cost) = (word.available(), uint64(head >> 32));
                if (available < cost) {
                    revert InsufficientAvailable(address(uint160(head >> 96)), available, -int256(cost));
                }
                _store(slot, word.withMoney(available - cost, word.locked() + cost).withWindow(window));
                log.put(place, head);
            }
        }

        emit Locked(log.cut(size));
    }

    /// @inheritdoc ITreasury
    function setWindow(address account, uint256 window) external {
        require(msg.sender == market, NotMarket(msg.sender));

        words[_key(account)] = words[_key(account)].withWindow(window);
    }

    /// @inheritdoc ITreasury
    function settle(uint256[] calldata entries) external {
        require(msg.sender == settlement, NotSettlement(msg.sender));

        uint256 size = entries.length / 2 * SETTLED_BYTES;
        bytes memory log = PackedWriter.create(size);
        uint256 at_ = _offsetOf(entries);
        int256 sum;
        unchecked {
            // at most 2^32 entries of 65 bits: the sum cannot wrap
            for (uint256 place; place < size; place += SETTLED_BYTES) {
                (uint256 head, uint256 tail) = _entryAt(at_);
                at_ += ENTRY_BYTES;
                sum += _settle(head, tail);
                log.put(place, head);
                uint256 credit = ((tail >> 38 & 0x3ffff) << 40) | (tail & (AccountWord.CREDIT_LIMIT - 1));
                log.put(place + 28, (tail >> 192 << 192) | (credit << 128));
            }
        }
        require(sum == 0, PostingsNotBalanced(sum));

        emit Settled(log.cut(size));
    }

    /// @inheritdoc ITreasury
    function takeCredit(address account, uint256 key) external returns (uint256 grams) {
        require(msg.sender == settlement, NotSettlement(msg.sender));

        uint256 mg = creditMgOf(account, key);
        grams = mg / MG_PER_GRAM;
        if (grams == 0) return 0;

        uint256 word = words[_key(account)];
        if (word.creditKey() == key) {
            words[_key(account)] = word.withCredit(mg % MG_PER_GRAM, key);
            delete creditsMg[_key(account)][key];
        } else {
            creditsMg[_key(account)][key] = mg % MG_PER_GRAM;
        }

        emit CreditTaken(account, key, grams);
    }

    /// @dev One entry of `settle`; returns what it adds to the sum.
    function _settle(uint256 head, uint256 tail) private returns (int256) {
        unchecked {
            // four 64-bit numbers: nothing wraps; what leaves 0 .. 2^64 - 1 shows in the high bits
            uint256 slot = _slotOf(head >> 96);
            (int256 available, int256 locked) = (int64(uint64(head >> 32)), int64(uint64(tail >> 192)));
            uint256 word = _load(slot);
            uint256 newAvailable = uint256(int256(word.available()) + available);
            uint256 newLocked = uint256(int256(word.locked()) + locked);
            if ((newAvailable | newLocked) >> 64 != 0) _moved(word, address(uint160(head >> 96)), available, locked);
            word = word.withMoney(newAvailable, newLocked);
            uint256 mg = tail & (AccountWord.CREDIT_LIMIT - 1);
            if (mg != 0) word = _earned(word, head >> 96, tail >> 38 & 0x3ffff, mg);

            _store(slot, word);

            return available + locked;
        }
    }

    /// @dev The word with its money changed; both parts stay at least 0.
    function _moved(uint256 word, address account, int256 available, int256 locked) private pure returns (uint256) {
        int256 newAvailable = int256(word.available()) + available;
        int256 newLocked = int256(word.locked()) + locked;
        if (newAvailable < 0) revert InsufficientAvailable(account, word.available(), available);
        if (newLocked < 0) revert InsufficientLocked(account, word.locked(), locked);
        if (uint256(newAvailable | newLocked) > type(uint64).max) {
            revert AmountTooLarge(uint256(newAvailable > newLocked ? newAvailable : newLocked));
        }
        return word.withMoney(uint256(newAvailable), uint256(newLocked));
    }

    /// @dev The word with more credit. Credit of another key, or more than the field holds, moves to `creditsMg`.
    function _earned(uint256 word, uint256 account, uint256 key, uint256 mg) private returns (uint256) {
        (uint256 held, uint256 heldKey) = (word.creditMg(), word.creditKey());
        if ((held == 0 || heldKey == key) && held + mg < AccountWord.CREDIT_LIMIT) {
            return word.withCredit(held + mg, key);
        }

        if (held != 0) creditsMg[account][heldKey] += held;

        return word.withCredit(mg, key);
    }

    // --- account words by their storage slot, so that a hot loop hashes each key once

    function _slotOf(uint256 account) private pure returns (uint256 slot) {
        assembly ("memory-safe") {
            mstore(0, account)
            mstore(32, words.slot)
            slot := keccak256(0, 64)
        }
    }

    function _load(uint256 slot) private view returns (uint256 word) {
        assembly ("memory-safe") {
            word := sload(slot)
        }
    }

    function _store(uint256 slot, uint256 word) private {
        assembly ("memory-safe") {
            sstore(slot, word)
        }
    }

    function _offsetOf(uint256[] calldata entries) private pure returns (uint256 offset) {
        assembly ("memory-safe") {
            offset := entries.offset
        }
    }

    /// @dev The two words of an entry; the caller stays inside the array.
    function _entryAt(uint256 offset) private pure returns (uint256 head, uint256 tail) {
        assembly ("memory-safe") {
            head := calldataload(offset)
            tail := calldataload(add(offset, 32))
        }
    }

    function _key(address account) private pure returns (uint256) {
        return uint160(account);
    }

    // --- views

    /// @inheritdoc ITreasury
    function creditMgOf(address account, uint256 key) public view returns (uint256 mg) {
        uint256 word = words[_key(account)];
        mg = creditsMg[_key(account)][key];
        if (word.creditKey() == key) mg += word.creditMg();
    }

    /// @inheritdoc ITreasury
    function wordsOf(uint256[] calldata accounts) external view returns (uint256[] memory list) {
        list = new uint256[](accounts.length);
        for (uint256 i; i < accounts.length; ++i) {
            list[i] = _load(_slotOf(accounts[i]));
        }
    }

    /// @inheritdoc ITreasury
    function windowOf(address account) external view returns (uint256) {
        return words[_key(account)].window();
    }

    /// @inheritdoc ITreasury
    function ledger(address account) external view returns (uint128 available, uint128 locked) {
        uint256 word = words[_key(account)];
        return (uint128(word.available()), uint128(word.locked()));
    }

    /// @inheritdoc ITreasury
    function availableOf(address[] calldata list) external view returns (uint256[] memory available) {
        available = new uint256[](list.length);
        for (uint256 i; i < list.length; ++i) {
            available[i] = words[_key(list[i])].available();
        }
    }
}
