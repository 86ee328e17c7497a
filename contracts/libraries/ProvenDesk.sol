// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBundleMarket} from "../interfaces/IBundleMarket.sol";
import {BatchStore} from "./BatchStore.sol";
import {MarketState} from "./MarketState.sol";

/// @title Chunks and batches that the OptimisticMarket proved
/// @notice Linked into BundleMarket. The caller was checked; here only the batch is.
library ProvenDesk {
    using MarketState for MarketState.State;

    function clear(
        MarketState.State storage s,
        uint64 batchId,
        bytes calldata makers,
        bytes calldata orderHashes,
        bytes calldata fills,
        bytes calldata runs
    ) external returns (uint32 chunkIndex) {
        BatchStore.Store storage b = s.priced(batchId);

        chunkIndex = b.head.chunks++;
        b.chunks[chunkIndex] = BatchStore.chunkHash(keccak256(makers), keccak256(orderHashes), keccak256(runs));

        emit IBundleMarket.ChunkCleared(batchId, chunkIndex, makers, orderHashes, fills, runs);
    }

    function finalize(MarketState.State storage s, uint64 batchId) external {
        BatchStore.Store storage b = s.batches[batchId];
        require(b.head.state == IBundleMarket.State.Open, IBundleMarket.WrongState(batchId, b.head.state));
        require(b.head.solver == msg.sender, IBundleMarket.NotSolver(msg.sender));

        b.head.state = IBundleMarket.State.Finalised;

        emit IBundleMarket.BatchFinalised(batchId);
    }
}
