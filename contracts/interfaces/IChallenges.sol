// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBundleMarket} from "./IBundleMarket.sol";
import {IOptimisticMarket} from "./IOptimisticMarket.sol";

/// @title Proofs that a posted claim is wrong, one step each
/// @notice Whoever shows one wrong step of a posted claim voids the candidate and gets half of its bond. A proof that
/// proves nothing reverts with NothingWrong and leaves no trace, so a challenge can hold nothing up.
/// Leaves are shown with their paths; the layout is in libraries/Claims.sol, the rules in docs/mechanism.md. A claim is
/// judged as of its posting.
/// Assumes for safety: see IOptimisticMarket. Has no state and no powers beyond convicting.
interface IChallenges {
    /// @notice A row at an index of the rows' tree.
    struct RowAt {
        uint32 index;
        IOptimisticMarket.Row row;
        bytes32[] path;
    }

    struct StepAt {
        uint32 index;
        IOptimisticMarket.Step step;
        bytes32[] path;
    }

    /// @notice Slots of one zone for a lane: two bytes each, ascending, counted from the batch's first.
    struct Shown {
        uint8 zone;
        bytes slots;
    }

    error NotPosted(uint64 batchId);
    error WrongClaim(uint64 batchId, bytes32 given);
    error NotInTree(uint8 tree, uint256 index);
    error NotNeighbours(uint256 low, uint256 high);
    error DataNotOfRow(bytes32 what);
    error NotInsisted(address maker, uint64 nonce);
    error ShownSlots(bytes32 what, uint256 value);
    error NothingWrong();

    /// @notice 1a. A run breaks a term of its order or offer: window, class, zone, mode, length, ask, carbon cap.
    function proveRun(
        uint64 batchId,
        IOptimisticMarket.Claim calldata claim,
        RowAt calldata leaf,
        IBundleMarket.BundleOrder calldata order,
        bytes calldata runs,
        uint256 run
    ) external;

    /// @notice 1b. An order as a whole breaks its terms, or its row does not add up its marks. `zone` and `slot` say where
    /// more lanes run at once than the zone has; any values otherwise.
    function proveOrder(
        uint64 batchId,
        IOptimisticMarket.Claim calldata claim,
        RowAt calldata leaf,
        IBundleMarket.BundleOrder calldata order,
        bytes calldata runs,
        bytes calldata marks,
        uint256 zone,
        uint256 slot
    ) external;

    /// @notice 1c. The maker did not sign this: wrong maker, nonce or lanes in the row, bad signature, or withdrawn or
    /// expired when the claim was posted.
    function proveAuthority(
        uint64 batchId,
        IOptimisticMarket.Claim calldata claim,
        RowAt calldata leaf,
        IBundleMarket.BundleOrder calldata order,
        bytes calldata sig
    ) external;

    /// @notice 2. The shown lanes would have given the order more than the row declares as its best. `green` serves the
    /// lanes that must be green, `free` the others; one without lanes is ignored.
    function proveBetterBundle(
        uint64 batchId,
        IOptimisticMarket.Claim calldata claim,
        RowAt calldata leaf,
        IBundleMarket.BundleOrder calldata order,
        Shown calldata green,
        Shown calldata free
    ) external;

    /// @notice 3a. The sums of a row are not those of the row before plus its own, the row before names another as its next, or
    /// the last sums are not the claim's.
    /// `before` is ignored at index 0.
    function proveRowSum(
        uint64 batchId,
        IOptimisticMarket.Claim calldata claim,
        RowAt calldata before,
        RowAt calldata leaf
    ) external;

    /// @notice 3b. The load of a step is not the load before plus its change, or the step before names another as its next.
    function proveStepSum(
        uint64 batchId,
        IOptimisticMarket.Claim calldata claim,
        StepAt calldata before,
        StepAt calldata leaf
    ) external;

    /// @notice 4. The load of a cell in a slot is above the offer's capacity (kind 0) or not what was sold (kind 1). `last`
    /// is the last step before the cell's next slot, or the first of all steps; ignored if there are none.
    function proveLoad(
        uint64 batchId,
        IOptimisticMarket.Claim calldata claim,
        uint256 kind,
        uint256 cell,
        uint256 slot,
        StepAt calldata last
    ) external;

    /// @notice 5a. A row does not lie below its next, or the last has one.
    function proveRowOrder(uint64 batchId, IOptimisticMarket.Claim calldata claim, RowAt calldata leaf) external;

    /// @notice 5b. A step does not lie below its next, or the last has one.
    function proveStepOrder(uint64 batchId, IOptimisticMarket.Claim calldata claim, StepAt calldata leaf) external;

    /// @notice 5c. An order insisted on in time has no row. `last` is the last row at or below its place, or the first of all.
    function proveOmittedOrder(
        uint64 batchId,
        IOptimisticMarket.Claim calldata claim,
        address maker,
        uint64 nonce,
        RowAt calldata last
    ) external;

    /// @notice 5d. A run has no step. `part` 0 enters its offer, 1 leaves it, 2 enters its pool, 3 leaves it; `last` as
    /// in proveLoad.
    function proveOmittedStep(
        uint64 batchId,
        IOptimisticMarket.Claim calldata claim,
        RowAt calldata leaf,
        bytes calldata runs,
        uint256 run,
        uint256 part,
        StepAt calldata last
    ) external;

    /// @notice 5e. A step is of no run, or not as its run says. `leaf` is the step's row; ignored if the step names none.
    function proveStrayStep(
        uint64 batchId,
        IOptimisticMarket.Claim calldata claim,
        StepAt calldata step,
        RowAt calldata leaf,
        bytes calldata runs
    ) external;

    /// @notice 6. A mark's zone, cost or welfare is not what offer and price rows say.
    function provePriceRow(
        uint64 batchId,
        IOptimisticMarket.Claim calldata claim,
        RowAt calldata leaf,
        IBundleMarket.BundleOrder calldata order,
        bytes calldata runs,
        bytes calldata marks,
        uint256 run
    ) external;
}
