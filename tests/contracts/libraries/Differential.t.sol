// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BatchStore} from "../../../contracts/libraries/BatchStore.sol";
import {CertificateId} from "../../../contracts/libraries/CertificateId.sol";
import {DeliveryMath} from "../../../contracts/libraries/DeliveryMath.sol";
import {Check} from "../support/Check.sol";

/// @title The contracts' arithmetic against the auditor's, which was written from the formulas in Python
/// @notice tests/vectors/generate_settlement.py draws the cases; `make differential` draws others.
contract DifferentialTest is Check {
    string private json = vm.readFile("tests/vectors/settlement.json");

    function column(string memory group, string memory name) private view returns (uint256[] memory) {
        return vm.parseJsonUintArray(json, string.concat(".", group, ".", name));
    }

    function column(string memory name) private view returns (uint256[] memory) {
        return column("payments", name);
    }

    function signed(uint256 magnitude, uint256 negative) private pure returns (int256) {
        return negative == 1 ? -int256(magnitude) : int256(magnitude);
    }

    function test_payments_are_the_auditors() public view {
        DeliveryMath.Delivery[] memory cases = read();
        (uint256[] memory bundle, uint256[] memory compute) = (column("bundle"), column("payCompute"));
        (uint256[] memory power, uint256[] memory negative) = (column("payPower"), column("powerNegative"));
        (uint256[] memory refund, uint256[] memory matched) = (column("refund"), column("matchedWh"));
        uint256[] memory penalty = column("penalty");
        DeliveryMath.Payment memory p;
        for (uint256 i; i < cases.length; ++i) {
            DeliveryMath.settle(cases[i], p);
            eq(p.bundle, bundle[i], "bundle");
            eq(p.payCompute, compute[i], "compute");
            eqSigned(p.payPower, signed(power[i], negative[i]), "power");
            eq(p.refund, refund[i], "refund");
            eq(p.matchedWh, matched[i], "matched");
            eq(p.penalty, penalty[i], "penalty");
        }
        isTrue(cases.length >= 400, "cases were read");
    }

    function read() private view returns (DeliveryMath.Delivery[] memory cases) {
        (uint256[] memory lanes, uint256[] memory price) = (column("lanes"), column("price"));
        (uint256[] memory energy, uint256[] memory negative) = (column("energyPrice"), column("energyNegative"));
        (uint256[] memory wh, uint256[] memory milli) = (column("wh"), column("milli"));
        (uint256[] memory matched, uint256[] memory mode) = (column("matched"), column("mode"));
        cases = new DeliveryMath.Delivery[](lanes.length);
        for (uint256 i; i < cases.length; ++i) {
            DeliveryMath.Delivery memory d = cases[i];
            (d.lanes, d.price, d.energyWhPerLane) = (lanes[i], price[i], wh[i]);
            (d.milliLanes, d.matchedWh, d.green) = (milli[i], matched[i], mode[i] == 1);
            d.energyPrice = signed(energy[i], negative[i]);
        }
    }

    function test_plants_pay_and_lock_what_the_auditor_says() public view {
        (uint256[] memory sold, uint256[] memory delivered) = (column("plants", "sold"), column("plants", "delivered"));
        (uint256[] memory price, uint256[] memory negative) = (column("plants", "price"), column("plants", "negative"));
        (uint256[] memory penalty, uint256[] memory held) = (column("plants", "penalty"), column("plants", "locked"));
        for (uint256 i; i < sold.length; ++i) {
            int256 at_ = signed(price[i], negative[i]);
            eq(DeliveryMath.plantPenaltyUp(sold[i], delivered[i], at_), penalty[i], "penalty");
            eq(BatchStore.obligationUp(sold[i], at_), held[i], "locked");
        }
        isTrue(sold.length >= 400, "cases were read");
    }

    function test_shares_are_the_auditors() public view {
        uint256 i;
        for (; vm.keyExistsJson(json, split(i, "")); ++i) {
            uint256 total = vm.parseJsonUint(json, split(i, ".total"));
            uint256[] memory weights = vm.parseJsonUintArray(json, split(i, ".weights"));
            uint256[] memory shares = vm.parseJsonUintArray(json, split(i, ".shares"));
            uint256[] memory found = DeliveryMath.split(total, weights);
            for (uint256 k; k < shares.length; ++k) {
                eq(found[k], shares[k], "share");
            }
        }
        isTrue(i >= 100, "cases were read");
    }

    function split(uint256 i, string memory name) private pure returns (string memory) {
        bytes memory digits;
        for (uint256 left = i; left > 0 || digits.length == 0; left /= 10) {
            digits = bytes.concat(bytes1(uint8(48 + left % 10)), digits);
        }
        return string.concat(".splits[", string(digits), "]", name);
    }

    function test_months_are_the_calendars() public view {
        (uint256[] memory time, uint256[] memory month) = (column("months", "time"), column("months", "month"));
        for (uint256 i; i < time.length; ++i) {
            eq(CertificateId.yearMonth(time[i]), month[i], "month");
            eq(CertificateId.monthOf(CertificateId.monthIndex(time[i])), month[i], "index");
        }
        isTrue(time.length >= 100, "cases were read");
    }
}
