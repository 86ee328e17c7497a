// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {DevToken} from "../../contracts/DevToken.sol";
import {Treasury} from "../../contracts/Treasury.sol";
import {IBundleMarket} from "../../contracts/interfaces/IBundleMarket.sol";
import {ISettlement} from "../../contracts/interfaces/ISettlement.sol";
import {ITreasury} from "../../contracts/interfaces/ITreasury.sol";
import {AccountWord} from "../../contracts/libraries/AccountWord.sol";
import {Entries} from "../../contracts/libraries/Entries.sol";
import {OrderWindow} from "../../contracts/libraries/OrderWindow.sol";
import {Batch} from "./support/Batch.sol";

/// @dev A token whose transfers call back into the Treasury, as often as they can.
contract ReentrantToken is DevToken {
    Treasury public treasury;
    uint256 public depth;
    uint256 public succeeded;

    function aim(Treasury treasury_) external {
        treasury = treasury_;
    }

    function ask(uint256 amount) external {
        treasury.requestWithdraw(amount);
    }

    function pull() external {
        treasury.withdraw(address(this));
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (address(treasury) == address(0) || depth > 2) return;
        ++depth;
        try treasury.withdraw(address(this)) {
            ++succeeded;
        } catch {}
        --depth;
    }
}

/// @dev Entries.add from outside, for its errors.
contract EntriesUser {
    function add(int256 available, int256 locked, uint256 mg) external pure returns (uint256) {
        Entries.List memory list = Entries.create(1);
        Entries.add(list, address(1), available, locked, 0, mg);
        return Entries.used(list).length;
    }
}

