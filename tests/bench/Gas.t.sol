// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {GasWorld} from "./GasWorld.sol";

/// @dev The figures of `make gas`. Each call of `_measure` is a transaction of its own (`isolate`), so a figure holds
/// the 21,000, the calldata and cold storage. A first day makes every account, fill word and balance non-zero; the
/// second day is measured.
contract Gas is GasWorld {
    /// @dev What a day used, by step.
    struct Used {
        uint256 setup;
        uint256 clear;
        uint256 report;
        uint256 settle;
        uint256 pay;
    }

    function _live(uint64 start, Day memory d) internal returns (Used memory used) {
        used.setup = open(start, d);
        for (uint256 c; c < chunks(d); ++c) {
            used.clear += _measure(address(market), SOLVER, clearCall(d, c));
        }
        used.setup += _measure(address(market), SOLVER, abi.encodeCall(market.finalize, (batchId)));
        for (uint16 t; t < d.slots; ++t) {
            used.report += _measure(address(oracle), STRANGER, reportCall(d, t));
        }
        vm.warp(block.timestamp + WINDOW);
        bytes[] memory calls = new bytes[](d.slots + chunks(d));
        for (uint16 t; t < d.slots; ++t) {
            calls[t] = meterCall(d, t);
        }
        for (uint256 c; c < chunks(d); ++c) {
            calls[d.slots + c] = settleCall(d, c, 0, uint16(d.slots));
        }
        used.settle = _measure(address(settlement), STRANGER, abi.encodeCall(settlement.multicall, (calls)));
        uint16[] memory slots = new uint16[](d.slots);
        for (uint16 t; t < d.slots; ++t) {
            slots[t] = t;
        }
        used.pay = _measure(address(settlement), STRANGER, abi.encodeCall(settlement.payPools, (batchId, slots, 0)));
        nextNonce += d.orders / d.makers;
    }

    function _figures(string memory name, Day memory d) internal {
        makeMakers(d.makers);
        _live(START, d);
        Used memory u = _live(START + 1 days, d);
        uint256 n = d.orders;
        uint256 all = u.clear + u.report + u.settle + u.pay;
        _note(string.concat("lifecycle_per_order_", name), all / n);
        _note(string.concat("clear_per_order_", name), u.clear / n);
        _note(string.concat("report_per_order_", name), u.report / n);
        _note(string.concat("settle_per_order_", name), u.settle / n);
        _note(string.concat("pay_per_order_", name), u.pay / n);
        if (d.orders != 100 || d.makers != 100) return;
        if (d.slots == 1) _note("report_n4_q3", u.report);
        if (d.slots == 1) _note("batch_setup", u.setup);
        if (d.slots == 8) _note("certificate_batch_each", u.pay / d.slots / 2);
    }

    function _note(string memory name, uint256 value) internal {
        vm.snapshotValue("gas", name, value);
    }

    function test_gas_n10() public {
        _figures("n10", Day(10, 10, 1));
    }

    function test_gas_n50() public {
        _figures("n50", Day(50, 50, 1));
    }

    function test_gas_n100() public {
        _figures("n100", Day(100, 100, 1));
    }

    function test_gas_n400() public {
        _figures("n400", Day(400, 400, 1));
    }

    function test_gas_n100_ten_a_maker() public {
        _figures("n100_10_per_maker", Day(100, 10, 1));
    }

    function test_gas_n400_ten_a_maker() public {
        _figures("n400_10_per_maker", Day(400, 40, 1));
    }

    function test_gas_n100_eight_slots() public {
        _figures("n100_8_slots", Day(100, 100, 8));
    }

    function test_gas_n100_eight_slots_ten_a_maker() public {
        _figures("n100_8_slots_10_per_maker", Day(100, 10, 8));
    }

    function test_gas_of_one_account() public {
        Day memory d = Day(10, 10, 1);
        makeMakers(d.makers);
        _live(START, d);
        address[] memory makers = new address[](d.makers);
        for (uint256 i; i < d.makers; ++i) {
            makers[i] = vm.addr(makerKey(d, i));
        }
        bytes memory claim = abi.encodeCall(settlement.claimCredits, (57 * 12, makers));
        _note("claim_first_each", _measure(address(settlement), STRANGER, claim) / d.makers);
        address owner = plantOwner(11);
        uint256 id = certificates.packId(1, START, 0, 1, address(settlement));
        bytes memory retire = abi.encodeCall(certificates.retire, (id, 100, owner, keccak256("purpose")));
        _measure(address(certificates), owner, retire);
        _note("retire", _measure(address(certificates), owner, retire));
        token.mint(owner, 1e12);
        vm.prank(owner);
        token.approve(address(treasury), type(uint256).max);
        _note("deposit", _measure(address(treasury), owner, abi.encodeCall(treasury.deposit, (owner, 1e6))));
        _note("withdraw_request", _measure(address(treasury), owner, abi.encodeCall(treasury.requestWithdraw, (1e6))));
        vm.warp(block.timestamp + 1 days);
        _note("withdraw", _measure(address(treasury), owner, abi.encodeCall(treasury.withdraw, (owner))));
    }
}
