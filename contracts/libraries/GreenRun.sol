// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ChunkBook} from "./ChunkBook.sol";

/// @title The common case of a settled run, in few operations
/// @notice A green run at an energy price that is not negative, delivered to at least 90 % (F5: no penalty). Everything
/// else is left to DeliveryMath, which this agrees with to the unit: tests/contracts/libraries/GreenRun.t.sol.
library GreenRun {
    /// @notice Adds a run to the sums of its cell; false, and nothing done, where it is not the common case.
    /// @param run a run, see RunWord; @param info see ChunkBook.Book; @param outcome milli-lanes << 32 | matched Wh
    /// @dev compute = bundle - power is at least 0 there, so payCompute is what was earned, without a cap.
    /// Lanes, prices and energies are 32-bit fields: no product passes 2^200. Order and site are inside the rows.
    function settle(ChunkBook.Cell memory cell, uint256 run, uint256 info, uint256 outcome)
        internal
        pure
        returns (bool done)
    {
        assembly ("memory-safe") {
            // rows of the cell, by the place of the field
            function bump(row, i, value) {
                let at_ := add(add(row, 32), shl(5, i))
                mstore(at_, add(mload(at_), value))
            }
            function grow(at_, value) {
                mstore(at_, add(mload(at_), value))
            }
            let energy := mul(and(run, 0xffffffff), and(info, 0xffffffff))
            let bundle := mul(and(run, 0xffffffff), mload(add(cell, 0x100)))
            let power := div(mul(energy, mload(add(cell, 0x120))), 1000)
            {
                let full := mul(and(run, 0xffffffff), 1000)
                let milli := shr(32, outcome)
                let matched := and(outcome, 0xffffffff)
                done := or(gt(milli, full), gt(matched, energy))
                done := or(done, gt(add(mload(add(cell, 0xc0)), matched), mload(add(cell, 0x140))))
                done := or(done, or(lt(mul(milli, 10), mul(full, 9)), gt(power, bundle)))
                done := and(iszero(done), mload(add(cell, 0x160)))
            }
            if done {
                let earned := div(mul(sub(bundle, power), shr(32, outcome)), mul(and(run, 0xffffffff), 1000))
                let matched := and(outcome, 0xffffffff)
                if iszero(eq(matched, energy)) { power := div(mul(power, matched), energy) }
                bump(mload(add(cell, 0x1a0)), shr(88, run), bundle)
                bundle := sub(sub(bundle, power), earned) // the refund from here on
                bump(mload(add(cell, 0x180)), shr(88, run), bundle)
                bump(mload(add(cell, 0x1c0)), and(shr(32, info), 0xffffffff), earned)
                if mload(add(cell, 0x40)) {
                    bump(mload(add(cell, 0x60)), shr(88, run), mul(matched, mload(add(cell, 0x40))))
                }
                grow(add(cell, 0xa0), energy)
                grow(add(cell, 0xc0), matched)
                grow(add(cell, 0xe0), power)
                grow(add(cell, 0x1e0), earned)
                grow(add(cell, 0x200), power)
                grow(add(cell, 0x220), bundle)
            }
        }
    }
}
