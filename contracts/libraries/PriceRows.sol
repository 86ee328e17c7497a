// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBundleMarket} from "../interfaces/IBundleMarket.sol";
import {IOptimisticMarket} from "../interfaces/IOptimisticMarket.sol";
import {Blob} from "./Blob.sol";
import {PriceTable} from "./PriceTable.sol";

/// @title Single rows of a price table, read without the rest
/// @notice For tables whose parts, but the last, have PART bytes each.
library PriceRows {
    using PriceTable for PriceTable.Table;

    uint256 internal constant PART = 24_000;

    /// @notice Where the sections lie, without the data.
    function sections(IOptimisticMarket.Claim calldata head) internal pure returns (PriceTable.Table memory) {
        return PriceTable.wrap("", head.classes, head.zones, head.slots);
    }

    /// @notice The part that was read last. @param number its number + 1
    struct Cache {
        IBundleMarket market;
        uint64 batchId;
        uint256 number;
        address pointer;
    }

    /// @notice `size` bytes of the table from `offset`, which may span two parts.
    function read(Cache memory c, uint256 offset, uint256 size) internal view returns (bytes memory row) {
        row = new bytes(size);
        uint256 done;
        while (done < size) {
            uint256 from = (offset + done) % PART;
            uint256 take = PART - from < size - done ? PART - from : size - done;
            uint256 number = (offset + done) / PART;
            if (c.number != number + 1) {
                (c.number, c.pointer) = (number + 1, c.market.pricePart(c.batchId, uint16(number)));
            }
            Blob.copy(c.pointer, from, take, row, done);
            done += take;
        }
    }
}
