// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICertificates} from "../../contracts/interfaces/ICertificates.sol";
import {IPointsMarket} from "../../contracts/interfaces/IPointsMarket.sol";
import {ITreasury} from "../../contracts/interfaces/ITreasury.sol";
import {World} from "./support/World.sol";

/// @dev A buyer that tries to fill the same offer again while it receives the units.
contract Greedy {
    IPointsMarket private immutable POINTS;
    IPointsMarket.Offer private offer;
    bytes private sig;
    bytes public reason;

    constructor(IPointsMarket points) {
        POINTS = points;
    }

    function buy(IPointsMarket.Offer calldata offer_, bytes calldata sig_, uint256 amount) external {
        (offer, sig) = (offer_, sig_);
        POINTS.fill(offer_, sig_, amount);
    }

    function onERC1155Received(address, address, uint256, uint256 amount, bytes calldata)
        external
        returns (bytes4)
    {
        try POINTS.fill(offer, sig, amount) {}
        catch (bytes memory why) {
            reason = why;
        }
        return this.onERC1155Received.selector;
    }
}

/// @dev An EIP-1271 wallet that accepts everything.
contract Wallet {
    function isValidSignature(bytes32, bytes calldata) external pure returns (bytes4) {
        return 0x1626ba7e;
    }
}

