// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {IBundleMarket} from "../interfaces/IBundleMarket.sol";
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
        bytes32 commitment = keccak256(abi.encode(chunk.makers, chunk.orderHashes, chunk.runs));
        require(b.chunks[chunkIndex] == commitment, IBundleMarket.WrongChunk(batchId, chunkIndex));
        require(!b.chunkReleased[chunkIndex], IBundleMarket.AlreadyReleased(batchId, chunkIndex));
        require(
            orders.length == chunk.orderHashes.length,
            IBundleMarket.LengthMismatch(orders.length, chunk.orderHashes.length)
        );
        for (uint256 i; i < orders.length; ++i) {
            bytes32 hash = MessageHashUtils.toTypedDataHash(wiring.domain, orders[i].hash());
            require(hash == chunk.orderHashes[i], IBundleMarket.WrongChunk(batchId, chunkIndex));
        }

        (uint256[] memory vcuSlots, uint256[] memory costs) = Clearing.sums(b, orders.length, chunk.runs);

        b.chunkReleased[chunkIndex] = true;
        AccountBook.Book memory book = _giveBack(s, orders, vcuSlots, costs);

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

    /// @dev Lanes to the fill ledger, unless the nonce was cancelled meanwhile, and locks to the makers.
    function _giveBack(
        MarketState.State storage s,
        IBundleMarket.BundleOrder[] calldata orders,
        uint256[] memory vcuSlots,
        uint256[] memory costs
    ) private returns (AccountBook.Book memory book) {
        book = AccountBook.create(orders.length);
        for (uint256 i; i < orders.length; ++i) {
            (address maker, uint64 nonce) = (orders[i].maker, orders[i].nonce);
            uint256 filled = s.filled(maker, nonce);
            if (filled != MarketState.CANCELLED) {
                s.setFilled(maker, nonce, filled - vcuSlots[i] / orders[i].durationSlots);
            }
            book.add(book.entryOf(maker), int256(costs[i]), -int256(costs[i]));
        }
    }
}
