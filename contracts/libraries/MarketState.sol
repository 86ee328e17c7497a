// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {IBundleMarket} from "../interfaces/IBundleMarket.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";
import {ITreasury} from "../interfaces/ITreasury.sol";
import {BatchStore} from "./BatchStore.sol";
import {Packed} from "./Packed.sol";

/// @title The market's storage, the states of a batch, and what every signed message must pass
library MarketState {
    using BatchStore for BatchStore.Store;

    /// @notice Value of the fill ledger for a cancelled nonce.
    uint256 internal constant CANCELLED = type(uint32).max;

    /// @param lastBatchOf last batch in which a signed offer was used
    /// @param fills eight nonces a word: lanes filled by nonce, all ones when cancelled
    struct State {
        uint64 batchCount;
        mapping(uint64 batchId => BatchStore.Store) batches;
        mapping(bytes32 offerHash => uint64) lastBatchOf;
        mapping(address maker => uint32) epochOf;
        mapping(address maker => mapping(uint256 word => uint256)) fills;
    }

    /// @notice What a linked library cannot read itself: the market's immutables.
    struct Wiring {
        bytes32 domain;
        IRegistry registry;
        ITreasury treasury;
    }

    /// @notice A batch that is open and not started, for its solver.
    function open(State storage s, uint64 batchId) internal view returns (BatchStore.Store storage b) {
        b = s.batches[batchId];
        require(b.head.state == IBundleMarket.State.Open, IBundleMarket.WrongState(batchId, b.head.state));
        require(msg.sender == b.head.solver, IBundleMarket.NotSolver(msg.sender));
        require(block.timestamp < b.head.start, IBundleMarket.TooLate(batchId, b.head.start));
    }

    /// @notice The same with a complete price table.
    function priced(State storage s, uint64 batchId) internal view returns (BatchStore.Store storage b) {
        b = open(s, batchId);
        uint256 whole = BatchStore.tableLength(b.headOf());
        uint256 posted = b.head.tableBytes;
        require(posted == whole, IBundleMarket.PricesIncomplete(batchId, posted, whole));
    }

    function voided(State storage s, uint64 batchId) internal view returns (BatchStore.Store storage b) {
        b = s.batches[batchId];
        require(b.head.state == IBundleMarket.State.Voided, IBundleMarket.WrongState(batchId, b.head.state));
    }

    /// @notice Expiry, epoch, cancellation and signature (EOA with low s, or EIP-1271) of a message.
    function checkSigned(
        State storage s,
        address maker,
        bytes32 hash,
        bytes calldata sig,
        uint32 epoch,
        uint64 nonce,
        uint64 expiry
    ) internal view {
        require(block.timestamp <= expiry, IBundleMarket.Expired(hash, expiry));
        uint32 current = s.epochOf[maker];
        require(epoch == current, IBundleMarket.StaleEpoch(hash, epoch, current));
        require(filled(s, maker, nonce) != CANCELLED, IBundleMarket.NonceCancelled(maker, nonce));
        bool valid = SignatureChecker.isValidSignatureNowCalldata(maker, hash, sig);
        require(valid, IBundleMarket.BadSignature(maker, hash));
    }

    /// @notice Lanes filled under a nonce.
    function filled(State storage s, address maker, uint64 nonce) internal view returns (uint256) {
        return Packed.get32(s.fills[maker][nonce >> 3], nonce & 7);
    }

    function setFilled(State storage s, address maker, uint64 nonce, uint256 lanes) internal {
        s.fills[maker][nonce >> 3] = Packed.set32(s.fills[maker][nonce >> 3], nonce & 7, lanes);
    }
}
