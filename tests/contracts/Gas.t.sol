// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBundleMarket} from "../../contracts/interfaces/IBundleMarket.sol";
import {Batch} from "./support/Batch.sol";

/// @dev Gas of a chunk, printed with `forge test --match-contract Gas -vv`, and the bounds that a chunk of sixty
/// orders must keep. Execution and calldata, without the 21,000 of a transaction.
contract GasTest is Batch {
    uint256 private constant CAP = 16_777_216;
    uint256[3] internal metered = [uint256(9_000_000_000), 9_000_000_000, 0];

    function calldataGas(bytes memory data) internal pure returns (uint256 gas) {
        for (uint256 i; i < data.length; ++i) {
            gas += data[i] == 0 ? 4 : 16;
        }
    }

    function measure(address target, address sender, bytes memory data) internal returns (uint256 gas) {
        vm.prank(sender);
        uint256 before = gasleft();
        (bool success, bytes memory answer) = target.call(data);
        gas = before - gasleft();
        gas += calldataGas(data);
        if (!success) {
            assembly {
                revert(add(answer, 32), mload(answer))
            }
        }
    }

    function ordersOf(uint256 n, uint256 slots) internal {
        for (uint256 i; i < n; ++i) {
            IBundleMarket.BundleOrder memory o = order(0);
            (o.maker, o.durationSlots) = (vm.addr(0x10000 + i), uint16(slots));
            _fund(o.maker, FUNDS);
            orders.push(o);
            sigs.push(sign(0x10000 + i, market.hashOrder(o)));
            addRun(i, 0, GREEN, 0, slots, 3);
        }
    }

    function settleGas(uint256 n, uint16 from, uint16 to) internal returns (uint256) {
        bytes memory outcomes;
        for (uint256 i; i < n; ++i) {
            outcomes = bytes.concat(outcomes, outcome(2_900, 2_900));
        }
        uint16[] memory list = new uint16[](to - from);
        bytes[] memory all = new bytes[](to - from);
        for (uint16 t = from; t < to; ++t) {
            (list[t - from], all[t - from]) = (t, outcomes);
            report(t, metered, outcomes);
            settlement.meterPool(batchId, t, 0, positionsOf(t, 0, metered));
        }
        return measure(
            address(settlement),
            STRANGER,
            abi.encodeCall(
                settlement.settleChunk, (batchId, 0, chunk(), list, all, new bytes32[][](to - from))
            )
        );
    }

    function clearGas(uint256 n, uint256 slots) internal returns (uint256 gas) {
        openMarket();
        ordersOf(n, slots);
        addPowers();
        gas = measure(
            address(market), SOLVER, abi.encodeCall(market.clearChunk, (batchId, orders, sigs, runs))
        );
        finish();
    }

    function test_sixty_orders_fit_a_transaction() public {
        uint256 gas = clearGas(60, 1);
        emit log_named_uint("clear, per order of one slot (N = 60)", gas / 60);
        isTrue(gas + 21_000 < CAP / 3, "clear");
        gas = settleGas(60, 0, 1);
        emit log_named_uint("settle, per order, first credit of its buyer", gas / 60);
        isTrue(gas + 21_000 < CAP / 2, "settle");
    }

    function test_a_further_slot_costs_a_few_thousand() public {
        uint256 state = vm.snapshotState();
        uint256 one = clearGas(60, 1);
        vm.revertToState(state);
        uint256 four = clearGas(60, 4);
        emit log_named_uint("clear, per further slot of an order", (four - one) / 180);
        isTrue((four - one) / 180 < 2_000, "clear");
        settleGas(60, 0, 1);
        one = settleGas(60, 1, 2);
        emit log_named_uint("settle, per order of one slot, later days", one / 60);
        uint256 two = settleGas(60, 2, 4);
        emit log_named_uint("settle, per further slot of an order", (two - one) / 60);
        isTrue((two - one) / 60 < 8_000, "settle");
    }
}
