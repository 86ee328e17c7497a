// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ChunkBook} from "../../../contracts/libraries/ChunkBook.sol";
import {DeliveryMath} from "../../../contracts/libraries/DeliveryMath.sol";
import {GreenRun} from "../../../contracts/libraries/GreenRun.sol";
import {Check} from "../support/Check.sol";

/// @notice GreenRun settles what DeliveryMath settles, to the unit, or leaves it alone.
contract GreenRunTest is Check {
    struct Case {
        uint32 lanes;
        uint32 wh;
        uint32 price;
        int32 energyPrice;
        uint32 milli;
        uint32 matched;
        uint32 room;
        bool green;
        uint16 gain;
    }

    function cellOf(Case memory c) private pure returns (ChunkBook.Cell memory cell) {
        (cell.price, cell.energyPrice) = (c.price, uint256(int256(c.energyPrice)));
        (cell.plain, cell.room, cell.gain) = (c.green && c.energyPrice >= 0, c.room, c.gain);
        (cell.refunds, cell.unlocked, cell.credits) = (new uint256[](3), new uint256[](3), new uint256[](3));
        cell.siteMoney = new int256[](2);
        (cell.matchedWh, cell.settledWh, cell.money) = (5, 7, 11);
        (cell.compute, cell.power, cell.refund) = (13, 17, 19);
    }

    function test_agrees_with_the_whole_rule(Case memory c) public pure {
        c.lanes = uint32(bound(c.lanes, 1, 65_535));
        c.wh = uint32(bound(c.wh, 1, 5_000));
        c.milli = uint32(bound(c.milli, 0, 1000 * uint256(c.lanes) + 1));
        c.matched = uint32(bound(c.matched, 0, uint256(c.lanes) * c.wh + 1));
        if (c.energyPrice > 2_000_000) c.energyPrice %= 2_000_000;
        checkCase(c);
        (c.milli, c.green, c.room) = (1000 * c.lanes, true, type(uint32).max);
        if (c.energyPrice < 0) c.energyPrice = 0;
        if (c.price < 10_000_000) c.price = 4_000_000_000;
        if (c.matched > uint256(c.lanes) * c.wh) --c.matched;
        isTrue(checkCase(c), "the common case is taken");
    }

    function checkCase(Case memory c) private pure returns (bool taken) {
        ChunkBook.Cell memory cell = cellOf(c);
        uint256 run = uint256(2) << 88 | c.lanes;
        uint256 info = uint256(1) << 32 | c.wh;
        taken = GreenRun.settle(cell, run, info, uint256(c.milli) << 32 | c.matched);
        DeliveryMath.Payment memory p;
        if (taken) {
            isTrue(c.green && c.energyPrice >= 0 && c.matched <= uint256(c.lanes) * c.wh, "allowed");
            isTrue(c.milli <= 1000 * uint256(c.lanes) && uint256(c.matched) + 5 <= c.room, "allowed");
            DeliveryMath.Delivery memory d;
            (d.lanes, d.price, d.energyPrice, d.energyWhPerLane) = (c.lanes, c.price, c.energyPrice, c.wh);
            (d.milliLanes, d.matchedWh, d.green) = (c.milli, c.matched, true);
            DeliveryMath.settle(d, p);
            eq(p.penalty, 0, "no penalty");
        }
        eq(cell.refunds[2], p.refund, "refund");
        eq(cell.unlocked[2], p.bundle, "bundle");
        eq(uint256(cell.siteMoney[1]), p.payCompute, "site");
        eq(cell.credits[2], taken ? uint256(c.matched) * c.gain : 0, "credit");
        eq(cell.matchedWh, 5 + p.matchedWh, "matched");
        eq(cell.settledWh, 7 + p.energyWh, "settled");
        eqSigned(cell.money, 11 + p.payPower, "money");
        eq(cell.compute, 13 + p.payCompute, "compute");
        eqSigned(cell.power, 17 + p.payPower, "power");
        eq(cell.refund, 19 + p.refund, "sum of refunds");
        eq(cell.refunds[0] + cell.refunds[1] + cell.unlocked[0] + cell.unlocked[1], 0, "others untouched");
        eqSigned(cell.siteMoney[0], 0, "other site");
    }
}
