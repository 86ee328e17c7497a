// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBundleMarket} from "../interfaces/IBundleMarket.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";
import {ITreasury} from "../interfaces/ITreasury.sol";
import {BatchStore} from "./BatchStore.sol";
import {OrderWindow} from "./OrderWindow.sol";
import {Packed} from "./Packed.sol";
import {Signatures} from "./Signatures.sol";

/// @title The market's storage, the states of a batch, and what every signed message must pass
library MarketState {
    using BatchStore for BatchStore.Store;

    /// @notice Value of the fill ledger for a cancelled nonce.
    uint256 internal constant CANCELLED = type(uint32).max;

    /// @param lastBatchOf last batch in which a signed offer was used
    /// @param fills eight nonces a word: lanes filled by nonce, all ones when cancelled; of a queued nonce only while
    /// its order is partly filled (see OrderWindow; windows and epochs are in the Treasury's account words)
    struct State {
        uint64 batchCount;
        mapping(uint64 batchId => BatchStore.Store) batches;
        mapping(bytes32 offerHash => uint64) lastBatchOf;
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

    /// @notice Expiry, epoch and cancellation of an offer.
    function checkOpen(
        State storage s,
        ITreasury treasury,
        address maker,
        bytes32 hash,
        uint32 epoch,
        uint64 nonce,
        uint64 expiry
    ) internal view {
        require(block.timestamp <= expiry, IBundleMarket.Expired(hash, expiry));
        uint256 window = treasury.windowOf(maker);
        uint32 current = uint32(OrderWindow.epoch(window));
        require(epoch == current, IBundleMarket.StaleEpoch(hash, epoch, current));
        require(filled(s, window, maker, nonce) != CANCELLED, IBundleMarket.NonceCancelled(maker, nonce));
    }

    /// @notice Signature of an account or a contract wallet.
    function checkSignature(address maker, bytes32 hash, bytes calldata sig) internal view {
        require(Signatures.isValid(maker, hash, sig), IBundleMarket.BadSignature(maker, hash));
    }

    /// @notice Lanes filled under a nonce; CANCELLED when nothing more can be filled of a queued one.
    function filled(State storage s, uint256 window, address maker, uint256 nonce) internal view returns (uint256) {
        if (OrderWindow.isQueued(nonce)) {
            uint256 state = OrderWindow.state(window, nonce);
            if (state == OrderWindow.FRESH) return 0;
            if (state >= OrderWindow.FILLED) return CANCELLED;
        }
        return Packed.get32(s.fills[maker][nonce >> 3], nonce & 7);
    }

    /// @notice Adds lanes to the fill ledger of an order; returns the maker's window after it.
    function fill(
        State storage s,
        uint256 window,
        IBundleMarket.BundleOrder memory order,
        uint256 idx,
        uint256 lanes
    ) internal returns (uint256) {
        (address maker, uint256 nonce, uint256 whole) = (order.maker, order.nonce, order.lanes);
        bool queued = OrderWindow.isQueued(nonce);
        if (queued && lanes == whole && OrderWindow.state(window, nonce) == OrderWindow.FRESH) {
            return OrderWindow.set(window, nonce, OrderWindow.FILLED);
        }
        uint256 before = filled(s, window, maker, nonce);
        if (before == CANCELLED) revert IBundleMarket.NonceCancelled(maker, uint64(nonce));
        unchecked {
            uint256 most = whole > before ? whole - before : 0;
            if (lanes > most) revert IBundleMarket.LanesOutOfRange(idx, lanes, 1, most);
            uint256 sum = before + lanes;
            if (!queued) {
                setFilled(s, maker, nonce, sum);
                return window;
            }
            if (sum == whole) return OrderWindow.set(window, nonce, OrderWindow.FILLED);
            setFilled(s, maker, nonce, sum);
            return OrderWindow.set(window, nonce, OrderWindow.PARTLY);
        }
    }

    /// @notice Gives back lanes of a voided batch, unless the nonce was cancelled or its window has passed it; returns
    /// the maker's window after it.
    function unfill(
        State storage s,
        uint256 window,
        IBundleMarket.BundleOrder calldata order,
        uint256 lanes
    ) internal returns (uint256) {
        (address maker, uint256 nonce) = (order.maker, order.nonce);
        if (!OrderWindow.isQueued(nonce)) {
            uint256 sum = filled(s, window, maker, nonce);
            if (sum != CANCELLED) setFilled(s, maker, nonce, sum - lanes);
            return window;
        }
        uint256 state = OrderWindow.state(window, nonce);
        bool open_ = state == OrderWindow.PARTLY || state == OrderWindow.FILLED;
        if (!open_ || order.epoch != OrderWindow.epoch(window)) return window;
        uint256 left = (state == OrderWindow.FILLED ? order.lanes : filled(s, window, maker, nonce)) - lanes;
        if (left == 0) return OrderWindow.set(window, nonce, OrderWindow.FRESH);
        setFilled(s, maker, nonce, left);
        return OrderWindow.set(window, nonce, OrderWindow.PARTLY);
    }

    /// @notice Cancels a nonce; returns the maker's window after it.
    function cancel(State storage s, uint256 window, address maker, uint256 nonce) internal returns (uint256) {
        if (OrderWindow.isQueued(nonce)) return OrderWindow.set(window, nonce, OrderWindow.CANCELLED);
        setFilled(s, maker, nonce, CANCELLED);
        return window;
    }

    function setFilled(State storage s, address maker, uint256 nonce, uint256 lanes) internal {
        s.fills[maker][nonce >> 3] = Packed.set32(s.fills[maker][nonce >> 3], nonce & 7, lanes);
    }
}
