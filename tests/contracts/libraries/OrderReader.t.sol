// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBundleMarket} from "../../../contracts/interfaces/IBundleMarket.sol";
import {OrderLib} from "../../../contracts/libraries/OrderLib.sol";
import {OrderReader} from "../../../contracts/libraries/OrderReader.sol";
import {Batch} from "../support/Batch.sol";

/// @dev The reader against Solidity's own encoding.
contract OrderReaderTest is Batch {
    function read(bytes calldata data, uint256 skip, address maker)
        external
        pure
        returns (IBundleMarket.BundleOrder memory order, bytes32 hash)
    {
        order = OrderReader.create();
        OrderReader.readTerms(OrderReader.offsetOf(data) + skip, maker, order);
        hash = OrderReader.hashOf(order);
    }

    function readHead(bytes calldata data) external pure returns (address, uint256, uint256, uint256) {
        return OrderReader.head(OrderReader.offsetOf(data));
    }

    function slice(bytes calldata data, uint256 from, uint256 size) external pure returns (bytes memory, bytes32) {
        uint256 base = OrderReader.offsetOf(data) + from;
        return (OrderReader.bytesAt(base, size), OrderReader.wordAt(base));
    }

    function test_terms_and_hash(IBundleMarket.BundleOrder memory o, bytes memory before) public view {
        (IBundleMarket.BundleOrder memory found, bytes32 hash) =
            this.read(bytes.concat(before, terms(o), hex"ff"), before.length, o.maker);
        eqHash(keccak256(abi.encode(found)), keccak256(abi.encode(o)), "terms");
        eqHash(hash, keccak256(abi.encode(OrderLib.BUNDLE_ORDER, o)), "hash");
        eq(terms(o).length, OrderReader.TERMS, "length");
    }

    function test_head(address maker, uint8 total, uint32 present, bytes memory signature) public view {
        (address m, uint256 t, uint256 p, uint256 s) = this.readHead(head(maker, total, present, signature));
        eqAddress(m, maker, "maker");
        eq(t, total, "total");
        eq(p, present, "present");
        eq(s, uint16(signature.length), "signature length");
    }

    function test_bytes_and_words(bytes memory before, bytes32 word, bytes memory tail) public view {
        bytes memory whole = bytes.concat(word, tail);
        (bytes memory cut, bytes32 found) = this.slice(bytes.concat(before, whole), before.length, whole.length);
        eqHash(keccak256(cut), keccak256(whole), "bytes");
        eqHash(found, word, "word");
    }
}