/// @notice What an attacker sends beside plain calls: tokens that call back, calls with more bytes than they need,
/// words with dirty bits, figures at the edge of their fields.
contract AttacksTest is Batch {
    // --- re-entrant token

    function test_a_reentrant_token_is_paid_once() public {
        ReentrantToken evil = new ReentrantToken();
        Treasury other = new Treasury(address(evil), 0);
        address[] memory modules = new address[](2);
        (modules[0], modules[1]) = (address(0x1), address(0x2));
        other.wire(modules);
        evil.mint(address(this), 1_000);
        evil.approve(address(other), 1_000);
        other.deposit(address(evil), 400);
        other.deposit(STRANGER, 600);
        evil.aim(other);
        evil.ask(400);
        evil.pull();
        eq(evil.succeeded(), 0, "nothing more to take inside of a withdrawal");
        eq(evil.balanceOf(address(evil)), 400, "once");
        eq(other.totalMicro(), 600, "the others' money");
        eq(evil.balanceOf(address(other)), 600, "is there");
        (uint128 free,) = other.ledger(address(evil));
        eq(free, 0, "nothing is left");
    }

    function test_a_reentrant_deposit_counts_what_it_brought() public {
        ReentrantToken evil = new ReentrantToken();
        Treasury other = new Treasury(address(evil), 0);
        address[] memory modules = new address[](2);
        (modules[0], modules[1]) = (address(0x1), address(0x2));
        other.wire(modules);
        evil.mint(address(this), 1_000);
        evil.approve(address(other), 1_000);
        evil.aim(other);
        evil.ask(300);
        // the withdrawal inside the deposit takes what the deposit has just credited, and the tokens came first
        other.deposit(address(evil), 500);
        eq(other.totalMicro(), evil.balanceOf(address(other)), "tokens cover the ledger");
        (uint128 free,) = other.ledger(address(evil));
        eq(other.totalMicro(), free, "the ledger is the sum of accounts");
    }

    // --- calls with more than they need

    function test_padding_behind_a_call_changes_nothing() public {
        openMarket();
        addOrder(0, order(0));
        addRun(0, 0, GREEN, 0, 2, 10);
        addPowers();
        bytes memory call_ = abi.encodeCall(market.clearChunk, (batchId, packed(orders, sigs), runs));
        vm.prank(SOLVER);
        (bool done,) = address(market).call(bytes.concat(call_, hex"deadbeef", bytes32(type(uint256).max)));
        isTrue(done, "taken");
        IBundleMarket.ChunkData memory c = chunk();
        eqHash(
            market.chunkCommitment(batchId, 0),
            keccak256(abi.encode(keccak256(c.makers), c.ordersHash, keccak256(c.runs))),
            "the chunk is what the orders say"
        );
    }

    function test_padding_inside_the_packed_fields_is_refused() public {
        openMarket();
        addOrder(0, order(0));
        addRun(0, 0, GREEN, 0, 2, 10);
        bytes memory list = packed(orders, sigs);
        vm.startPrank(SOLVER);
        fails(abi.encodeWithSelector(IBundleMarket.RunsLength.selector, runs.length + 1));
        market.clearChunk(batchId, list, bytes.concat(runs, hex"00"));
        vm.expectRevert();
        market.clearChunk(batchId, bytes.concat(list, hex"00"), runs);
        vm.expectRevert();
        market.clearChunk(batchId, bytes.concat(list, new bytes(27 + 77)), runs);
        vm.stopPrank();
    }

    function test_dirty_bits_are_refused() public {
        bytes memory call_ = abi.encodeCall(treasury.deposit, (STRANGER, 1));
        call_[4] = 0x01; // above the 160 bits of the address
        (bool done,) = address(treasury).call(call_);
        isTrue(!done, "a dirty address");
        call_ = abi.encodeCall(settlement.payPools, (1, new uint16[](1), 0));
        call_[4] = 0x01; // above the 64 bits of the batch
        (done,) = address(settlement).call(call_);
        isTrue(!done, "a dirty batch");
    }

    function test_padded_outcomes_are_not_the_reported_ones() public {
        greenBatch();
        uint256[3] memory metered = [uint256(6_000_000), 4_000_000, 0];
        report(0, metered, outcome(10_000, 10_000));
        settlement.meterPool(batchId, 0, 0, positionsOf(0, 0, metered));
        IBundleMarket.ChunkData memory c = chunk();
        bytes[] memory list = new bytes[](1);
        list[0] = bytes.concat(outcome(10_000, 10_000), hex"00");
        fails(abi.encodeWithSelector(ISettlement.OutcomesNotInReport.selector, batchId, 0, 0));
        settlement.settleChunk(batchId, 0, c, new uint16[](1), list, new bytes32[][](1));
        c.runs = bytes.concat(c.runs, hex"00");
        list[0] = outcome(10_000, 10_000);
        fails(abi.encodeWithSelector(ISettlement.WrongChunk.selector, batchId, 0));
        settlement.settleChunk(batchId, 0, c, new uint16[](1), list, new bytes32[][](1));
    }

    // --- doors of the ledger

    function test_the_ledgers_doors_open_to_their_module_only() public {
        bytes memory error_ = abi.encodeWithSelector(ITreasury.NotMarket.selector, STRANGER);
        vm.startPrank(STRANGER);
        fails(error_);
        treasury.lock(new uint256[](0));
        fails(error_);
        treasury.setWindow(STRANGER, 1);
        error_ = abi.encodeWithSelector(ITreasury.NotSettlement.selector, STRANGER);
        fails(error_);
        treasury.settle(new uint256[](0));
        fails(error_);
        treasury.takeCredit(STRANGER, 1);
        vm.stopPrank();
    }

    function test_a_ledger_has_at_least_two_modules() public {
        Treasury other = new Treasury(address(token), 0);
        fails(abi.encodeWithSelector(ITreasury.TooFewModules.selector, 1));
        other.wire(new address[](1));
    }

    // --- edges of fields

    function test_the_last_epoch_stays() public {
        vm.prank(address(market));
        treasury.setWindow(STRANGER, (OrderWindow.EPOCHS - 2) << 56);
        vm.startPrank(STRANGER);
        market.cancelAll();
        eq(market.epochOf(STRANGER), OrderWindow.EPOCHS - 1, "the last one");
        fails(abi.encodeWithSelector(IBundleMarket.LastEpoch.selector, STRANGER));
        market.cancelAll();
        vm.stopPrank();
    }

    function test_entries_beyond_their_fields_are_refused(int256 amount) public {
        EntriesUser user = new EntriesUser();
        if (amount == int64(amount)) amount = int256(type(int64).max) + 1 + (amount & 0xff);
        bytes memory error_ = abi.encodeWithSelector(ISettlement.EntryTooLarge.selector, address(1), amount);
        fails(error_);
        user.add(amount, 0, 0);
        fails(error_);
        user.add(0, amount, 0);
        uint256 mg = AccountWord.CREDIT_LIMIT;
        fails(abi.encodeWithSelector(ISettlement.EntryTooLarge.selector, address(1), int256(mg)));
        user.add(0, 0, mg);
        eq(user.add(type(int64).max, type(int64).min, mg - 1), 2, "what fits is kept");
        eq(user.add(0, 0, 0), 0, "nothing is not");
    }
}
