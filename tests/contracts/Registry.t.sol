// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IRegistry} from "../../contracts/interfaces/IRegistry.sol";
import {IDeliveryOracle} from "../../contracts/interfaces/IDeliveryOracle.sol";
import {World} from "./support/World.sol";

contract RegistryTest is World {
    function deviceOf(uint8 assetKind, uint32 assetId) internal pure returns (IRegistry.Device memory d) {
        d.measurement = CODE;
        d.attestedUntil = START;
        (d.assetKind, d.assetId) = (assetKind, assetId);
    }

    function test_wire_reverts_for_strangers() public {
        fails(abi.encodeWithSelector(IRegistry.NotDeployer.selector, STRANGER));
        vm.prank(STRANGER);
        registry.wire(STRANGER);
    }

    function test_wire_works_once() public {
        fails(abi.encodeWithSelector(IRegistry.AlreadyWired.selector));
        registry.wire(STRANGER);
    }

    function test_roles_are_the_owners() public {
        fails(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, STRANGER));
        vm.prank(STRANGER);
        registry.setSolver(STRANGER, true);
        fails(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, OPERATOR));
        vm.prank(OPERATOR);
        registry.setOperator(STRANGER, true);
    }

    function test_ownership_moves_in_two_steps() public {
        vm.prank(OWNER);
        registry.transferOwnership(STRANGER);
        eqAddress(registry.owner(), OWNER, "still the old owner");
        vm.prank(STRANGER);
        registry.acceptOwnership();
        eqAddress(registry.owner(), STRANGER, "new owner");
    }

    function test_every_addition_is_the_operators() public {
        bytes memory error_ = abi.encodeWithSelector(IRegistry.NotOperator.selector, STRANGER);
        vm.startPrank(STRANGER);
        fails(error_);
        registry.addZone(5, "z");
        fails(error_);
        registry.addClass(5, "c");
        fails(error_);
        registry.addSite(5, STRANGER, 0, 1);
        fails(error_);
        registry.addPlant(5, STRANGER, 0, 1, 1, 1);
        fails(error_);
        registry.setMeasurement(CODE, 0, false);
        fails(error_);
        registry.setTcbStatus(1, "UpToDate", true);
    }

    function test_addZone_checks() public {
        vm.startPrank(OPERATOR);
        fails(abi.encodeWithSelector(IRegistry.OutOfRange.selector, bytes32("zoneId"), 64));
        registry.addZone(64, "z");
        fails(abi.encodeWithSelector(IRegistry.OutOfRange.selector, bytes32("name"), 0));
        registry.addZone(5, "");
        fails(abi.encodeWithSelector(IRegistry.AlreadyExists.selector, bytes32("zone"), 0));
        registry.addZone(0, "z");
    }

    function test_addClass_checks() public {
        vm.startPrank(OPERATOR);
        fails(abi.encodeWithSelector(IRegistry.OutOfRange.selector, bytes32("classId"), 256));
        registry.addClass(256, "c");
        fails(abi.encodeWithSelector(IRegistry.OutOfRange.selector, bytes32("name"), 0));
        registry.addClass(5, "");
        fails(abi.encodeWithSelector(IRegistry.AlreadyExists.selector, bytes32("class"), 1));
        registry.addClass(1, "c");
    }

    function test_addSite_checks() public {
        vm.startPrank(OPERATOR);
        fails(abi.encodeWithSelector(IRegistry.OutOfRange.selector, bytes32("siteId"), 0));
        registry.addSite(0, STRANGER, 0, 1);
        fails(abi.encodeWithSelector(IRegistry.OutOfRange.selector, bytes32("owner"), 0));
        registry.addSite(5, address(0), 0, 1);
        fails(abi.encodeWithSelector(IRegistry.AlreadyExists.selector, bytes32("site"), 1));
        registry.addSite(1, STRANGER, 0, 1);
        fails(abi.encodeWithSelector(IRegistry.UnknownZone.selector, 9));
        registry.addSite(5, STRANGER, 9, 1);
    }

    function test_addPlant_checks() public {
        vm.startPrank(OPERATOR);
        fails(abi.encodeWithSelector(IRegistry.OutOfRange.selector, bytes32("plantId"), 0));
        registry.addPlant(0, STRANGER, 0, 1, 1, 1);
        fails(abi.encodeWithSelector(IRegistry.OutOfRange.selector, bytes32("owner"), 0));
        registry.addPlant(5, address(0), 0, 1, 1, 1);
        fails(abi.encodeWithSelector(IRegistry.OutOfRange.selector, bytes32("source"), 8));
        registry.addPlant(5, STRANGER, 0, 8, 1, 1);
        fails(abi.encodeWithSelector(IRegistry.AlreadyExists.selector, bytes32("plant"), 11));
        registry.addPlant(11, STRANGER, 0, 1, 1, 1);
        fails(abi.encodeWithSelector(IRegistry.UnknownZone.selector, 9));
        registry.addPlant(5, STRANGER, 9, 1, 1, 1);
    }

    function test_simulated_evidence_is_refused_off_the_dev_chain() public {
        vm.chainId(1);
        fails(abi.encodeWithSelector(IRegistry.SimulatedEvidence.selector, 1));
        vm.prank(OPERATOR);
        registry.setMeasurement(CODE, 0, true);
        fails(abi.encodeWithSelector(IRegistry.SimulatedEvidence.selector, 1));
        vm.prank(address(oracle));
        registry.recordDevice(5, deviceOf(2, 11));
        vm.prank(OPERATOR);
        registry.setMeasurement(CODE, 1, true);
        isTrue(registry.measurementAllowed(CODE, 1), "real evidence is allowed");
    }

    function test_policyHash_is_a_chain() public {
        bytes32 before = registry.policyHash();
        vm.prank(OPERATOR);
        registry.setMeasurement("other", 3, true);
        eqHash(
            registry.policyHash(), keccak256(abi.encode(before, bytes32("other"), uint8(3), true)), "policy hash"
        );
    }

    function test_setTcbStatus_is_part_of_the_policy() public {
        vm.startPrank(OPERATOR);
        fails(abi.encodeWithSelector(IRegistry.OutOfRange.selector, bytes32("status"), 0));
        registry.setTcbStatus(2, "", true);
        bytes32 before = registry.policyHash();
        bytes32 name = keccak256("ConfigurationAndSWHardeningNeeded");
        registry.setTcbStatus(2, "ConfigurationAndSWHardeningNeeded", true);
        isTrue(registry.tcbStatusAllowed(2, name) && !registry.tcbStatusAllowed(1, name), "of one kind");
        eqHash(registry.policyHash(), keccak256(abi.encode(before, name, uint256(258), true)), "policy hash");
        registry.setTcbStatus(2, "ConfigurationAndSWHardeningNeeded", false);
        isTrue(!registry.tcbStatusAllowed(2, name), "taken off");
    }

    function test_recordDevice_checks() public {
        fails(abi.encodeWithSelector(IRegistry.NotOracle.selector, STRANGER));
        vm.prank(STRANGER);
        registry.recordDevice(5, deviceOf(2, 11));
        vm.startPrank(address(oracle));
        fails(abi.encodeWithSelector(IRegistry.OutOfRange.selector, bytes32("meterId"), 0));
        registry.recordDevice(0, deviceOf(2, 11));
        fails(abi.encodeWithSelector(IRegistry.UnknownAsset.selector, 2, 1));
        registry.recordDevice(5, deviceOf(2, 1));
        fails(abi.encodeWithSelector(IRegistry.UnknownAsset.selector, 1, 11));
        registry.recordDevice(5, deviceOf(1, 11));
        fails(abi.encodeWithSelector(IRegistry.UnknownAsset.selector, 3, 11));
        registry.recordDevice(5, deviceOf(3, 11));
        IRegistry.Device memory d = deviceOf(0, 1);
        d.measurement = "other";
        fails(abi.encodeWithSelector(IRegistry.MeasurementNotAllowed.selector, bytes32("other"), 0));
        registry.recordDevice(5, d);
        d = deviceOf(0, 1);
        d.attestedUntil = uint64(block.timestamp);
        fails(abi.encodeWithSelector(IRegistry.AttestationExpired.selector, 5, block.timestamp));
        registry.recordDevice(5, d);
    }

    function test_attestDevice_records_what_the_committee_signed() public {
        _attest(500, 1, 2);
        IRegistry.Device memory d = registry.device(500);
        eq(d.assetKind, 1, "asset kind");
        eq(d.assetId, 2, "asset");
        eqHash(d.x, bytes32(uint256(500)), "x");
        eq(d.attestedUntil, START + 30 days, "attested until");
        IDeliveryOracle.DeviceAttestation memory a = attestation(501, 1, 2);
        bytes memory two = memberSigs(attestationHash(a), 2);
        fails(abi.encodeWithSelector(IDeliveryOracle.QuorumMissing.selector, 2, 3));
        oracle.attestDevice(a, two);
    }
}
