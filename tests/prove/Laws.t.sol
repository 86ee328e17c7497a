// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {DeliveryMath} from "../../contracts/libraries/DeliveryMath.sol";
import {MakerBook} from "../../contracts/libraries/MakerBook.sol";
import {Packed} from "../../contracts/libraries/Packed.sol";
import {SettlementState} from "../../contracts/libraries/SettlementState.sol";

/// @notice Laws proved for every input by halmos (make prove): conservation, rounding, nullifiers.
contract LawsProof {
    using MakerBook for MakerBook.Book;
    using SettlementState for SettlementState.State;

    SettlementState.State private state;
    MakerBook.Book private book;

    // --- conservation (F15)

    /// @notice bundle = payCompute + payPower + refund, and nobody is paid less than nothing, for any delivery.
    /// @dev Seven lanes of 110 Wh at a negative and a positive energy price; every delivered amount and every match.
    /// Products of two unknowns are beyond the solvers: prices and lanes are left to the fuzz tests.
    function check_a_payment_is_the_whole_bundle(uint16 milliLanes, uint16 matched, bool negative) external pure {
        if (milliLanes > 7000 || matched > 770) return;
        DeliveryMath.Delivery memory d;
        DeliveryMath.Payment memory p;
        (d.lanes, d.price, d.energyWhPerLane) = (7, 1_100_003, 110);
        d.energyPrice = negative ? int256(-350_001) : int256(400_001);
        (d.milliLanes, d.matchedWh, d.green) = (milliLanes, matched, true);
        DeliveryMath.settle(d, p);
        assert(int256(p.payCompute) + p.payPower + int256(p.refund) == int256(p.bundle));
        assert(p.bundle == 7_700_021);
    }

    // --- rounding

    /// @notice The power part of a run never exceeds what its energy costs at a negative price: floors, never ceilings.
    function check_negative_power_rounds_down(uint16 wh) external pure {
        int256 q = DeliveryMath.floorDiv(-7 * int256(uint256(wh)), 1024);
        assert(q * 1024 <= -7 * int256(uint256(wh)));
        assert((q + 1) * 1024 > -7 * int256(uint256(wh)));
    }

    // --- nullifiers

    function useSlot(uint64 batchId, uint32 chunk, uint16 slot) external {
        state.useSlot(batchId, chunk, slot);
    }

    /// @notice A settled (batch, chunk, slot) cannot be settled again, whatever was settled in between.
    function check_a_slot_settles_once(uint64 b, uint32 c, uint16 s, uint64 b2, uint32 c2, uint16 s2) external {
        state.useSlot(b, c, s);
        try this.useSlot(b2, c2, s2) {
            assert(b2 != b || c2 != c || s2 != s);
        } catch {
            assert(b2 == b && c2 == c && s2 == s);
        }
        try this.useSlot(b, c, s) {
            assert(false);
        } catch {}
    }

    /// @notice What was withdrawn stays withdrawn: a later time never makes a cancelled order good again.
    function check_a_cancellation_is_for_ever(address maker, uint64 nonce, uint64 when, uint64 time, uint64 later)
        external
    {
        if (later < time || when == 0) return;
        book.cancelledAt[maker][nonce] = when;
        bool before = book.isWithdrawn(maker, nonce, 0, time);
        bool after_ = book.isWithdrawn(maker, nonce, 0, later);
        assert(!before || after_);
        assert(before == (when <= time));
    }

    // --- packing

    /// @notice A field written is read back and its neighbours are untouched.
    function check_fields_are_their_own(uint256 word, uint8 field, uint8 other, uint32 value) external pure {
        if (field >= 8 || other >= 8) return;
        uint256 changed = Packed.set32(word, field, value);
        assert(Packed.get32(changed, field) == value);
        assert(field == other || Packed.get32(changed, other) == Packed.get32(word, other));
    }
}