contract PointsMarketTest is World {
    uint256 private constant SELLER_KEY = BUYER_KEY; // buyer(0)
    uint256 private constant UNITS = 1_000_000;

    address private seller;
    uint256 private id;

    function setUp() public override {
        super.setUp();
        seller = buyer(0);
        id = certificates.packId(1, START, 0, 1, address(settlement));
        give(seller, id, UNITS);
        vm.prank(seller);
        certificates.setApprovalForAll(address(points), true);
    }

    function give(address account, uint256 what, uint256 amount) internal {
        (address[] memory list, uint256[] memory amounts) = (new address[](1), new uint256[](1));
        (list[0], amounts[0]) = (account, amount);
        vm.prank(address(settlement));
        certificates.mint(what, list, amounts);
    }

    function offer() internal view returns (IPointsMarket.Offer memory o) {
        o.maker = seller;
        o.sell = true;
        o.asset = address(certificates);
        o.id = id;
        o.amount = 1000;
        o.priceMicroPerThousand = 50_000;
        o.nonce = 3;
        o.expiry = uint64(block.timestamp);
    }

    function signed(IPointsMarket.Offer memory o) internal view returns (bytes memory) {
        return sign(SELLER_KEY, points.hashOffer(o));
    }

    function take(IPointsMarket.Offer memory o, uint256 amount) internal returns (uint256) {
        bytes memory sig = signed(o);
        vm.prank(STRANGER);
        return points.fill(o, sig, amount);
    }

    function refused(IPointsMarket.Offer memory o, uint256 amount, bytes memory error_) internal {
        bytes memory sig = signed(o);
        fails(error_);
        vm.prank(STRANGER);
        points.fill(o, sig, amount);
    }

    // --- fill, in the order of its checks

    function test_nothing_cannot_be_filled() public {
        refused(offer(), 0, abi.encodeWithSelector(IPointsMarket.ZeroAmount.selector));
    }

    function test_certificates_only() public {
        IPointsMarket.Offer memory o = offer();
        o.asset = STRANGER;
        refused(o, 1, abi.encodeWithSelector(IPointsMarket.WrongAsset.selector, STRANGER, address(certificates)));
    }

    function test_an_expired_offer_is_refused() public {
        IPointsMarket.Offer memory o = offer();
        o.expiry -= 1;
        refused(o, 1, abi.encodeWithSelector(IPointsMarket.OfferExpired.selector, points.hashOffer(o), o.expiry));
    }

    function test_cancelAll_makes_offers_stale() public {
        IPointsMarket.Offer memory o = offer();
        vm.prank(seller);
        points.cancelAll();
        refused(o, 1, abi.encodeWithSelector(IPointsMarket.StaleEpoch.selector, points.hashOffer(o), 0, 1));
    }

    function test_cancel_is_final() public {
        IPointsMarket.Offer memory o = offer();
        take(o, 10);
        vm.prank(seller);
        points.cancel(o.nonce);
        refused(o, 1, abi.encodeWithSelector(IPointsMarket.NonceCancelled.selector, seller, o.nonce));
    }

    function test_a_named_taker_only() public {
        IPointsMarket.Offer memory o = offer();
        o.taker = buyer(1);
        refused(o, 1, abi.encodeWithSelector(IPointsMarket.NotTaker.selector, STRANGER, buyer(1)));
    }

    function test_nobody_trades_with_itself() public {
        IPointsMarket.Offer memory o = offer();
        bytes memory sig = signed(o);
        fails(abi.encodeWithSelector(IPointsMarket.OwnOffer.selector, seller));
        vm.prank(seller);
        points.fill(o, sig, 1);
    }

    function test_an_offer_is_not_overfilled(uint256 first, uint256 second) public {
        IPointsMarket.Offer memory o = offer();
        first = bound(first, 1, 1000);
        second = bound(second, 1001 - first, 2000);
        take(o, first);
        refused(
            o,
            second,
            abi.encodeWithSelector(
                IPointsMarket.AboveRemaining.selector, points.hashOffer(o), second, 1000 - first
            )
        );
    }

    function test_anothers_signature_is_refused() public {
        IPointsMarket.Offer memory o = offer();
        bytes memory sig = sign(0xBAD, points.hashOffer(o));
        fails(abi.encodeWithSelector(IPointsMarket.BadSignature.selector, seller, points.hashOffer(o)));
        vm.prank(STRANGER);
        points.fill(o, sig, 1);
    }

    /// @notice Attack: the same signature with the other s.
    function test_a_malleable_signature_is_refused() public {
        IPointsMarket.Offer memory o = offer();
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(SELLER_KEY, points.hashOffer(o));
        uint256 n = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
        bytes memory sig = abi.encodePacked(r, bytes32(n - uint256(s)), v == 27 ? uint8(28) : uint8(27));
        fails(abi.encodeWithSelector(IPointsMarket.BadSignature.selector, seller, points.hashOffer(o)));
        vm.prank(STRANGER);
        points.fill(o, sig, 1);
    }

    /// @notice Attack: replay on another chain.
    function test_a_signature_is_bound_to_the_chain() public {
        IPointsMarket.Offer memory o = offer();
        bytes memory sig = signed(o);
        vm.chainId(1);
        bytes memory error_ =
            abi.encodeWithSelector(IPointsMarket.BadSignature.selector, seller, points.hashOffer(o));
        fails(error_);
        vm.prank(STRANGER);
        points.fill(o, sig, 1);
    }

    function test_a_cost_beyond_the_ledger_is_refused() public {
        IPointsMarket.Offer memory o = offer();
        (o.amount, o.priceMicroPerThousand) = (type(uint128).max, type(uint128).max);
        uint256 amount = uint256(1) << 100;
        refused(
            o,
            amount,
            abi.encodeWithSelector(
                IPointsMarket.CostTooLarge.selector, points.costUp(amount, type(uint128).max)
            )
        );
    }

    // --- what a fill does

    function test_a_fill_moves_units_and_money_together(uint256 amount, uint256 price) public {
        IPointsMarket.Offer memory o = offer();
        amount = bound(amount, 1, 1000);
        o.priceMicroPerThousand = uint128(bound(price, 0, 1e9));
        uint256 sum = ledgerSum();
        uint256 before = available(seller);
        uint256 cost = take(o, amount);
        eq(certificates.balanceOf(STRANGER, id), amount, "units");
        eq(available(seller), before + cost, "money");
        eq(ledgerSum(), sum, "conservation");
        isTrue(cost * 1000 >= amount * o.priceMicroPerThousand, "never below the price");
        isTrue(cost * 1000 < amount * o.priceMicroPerThousand + 1000, "less than a micro-unit above it");
    }

    function test_many_small_fills_never_pay_less_than_one(uint256 parts) public {
        IPointsMarket.Offer memory o = offer();
        o.priceMicroPerThousand = 333;
        parts = bound(parts, 1, 20);
        uint256 sum;
        for (uint256 i; i < parts; ++i) {
            sum += take(o, 7);
        }
        isTrue(sum >= points.costUp(7 * parts, 333), "rounding is against the taker");
        eq(points.filledOf(seller, o.nonce), 7 * parts, "partial fills add up");
    }

    function test_a_buy_offer_pays_the_deliverer() public {
        IPointsMarket.Offer memory o = offer();
        o.sell = false;
        give(STRANGER, id, 500);
        vm.prank(STRANGER);
        certificates.setApprovalForAll(address(points), true);
        uint256 before = available(STRANGER);
        uint256 cost = take(o, 500);
        eq(certificates.balanceOf(seller, id), UNITS + 500, "units");
        eq(available(STRANGER), before + cost, "money");
    }

    function test_both_legs_or_neither() public {
        IPointsMarket.Offer memory o = offer();
        o.amount = uint128(UNITS + 1);
        bytes memory sig = signed(o);
        uint256 before = available(STRANGER);
        vm.expectRevert();
        vm.prank(STRANGER);
        points.fill(o, sig, UNITS + 1);
        eq(available(STRANGER), before, "not paid");
        address poor = address(0x900);
        fails(abi.encodeWithSelector(ITreasury.InsufficientAvailable.selector, poor, 0, -int256(50)));
        vm.prank(poor);
        points.fill(o, sig, 1);
        eq(certificates.balanceOf(poor, id), 0, "not delivered");
    }

    function test_splitting_keeps_the_history(uint256[8] calldata parts) public {
        IPointsMarket.Offer memory o = offer();
        o.amount = uint128(UNITS);
        o.priceMicroPerThousand = 0;
        uint256 left = UNITS;
        for (uint256 i; i < 8; ++i) {
            uint256 part = bound(parts[i], 1, left / 8);
            take(o, part);
            left -= part;
        }
        eq(certificates.balanceOf(seller, id) + certificates.balanceOf(STRANGER, id), UNITS, "nothing is lost");
        (uint8 kind, uint256 month, uint256 zone, uint256 source, address issuer) = certificates.unpackId(id);
        isTrue(kind == 1 && month == 202701 && zone == 0 && source == 1, "the id still tells where it is from");
        eqAddress(issuer, address(settlement), "and who issued it");
    }

    /// @notice Attack: an ERC-1155 receiver fills again from inside the transfer.
    function test_a_reentrant_receiver_gets_no_more_than_offered() public {
        Greedy greedy = new Greedy(points);
        _fund(address(greedy), FUNDS);
        IPointsMarket.Offer memory o = offer();
        greedy.buy(o, signed(o), 600);
        eq(certificates.balanceOf(address(greedy), id), 600, "only what was left once");
        eqHash(
            keccak256(greedy.reason()),
            keccak256(
                abi.encodeWithSelector(IPointsMarket.AboveRemaining.selector, points.hashOffer(o), 600, 400)
            ),
            "refused inside"
        );
    }

    function test_a_wallet_signs_by_eip1271() public {
        address wallet = address(new Wallet());
        _fund(wallet, FUNDS);
        IPointsMarket.Offer memory o = offer();
        (o.maker, o.sell) = (wallet, false);
        give(STRANGER, id, 10);
        vm.startPrank(STRANGER);
        certificates.setApprovalForAll(address(points), true);
        // a contract that cannot receive units gets none, and pays nothing
        vm.expectRevert();
        points.fill(o, "any", 10);
        vm.stopPrank();
        eq(certificates.balanceOf(STRANGER, id), 10, "units stay");
    }
}

