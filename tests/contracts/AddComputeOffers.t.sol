// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBundleMarket} from "../../contracts/interfaces/IBundleMarket.sol";
import {Batch} from "./support/Batch.sol";

contract AddComputeOffersTest is Batch {
    function setUp() public override {
        super.setUp();
        openBatch();
        postPrices();
    }

    function refused(IBundleMarket.ComputeOffer memory o, bytes memory error_) internal {
        refusedSigned(o, sign(SITE_KEY + o.siteId, market.hashComputeOffer(o)), error_);
    }

    function refusedSigned(IBundleMarket.ComputeOffer memory o, bytes memory sig, bytes memory error_) internal {
        IBundleMarket.ComputeOffer[] memory list = new IBundleMarket.ComputeOffer[](1);
        bytes[] memory signatures = new bytes[](1);
        (list[0], signatures[0]) = (o, sig);
        fails(error_);
        vm.prank(SOLVER);
        market.addComputeOffers(batchId, list, signatures);
    }

    function test_needs_as_many_signatures_as_offers() public {
        fails(abi.encodeWithSelector(IBundleMarket.LengthMismatch.selector, 0, 1));
        vm.prank(SOLVER);
        market.addComputeOffers(batchId, new IBundleMarket.ComputeOffer[](0), new bytes[](1));
    }

    function test_refuses_an_expired_offer() public {
        IBundleMarket.ComputeOffer memory o = computeOffer(1);
        o.expiry = uint64(block.timestamp - 1);
        refused(o, abi.encodeWithSelector(IBundleMarket.Expired.selector, market.hashComputeOffer(o), o.expiry));
    }

    function test_refuses_a_stale_epoch() public {
        vm.prank(siteOwner(1));
        market.cancelAll();
        IBundleMarket.ComputeOffer memory o = computeOffer(1);
        refused(o, abi.encodeWithSelector(IBundleMarket.StaleEpoch.selector, market.hashComputeOffer(o), 0, 1));
    }

    function test_refuses_a_cancelled_nonce() public {
        vm.prank(siteOwner(1));
        market.cancel(1);
        refused(
            computeOffer(1), abi.encodeWithSelector(IBundleMarket.NonceCancelled.selector, siteOwner(1), 1)
        );
    }

    function test_refuses_a_foreign_signature() public {
        IBundleMarket.ComputeOffer memory o = computeOffer(1);
        bytes32 hash = market.hashComputeOffer(o);
        refusedSigned(
            o, sign(0xE, hash), abi.encodeWithSelector(IBundleMarket.BadSignature.selector, o.maker, hash)
        );
    }

    function test_refuses_a_signature_for_another_chain() public {
        IBundleMarket.ComputeOffer memory o = computeOffer(1);
        vm.chainId(1);
        bytes memory sig = sign(SITE_KEY + 1, market.hashComputeOffer(o));
        vm.chainId(31337);
        refusedSigned(
            o,
            sig,
            abi.encodeWithSelector(IBundleMarket.BadSignature.selector, o.maker, market.hashComputeOffer(o))
        );
    }

    function test_refuses_the_same_offer_twice() public {
        addCompute(computeOffer(1));
        bytes32 hash = market.hashComputeOffer(computeOffer(1));
        refused(computeOffer(1), abi.encodeWithSelector(IBundleMarket.AlreadyOffered.selector, batchId, hash));
    }

    function test_refuses_another_owner() public {
        IBundleMarket.ComputeOffer memory o = computeOffer(1);
        o.maker = siteOwner(2);
        refusedSigned(
            o,
            sign(SITE_KEY + 2, market.hashComputeOffer(o)),
            abi.encodeWithSelector(IBundleMarket.NotAssetOwner.selector, 1, siteOwner(2), siteOwner(1))
        );
    }

    function test_refuses_another_zone_or_class() public {
        IBundleMarket.ComputeOffer memory o = computeOffer(1);
        o.zoneId = 1;
        refused(o, abi.encodeWithSelector(IBundleMarket.WrongZone.selector, market.hashComputeOffer(o), 1, 0));
        o = computeOffer(1);
        o.classId = 2;
        refused(
            o, abi.encodeWithSelector(IBundleMarket.WrongClass.selector, market.hashComputeOffer(o), 2, CLASSES)
        );
    }

    function test_refuses_capacities_out_of_range_and_free_energy() public {
        IBundleMarket.ComputeOffer memory o = computeOffer(1);
        o.capacity = 0;
        refused(
            o, abi.encodeWithSelector(IBundleMarket.CapacityOutOfRange.selector, market.hashComputeOffer(o), 0)
        );
        o.capacity = 32_768;
        refused(
            o,
            abi.encodeWithSelector(IBundleMarket.CapacityOutOfRange.selector, market.hashComputeOffer(o), 32_768)
        );
        o = computeOffer(1);
        o.energyWhPerVcuSlot = 0;
        refused(o, abi.encodeWithSelector(IBundleMarket.ZeroEnergy.selector, market.hashComputeOffer(o)));
    }

    function test_refuses_an_offer_outside_the_batch() public {
        IBundleMarket.ComputeOffer memory o = computeOffer(1);
        o.start = START + uint64(SLOTS) * SLOT;
        o.end = o.start + SLOT;
        refused(
            o,
            abi.encodeWithSelector(
                IBundleMarket.OfferOutsideBatch.selector, market.hashComputeOffer(o), o.start, o.end
            )
        );
    }

    /// @dev 25,000 lanes of 1 kWh in a quarter of an hour are exactly the 100 MW of site 1.
    function test_refuses_more_than_the_nameplate_over_all_offers_of_a_site() public {
        IBundleMarket.ComputeOffer memory o = computeOffer(1);
        o.capacity = 25_001;
        refused(o, abi.encodeWithSelector(IBundleMarket.AboveNameplate.selector, 1, 100_004_000, 100_000_000));
        o.capacity = 25_000;
        addCompute(o);
        o = computeOffer(1);
        o.capacity = 1;
        refused(o, abi.encodeWithSelector(IBundleMarket.AboveNameplate.selector, 1, 100_004_000, 100_000_000));
    }

    function test_keeps_the_whole_slots_of_the_window(uint64 start, uint64 end) public {
        IBundleMarket.ComputeOffer memory o = computeOffer(2);
        o.start = uint64(bound(start, START - 10_000, START + SLOT));
        o.end = uint64(bound(end, START + 2 * SLOT, START + 10_000));
        addCompute(o);
        IBundleMarket.OfferView memory v = market.computeOffer(batchId, 0);
        eqAddress(v.maker, siteOwner(2), "maker");
        eq(v.capacity, 10_000, "capacity");
        eq(v.energyWhPerVcuSlot, E1, "energy");
        eq(v.askPrice, ask, "ask");
        eq(v.siteId, 2, "site");
        isTrue(START + uint256(v.startSlot) * SLOT >= o.start, "starts inside");
        isTrue(START + uint256(v.endSlot) * SLOT <= o.end || v.endSlot == SLOTS, "ends inside");
        isTrue(v.startSlot <= 1 && v.endSlot >= 2, "no whole slot is lost");
    }
}
