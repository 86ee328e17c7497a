// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Signatures} from "../../../contracts/libraries/Signatures.sol";
import {Check} from "../support/Check.sol";

/// @dev Recovery against OpenZeppelin's, for good, broken and random signatures.
contract SignaturesTest is Check {
    function recover(bytes32 hash, bytes calldata signature) external view returns (address) {
        return Signatures.recover(hash, signature);
    }

    function isValid(address account, bytes32 hash, bytes calldata signature) external view returns (bool) {
        return Signatures.isValid(account, hash, signature);
    }

    function same(bytes32 hash, bytes memory signature) internal view {
        (address expected, ECDSA.RecoverError problem,) = ECDSA.tryRecover(hash, signature);
        if (problem != ECDSA.RecoverError.NoError) expected = address(0);
        eqAddress(this.recover(hash, signature), expected, "65 bytes");
    }

    function test_recovers_what_openzeppelin_does(uint256 key, bytes32 hash, uint256 byte_, uint8 flip) public view {
        key = bound(key, 1, 1e30);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, hash);
        bytes memory signature = abi.encodePacked(r, s, v);
        same(hash, signature);
        eqAddress(this.recover(hash, signature), vm.addr(key), "signer");
        bytes32 vs = bytes32(uint256(s) | uint256(v - 27) << 255);
        eqAddress(this.recover(hash, abi.encodePacked(r, vs)), vm.addr(key), "64 bytes");
        isTrue(this.isValid(vm.addr(key), hash, abi.encodePacked(r, vs)), "valid");
        signature[byte_ % 65] ^= bytes1(flip);
        same(hash, signature);
    }

    function test_recovers_nobody_from_noise(bytes32 hash, bytes32 r, bytes32 s, uint8 v) public view {
        same(hash, abi.encodePacked(r, s, v));
        isTrue(!this.isValid(address(0), hash, abi.encodePacked(r, s, v)), "never the zero account");
    }

    function test_refuses_high_s_and_other_lengths(uint256 key, bytes32 hash) public view {
        key = bound(key, 1, 1e30);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, hash);
        uint256 n = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
        bytes memory high = abi.encodePacked(r, bytes32(n - uint256(s)), v == 27 ? uint8(28) : uint8(27));
        eqAddress(this.recover(hash, high), address(0), "high s");
        eqAddress(this.recover(hash, abi.encodePacked(r, s, v, v)), address(0), "66 bytes");
        eqAddress(this.recover(hash, abi.encodePacked(r, s, v, v)), address(0), "padded");
        eqAddress(this.recover(hash, ""), address(0), "none");
    }
}
