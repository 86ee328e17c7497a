// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBundleMarket} from "../interfaces/IBundleMarket.sol";
import {IOptimisticMarket} from "../interfaces/IOptimisticMarket.sol";
import {Claims} from "./Claims.sol";
import {MakerBook} from "./MakerBook.sol";

/// @title A chunk of a final claim on its way into the market, and back
/// @notice Linked into OptimisticMarket, which runs it on its own storage.
library ChunkOpening {
    uint256 private constant MOST_CHUNK_BITS = 6;

    /// @param stoodIn bit per row: the solver took the order's place
    struct Opened {
        uint32 marketChunkPlusOne;
        bool returned;
        uint64 stoodIn;
    }

    struct Release {
        uint128 amountMicro;
        uint64 maturesAt;
    }

    /// @notice What the market keeps of a chunk. @param makers 20 bytes a row; @param hashes 32 bytes a row
    /// @param fills 12 bytes a row: lanes u32 | cost u64; @param runs all runs
    struct Packed {
        bytes makers;
        bytes hashes;
        bytes fills;
        bytes runs;
        uint256 stoodInMicro;
    }

    /// @notice A claim is well formed and of its batch.
    function checkClaim(IBundleMarket market, uint64 batchId, IOptimisticMarket.Claim calldata claim) external view {
        IBundleMarket.Batch memory head = market.batch(batchId);
        bool same = claim.start == head.start && claim.slotSeconds == head.slotSeconds && claim.slots == head.slots
            && claim.zones == head.zones && claim.classes == head.classes && claim.computeOffers == head.computeOffers;
        _check(same, "batch", batchId);
        _check(claim.rows != 0, "rows", 0);
        _check(claim.chunkBits <= MOST_CHUNK_BITS, "chunkBits", claim.chunkBits);
        _check((claim.steps == 0) == (claim.stepsRoot == 0), "steps", claim.steps);
        _check(claim.bestMilli < 1 << 200, "bestMilli", claim.bestMilli);
        bool sane = claim.welfareMilli < 1 << 200 && claim.welfareMilli > -(1 << 200);
        _check(sane, "welfareMilli", uint256(claim.welfareMilli));
    }

    function _check(bool good, bytes32 what, uint256 value) private pure {
        require(good, IOptimisticMarket.BadClaim(what, value));
    }

    /// @notice A row is in the tree, and order, signature, runs and marks are those behind its hashes.
    function checkAnswer(
        IOptimisticMarket.Claim calldata claim,
        uint32 index,
        IOptimisticMarket.Row calldata row,
        bytes32[] calldata path,
        bytes32 orderHash,
        bytes[3] calldata data
    ) external pure {
        bytes32 root = Claims.rootOf(Claims.leafOf(row), index, path);
        require(root == claim.rowsRoot, IOptimisticMarket.LeafNotInTree(0, index));
        bool whole = row.orderHash == orderHash && row.sigHash == keccak256(data[0])
            && row.runsHash == keccak256(data[1]) && row.marksHash == keccak256(data[2]);
        require(whole, IOptimisticMarket.DataNotOfLeaf(index));
    }

    /// @notice The rows are the whole chunk: an aligned subtree of the rows' tree.
    function checkRows(
        IOptimisticMarket.Claim calldata claim,
        uint32 chunk,
        IOptimisticMarket.Row[] calldata rows,
        bytes32[] calldata path
    ) external pure {
        uint256 width = uint256(1) << claim.chunkBits;
        uint256 first = chunk * width;
        uint256 expected = first >= claim.rows ? 0 : claim.rows - first < width ? claim.rows - first : width;
        bool whole = expected != 0 && rows.length == expected;
        require(whole, IOptimisticMarket.ChunkRows(rows.length, expected));
        bytes32[] memory leaves = new bytes32[](width);
        for (uint256 i; i < rows.length; ++i) {
            leaves[i] = Claims.leafOf(rows[i]);
        }
        bytes32 root = Claims.rootOf(Claims.subtree(leaves, claim.chunkBits), chunk, path);
        require(root == claim.rowsRoot, IOptimisticMarket.LeafNotInTree(0, first));
    }

    /// @notice Takes cost and lanes of every filled row from its maker, or notes that the solver stands in.
    function take(
        MakerBook.Book storage book,
        Opened storage o,
        uint64 batchId,
        address solver,
        IOptimisticMarket.Row[] calldata rows,
        bytes[] calldata runs
    ) external returns (Packed memory p) {
        require(runs.length == rows.length, IOptimisticMarket.ChunkRows(runs.length, rows.length));
        _makeRoom(p, rows.length);
        for (uint256 i; i < rows.length; ++i) {
            IOptimisticMarket.Row calldata row = rows[i];
            require(keccak256(runs[i]) == row.runsHash, IOptimisticMarket.DataNotOfLeaf(i));
            address buyer = row.maker;
            if (row.lanes != 0 && !_charge(book, row)) {
                buyer = solver;
                o.stoodIn |= uint64(1) << uint64(i);
                p.stoodInMicro += row.costMicro;
                emit IOptimisticMarket.StoodIn(batchId, row.orderHash, solver, row.costMicro);
            }
            _put(p, i, buyer, row);
            p.runs = bytes.concat(p.runs, runs[i]);
        }
    }

    /// @notice Gives cost and lanes of every filled row back; returns what the solver had paid.
    function giveBack(MakerBook.Book storage book, Opened storage o, IOptimisticMarket.Row[] calldata rows)
        external
        returns (uint256 stoodInMicro)
    {
        uint64 stoodIn = o.stoodIn;
        for (uint256 i; i < rows.length; ++i) {
            if (rows[i].lanes == 0) continue;
            if (stoodIn >> i & 1 == 1) {
                stoodInMicro += rows[i].costMicro;
                continue;
            }
            book.reserved[rows[i].maker] += rows[i].costMicro;
            book.filled[rows[i].maker][rows[i].nonce] -= rows[i].lanes;
        }
    }

    function _charge(MakerBook.Book storage book, IOptimisticMarket.Row calldata row) private returns (bool) {
        uint256 reserved = book.reserved[row.maker];
        uint256 filled = book.filled[row.maker][row.nonce] + row.lanes;
        if (row.costMicro > reserved || filled > row.orderLanes) return false;

        book.reserved[row.maker] = reserved - row.costMicro;
        book.filled[row.maker][row.nonce] = filled;
        return true;
    }

    /// @dev Twelve and twenty bytes more than the length, so that whole words can be written.
    function _makeRoom(Packed memory p, uint256 n) private pure {
        (bytes memory makers, bytes memory fills) = (new bytes(20 * n + 12), new bytes(12 * n + 20));
        assembly ("memory-safe") {
            mstore(makers, mul(n, 20))
            mstore(fills, mul(n, 12))
        }
        (p.makers, p.hashes, p.fills) = (makers, new bytes(32 * n), fills);
    }

    function _put(Packed memory p, uint256 i, address buyer, IOptimisticMarket.Row calldata row) private pure {
        (bytes memory makers, bytes memory hashes, bytes memory fills) = (p.makers, p.hashes, p.fills);
        bytes32 hash = row.orderHash;
        uint256 fill = uint256(row.lanes) << 224 | uint256(uint64(row.costMicro)) << 160;
        assembly ("memory-safe") {
            mstore(add(add(makers, 32), mul(i, 20)), shl(96, buyer))
            mstore(add(add(hashes, 32), mul(i, 32)), hash)
            mstore(add(add(fills, 32), mul(i, 12)), fill)
        }
    }
}
