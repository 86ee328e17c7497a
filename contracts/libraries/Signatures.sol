// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

/// @title Signatures of accounts and of contract wallets
/// @notice 65 bytes r | s | v with v 27 or 28, or 64 bytes r | vs (EIP-2098), low s only, of the account itself; anything
/// else is asked of the account's code (EIP-1271).
/// @dev The key is tried first, so that no code size is read for an account without code.
/// tests/contracts/libraries/Signatures.t.sol compares it with OpenZeppelin's.
library Signatures {
    uint256 private constant HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;

    function isValid(address account, bytes32 hash, bytes calldata signature) internal view returns (bool) {
        if (recover(hash, signature) == account && account != address(0)) return true;
        return account.code.length != 0
            && SignatureChecker.isValidERC1271SignatureNowCalldata(account, hash, signature);
    }

    /// @notice Who signed, zero if nobody or if the signature has another form.
    function recover(bytes32 hash, bytes calldata signature) internal view returns (address signer) {
        if (signature.length != 64 && signature.length != 65) return address(0);
        assembly ("memory-safe") {
            let free := mload(0x40)
            let s := calldataload(add(signature.offset, 32))
            let v := byte(0, calldataload(add(signature.offset, 64)))
            if eq(signature.length, 64) {
                v := add(27, shr(255, s))
                s := shr(1, shl(1, s))
            }
            if and(iszero(gt(s, HALF_ORDER)), or(eq(v, 27), eq(v, 28))) {
                mstore(free, hash)
                mstore(add(free, 32), v)
                mstore(add(free, 64), calldataload(signature.offset))
                mstore(add(free, 96), s)
                mstore(0, 0)
                // the precompile answers nothing where no key can have signed: then word 0 stays zero
                pop(staticcall(gas(), 1, free, 128, 0, 32))
                signer := mload(0)
            }
        }
    }
}
