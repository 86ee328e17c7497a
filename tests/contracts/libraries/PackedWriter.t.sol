// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {PackedWriter} from "../../../contracts/libraries/PackedWriter.sol";
import {Check} from "../support/Check.sol";

/// @dev The writer against bytes.concat.
contract PackedWriterTest is Check {
    function test_records_follow_each_other(bytes32[] memory words, uint256 width) public pure {
        width = bound(width, 1, 32);
        bytes memory buffer = PackedWriter.create(words.length * width);
        bytes memory plain;
        for (uint256 i; i < words.length; ++i) {
            PackedWriter.put(buffer, i * width, uint256(words[i]));
            bytes memory record = new bytes(width);
            for (uint256 j; j < width; ++j) {
                record[j] = words[i][j];
            }
            plain = bytes.concat(plain, record);
            eq(PackedWriter.get(buffer, i * width), uint256(words[i]), "last written");
        }
        bytes memory beside = new bytes(32);
        eqHash(keccak256(PackedWriter.cut(buffer, plain.length)), keccak256(plain), "records");
        eqHash(keccak256(beside), keccak256(new bytes(32)), "what was allocated later");
    }
}
