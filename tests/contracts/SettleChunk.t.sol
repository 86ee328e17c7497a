// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ISettlement} from "../../contracts/interfaces/ISettlement.sol";
import {Batch} from "./support/Batch.sol";

contract SettleChunkTest is Batch {
    function test_full_delivery_pays_site_and_plants() public {
        greenBatch();
        uint256 site = available(siteOwner(1));
        uint256 pv = available(plantOwner(11));
        uint256[3] memory metered = [uint256(6_000_000), 4_000_000, 0];
        bytes memory outcomes = outcome(10_000, 10_000);
        report(0, metered, outcomes);
        settlement.meterPool(batchId, 0, 0, positionsOf(0, 0, metered));
        settle(0, outcomes);
        settlement.payPool(batchId, 0, 0);
        // 10 lanes * 1.1 = 11; 10 kWh * 0.3 = 3 to the plants, 8 to the site
        eq(available(siteOwner(1)) - site, 8_000_000, "site");
        eq(available(plantOwner(11)) - pv, 1_800_000, "pv: 60 % of the pool");
        eq(locked(buyer(0)), 11_000_000, "slot 1 stays locked");
        // 10,000 Wh * (600 - 45) g/kWh
        uint256 id = certificates.packId(2, START, 0, 0, address(settlement));
        eq(certificates.balanceOf(buyer(0), id), 5_550, "credit grams");
        eq(ledgerSum(), treasury.totalMicro(), "conservation");
    }
}
