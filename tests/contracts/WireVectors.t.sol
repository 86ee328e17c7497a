// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";
import {Strings} from "@openzeppelin/contracts/utils/Strings.sol";
import {IDeliveryOracle} from "../../contracts/interfaces/IDeliveryOracle.sol";
import {ISettlement} from "../../contracts/interfaces/ISettlement.sol";
import {ReportLib} from "../../contracts/libraries/ReportLib.sol";
import {BundleReader} from "./support/BundleReader.sol";
import {Check} from "./support/Check.sol";

/// @dev What the contracts take from calldata, so that the vectors go the same way.
contract WireHarness {
    function hash(IDeliveryOracle.Report calldata r) external pure returns (bytes32) {
        return ReportLib.hash(r);
    }

    function hash(IDeliveryOracle.Publication calldata p) external pure returns (bytes32) {
        return ReportLib.hash(p);
    }

    function hash(IDeliveryOracle.DeviceAttestation calldata d) external pure returns (bytes32) {
        return ReportLib.hash(d);
    }

    function leaf(ISettlement.Reading calldata r) external pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(r))));
    }
}

/// @title The shared vectors in tests/vectors, which Python and TypeScript check too
contract WireVectorsTest is Check {
    WireHarness private immutable WIRE = new WireHarness();

    // --- readings: CBOR, ES256, leaf ------------------------------------------------
    function test_readings() public view {
        string memory json = vm.readFile("tests/vectors/readings.json");
        uint256 count;
        for (; vm.keyExistsJson(json, item("", count)); ++count) {
            string memory row = item("", count);
            bytes memory payload = bytesOf(json, row, ".payload");
            ISettlement.Reading memory leaf = leafOf(json, row);
            eqHash(keccak256(encoded(json, row, leaf)), keccak256(payload), "payload");
            eqHash(sha256(payload), leaf.payloadHash, "payload hash");
            bytes memory envelope =
                bytes.concat(hex"82", head(2, payload.length), payload, hex"5840", bytesOf(json, row, ".signature"));
            eqHash(keccak256(envelope), keccak256(bytesOf(json, row, ".envelope")), "envelope");
            eqHash(keccak256(abi.encode(leaf)), keccak256(bytesOf(json, row, ".leaf_words")), "words");
            eqHash(WIRE.leaf(leaf), word(json, row, ".leaf"), "leaf");
            checkSignature(json, row, leaf);
        }
        isTrue(count >= 5, "vectors were read");
    }

    function checkSignature(string memory json, string memory row, ISettlement.Reading memory leaf) private view {
        (bytes32 x, bytes32 y) = (word(json, row, ".x"), word(json, row, ".y"));
        eqHash(keccak256(bytes.concat(x, y)), leaf.keyId, "key id");
        bytes memory signature = bytesOf(json, row, ".signature");
        eq(signature.length, 64, "length");
        (bytes32 r, bytes32 s) = abi.decode(signature, (bytes32, bytes32));
        isTrue(P256.verifySolidity(leaf.payloadHash, r, s, x, y), "ES256");
        isTrue(!P256.verifySolidity(leaf.payloadHash ^ bytes32(uint256(1)), r, s, x, y), "ES256 of another hash");
        isTrue(!P256.verifySolidity(leaf.payloadHash, r, bytes32(P256.N - uint256(s)), x, y), "high s");
    }

    function leafOf(string memory json, string memory row) private pure returns (ISettlement.Reading memory leaf) {
        leaf.kind = number(json, row, ".reading.kind");
        leaf.meterId = number(json, row, ".reading.meter_id");
        leaf.agreementId = uint256(word(json, row, ".reading.agreement_id"));
        leaf.seq = number(json, row, ".reading.seq");
        leaf.start = number(json, row, ".reading.start");
        leaf.end = number(json, row, ".reading.end");
        leaf.quantity = number(json, row, ".reading.quantity");
        leaf.register = number(json, row, ".reading.register");
        leaf.quality = number(json, row, ".reading.quality");
        leaf.keyId = word(json, row, ".key_id");
        leaf.evidenceHash = word(json, row, ".evidence_hash");
        leaf.payloadHash = word(json, row, ".payload_hash");
    }

    /// @dev The deterministic CBOR of a reading: a map of eleven entries with the keys 0 to 10.
    function encoded(string memory json, string memory row, ISettlement.Reading memory leaf)
        private
        pure
        returns (bytes memory)
    {
        bytes memory first = bytes.concat(
            hex"ab00",
            head(3, 17),
            "bitwatt/reading/1",
            entry(1, number(json, row, ".reading.chain_id")),
            entry(2, leaf.meterId),
            entry(3, leaf.kind),
            hex"045820",
            bytes32(leaf.agreementId)
        );
        bytes memory times = bytes.concat(entry(5, leaf.seq), entry(6, leaf.start), entry(7, leaf.end));
        return bytes.concat(
            first, times, entry(8, leaf.quantity), entry(9, leaf.register), entry(10, leaf.quality)
        );
    }

    function entry(uint8 key, uint256 value) private pure returns (bytes memory) {
        return bytes.concat(bytes1(key), head(0, value));
    }

    function head(uint8 major, uint256 value) private pure returns (bytes memory) {
        uint8 top = major << 5;
        if (value < 24) return bytes.concat(bytes1(top | uint8(value)));
        if (value < 1 << 8) return bytes.concat(bytes1(top | 24), bytes1(uint8(value)));
        if (value < 1 << 16) return bytes.concat(bytes1(top | 25), bytes2(uint16(value)));
        if (value < 1 << 32) return bytes.concat(bytes1(top | 26), bytes4(uint32(value)));
        return bytes.concat(bytes1(top | 27), bytes8(uint64(value)));
    }

    // --- trees ----------------------------------------------------------------------
    function test_trees() public view {
        string memory json = vm.readFile("tests/vectors/merkle.json");
        uint256 count;
        for (; vm.keyExistsJson(json, item("", count)); ++count) {
            string memory row = item("", count);
            bytes32 root = word(json, row, ".root");
            if (count == 0) {
                eqHash(root, 0, "empty root");
                continue;
            }
            bytes32[] memory leaves = words(json, row, ".leaves");
            eq(leaves.length, count, "leaves");
            for (uint256 i; i < count; ++i) {
                bytes32[] memory proof = words(json, row, string.concat(".proofs[", Strings.toString(i), "]"));
                isTrue(MerkleProof.verify(proof, root, leaves[i]), "proof");
                isTrue(!MerkleProof.verify(proof, root, ~leaves[i]), "proof of another leaf");
            }
            bool[] memory flags = vm.parseJsonBoolArray(json, string.concat(row, ".multiproof.flags"));
            bytes32[] memory proven = words(json, row, ".multiproof.leaves");
            isTrue(
                MerkleProof.multiProofVerify(words(json, row, ".multiproof.proof"), flags, root, proven), "multiproof"
            );
        }
        isTrue(count >= 7, "vectors were read");
    }

    function test_outcome_leaves() public view {
        string memory json = vm.readFile("tests/vectors/outcomes.json");
        uint64 batch = uint64(number(json, "", ".batch_id"));
        uint16 slot = uint16(number(json, "", ".slot"));
        bytes32[] memory leaves = new bytes32[](2);
        for (uint32 chunk; chunk < 2; ++chunk) {
            string memory key = string.concat('["', Strings.toString(chunk), '"]');
            bytes32 content = keccak256(bytesOf(json, ".packed", key));
            leaves[chunk] = keccak256(bytes.concat(keccak256(abi.encode(batch, chunk, slot, content))));
            eqHash(leaves[chunk], word(json, ".leaves", key), "leaf");
        }
        bytes32[] memory sibling = new bytes32[](1);
        sibling[0] = leaves[1];
        isTrue(MerkleProof.verify(sibling, word(json, "", ".root"), leaves[0]), "root");
    }

    function test_publication() public view {
        string memory json = vm.readFile("tests/vectors/publication.json");
        bytes32 content = keccak256(
            abi.encode(
                uint64(number(json, "", ".start")),
                uint32(number(json, "", ".slot_seconds")),
                uint16(number(json, "", ".slots")),
                uint16(number(json, "", ".zones")),
                keccak256(bytesOf(json, "", ".carbon"))
            )
        );
        eqHash(content, word(json, "", ".hash"), "hash");
    }

    /// @dev From the bytes of a bundle to the report that the contract hashes.
    function test_bundle() public view {
        string memory json = vm.readFile("tests/vectors/bundle.json");
        bytes memory data = bytesOf(json, "", ".bundle");
        (BundleReader.Bundle memory b, uint256 chainId) = BundleReader.read(data);
        eq(chainId, 31337, "chain");
        eq(b.machines, 1, "machines");
        IDeliveryOracle.Report memory r;
        (r.feedId, r.epoch, r.start, r.end) = (b.feedId, b.epoch, b.start, b.end);
        r.count = uint32(b.leaves.length);
        bytes32[] memory hashes = new bytes32[](r.count);
        uint256[8] memory sums;
        for (uint256 i; i < r.count; ++i) {
            hashes[i] = WIRE.leaf(b.leaves[i]);
            sums[b.leaves[i].kind] += b.leaves[i].quantity;
        }
        for (uint256 i; i < 8; ++i) {
            r.totals[i] = uint64(sums[i] / 1000);
        }
        r.root = BundleReader.root(hashes);
        r.outcomesRoot = BundleReader.root(b.outcomes);
        for (uint256 i; i < b.evidence.length; ++i) {
            b.evidence[i] = keccak256(bytes.concat(keccak256(bytes.concat(b.evidence[i]))));
        }
        r.evidenceRoot = BundleReader.root(b.evidence);
        r.archiveHash = sha256(data);
        r.policyHash = word(json, ".report", ".policy_hash");
        r.prevHash = word(json, ".report", ".prev_hash");
        r.configDigest = word(json, ".report", ".config_digest");
        eqHash(r.root, word(json, ".report", ".root"), "root");
        eqHash(r.outcomesRoot, word(json, ".report", ".outcomes_root"), "outcomes root");
        eqHash(r.evidenceRoot, word(json, ".report", ".evidence_root"), "evidence root");
        eqHash(WIRE.hash(r), word(json, "", ".struct_hash"), "struct hash");
    }

    // --- EIP-712 --------------------------------------------------------------------
    function test_report() public view {
        string memory json = vm.readFile("tests/vectors/typed.json");
        string memory row = ".structs.Report.message";
        IDeliveryOracle.Report memory r;
        r.feedId = word(json, row, ".feedId");
        r.epoch = uint64(number(json, row, ".epoch"));
        r.start = uint64(number(json, row, ".start"));
        r.end = uint64(number(json, row, ".end"));
        r.root = word(json, row, ".root");
        r.count = uint32(number(json, row, ".count"));
        uint256[] memory totals = vm.parseJsonUintArray(json, string.concat(row, ".totals"));
        eq(totals.length, r.totals.length, "totals");
        for (uint256 i; i < totals.length; ++i) {
            r.totals[i] = uint64(totals[i]);
        }
        r.outcomesRoot = word(json, row, ".outcomesRoot");
        r.evidenceRoot = word(json, row, ".evidenceRoot");
        r.policyHash = word(json, row, ".policyHash");
        r.archiveHash = word(json, row, ".archiveHash");
        r.prevHash = word(json, row, ".prevHash");
        r.configDigest = word(json, row, ".configDigest");
        checkTyped(json, ".structs.Report", WIRE.hash(r));
    }

    function test_publication_struct() public view {
        string memory json = vm.readFile("tests/vectors/typed.json");
        string memory row = ".structs.Publication.message";
        IDeliveryOracle.Publication memory p;
        p.start = uint64(number(json, row, ".start"));
        p.contentHash = word(json, row, ".contentHash");
        p.configDigest = word(json, row, ".configDigest");
        checkTyped(json, ".structs.Publication", WIRE.hash(p));
    }

    function test_device_attestation() public view {
        string memory json = vm.readFile("tests/vectors/typed.json");
        string memory row = ".structs.DeviceAttestation.message";
        IDeliveryOracle.DeviceAttestation memory d;
        d.meterId = uint32(number(json, row, ".meterId"));
        d.assetKind = uint8(number(json, row, ".assetKind"));
        d.assetId = uint32(number(json, row, ".assetId"));
        d.x = word(json, row, ".x");
        d.y = word(json, row, ".y");
        d.measurement = word(json, row, ".measurement");
        d.attestedUntil = uint64(number(json, row, ".attestedUntil"));
        d.evidenceHash = word(json, row, ".evidenceHash");
        d.evidenceKind = uint8(number(json, row, ".evidenceKind"));
        d.configDigest = word(json, row, ".configDigest");
        checkTyped(json, ".structs.DeviceAttestation", WIRE.hash(d));
    }

    function checkTyped(string memory json, string memory row, bytes32 structHash) private pure {
        eqHash(structHash, word(json, row, ".struct_hash"), "struct hash");
        bytes32 separator = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("BitWatt Oracle"),
                keccak256("1"),
                number(json, "", ".chain_id"),
                vm.parseJsonAddress(json, ".contract")
            )
        );
        eqHash(separator, word(json, row, ".domain_separator"), "separator");
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", separator, structHash));
        eqHash(digest, word(json, row, ".digest"), "digest");
        address signer = ECDSA.recover(digest, bytesOf(json, row, ".signature"));
        eqAddress(signer, vm.parseJsonAddress(json, ".signer"), "signer");
    }

    // --- reading JSON ---------------------------------------------------------------
    function item(string memory path, uint256 index) private pure returns (string memory) {
        return string.concat(path, "[", Strings.toString(index), "]");
    }

    function number(string memory json, string memory row, string memory key) private pure returns (uint256) {
        return vm.parseJsonUint(json, string.concat(row, key));
    }

    function word(string memory json, string memory row, string memory key) private pure returns (bytes32) {
        return vm.parseJsonBytes32(json, string.concat(row, key));
    }

    function words(string memory json, string memory row, string memory key) private pure returns (bytes32[] memory) {
        return vm.parseJsonBytes32Array(json, string.concat(row, key));
    }

    function bytesOf(string memory json, string memory row, string memory key) private pure returns (bytes memory) {
        return vm.parseJsonBytes(json, string.concat(row, key));
    }
}
