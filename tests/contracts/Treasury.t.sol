// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {DevToken} from "../../contracts/DevToken.sol";
import {ITreasury} from "../../contracts/interfaces/ITreasury.sol";
import {World} from "./support/World.sol";

contract TreasuryTest is World {
    function postings(address a, int128 available_, int128 locked_)
        internal
        pure
        returns (ITreasury.Posting[] memory list)
    {
        list = new ITreasury.Posting[](1);
        list[0] = ITreasury.Posting(a, available_, locked_);
    }

    function test_the_dev_token_exists_on_dev_chains_only() public {
        eq(token.decimals(), 6, "micro-units");
        vm.chainId(1);
        fails(abi.encodeWithSelector(DevToken.NotDevChain.selector, 1));
        new DevToken();
    }

    function test_wire_reverts_for_strangers() public {
        fails(abi.encodeWithSelector(ITreasury.NotDeployer.selector, STRANGER));
        vm.prank(STRANGER);
        treasury.wire(new address[](0));
    }

    function test_wire_works_once() public {
        fails(abi.encodeWithSelector(ITreasury.AlreadyWired.selector));
        treasury.wire(new address[](0));
    }

    function test_deposit_reverts_at_zero() public {
        fails(abi.encodeWithSelector(ITreasury.ZeroAmount.selector));
        treasury.deposit(STRANGER, 0);
    }

    function test_deposit_reverts_above_the_ledger_width() public {
        fails(abi.encodeWithSelector(ITreasury.AmountTooLarge.selector, uint256(1) << 127));
        treasury.deposit(STRANGER, uint256(1) << 127);
    }

    function test_deposit_credits_the_named_account(uint256 amount) public {
        amount = bound(amount, 1, type(uint64).max - treasury.totalMicro());
        uint256 before = available(STRANGER);
        uint256 total = treasury.totalMicro();
        _fund(STRANGER, amount);
        eq(available(STRANGER), before + amount, "available");
        eq(treasury.totalMicro(), total + amount, "total");
        eq(token.balanceOf(address(treasury)), treasury.totalMicro(), "token balance");
    }

    function test_requestWithdraw_reverts_at_zero() public {
        fails(abi.encodeWithSelector(ITreasury.ZeroAmount.selector));
        treasury.requestWithdraw(0);
    }

    function test_requestWithdraw_reverts_above_the_ledger_width() public {
        fails(abi.encodeWithSelector(ITreasury.AmountTooLarge.selector, uint256(1) << 127));
        treasury.requestWithdraw(uint256(1) << 127);
    }

    function test_withdraw_reverts_without_a_request() public {
        fails(abi.encodeWithSelector(ITreasury.NothingRequested.selector, STRANGER));
        vm.prank(STRANGER);
        treasury.withdraw(STRANGER);
    }

    function test_withdraw_reverts_before_maturity() public {
        vm.prank(STRANGER);
        treasury.requestWithdraw(5);
        uint256 maturesAt = block.timestamp + 1 days;
        vm.warp(maturesAt - 1);
        fails(abi.encodeWithSelector(ITreasury.WithdrawalNotMature.selector, STRANGER, maturesAt));
        vm.prank(STRANGER);
        treasury.withdraw(STRANGER);
    }

    function test_withdraw_reverts_when_nothing_is_available() public {
        address poor = address(0xDEAD);
        vm.prank(poor);
        treasury.requestWithdraw(5);
        vm.warp(block.timestamp + 1 days);
        fails(abi.encodeWithSelector(ITreasury.InsufficientAvailable.selector, poor, 0, int256(-5)));
        vm.prank(poor);
        treasury.withdraw(poor);
    }

    function test_withdraw_pays_at_most_what_is_available(uint256 amount) public {
        amount = bound(amount, 1, 2 * FUNDS);
        vm.prank(STRANGER);
        treasury.requestWithdraw(amount);
        vm.warp(block.timestamp + 1 days);
        vm.prank(STRANGER);
        uint256 paid = treasury.withdraw(address(0xF00D));
        eq(paid, amount < FUNDS ? amount : FUNDS, "paid");
        eq(token.balanceOf(address(0xF00D)), paid, "token");
        eq(available(STRANGER), FUNDS - paid, "available");
        eq(token.balanceOf(address(treasury)), treasury.totalMicro(), "total");
        fails(abi.encodeWithSelector(ITreasury.NothingRequested.selector, STRANGER));
        vm.prank(STRANGER);
        treasury.withdraw(STRANGER);
    }

    function test_post_reverts_for_strangers() public {
        fails(abi.encodeWithSelector(ITreasury.NotModule.selector, STRANGER));
        vm.prank(STRANGER);
        treasury.post(postings(STRANGER, 0, 0));
    }

    function test_post_reverts_below_zero_available() public {
        fails(
            abi.encodeWithSelector(
                ITreasury.InsufficientAvailable.selector, STRANGER, FUNDS, -int256(FUNDS) - 1
            )
        );
        vm.prank(address(market));
        treasury.post(postings(STRANGER, -int128(uint128(FUNDS)) - 1, int128(uint128(FUNDS)) + 1));
    }

    function test_post_reverts_below_zero_locked() public {
        fails(abi.encodeWithSelector(ITreasury.InsufficientLocked.selector, STRANGER, 0, int256(-1)));
        vm.prank(address(settlement));
        treasury.post(postings(STRANGER, 1, -1));
    }

    function test_post_reverts_when_money_would_appear() public {
        fails(abi.encodeWithSelector(ITreasury.PostingsNotBalanced.selector, int256(1)));
        vm.prank(address(oracle));
        treasury.post(postings(STRANGER, 1, 0));
    }

    function test_post_conserves_money(uint256 amount, bool lock) public {
        amount = bound(amount, 0, FUNDS);
        int128 change = int128(uint128(amount));
        ITreasury.Posting[] memory list = new ITreasury.Posting[](2);
        list[0] = ITreasury.Posting(STRANGER, -change, 0);
        list[1] = ITreasury.Posting(buyer(0), lock ? int128(0) : change, lock ? change : int128(0));
        uint256 sum = ledgerSum();
        vm.prank(address(market));
        treasury.post(list);
        eq(ledgerSum(), sum, "sum");
        eq(lock ? locked(buyer(0)) : available(buyer(0)) - FUNDS, amount, "moved");
    }

    function test_locked_money_cannot_be_withdrawn() public {
        vm.prank(address(market));
        treasury.post(postings(STRANGER, -int128(uint128(FUNDS)), int128(uint128(FUNDS))));
        vm.prank(STRANGER);
        treasury.requestWithdraw(FUNDS);
        vm.warp(block.timestamp + 1 days);
        fails(abi.encodeWithSelector(ITreasury.InsufficientAvailable.selector, STRANGER, 0, -int256(FUNDS)));
        vm.prank(STRANGER);
        treasury.withdraw(STRANGER);
    }
}
