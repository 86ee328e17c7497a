// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICertificates} from "../../contracts/interfaces/ICertificates.sol";
import {World} from "./support/World.sol";

/// @dev Refuses ERC-1155 transfers; minting must not ask it.
contract Unwilling {}

contract CertificatesTest is World {
    uint256 private constant ID = 77;

    function mintTo(address account, uint256 amount) internal {
        (address[] memory list, uint256[] memory amounts) = (new address[](1), new uint256[](1));
        (list[0], amounts[0]) = (account, amount);
        vm.prank(address(settlement));
        certificates.mint(ID, list, amounts);
    }

    function test_wire_reverts_for_strangers_and_works_once() public {
        fails(abi.encodeWithSelector(ICertificates.NotDeployer.selector, STRANGER));
        vm.prank(STRANGER);
        certificates.wire(STRANGER);
        fails(abi.encodeWithSelector(ICertificates.AlreadyWired.selector));
        certificates.wire(STRANGER);
    }

    function test_only_settlement_mints() public {
        bytes memory error_ = abi.encodeWithSelector(ICertificates.NotSettlement.selector, STRANGER);
        vm.startPrank(STRANGER);
        fails(error_);
        certificates.mint(ID, new address[](0), new uint256[](0));
        fails(error_);
        certificates.issue(new ICertificates.Issue[](1), STRANGER, 0);
    }

    function test_mint_needs_lists_of_one_length() public {
        fails(abi.encodeWithSelector(ICertificates.LengthMismatch.selector, 1, 0));
        vm.prank(address(settlement));
        certificates.mint(ID, new address[](1), new uint256[](0));
    }

    function test_supply_cannot_leave_its_field() public {
        mintTo(STRANGER, type(uint128).max);
        (address[] memory list, uint256[] memory amounts) = (new address[](1), new uint256[](1));
        (list[0], amounts[0]) = (buyer(0), 1);
        fails(abi.encodeWithSelector(ICertificates.SupplyOverflow.selector, ID));
        vm.prank(address(settlement));
        certificates.mint(ID, list, amounts);
    }

    function test_a_receiver_cannot_block_a_mint() public {
        address unwilling = address(new Unwilling());
        mintTo(unwilling, 5);
        eq(certificates.balanceOf(unwilling, ID), 5, "minted");
    }

    function test_nothing_is_not_retired() public {
        fails(abi.encodeWithSelector(ICertificates.ZeroAmount.selector));
        certificates.retire(ID, 0, STRANGER, 0);
    }

    function test_issues_what_was_used_and_what_is_left() public {
        ICertificates.Issue[] memory list = new ICertificates.Issue[](3);
        list[0] = ICertificates.Issue(ID, buyer(0), 7, 5);
        list[1] = ICertificates.Issue(ID, buyer(1), 0, 2);
        list[2] = ICertificates.Issue(ID, buyer(1), 0, 0);
        vm.prank(address(settlement));
        certificates.issue(list, STRANGER, "purpose");
        eq(certificates.mintedOf(ID), 14, "minted");
        eq(certificates.retiredOf(ID), 7, "retired");
        eq(certificates.retiredFor(ID, STRANGER), 7, "beneficiary");
        eq(certificates.balanceOf(buyer(0), ID), 7, "balance");
        eq(certificates.balanceOf(buyer(1), ID), 0, "nothing left");
    }

    function test_retire_needs_the_units() public {
        mintTo(STRANGER, 5);
        vm.expectRevert();
        vm.prank(STRANGER);
        certificates.retire(ID, 6, STRANGER, 0);
    }

    function test_supply_is_minted_less_retired(uint256 minted, uint256 moved, uint256 retired) public {
        minted = bound(minted, 2, type(uint128).max);
        moved = bound(moved, 1, minted - 1);
        retired = bound(retired, 1, moved);
        mintTo(STRANGER, minted);
        vm.prank(STRANGER);
        certificates.safeTransferFrom(STRANGER, buyer(0), ID, moved, "");
        vm.prank(buyer(0));
        certificates.retire(ID, retired, buyer(1), "purpose");
        eq(certificates.mintedOf(ID), minted, "minted");
        eq(certificates.retiredOf(ID), retired, "retired");
        eq(certificates.retiredFor(ID, buyer(1)), retired, "beneficiary");
        eq(certificates.totalSupply(ID), minted - retired, "supply");
        eq(
            certificates.balanceOf(STRANGER, ID) + certificates.balanceOf(buyer(0), ID),
            minted - retired,
            "balances"
        );
    }

    function test_ids_carry_their_metadata(uint8 kind, uint40 time, uint16 zone, uint8 source) public view {
        uint256 id = certificates.packId(kind, time, zone, source, address(settlement));
        (uint8 k,, uint256 z, uint256 s, address issuer) = certificates.unpackId(id);
        eq(k, kind, "kind");
        eq(z, zone, "zone");
        eq(s, source, "source");
        eqAddress(issuer, address(settlement), "issuer");
    }

    function test_months_are_those_of_the_calendar() public view {
        eq(monthOf(0), 197001, "epoch");
        eq(monthOf(951_782_399), 200002, "28 February 2000");
        eq(monthOf(951_782_400), 200002, "29 February 2000");
        eq(monthOf(951_868_800), 200003, "1 March 2000");
        eq(monthOf(1_508_198_400), 201710, "17 October 2017");
        eq(monthOf(1_704_067_199), 202312, "last second of 2023");
        eq(monthOf(1_704_067_200), 202401, "first second of 2024");
        eq(monthOf(4_107_542_400), 210003, "1 March 2100, no leap year");
    }

    function monthOf(uint256 time) internal view returns (uint256 month) {
        (, month,,,) = certificates.unpackId(certificates.packId(1, time, 0, 0, address(0)));
    }
}
