// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {IBundleMarket} from "../interfaces/IBundleMarket.sol";
import {AccountWord} from "./AccountWord.sol";
import {BatchStore} from "./BatchStore.sol";
import {Clearing} from "./Clearing.sol";
import {MarketState} from "./MarketState.sol";
import {OrderLib} from "./OrderLib.sol";
import {OrderReader} from "./OrderReader.sol";
import {OrderWindow} from "./OrderWindow.sol";
import {PackedWriter} from "./PackedWriter.sol";
import {RunWord} from "./RunWord.sol";
import {Signatures} from "./Signatures.sol";

/// @title Clears a chunk of signed orders
/// @notice Linked into BundleMarket, which runs it on its own storage; it keeps the market below the size limit.
/// The ledger words of all makers are read together, and each is written once.
library ClearDesk {
    using AccountWord for uint256;
    using MarketState for MarketState.State;
    using PackedWriter for bytes;

    uint256 private constant MAKER_BYTES = 20;
    uint256 private constant HASH_BYTES = 32;
    uint256 private constant FILL_BYTES = 12;
    uint256 private constant MOST_TOGETHER = 32;

    /// @dev What a call collects. The buffers hold a record of each order.
    /// @param offset calldata offset of what is read next; @param end where the orders end
    /// @param count orders of the chunk; @param idx the one that is being cleared
    /// @param words ledger words by maker; @param entries two words a maker, for Treasury.lock
    /// @param maker place of the maker whose orders are being cleared; `cost` and `window` are what they came to so far
    struct Work {
        bytes32 domain;
        uint64 batchId;
        uint256 offset;
        uint256 end;
        uint256 count;
        uint256 idx;
        bytes makers;
        bytes hashes;
        bytes fills;
        uint256[] words;
        uint256[] entries;
        uint256 maker;
        uint256 cost;
        uint256 window;
    }

    /// @dev A group of orders under one signature; see OrderReader.
    struct Group {
        address maker;
        uint256 total;
        uint256 present;
        uint256 size;
    }

    function clearChunk(
        MarketState.State storage s,
        MarketState.Wiring memory wiring,
        uint64 batchId,
        bytes calldata orders,
        bytes calldata runs
    ) external returns (uint32 chunkIndex) {
        BatchStore.Store storage b = s.priced(batchId);
        require(runs.length != 0 && runs.length % RunWord.SIZE == 0, IBundleMarket.RunsLength(runs.length));

        Clearing.Context memory c = Clearing.begin(b, runs);
        Work memory work = _begin(wiring, batchId, orders);
        _clearGroups(s, c, work);
        if (c.next != c.runCount) {
            revert IBundleMarket.UnknownOrder(c.next, RunWord.orderIdx(RunWord.read(runs, c.next)));
        }

        Clearing.commit(b, c);
        chunkIndex = b.head.chunks++;
        _keep(b, work, chunkIndex, runs);

        wiring.treasury.lock(work.entries);
    }

    /// @dev Walks the groups once to count orders and makers, which ascend, and reads the makers' words.
    function _begin(MarketState.Wiring memory wiring, uint64 batchId, bytes calldata orders)
        private
        view
        returns (Work memory work)
    {
        (work.domain, work.batchId) = (wiring.domain, batchId);
        work.offset = OrderReader.offsetOf(orders);
        work.end = work.offset + orders.length;
        uint256[] memory list = _makers(work, orders.length);
        work.words = wiring.treasury.wordsOf(list);
        work.entries = new uint256[](2 * list.length);
        work.makers = PackedWriter.create(work.count * MAKER_BYTES);
        work.hashes = PackedWriter.create(work.count * HASH_BYTES);
        work.fills = PackedWriter.create(work.count * FILL_BYTES);
    }

    /// @dev The different makers, ascending; counts the orders.
    function _makers(Work memory work, uint256 length) private pure returns (uint256[] memory list) {
        list = new uint256[](length / (OrderReader.HEAD + OrderReader.TERMS));
        Group memory g;
        uint256 last;
        uint256 found;
        unchecked {
            for (uint256 at_ = work.offset; at_ < work.end;) {
                at_ = _readGroup(at_, g, work);
                if (uint160(g.maker) == last) continue;
                if (uint160(g.maker) < last) revert IBundleMarket.MakersNotAscending(work.count - 1, g.maker);
                list[found++] = last = uint160(g.maker);
            }
        }
        assembly ("memory-safe") {
            mstore(list, found)
        }
    }

    /// @dev Checks a group's head, counts its orders, and returns where the next one starts.
    function _readGroup(uint256 at_, Group memory g, Work memory work) private pure returns (uint256 end) {
        (g.maker, g.total, g.present, g.size) = OrderReader.head(at_);
        (uint256 total, uint256 present) = (g.total, g.present);
        if (total == 0 || total > MOST_TOGETHER || present == 0 || present >> total != 0) {
            revert IBundleMarket.BadGroup(work.count, total, present);
        }
        unchecked {
            uint256 here;
            for (; present != 0; present &= present - 1) {
                ++here;
            }
            work.count += here;
            end = at_ + OrderReader.HEAD + g.size + here * OrderReader.TERMS + (total - here) * HASH_BYTES;
        }
        if (end > work.end) revert IBundleMarket.OrdersLength(work.end - work.offset, end - work.offset);
    }

    function _clearGroups(MarketState.State storage s, Clearing.Context memory c, Work memory work) private {
        IBundleMarket.BundleOrder memory order = OrderReader.create();
        Group memory g;
        address last;
        while (work.offset < work.end) {
            (g.maker, g.total, g.present, g.size) = OrderReader.head(work.offset);
            if (g.maker != last) {
                if (work.idx != 0) _closeMaker(work, last);
                (last, work.window) = (g.maker, work.words[work.maker].window());
            }
            uint256 signatureAt = work.offset + OrderReader.HEAD;
            work.offset = signatureAt + g.size;
            bytes32 signed = g.total == 1 ? _clearOrder(s, c, work, order, last) : _clearList(s, c, work, order, g);
            signed = MessageHashUtils.toTypedDataHash(work.domain, signed);
            bool valid = Signatures.isValid(last, signed, OrderReader.bytesAt(signatureAt, g.size));
            if (!valid) revert IBundleMarket.BadSignature(last, signed);
        }
        if (work.idx != 0) _closeMaker(work, last);
    }

    /// @dev Orders signed together, some of which are not cleared here; returns the struct hash of the list.
    function _clearList(
        MarketState.State storage s,
        Clearing.Context memory c,
        Work memory work,
        IBundleMarket.BundleOrder memory order,
        Group memory g
    ) private returns (bytes32) {
        bytes memory structs = new bytes(g.total * HASH_BYTES);
        for (uint256 i; i < g.total; ++i) {
            bytes32 hash;
            if (g.present >> i & 1 == 1) {
                hash = _clearOrder(s, c, work, order, g.maker);
            } else {
                hash = OrderReader.wordAt(work.offset);
                work.offset += HASH_BYTES;
            }
            structs.put(i * HASH_BYTES, uint256(hash));
        }
        return keccak256(abi.encode(OrderLib.BUNDLE_ORDERS, keccak256(structs)));
    }

    /// @dev One order: message, runs, fill ledger, records; returns its struct hash.
    function _clearOrder(
        MarketState.State storage s,
        Clearing.Context memory c,
        Work memory work,
        IBundleMarket.BundleOrder memory order,
        address maker
    ) private returns (bytes32 structHash) {
        OrderReader.readTerms(work.offset, maker, order);
        work.offset += OrderReader.TERMS;
        structHash = OrderReader.hashOf(order);
        bytes32 hash = MessageHashUtils.toTypedDataHash(work.domain, structHash);
        if (block.timestamp > order.expiry) revert IBundleMarket.Expired(hash, order.expiry);
        uint256 epoch = OrderWindow.epoch(work.window);
        if (order.epoch != epoch) revert IBundleMarket.StaleEpoch(hash, order.epoch, uint32(epoch));
        uint256 idx = work.idx;
        (uint256 lanes, uint256 cost) = Clearing.takeOrder(c, order, idx);

        work.window = s.fill(work.window, order, idx, lanes);
        unchecked {
            work.cost += cost;
            work.makers.put(idx * MAKER_BYTES, uint256(uint160(maker)) << 96);
            work.hashes.put(idx * HASH_BYTES, uint256(hash));
            work.fills.put(idx * FILL_BYTES, lanes << 224 | cost << 160);
            work.idx = idx + 1;
        }
    }

    function _closeMaker(Work memory work, address maker) private pure {
        if (work.cost > type(uint64).max) revert IBundleMarket.CostTooLarge(maker, work.cost);
        unchecked {
            uint256 at_ = 2 * work.maker++;
            work.entries[at_] = uint256(uint160(maker)) << 96 | work.cost << 32;
            work.entries[at_ + 1] = work.window;
        }
        work.cost = 0;
    }

    /// @dev Commits to the chunk and says what it holds.
    function _keep(BatchStore.Store storage b, Work memory work, uint32 chunkIndex, bytes calldata runs) private {
        bytes memory makers = work.makers.cut(work.count * MAKER_BYTES);
        bytes memory hashes = work.hashes.cut(work.count * HASH_BYTES);
        bytes memory fills = work.fills.cut(work.count * FILL_BYTES);

        b.chunks[chunkIndex] = BatchStore.chunkHash(keccak256(makers), keccak256(hashes), keccak256(runs));

        emit IBundleMarket.ChunkCleared(work.batchId, chunkIndex, makers, hashes, fills, runs);
    }
}
