// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {IBundleMarket} from "../interfaces/IBundleMarket.sol";
import {ITreasury} from "../interfaces/ITreasury.sol";
import {AccountBook} from "./AccountBook.sol";
import {BatchStore} from "./BatchStore.sol";
import {Clearing} from "./Clearing.sol";
import {MarketState} from "./MarketState.sol";
import {OrderLib} from "./OrderLib.sol";

/// @title Gives back what a voided batch had locked
/// @notice Linked into BundleMarket, which runs it on its own storage; it keeps the market below the size limit.
library ReleaseDesk {
    using AccountBook for AccountBook.Book;
    using BatchStore for BatchStore.Store;
    using MarketState for MarketState.State;
    using OrderLib for IBundleMarket.BundleOrder;

    function releaseChunk(
        MarketState.State storage s,
        MarketState.Wiring memory wiring,
        uint64 batchId,
        uint32 chunkIndex,
        IBundleMarket.ChunkData calldata chunk,
        IBundleMarket.BundleOrder[] calldata orders
    ) external {
        BatchStore.Store storage b = s.voided(batchId);
        bytes32 commitment =
            BatchStore.chunkHash(keccak256(chunk.makers), chunk.ordersHash, keccak256(chunk.runs));
        require(b.chunks[chunkIndex] == commitment, IBundleMarket.WrongChunk(batchId, chunkIndex));
        require(!b.chunkReleased[chunkIndex], IBundleMarket.AlreadyReleased(batchId, chunkIndex));
        bytes32[] memory hashes = new bytes32[](orders.length);
        for (uint256 i; i < orders.length; ++i) {
            hashes[i] = MessageHashUtils.toTypedDataHash(wiring.domain, orders[i].hash());
        }
        bool same = keccak256(abi.encodePacked(hashes)) == chunk.ordersHash;
        require(same, IBundleMarket.WrongChunk(batchId, chunkIndex));

        (uint256[] memory vcuSlots, uint256[] memory costs) = Clearing.sums(b, orders.length, chunk.runs);

        b.chunkReleased[chunkIndex] = true;
        AccountBook.Book memory book = _giveBack(s, wiring.treasury, orders, vcuSlots, costs);

        emit IBundleMarket.ChunkReleased(batchId, chunkIndex);

        wiring.treasury.post(book.postings());
    }

    function releaseObligations(
        MarketState.State storage s,
        MarketState.Wiring memory wiring,
        uint64 batchId,
        uint16 powerOfferIndex
    ) external {
        BatchStore.Store storage b = s.voided(batchId);
        require(
            !b.obligationsReleased[powerOfferIndex], IBundleMarket.AlreadyReleased(batchId, powerOfferIndex)
        );

        uint256 released = b.obligationsOf(powerOfferIndex);
        AccountBook.Book memory book = AccountBook.create(1);
        book.add(book.entryOf(b.power[powerOfferIndex].maker), int256(released), -int256(released));

        b.obligationsReleased[powerOfferIndex] = true;

        emit IBundleMarket.ObligationsReleased(batchId, powerOfferIndex, released);

        wiring.treasury.post(book.postings());
    }

    /// @dev Lanes to the fill ledger and locks to the makers.
    function _giveBack(
        MarketState.State storage s,
        ITreasury treasury,
        IBundleMarket.BundleOrder[] calldata orders,
        uint256[] memory vcuSlots,
        uint256[] memory costs
    ) private returns (AccountBook.Book memory book) {
        book = AccountBook.create(orders.length);
        for (uint256 i; i < orders.length; ++i) {
            address maker = orders[i].maker;
            uint256 window = treasury.windowOf(maker);
            uint256 next = s.unfill(window, orders[i], vcuSlots[i] / orders[i].durationSlots);
            if (next != window) treasury.setWindow(maker, next);
            book.add(book.entryOf(maker), int256(costs[i]), -int256(costs[i]));
        }
    }
}
