// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title F5: what a flexibility award earns and costs
library FlexMath {
    uint256 internal constant BPS = 10_000;
    uint256 internal constant FULL_PASS_BPS = 9_000;
    uint256 internal constant HALF_PASS_BPS = 7_000;
    uint256 internal constant SINGLE_BPS = 10_000;
    uint256 internal constant HARD_BPS = 15_000;
    uint256 private constant MILLI = 1_000;

    /// @notice Payment rounded down, penalty rounded up; declaredWh must not be zero.
    function amounts(uint256 declaredWh, uint256 deliveredWh, int256 priceMicroPerKwh)
        internal
        pure
        returns (uint256 paymentDown, uint256 penaltyUp)
    {
        uint256 counted = deliveredWh < declaredWh ? deliveredWh : declaredWh;
        uint256 price = uint256(priceMicroPerKwh < 0 ? -priceMicroPerKwh : priceMicroPerKwh);
        uint256 factor = factorBps(counted * BPS / declaredWh);
        if (priceMicroPerKwh > 0) paymentDown = counted * price / MILLI;
        penaltyUp = ((declaredWh - counted) * price * factor + MILLI * BPS - 1) / (MILLI * BPS);
    }

    /// @notice What a shortfall costs, in basis points of its price, at a pass rate.
    function factorBps(uint256 passBps) internal pure returns (uint256) {
        if (passBps >= FULL_PASS_BPS) return 0;
        return passBps >= HALF_PASS_BPS ? SINGLE_BPS : HARD_BPS;
    }
}
