// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ISettlement} from "../../../contracts/interfaces/ISettlement.sol";
import {Check} from "../support/Check.sol";
import {Handler} from "./Handler.sol";

/// @dev The laws that hold after any sequence of legal calls; forge runs with fail_on_revert.
contract MarketInvariants is Check {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    Handler internal handler;

    function setUp() public {
        handler = new Handler();
    }

    function targetContracts() public view returns (address[] memory list) {
        list = new address[](1);
        list[0] = address(handler);
    }

    /// @dev The acts; not the helpers and views that the handler inherits.
    function targetSelectors() public view returns (FuzzSelector[] memory list) {
        list = new FuzzSelector[](1);
        bytes4[] memory acts = new bytes4[](18);
        acts[0] = Handler.clearChunk.selector;
        acts[1] = Handler.finalise.selector;
        acts[2] = Handler.reportSlot.selector;
        acts[3] = Handler.meterPool.selector;
        acts[4] = Handler.settleSlot.selector;
        acts[5] = Handler.payPool.selector;
        acts[6] = Handler.refundSlot.selector;
        acts[7] = Handler.settleAgain.selector;
        acts[8] = Handler.retire.selector;
        acts[9] = Handler.transfer.selector;
        acts[10] = Handler.deposit.selector;
        acts[11] = Handler.withdraw.selector;
        // more often than the rest, so that a run reaches the end of the day
        acts[12] = Handler.reportSlot.selector;
        acts[13] = Handler.meterPool.selector;
        acts[14] = Handler.settleSlot.selector;
        acts[15] = Handler.settleSlot.selector;
        acts[16] = Handler.payPool.selector;
        acts[17] = Handler.claim.selector;
        list[0] = FuzzSelector(address(handler), acts);
    }

    function invariant_laws_of_the_market() public view {
        moneyIsConserved();
        whatIsLockedIsWhatIsNotSettled();
        supplyIsMintedLessRetired();
        nothingIsSettledTwice();
        noOrderIsOverfilled();
        matchedStaysWithinDelivered();
    }

    /// @dev The laws would hold of a handler that does nothing: this one settles, pays and refunds.
    function test_the_handler_reaches_the_end_of_a_day() public {
        for (uint256 i; i < 400; ++i) {
            uint256 r = uint256(keccak256(abi.encode("day", i)));
            if (r % 8 == 0) handler.clearChunk(r >> 8, r >> 16);
            else if (r % 8 == 1 && handler.chunkCount() == 3) handler.finalise();
            else if (r % 8 == 2) handler.reportSlot(r >> 8, true);
            else if (r % 8 == 3) handler.meterPool(r >> 8, r >> 16);
            else if (r % 8 == 4) handler.settleSlot(r >> 8, r >> 16);
            else if (r % 8 == 5) handler.payPool(r >> 8, r >> 16);
            else if (r % 8 == 6) handler.refundSlot(r >> 8, r >> 16, r >> 24 & 7 == 0);
            else if (r >> 32 & 1 == 0) handler.claim(r >> 8, r >> 16);
            else handler.retire(r >> 8, r >> 16, r >> 24);
        }
        for (uint256 i; i < 12; ++i) {
            handler.refundSlot(i % 4, i / 4, true);
        }
        isTrue(handler.settlings() > 0, "settles");
        isTrue(handler.refunds() > 0, "refunds");
        isTrue(handler.payments() > 0, "pays pools");
        for (uint256 i; i < 4; ++i) {
            (uint256 held,) = handler.lockOf(i);
            eq(held, 0, "every lock ends with the day");
        }
        invariant_laws_of_the_market();
    }

    function moneyIsConserved() internal view {
        (uint256 total, uint256 tokens) = handler.moneyTotal();
        eq(handler.moneyLedger(), total, "ledger");
        eq(tokens, total, "tokens");
    }

    function whatIsLockedIsWhatIsNotSettled() internal view {
        for (uint256 i; i < 4; ++i) {
            (uint256 held, uint256 expected) = handler.lockOf(i);
            eq(held, expected, "buyer's lock");
        }
    }

    function supplyIsMintedLessRetired() internal view {
        for (uint256 i; i < handler.ID_COUNT(); ++i) {
            uint256 id = handler.idOf(i);
            (uint256 minted, uint256 retired, uint256 supply) = handler.supplyOf(id);
            eq(supply, minted - retired, "supply");
            eq(handler.balancesOf(id), supply, "balances");
            if (i < 3) isTrue(minted <= handler.meteredWh(1 + i), "never more than was metered");
        }
    }

    function nothingIsSettledTwice() internal view {
        for (uint256 c; c < handler.chunkCount(); ++c) {
            for (uint256 t; t < 4; ++t) {
                isTrue(handler.timesClosed(c, t) <= 1, "closed once");
            }
        }
    }

    function noOrderIsOverfilled() internal view {
        for (uint64 n = 1; n < handler.nonces(); ++n) {
            eq(handler.fillOf(n), handler.lanesBought(n), "lanes");
            isTrue(handler.fillOf(n) <= 1000, "within the order");
        }
    }

    function matchedStaysWithinDelivered() internal view {
        for (uint256 t; t < 4; ++t) {
            for (uint256 z; z < 2; ++z) {
                ISettlement.Pool memory p = handler.poolOf(t, z);
                isTrue(p.matchedWh <= p.deliveredWh, "matched");
            }
        }
    }
}
