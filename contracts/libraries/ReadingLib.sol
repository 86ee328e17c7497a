// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";
import {ISettlement} from "../interfaces/ISettlement.sol";

/// @title What a device signed: the deterministic CBOR of a reading (RFC 8949 4.2), and its ES256 signature
/// @notice Same bytes as oracle/wire/reading.py. Linked into DeliveryOracle; P-256 uses the precompile at 0x100 and
/// falls back to Solidity where the chain has none.
library ReadingLib {
    /// @notice The leaf of a reading in the tree of a report.
    function leafOf(ISettlement.Reading calldata r) external pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(r))));
    }

    /// @notice Whether the device with key (x, y) signed this reading: the key is the leaf's, the leaf's words are
    /// those of the payload, and the signature is the key's over the payload's hash (low s).
    /// @param quality the device's own verdict; the committee's may only be worse
    function isSigned(
        ISettlement.Reading calldata r,
        uint256 quality,
        bytes32 x,
        bytes32 y,
        bytes32 sigR,
        bytes32 sigS
    ) external view returns (bool) {
        if (keccak256(abi.encodePacked(x, y)) != r.keyId || quality > r.quality) return false;
        if (sha256(payload(r, quality)) != r.payloadHash) return false;
        return P256.verify(r.payloadHash, sigR, sigS, x, y);
    }

    /// @notice The payload: a map of 11 entries, domain tag first, then the fields by number.
    function payload(ISettlement.Reading calldata r, uint256 quality) public view returns (bytes memory) {
        return bytes.concat(
            hex"ab0071",
            "bitwatt/reading/1",
            bytes.concat(_entry(1, block.chainid), _entry(2, r.meterId), _entry(3, r.kind)),
            hex"045820",
            bytes32(r.agreementId),
            bytes.concat(_entry(5, r.seq), _entry(6, r.start), _entry(7, r.end)),
            bytes.concat(_entry(8, r.quantity), _entry(9, r.register), _entry(10, quality))
        );
    }

    /// @dev Key below 24 and an unsigned integer in its shortest form; what exceeds 64 bits matches no payload.
    function _entry(uint8 key, uint256 value) private pure returns (bytes memory) {
        if (value < 24) return abi.encodePacked(key, uint8(value));
        if (value < 1 << 8) return abi.encodePacked(key, uint8(0x18), uint8(value));
        if (value < 1 << 16) return abi.encodePacked(key, uint8(0x19), uint16(value));
        if (value < 1 << 32) return abi.encodePacked(key, uint8(0x1a), uint32(value));
        if (value < 1 << 64) return abi.encodePacked(key, uint8(0x1b), uint64(value));
        return abi.encodePacked(key, uint8(0xff), value);
    }
}
