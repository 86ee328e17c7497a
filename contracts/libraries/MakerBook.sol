// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {IBundleMarket} from "../interfaces/IBundleMarket.sol";
import {IOptimisticMarket} from "../interfaces/IOptimisticMarket.sol";

/// @title What makers of optimistic orders did, and when
/// @notice Linked into OptimisticMarket. A challenge judges a claim as of its posting, so every withdrawal carries its time: a maker cannot make an
/// honest claim wrong afterwards. For the same reason contract wallets approve on chain; an EIP-1271 answer may change.
library MakerBook {
    /// @param epochStart when an epoch began; epoch 0 always
    /// @param filled lanes by nonce
    struct Book {
        mapping(address maker => uint256) reserved;
        mapping(address maker => mapping(uint64 nonce => uint256)) filled;
        mapping(address maker => mapping(uint64 nonce => uint64)) cancelledAt;
        mapping(address maker => uint32) epoch;
        mapping(address maker => mapping(uint32 epoch => uint64)) epochStart;
        mapping(bytes32 orderHash => uint64) approvedAt;
    }

    /// @notice Whether a nonce or epoch was withdrawn at `time` or before, or the epoch had not begun.
    function isWithdrawn(Book storage b, address maker, uint64 nonce, uint32 epoch, uint256 time)
        internal
        view
        returns (bool)
    {
        uint64 cancelled = b.cancelledAt[maker][nonce];
        if (cancelled != 0 && cancelled <= time) return true;
        uint64 ended = b.epochStart[maker][epoch + 1];
        if (ended != 0 && ended <= time) return true;
        uint64 began = b.epochStart[maker][epoch];
        return epoch != 0 && (began == 0 || began > time);
    }

    /// @notice What speaks against filling an order in a claim posted at `time`; empty if nothing does.
    function obstacle(
        Book storage b,
        bytes32 hash,
        IBundleMarket.BundleOrder calldata order,
        bytes calldata sig,
        uint256 time
    ) external view returns (bytes32) {
        if (order.expiry < time) return "expired";
        if (isWithdrawn(b, order.maker, order.nonce, order.epoch, time)) return "withdrawn";
        if (sig.length == 0) {
            uint64 approved = b.approvedAt[hash];
            return approved == 0 || approved > time ? bytes32("not approved") : bytes32("");
        }
        (address signer, ECDSA.RecoverError problem,) = ECDSA.tryRecoverCalldata(hash, sig);
        bool valid = problem == ECDSA.RecoverError.NoError && signer == order.maker;
        return valid ? bytes32("") : bytes32("signature");
    }
}
