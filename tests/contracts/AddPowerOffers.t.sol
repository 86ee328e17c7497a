// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBundleMarket} from "../../contracts/interfaces/IBundleMarket.sol";
import {Batch} from "./support/Batch.sol";

contract AddPowerOffersTest is Batch {
    uint256[SLOTS] internal wh = [uint256(1000), 2000, 0, 4000];

    function setUp() public override {
        super.setUp();
        openBatch();
        postPrices();
    }

    function refused(
        IBundleMarket.PowerOffer memory o,
        bytes memory profile,
        bytes memory sold,
        bytes memory error_
    ) internal {
        IBundleMarket.PowerOffer[] memory list = new IBundleMarket.PowerOffer[](1);
        bytes[] memory signatures = new bytes[](1);
        bytes[] memory profiles = new bytes[](1);
        bytes[] memory rows = new bytes[](1);
        (list[0], profiles[0], rows[0]) = (o, profile, sold);
        signatures[0] = sign(PLANT_KEY + o.plantId, market.hashPowerOffer(o));
        fails(error_);
        vm.prank(SOLVER);
        market.addPowerOffers(batchId, list, signatures, profiles, rows);
    }

    function plain() internal view returns (bytes memory profile, IBundleMarket.PowerOffer memory o) {
        profile = profileOf(11, wh);
        o = powerOffer(11, profile);
    }

    function test_needs_lists_of_one_length() public {
        IBundleMarket.PowerOffer[] memory none = new IBundleMarket.PowerOffer[](0);
        fails(abi.encodeWithSelector(IBundleMarket.LengthMismatch.selector, 0, 1));
        vm.prank(SOLVER);
        market.addPowerOffers(batchId, none, new bytes[](0), new bytes[](0), new bytes[](1));
    }

    function test_refuses_a_foreign_signature() public {
        (bytes memory profile, IBundleMarket.PowerOffer memory o) = plain();
        o.maker = plantOwner(12);
        refused(
            o,
            profile,
            soldOf(wh),
            abi.encodeWithSelector(IBundleMarket.BadSignature.selector, o.maker, market.hashPowerOffer(o))
        );
    }

    function test_refuses_another_source_or_zone() public {
        (bytes memory profile, IBundleMarket.PowerOffer memory o) = plain();
        o.source = 0;
        refused(
            o,
            profile,
            soldOf(wh),
            abi.encodeWithSelector(IBundleMarket.WrongSource.selector, market.hashPowerOffer(o), 0, 1)
        );
        (profile, o) = plain();
        o.zoneId = 1;
        refused(
            o,
            profile,
            soldOf(wh),
            abi.encodeWithSelector(IBundleMarket.WrongZone.selector, market.hashPowerOffer(o), 1, 0)
        );
    }

    function test_refuses_a_second_offer_of_a_plant() public {
        addPower(11, wh);
        (bytes memory profile, IBundleMarket.PowerOffer memory o) = plain();
        o.nonce = 2;
        refused(
            o, profile, soldOf(wh), abi.encodeWithSelector(IBundleMarket.SecondPlantOffer.selector, batchId, 11)
        );
    }

    function test_refuses_a_second_grid_of_a_zone() public {
        vm.prank(OPERATOR);
        registry.addPlant(93, plantOwner(93), 0, 0, 1e12, 600);
        addPower(91, wh);
        bytes memory profile = profileOf(93, wh);
        refused(
            powerOffer(93, profile),
            profile,
            soldOf(wh),
            abi.encodeWithSelector(IBundleMarket.SecondGridOffer.selector, batchId, 0)
        );
    }

    function test_refuses_another_profile() public {
        (bytes memory profile, IBundleMarket.PowerOffer memory o) = plain();
        uint256[SLOTS] memory more = wh;
        more[0] += 1;
        bytes memory other = profileOf(11, more);
        refused(
            o,
            other,
            soldOf(wh),
            abi.encodeWithSelector(
                IBundleMarket.WrongProfile.selector, market.hashPowerOffer(o), keccak256(other)
            )
        );
        profile = bytes.concat(profile, hex"00");
        refused(
            o,
            profile,
            soldOf(wh),
            abi.encodeWithSelector(IBundleMarket.LengthMismatch.selector, 8 * SLOTS + 1, 8 * SLOTS)
        );
    }

    function test_refuses_a_short_sold_row() public {
        (bytes memory profile, IBundleMarket.PowerOffer memory o) = plain();
        refused(
            o, profile, hex"00", abi.encodeWithSelector(IBundleMarket.LengthMismatch.selector, 1, 4 * SLOTS)
        );
    }

    function test_refuses_a_profile_between_slots() public {
        (bytes memory profile, IBundleMarket.PowerOffer memory o) = plain();
        o.start -= 300;
        refused(
            o,
            profile,
            soldOf(wh),
            abi.encodeWithSelector(IBundleMarket.NotSlotAligned.selector, market.hashPowerOffer(o), o.start)
        );
    }

    function test_refuses_to_sell_more_than_offered_at_the_price() public {
        (bytes memory profile, IBundleMarket.PowerOffer memory o) = plain();
        uint256[SLOTS] memory more = wh;
        more[1] += 1;
        refused(
            o,
            profile,
            soldOf(more),
            abi.encodeWithSelector(IBundleMarket.SoldAboveOffer.selector, 0, 1, 2001, 2000)
        );
        greenEnergy += 1; // the tranche asks one micro more than the pool pays
        profile = profileOf(11, wh);
        refused(
            powerOffer(11, profile),
            profile,
            soldOf(wh),
            abi.encodeWithSelector(IBundleMarket.SoldAboveOffer.selector, 0, 0, 1000, 0)
        );
    }

    function test_refuses_slots_that_the_profile_does_not_cover() public {
        (bytes memory profile, IBundleMarket.PowerOffer memory o) = plain();
        o.start += SLOT; // row 0 of the profile now is slot 1
        uint256[SLOTS] memory shifted = [uint256(1), 0, 0, 0];
        refused(
            o,
            profile,
            soldOf(shifted),
            abi.encodeWithSelector(IBundleMarket.SoldAboveOffer.selector, 0, 0, 1, 0)
        );
    }

    /// @dev 50 MW for a quarter of an hour are 12.5 MWh.
    function test_refuses_tranches_above_the_nameplate() public {
        wh[0] = 12_500_001;
        (bytes memory profile, IBundleMarket.PowerOffer memory o) = plain();
        refused(
            o,
            profile,
            soldOf([uint256(1), 0, 0, 0]),
            abi.encodeWithSelector(IBundleMarket.AboveNameplate.selector, 11, 12_500_001, 12_500_000)
        );
    }

    function test_keeps_sold_rows_and_pools(uint32[4] memory sold) public {
        for (uint256 t; t < SLOTS; ++t) {
            wh[t] = bound(sold[t], 0, 12_500_000);
        }
        addPower(11, wh);
        addPower(12, wh);
        for (uint16 t; t < SLOTS; ++t) {
            eq(market.soldWh(batchId, 1, t), wh[t], "sold");
            eqSigned(market.poolBalanceWh(batchId, 0, GREEN, t), int256(2 * wh[t]), "pool");
            eqSigned(market.poolBalanceWh(batchId, 0, GREY, t), 0, "grey pool");
        }
        uint16[] memory green = market.greenOffers(batchId, 0);
        eq(green.length, 2, "green offers");
        eq(green[1], 1, "in order");
        eq(locked(plantOwner(11)), 0, "nothing to lock at a positive price");
    }

    function test_locks_the_obligation_at_a_negative_price(uint32 price, uint32 sold) public {
        int32 negative = -int32(int256(bound(price, 1, 1e9)));
        greenEnergy = negative;
        greenPrice = 1;
        openBatch();
        postPrices();
        wh = [bound(sold, 1, 12_500_000), 0, 0, 0];
        addPower(11, wh);
        uint256 owed = wh[0] * uint256(int256(-negative)) / 1000;
        isTrue(locked(plantOwner(11)) >= owed, "covers the energy");
        isTrue(locked(plantOwner(11)) <= owed + 2 * wh[0] + 1, "by two micro-units a Wh at most");
    }
}
