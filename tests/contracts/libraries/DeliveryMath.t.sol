// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {DeliveryMath} from "../../../contracts/libraries/DeliveryMath.sol";
import {Check} from "../support/Check.sol";

contract DeliveryMathTest is Check {
    /// @dev Any run that a clearing lets through: the compute part is not negative.
    function delivery(uint256[6] memory seed, int256 price, bool green)
        internal
        pure
        returns (DeliveryMath.Delivery memory d)
    {
        d.lanes = bound(seed[0], 1, 32_767);
        d.energyWhPerLane = bound(seed[1], 1, 100_000);
        d.energyPrice = boundSigned(price, -type(int32).max, type(int32).max);
        uint256 least = d.energyPrice > 0 ? (d.energyWhPerLane * uint256(d.energyPrice) + 999) / 1000 : 0;
        d.price = bound(seed[2], least, least + type(uint32).max);
        d.milliLanes = bound(seed[3], 0, 1000 * d.lanes);
        d.green = green;
        d.matchedWh = green ? bound(seed[4], 0, d.lanes * d.energyWhPerLane) : 0;
    }

    function settled(DeliveryMath.Delivery memory d) internal pure returns (DeliveryMath.Payment memory p) {
        DeliveryMath.settle(d, p);
    }

    function test_the_bundle_is_split_without_rest(uint256[6] memory seed, int256 price, bool green) public pure {
        DeliveryMath.Delivery memory d = delivery(seed, price, green);
        DeliveryMath.Payment memory p = settled(d);
        eqSigned(int256(p.payCompute) + p.payPower + int256(p.refund), int256(p.bundle), "sum");
        eq(p.bundle, d.lanes * d.price, "bundle");
        isTrue(p.matchedWh <= p.energyWh, "matched");
    }

    function test_full_delivery_refunds_nothing(uint256[6] memory seed, int256 price, bool green) public pure {
        DeliveryMath.Delivery memory d = delivery(seed, price, green);
        d.milliLanes = 1000 * d.lanes;
        if (green) d.matchedWh = d.lanes * d.energyWhPerLane;
        DeliveryMath.Payment memory p = settled(d);
        eq(p.refund, 0, "refund");
        eq(p.penalty, 0, "penalty");
    }

    function test_no_delivery_refunds_all(uint256[6] memory seed, int256 price, bool green) public pure {
        DeliveryMath.Delivery memory d = delivery(seed, price, green);
        (d.milliLanes, d.matchedWh) = (0, 0);
        DeliveryMath.Payment memory p = settled(d);
        eq(p.refund, p.bundle, "refund");
    }

    /// @dev Payments of a positive price round down: never more than the exact share.
    function test_payments_never_exceed_the_exact_share(uint256[6] memory seed, int256 price) public pure {
        DeliveryMath.Delivery memory d = delivery(seed, price, true);
        if (d.energyPrice < 0) d.energyPrice = -d.energyPrice;
        uint256 least = (d.energyWhPerLane * uint256(d.energyPrice) + 999) / 1000;
        if (d.price < least) d.price = least;
        DeliveryMath.Payment memory p = settled(d);
        uint256 power = p.energyWh * uint256(d.energyPrice) / 1000;
        isTrue(uint256(p.payPower) * p.energyWh <= power * p.matchedWh, "power");
        isTrue(p.payCompute * 1000 * d.lanes <= (p.bundle - power) * d.milliLanes, "compute");
    }

    /// @dev What a seller locks for a negative price covers every way its Wh can be spread over runs.
    function test_the_lock_covers_the_roundings(uint32 price, uint16[8] memory energy, uint16[8] memory used)
        public
        pure
    {
        uint256 negative = bound(price, 1, type(uint32).max >> 1);
        uint256 sold;
        uint256 paid;
        for (uint256 i; i < 8; ++i) {
            uint256 energyWh = bound(energy[i], 1, type(uint16).max);
            DeliveryMath.Delivery memory d =
                DeliveryMath.Delivery(1, 1, -int256(negative), energyWh, 1000, bound(used[i], 0, energyWh), true);
            paid += uint256(-settled(d).payPower);
            sold += energyWh;
        }
        isTrue(paid <= (sold * (negative + 2000) + 999) / 1000, "covered");
    }

    function test_tiers() public pure {
        eq(DeliveryMath.tierUp(1000, 90, 100, 1), 0, "90 %");
        eq(DeliveryMath.tierUp(1000, 89, 100, 1), 1000, "89 %");
        eq(DeliveryMath.tierUp(1000, 70, 100, 1), 1000, "70 %");
        eq(DeliveryMath.tierUp(1000, 69, 100, 1), 1500, "69 %");
        eq(DeliveryMath.tierUp(1001, 69, 100, 1), 1502, "rounded up");
        eq(DeliveryMath.tierUp(1001, 80, 100, 1000), 2, "scaled, rounded up");
        eq(DeliveryMath.tierUp(0, 0, 0, 1), 0, "nothing committed");
        eq(DeliveryMath.plantPenaltyUp(1000, 0, -5), 0, "no penalty at a negative price");
    }

    function test_floorDiv() public pure {
        eqSigned(DeliveryMath.floorDiv(7, 2), 3, "7 / 2");
        eqSigned(DeliveryMath.floorDiv(-7, 2), -4, "-7 / 2");
        eqSigned(DeliveryMath.floorDiv(-8, 2), -4, "-8 / 2");
        eqSigned(DeliveryMath.floorDiv(0, 2), 0, "0 / 2");
    }

    function test_split_is_exact_and_within_one(uint64 total, uint32[5] memory seed) public pure {
        uint256[] memory weights = new uint256[](5);
        uint256 sum;
        for (uint256 i; i < 5; ++i) {
            weights[i] = seed[i];
            sum += seed[i];
        }
        uint256[] memory shares = DeliveryMath.split(total, weights);
        uint256 given;
        for (uint256 i; i < 5; ++i) {
            given += shares[i];
            if (sum == 0) continue;
            isTrue(shares[i] >= uint256(total) * weights[i] / sum, "at least the floor");
            isTrue(shares[i] * sum < uint256(total) * weights[i] + sum, "less than one above");
        }
        eq(given, sum == 0 ? 0 : total, "all is given");
    }

    function test_split_ties_go_to_the_lower_index() public pure {
        uint256[] memory weights = new uint256[](3);
        (weights[0], weights[1], weights[2]) = (1, 1, 1);
        uint256[] memory shares = DeliveryMath.split(5, weights);
        eq(shares[0], 2, "first");
        eq(shares[1], 2, "second");
        eq(shares[2], 1, "third");
    }
}
