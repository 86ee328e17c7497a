// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ISettlement} from "../../../contracts/interfaces/ISettlement.sol";
import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";

/// @title The archive bundle of an epoch, read from its deterministic CBOR (oracle/wire/bundle.py)
/// @notice For tests: the contracts see only what is derived here. Reverts where the encoding is another one.
library BundleReader {
    error NotTheEncoding(string what, uint256 at);

    struct Cursor {
        bytes data;
        uint256 at;
    }

    struct Bundle {
        bytes32 feedId;
        uint64 epoch;
        uint64 start;
        uint64 end;
        ISettlement.Reading[] leaves;
        bytes32[] evidence;
        bytes32[] outcomes;
        uint256 machines;
    }

    function read(bytes memory data) internal pure returns (Bundle memory b, uint256 chainId) {
        Cursor memory c = Cursor(data, 0);
        uint256 keys = _head(c, 5);
        require(keys == 9 || keys == 10, NotTheEncoding("keys", c.at));
        _key(c, 0);
        require(keccak256(_string(c, 3)) == keccak256("bitwatt/bundle/1"), NotTheEncoding("domain", c.at));
        chainId = _entry(c, 1);
        _key(c, 2);
        b.feedId = bytes32(_string(c, 2));
        (b.epoch, b.start, b.end) = (uint64(_entry(c, 3)), uint64(_entry(c, 4)), uint64(_entry(c, 5)));
        bytes32[] memory keyIds;
        (keyIds, b.evidence) = _devices(c);
        b.leaves = _entries(c, keyIds, b.evidence);
        b.outcomes = _outcomes(c);
        if (keys == 10) b.machines = _machines(c);
        require(c.at == data.length, NotTheEncoding("end", c.at));
    }

    function _devices(Cursor memory c) private pure returns (bytes32[] memory keyIds, bytes32[] memory evidence) {
        _key(c, 6);
        uint256 n = _head(c, 4);
        (keyIds, evidence) = (new bytes32[](n), new bytes32[](n));
        for (uint256 i; i < n; ++i) {
            require(_head(c, 4) == 4, NotTheEncoding("device", c.at));
            _head(c, 0);
            keyIds[i] = keccak256(bytes.concat(_string(c, 2), _string(c, 2)));
            evidence[i] = bytes32(_string(c, 2));
        }
    }

    function _entries(Cursor memory c, bytes32[] memory keyIds, bytes32[] memory evidence)
        private
        pure
        returns (ISettlement.Reading[] memory leaves)
    {
        _key(c, 7);
        leaves = new ISettlement.Reading[](_head(c, 4));
        for (uint256 i; i < leaves.length; ++i) {
            require(_head(c, 4) == 4, NotTheEncoding("entry", c.at));
            bytes memory payload = _string(c, 2);
            require(_string(c, 2).length == 64, NotTheEncoding("signature", c.at));
            leaves[i] = _reading(Cursor(payload, 0));
            leaves[i].quality = _head(c, 0);
            uint256 device = _head(c, 0);
            (leaves[i].keyId, leaves[i].evidenceHash) = (keyIds[device], evidence[device]);
            leaves[i].payloadHash = sha256(payload);
        }
    }

    function _reading(Cursor memory c) private pure returns (ISettlement.Reading memory r) {
        require(_head(c, 5) == 11, NotTheEncoding("reading", c.at));
        _key(c, 0);
        require(keccak256(_string(c, 3)) == keccak256("bitwatt/reading/1"), NotTheEncoding("reading", c.at));
        _entry(c, 1);
        (r.meterId, r.kind) = (_entry(c, 2), _entry(c, 3));
        _key(c, 4);
        r.agreementId = uint256(bytes32(_string(c, 2)));
        (r.seq, r.start, r.end) = (_entry(c, 5), _entry(c, 6), _entry(c, 7));
        (r.quantity, r.register) = (_entry(c, 8), _entry(c, 9));
        _entry(c, 10);
        require(c.at == c.data.length, NotTheEncoding("reading", c.at));
    }

    function _outcomes(Cursor memory c) private pure returns (bytes32[] memory leaves) {
        _key(c, 8);
        leaves = new bytes32[](_head(c, 4));
        for (uint256 i; i < leaves.length; ++i) {
            require(_head(c, 4) == 4, NotTheEncoding("outcome", c.at));
            (uint256 batch, uint256 chunk, uint256 slot) = (_head(c, 0), _head(c, 0), _head(c, 0));
            leaves[i] = keccak256(bytes.concat(keccak256(abi.encode(batch, chunk, slot, keccak256(_string(c, 2))))));
        }
    }

    function _machines(Cursor memory c) private pure returns (uint256 n) {
        _key(c, 9);
        n = _head(c, 4);
        for (uint256 i; i < n; ++i) {
            require(_head(c, 4) == 2, NotTheEncoding("machine", c.at));
            _string(c, 2);
            require(_string(c, 2).length == 64, NotTheEncoding("machine", c.at));
        }
    }

    /// @notice Root of the OpenZeppelin standard tree: leaves sorted, node i above 2i + 1 and 2i + 2.
    function root(bytes32[] memory leaves) internal pure returns (bytes32) {
        uint256 n = leaves.length;
        if (n == 0) return 0;
        bytes32[] memory nodes = new bytes32[](2 * n - 1);
        for (uint256 i; i < n; ++i) {
            uint256 rank;
            for (uint256 j; j < n; ++j) {
                if (leaves[j] < leaves[i]) ++rank;
            }
            nodes[2 * n - 2 - rank] = leaves[i];
        }
        for (uint256 i = n - 1; i > 0; --i) {
            nodes[i - 1] = Hashes.commutativeKeccak256(nodes[2 * i - 1], nodes[2 * i]);
        }
        return nodes[0];
    }

    function _entry(Cursor memory c, uint256 key) private pure returns (uint256) {
        _key(c, key);
        return _head(c, 0);
    }

    function _key(Cursor memory c, uint256 key) private pure {
        require(_head(c, 0) == key, NotTheEncoding("key", c.at));
    }

    function _string(Cursor memory c, uint256 major) private pure returns (bytes memory out) {
        out = new bytes(_head(c, major));
        require(c.at + out.length <= c.data.length, NotTheEncoding("string", c.at));
        for (uint256 i; i < out.length; ++i) {
            out[i] = c.data[c.at + i];
        }
        c.at += out.length;
    }

    /// @dev The argument of an item of a major type, in its shortest form.
    function _head(Cursor memory c, uint256 major) private pure returns (uint256 value) {
        uint256 first = uint8(c.data[c.at++]);
        require(first >> 5 == major, NotTheEncoding("type", c.at));
        value = first & 31;
        if (value < 24) return value;
        require(value < 28, NotTheEncoding("head", c.at));
        uint256 size = 1 << (value - 24);
        value = 0;
        for (uint256 i; i < size; ++i) {
            value = value << 8 | uint8(c.data[c.at++]);
        }
        require(value >= (size == 1 ? 24 : uint256(1) << (4 * size)), NotTheEncoding("head", c.at));
    }
}
