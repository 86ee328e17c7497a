// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IDeliveryOracle} from "../interfaces/IDeliveryOracle.sol";

/// @title EIP-712 struct hashes of what the committee signs
library ReportLib {
    bytes32 internal constant REPORT = keccak256(
        "Report(bytes32 feedId,uint64 epoch,uint64 start,uint64 end,bytes32 root,uint32 count,uint64[8] totals,"
        "bytes32 outcomesRoot,bytes32 evidenceRoot,bytes32 policyHash,bytes32 archiveHash,bytes32 prevHash,"
        "bytes32 configDigest)"
    );
    bytes32 internal constant PUBLICATION =
        keccak256("Publication(uint64 start,bytes32 contentHash,bytes32 configDigest)");
    bytes32 internal constant DEVICE_ATTESTATION = keccak256(
        "DeviceAttestation(uint32 meterId,uint8 assetKind,uint32 assetId,bytes32 x,bytes32 y,bytes32 measurement,"
        "uint64 attestedUntil,bytes32 evidenceHash,uint8 evidenceKind,bytes32 configDigest)"
    );
    bytes32 internal constant RULING =
        keccak256("Ruling(bytes32 feedId,uint64 start,bool upheld,bytes32 configDigest)");

    function hash(IDeliveryOracle.Report calldata r) internal pure returns (bytes32) {
        bytes memory head = abi.encode(REPORT, r.feedId, r.epoch, r.start, r.end, r.root, r.count);
        bytes memory roots = abi.encode(keccak256(abi.encode(r.totals)), r.outcomesRoot, r.evidenceRoot);
        bytes memory tail = abi.encode(r.policyHash, r.archiveHash, r.prevHash, r.configDigest);
        return keccak256(bytes.concat(head, roots, tail));
    }

    function hash(IDeliveryOracle.Publication calldata p) internal pure returns (bytes32) {
        return keccak256(abi.encode(PUBLICATION, p));
    }

    function hash(IDeliveryOracle.DeviceAttestation calldata d) internal pure returns (bytes32) {
        return keccak256(abi.encode(DEVICE_ATTESTATION, d));
    }

    function hash(IDeliveryOracle.Ruling calldata r) internal pure returns (bytes32) {
        return keccak256(abi.encode(RULING, r));
    }
}