contract ExportTest is World {
    bytes32 private constant GEC = keccak256("China GEC");
    bytes32 private constant SERIAL = keccak256("GEC-2027-0001");
    uint256 private constant OPERATOR_KEY = 0x0F;

    uint256 private id;

    function setUp() public override {
        super.setUp();
        vm.prank(OWNER);
        registry.setOperator(vm.addr(OPERATOR_KEY), true);
        id = certificates.packId(1, START, 0, 1, address(settlement));
        (address[] memory list, uint256[] memory amounts) = (new address[](1), new uint256[](1));
        (list[0], amounts[0]) = (STRANGER, 2_500_000);
        vm.prank(address(settlement));
        certificates.mint(id, list, amounts);
    }

    function confirmed(uint256 key) internal view returns (bytes memory) {
        return sign(key, certificates.hashExport(STRANGER, id, GEC, SERIAL));
    }

    function test_one_external_certificate_is_a_million_units() public {
        bytes memory ok = confirmed(OPERATOR_KEY);
        vm.prank(STRANGER);
        certificates.exportUnits(id, GEC, SERIAL, ok);
        eq(certificates.balanceOf(STRANGER, id), 1_500_000, "1,000 kWh left the chain");
        eq(certificates.retiredFor(id, STRANGER), 1_000_000, "as retired");
        eq(certificates.totalSupply(id), 1_500_000, "supply");
    }

    function test_a_serial_is_used_once() public {
        bytes memory ok = confirmed(OPERATOR_KEY);
        vm.startPrank(STRANGER);
        certificates.exportUnits(id, GEC, SERIAL, ok);
        fails(abi.encodeWithSelector(ICertificates.SerialUsed.selector, GEC, SERIAL));
        certificates.exportUnits(id, GEC, SERIAL, ok);
    }

    function test_an_operator_confirms() public {
        bytes memory own = confirmed(BUYER_KEY);
        fails(abi.encodeWithSelector(ICertificates.NotConfirmed.selector, buyer(0)));
        vm.prank(STRANGER);
        certificates.exportUnits(id, GEC, SERIAL, own);
        bytes memory cut = new bytes(64);
        fails(abi.encodeWithSelector(ICertificates.NotConfirmed.selector, address(0)));
        vm.prank(STRANGER);
        certificates.exportUnits(id, GEC, SERIAL, cut);
    }

    function test_a_confirmation_is_for_one_account() public {
        bytes memory ok = confirmed(OPERATOR_KEY);
        vm.expectRevert();
        vm.prank(buyer(0));
        certificates.exportUnits(id, GEC, SERIAL, ok);
        isTrue(!certificates.serialUsed(GEC, SERIAL), "the serial is free");
    }

    function test_credits_are_no_energy() public {
        uint256 credit = certificates.packId(2, START, 0, 0, address(settlement));
        bytes memory ok = confirmed(OPERATOR_KEY);
        fails(abi.encodeWithSelector(ICertificates.NotCertificate.selector, credit));
        vm.prank(STRANGER);
        certificates.exportUnits(credit, GEC, SERIAL, ok);
    }

    function test_less_than_a_million_units_cannot_leave() public {
        vm.prank(STRANGER);
        certificates.retire(id, 1_500_001, STRANGER, 0);
        bytes memory ok = confirmed(OPERATOR_KEY);
        vm.expectRevert();
        vm.prank(STRANGER);
        certificates.exportUnits(id, GEC, SERIAL, ok);
        isTrue(!certificates.serialUsed(GEC, SERIAL), "the serial is free");
    }
}
