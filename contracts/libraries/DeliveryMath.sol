// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title F15 and F5: what one run is owed in one slot
/// @notice Pure integers; rounding directions are in the names or stated. Payments round down, so that the escrow is
/// never short and the buyer gets what remains; penalties round up.
library DeliveryMath {
    /// @param lanes lanes bought; @param price micro per VCU-slot; @param energyPrice micro per kWh, signed
    /// @param energyWhPerLane energy of one lane in the slot; @param milliLanes delivered, at most 1000 * lanes
    /// @param matchedWh green energy matched, at most the run's energy; a grey run takes what its compute used
    struct Delivery {
        uint256 lanes;
        uint256 price;
        int256 energyPrice;
        uint256 energyWhPerLane;
        uint256 milliLanes;
        uint256 matchedWh;
        bool green;
    }

    /// @notice bundle = payCompute + payPower + refund. `penalty` is before the cap by the payer's balance.
    struct Payment {
        uint256 bundle;
        uint256 energyWh;
        uint256 matchedWh;
        uint256 payCompute;
        int256 payPower;
        uint256 refund;
        uint256 penalty;
    }

    /// @notice Splits the bundle of a run. The clearing guarantees a compute part of at least 0.
    /// At a negative energy price the power part is money from the seller to the site; it is paid only as far as
    /// energy was matched, and compute never takes more than bundle and matched power leave.
    /// @dev Lanes, prices and energies are 32-bit fields of runs, offers and tables: no product passes 2^200.
    /// @param p is overwritten; the caller keeps one for many runs, so that memory does not grow
    function settle(Delivery memory d, Payment memory p) internal pure {
        unchecked {
            (uint256 full, uint256 milli) = (1000 * d.lanes, d.milliLanes);
            uint256 bundle = d.lanes * d.price;
            uint256 energyWh = d.lanes * d.energyWhPerLane;
            uint256 matched = d.green ? d.matchedWh : energyWh * milli / full;
            int256 power = floorDiv(int256(energyWh) * d.energyPrice, 1000);
            (p.bundle, p.energyWh, p.matchedWh) = (bundle, energyWh, matched);
            uint256 compute = uint256(int256(bundle) - power);

            if (matched != energyWh) power = floorDiv(power * int256(matched), energyWh);
            p.payPower = power;
            uint256 earned = milli == full ? compute : compute * milli / full;
            uint256 most = uint256(int256(bundle) - power);
            (p.payCompute, p.refund) = earned < most ? (earned, most - earned) : (most, 0);
            p.penalty = milli * 10 >= full * 9 ? 0 : tierUp(compute - earned, milli, full, 1);
        }
    }

    /// @notice F5: nothing from 90 % delivered, the shortfall's value from 70 %, 1.5 times it below; `value` is in
    /// 1 / scale micro-units, the result in micro-units rounded up.
    function tierUp(uint256 value, uint256 delivered, uint256 committed, uint256 scale)
        internal
        pure
        returns (uint256)
    {
        unchecked {
            // values are below 2^128, see settle: nothing wraps
            if (delivered * 10 >= committed * 9) return 0;
            if (delivered * 10 >= committed * 7) return (value + scale - 1) / scale;
            return (3 * value + 2 * scale - 1) / (2 * scale);
        }
    }

    /// @notice Penalty of a plant that sold `soldWh` and delivered less, micro-units up; none unless the price is
    /// positive.
    function plantPenaltyUp(uint256 soldWh, uint256 deliveredWh, int256 energyPrice)
        internal
        pure
        returns (uint256)
    {
        if (energyPrice <= 0) return 0;
        return tierUp((soldWh - deliveredWh) * uint256(energyPrice), deliveredWh, soldWh, 1000);
    }

    /// @notice a / b toward minus infinity.
    function floorDiv(int256 a, uint256 b) internal pure returns (int256) {
        int256 divisor = int256(b);
        unchecked {
            int256 quotient = a / divisor;
            return a < quotient * divisor ? quotient - 1 : quotient;
        }
    }

    /// @notice Splits `total` by weight: rounded down, what is left one by one to the largest remainders, equal ones
    /// to the lower index. All zero where the weights are.
    function split(uint256 total, uint256[] memory weights) internal pure returns (uint256[] memory shares) {
        uint256 n = weights.length;
        shares = new uint256[](n);
        uint256 sum;
        for (uint256 i; i < n; ++i) {
            sum += weights[i];
        }
        if (sum == 0 || total == 0) return shares;
        uint256[] memory remainders = new uint256[](n);
        uint256 left = total;
        for (uint256 i; i < n; ++i) {
            shares[i] = total * weights[i] / sum;
            remainders[i] = total * weights[i] % sum;
            left -= shares[i];
        }
        for (; left != 0; --left) {
            uint256 best;
            for (uint256 i = 1; i < n; ++i) {
                if (remainders[i] > remainders[best]) best = i;
            }
            ++shares[best];
            remainders[best] = 0;
        }
    }
}
