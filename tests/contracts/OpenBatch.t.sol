// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBundleMarket} from "../../contracts/interfaces/IBundleMarket.sol";
import {Batch} from "./support/Batch.sol";

contract OpenBatchTest is Batch {
    function refused(IBundleMarket.BatchHeader memory h, bytes memory error_) internal {
        fails(error_);
        vm.prank(SOLVER);
        market.openBatch(h);
    }

    function badGrid(bytes32 what, uint256 value) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(IBundleMarket.BadGrid.selector, what, value);
    }

    function test_only_solvers() public {
        publish();
        IBundleMarket.BatchHeader memory h = header();
        fails(abi.encodeWithSelector(IBundleMarket.NotSolver.selector, STRANGER));
        vm.prank(STRANGER);
        market.openBatch(h);
    }

    function test_only_ahead_of_its_start() public {
        publish();
        vm.warp(START);
        refused(header(), abi.encodeWithSelector(IBundleMarket.BatchInPast.selector, START, START));
    }

    function test_only_on_a_grid() public {
        publish();
        IBundleMarket.BatchHeader memory h = header();
        h.slotSeconds = 0;
        refused(h, badGrid("slotSeconds", 0));
        h.slotSeconds = 450;
        refused(h, badGrid("slotSeconds", 450));
        h.slotSeconds = 7200;
        refused(h, badGrid("slotSeconds", 7200));
        h = header();
        h.start += 300;
        refused(h, badGrid("start", h.start));
        h = header();
        h.slots = 0;
        refused(h, badGrid("slots", 0));
        h.slots = 961;
        refused(h, badGrid("slots", 961));
        h = header();
        h.zones = 65;
        refused(h, badGrid("zones", 65));
        h = header();
        h.classes = 257;
        refused(h, badGrid("classes", 257));
    }

    function test_only_what_the_committee_published() public {
        IBundleMarket.BatchHeader memory h = header();
        refused(
            h, abi.encodeWithSelector(IBundleMarket.NotPublished.selector, START, h.publicationHash, bytes32(0))
        );
        h.publicationHash = 0;
        refused(h, abi.encodeWithSelector(IBundleMarket.NotPublished.selector, START, bytes32(0), bytes32(0)));
        publish();
        h.publicationHash = "other";
        refused(
            h,
            abi.encodeWithSelector(IBundleMarket.NotPublished.selector, START, bytes32("other"), contentHash())
        );
    }

    function test_open_gives_the_next_id() public {
        openBatch();
        eq(batchId, 1, "id");
        openBatch();
        eq(batchId, 2, "id");
        IBundleMarket.Batch memory b = market.batch(2);
        eqAddress(b.solver, SOLVER, "solver");
        eq(uint256(b.state), uint256(IBundleMarket.State.Open), "state");
        eq(market.tableLength(2), (8 * CLASSES + 12) * ZONES * SLOTS, "table length");
    }

    // --- prices

    function postRefused(uint16 part, bytes memory data, bytes memory error_) internal {
        fails(error_);
        vm.prank(SOLVER);
        market.postPrices(batchId, part, data);
    }

    function test_postPrices_checks_caller_and_time() public {
        openBatch();
        fails(abi.encodeWithSelector(IBundleMarket.NotSolver.selector, STRANGER));
        vm.prank(STRANGER);
        market.postPrices(batchId, 0, hex"00");
        vm.warp(START);
        postRefused(0, hex"00", abi.encodeWithSelector(IBundleMarket.TooLate.selector, batchId, START));
    }

    function test_postPrices_checks_the_parts() public {
        openBatch();
        uint256 whole = market.tableLength(batchId);
        postRefused(1, hex"00", abi.encodeWithSelector(IBundleMarket.WrongPart.selector, 1, 0));
        postRefused(0, "", abi.encodeWithSelector(IBundleMarket.PartTooLarge.selector, 0));
        postRefused(
            0, new bytes(24_001), abi.encodeWithSelector(IBundleMarket.PartTooLarge.selector, 24_001)
        );
        postRefused(
            0,
            new bytes(whole + 1),
            abi.encodeWithSelector(IBundleMarket.TableTooLong.selector, whole + 1, whole)
        );
    }

    function test_postPrices_refuses_another_carbon_section() public {
        openBatch();
        gridCarbon += 1;
        postRefused(
            0,
            tableBytes(),
            abi.encodeWithSelector(
                IBundleMarket.CarbonNotPublished.selector,
                contentHash(),
                market.batch(batchId).publicationHash
            )
        );
    }

    function test_postPrices_joins_parts(uint256 cut) public {
        openBatch();
        bytes memory table = tableBytes();
        cut = bound(cut, 1, table.length - 1);
        bytes memory head = new bytes(cut);
        bytes memory tail = new bytes(table.length - cut);
        for (uint256 i; i < table.length; ++i) {
            if (i < cut) head[i] = table[i];
            else tail[i - cut] = table[i];
        }
        vm.prank(SOLVER);
        market.postPrices(batchId, 0, head);
        fails(
            abi.encodeWithSelector(IBundleMarket.PricesIncomplete.selector, batchId, cut, table.length)
        );
        vm.prank(SOLVER);
        market.finalize(batchId);
        vm.prank(SOLVER);
        market.postPrices(batchId, 1, tail);
        eqHash(keccak256(market.priceTable(batchId)), keccak256(table), "table");
        postRefused(
            2, hex"00", abi.encodeWithSelector(IBundleMarket.TableTooLong.selector, table.length + 1, table.length)
        );
    }
}
