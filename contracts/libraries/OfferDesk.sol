// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {IBundleMarket} from "../interfaces/IBundleMarket.sol";
import {IDeliveryOracle} from "../interfaces/IDeliveryOracle.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";
import {AccountBook} from "./AccountBook.sol";
import {BatchStore} from "./BatchStore.sol";
import {Blob} from "./Blob.sol";
import {MarketState} from "./MarketState.sol";
import {OfferChecks} from "./OfferChecks.sol";
import {OrderLib} from "./OrderLib.sol";
import {PriceTable} from "./PriceTable.sol";

/// @title Everything of a batch that comes before its orders: header, prices, offers
/// @notice Linked into BundleMarket, which runs it on its own storage; it keeps the market below the size limit.
library OfferDesk {
    using AccountBook for AccountBook.Book;
    using BatchStore for BatchStore.Store;
    using MarketState for MarketState.State;
    using OrderLib for IBundleMarket.ComputeOffer;
    using OrderLib for IBundleMarket.PowerOffer;
    using PriceTable for PriceTable.Table;

    uint256 private constant MOST_SLOTS = 960;
    uint256 private constant MOST_ZONES = 64;
    uint256 private constant MOST_CLASSES = 256;
    uint256 private constant PART_LIMIT = 24_000;
    /// @dev Meter intervals are counted in steps of five minutes, at most an hour each.
    uint256 private constant SLOT_STEP = 300;
    uint256 private constant LONGEST_SLOT = 3600;

    function openBatch(
        MarketState.State storage s,
        IRegistry registry,
        IDeliveryOracle oracle,
        IBundleMarket.BatchHeader calldata header
    ) external returns (uint64 batchId) {
        require(registry.isSolver(msg.sender), IBundleMarket.NotSolver(msg.sender));
        uint64 until = registry.batchesPausedUntil();
        require(block.timestamp >= until, IBundleMarket.NewBatchesPaused(until));
        require(header.start > block.timestamp, IBundleMarket.BatchInPast(header.start, block.timestamp));
        _checkGrid(header);
        bytes32 published = oracle.publication(header.start);
        bool known = published != 0 && header.publicationHash == published;
        require(known, IBundleMarket.NotPublished(header.start, header.publicationHash, published));

        batchId = ++s.batchCount;
        IBundleMarket.Batch storage head = s.batches[batchId].head;
        (head.solver, head.start, head.slotSeconds) = (msg.sender, header.start, header.slotSeconds);
        (head.slots, head.zones, head.classes) = (header.slots, header.zones, header.classes);
        (head.state, head.publicationHash) = (IBundleMarket.State.Open, published);

        emit IBundleMarket.BatchOpened(batchId, msg.sender, header);
    }

    function postPrices(MarketState.State storage s, uint64 batchId, uint16 part, bytes calldata data) external {
        BatchStore.Store storage b = s.open(batchId);
        uint256 whole = BatchStore.tableLength(b.headOf());
        uint256 length = b.head.tableBytes + data.length;
        require(part == b.head.priceParts, IBundleMarket.WrongPart(part, b.head.priceParts));
        bool fits = data.length != 0 && data.length <= PART_LIMIT;
        require(fits, IBundleMarket.PartTooLarge(data.length));
        require(length <= whole, IBundleMarket.TableTooLong(length, whole));

        address pointer = Blob.write(data);
        b.priceParts.push(pointer);
        (b.head.priceParts, b.head.tableBytes) = (part + 1, uint32(length));
        if (length == whole) _checkCarbon(b);

        emit IBundleMarket.PricesPosted(batchId, part, pointer, keccak256(data));
    }

    function addComputeOffers(
        MarketState.State storage s,
        MarketState.Wiring memory wiring,
        uint64 batchId,
        IBundleMarket.ComputeOffer[] calldata offers,
        bytes[] calldata sigs
    ) external {
        s.priced(batchId);
        _checkLength(offers.length, sigs.length);

        for (uint256 i; i < offers.length; ++i) {
            _addCompute(s, wiring, batchId, offers[i], sigs[i]);
        }
    }

    function addPowerOffers(
        MarketState.State storage s,
        MarketState.Wiring memory wiring,
        uint64 batchId,
        IBundleMarket.PowerOffer[] calldata offers,
        bytes[] calldata sigs,
        bytes[] calldata profiles,
        bytes[] calldata sold
    ) external {
        s.priced(batchId);
        _checkLength(offers.length, sigs.length);
        _checkLength(offers.length, profiles.length);
        _checkLength(offers.length, sold.length);

        OfferChecks.Rows memory rows = OfferChecks.rows(s.batches[batchId]);
        AccountBook.Book memory book = AccountBook.create(offers.length);
        for (uint256 i; i < offers.length; ++i) {
            bytes32 hash = _addPower(s, wiring, batchId, offers[i], sigs[i], i);
            _takePower(wiring, rows, book, offers[i], hash, profiles[i], sold[i]);
            emit IBundleMarket.PowerOfferAdded(batchId, uint16(rows.index++), hash, offers[i], sold[i]);
        }
        _keepSold(s.batches[batchId], rows, sold);

        wiring.treasury.post(book.postings());
    }

    function _checkGrid(IBundleMarket.BatchHeader calldata header) private pure {
        uint256 slot = header.slotSeconds;
        bool valid = slot != 0 && slot % SLOT_STEP == 0 && slot <= LONGEST_SLOT;
        require(valid, IBundleMarket.BadGrid("slotSeconds", slot));
        require(header.start % slot == 0, IBundleMarket.BadGrid("start", header.start));
        _checkRange("slots", header.slots, MOST_SLOTS);
        _checkRange("zones", header.zones, MOST_ZONES);
        _checkRange("classes", header.classes, MOST_CLASSES);
    }

    function _checkRange(bytes32 what, uint256 value, uint256 most) private pure {
        require(value != 0 && value <= most, IBundleMarket.BadGrid(what, value));
    }

    function _checkLength(uint256 a, uint256 b) private pure {
        require(a == b, IBundleMarket.LengthMismatch(a, b));
    }

    /// @dev The carbon section of the complete table is what the committee published.
    function _checkCarbon(BatchStore.Store storage b) private view {
        IBundleMarket.Batch memory head = b.headOf();
        bytes32 carbon = b.table(head).carbonHash();
        bytes32 given = keccak256(abi.encode(head.start, head.slotSeconds, head.slots, head.zones, carbon));
        require(given == head.publicationHash, IBundleMarket.CarbonNotPublished(given, head.publicationHash));
    }

    function _addCompute(
        MarketState.State storage s,
        MarketState.Wiring memory wiring,
        uint64 batchId,
        IBundleMarket.ComputeOffer calldata offer,
        bytes calldata sig
    ) private {
        bytes32 hash = MessageHashUtils.toTypedDataHash(wiring.domain, offer.hash());
        s.checkOpen(wiring.treasury, offer.maker, hash, offer.epoch, offer.nonce, offer.expiry);
        MarketState.checkSignature(offer.maker, hash, sig);
        require(s.lastBatchOf[hash] != batchId, IBundleMarket.AlreadyOffered(batchId, hash));
        BatchStore.Store storage b = s.batches[batchId];
        OfferChecks.addCompute(b, wiring.registry.site(offer.siteId), offer, hash);

        s.lastBatchOf[hash] = batchId;
        uint16 index = b.head.computeOffers++;

        emit IBundleMarket.ComputeOfferAdded(batchId, index, hash, offer);
    }

    /// @dev Message and asset of a power offer, which becomes the next one of the batch.
    function _addPower(
        MarketState.State storage s,
        MarketState.Wiring memory wiring,
        uint64 batchId,
        IBundleMarket.PowerOffer calldata offer,
        bytes calldata sig,
        uint256 row
    ) private returns (bytes32 hash) {
        hash = MessageHashUtils.toTypedDataHash(wiring.domain, offer.hash());
        s.checkOpen(wiring.treasury, offer.maker, hash, offer.epoch, offer.nonce, offer.expiry);
        MarketState.checkSignature(offer.maker, hash, sig);
        IRegistry.Plant memory plant = wiring.registry.plant(offer.plantId);
        OfferChecks.addPower(s.batches[batchId], batchId, plant, offer, hash, row);
    }

    /// @dev Profile and sold row of a power offer, and what its seller locks.
    function _takePower(
        MarketState.Wiring memory wiring,
        OfferChecks.Rows memory rows,
        AccountBook.Book memory book,
        IBundleMarket.PowerOffer calldata offer,
        bytes32 hash,
        bytes calldata profile,
        bytes calldata sold
    ) private view {
        OfferChecks.checkProfile(rows, wiring.registry.plant(offer.plantId), offer, hash, profile, sold);
        int256 obligation = int256(OfferChecks.takeSold(rows, offer, profile, sold));
        book.add(book.entryOf(offer.maker), -obligation, obligation);
    }

    function _keepSold(BatchStore.Store storage b, OfferChecks.Rows memory rows, bytes[] calldata sold) private {
        bytes memory whole;
        for (uint256 i; i < sold.length; ++i) {
            whole = bytes.concat(whole, sold[i]);
        }
        b.soldParts.push(Blob.write(whole));
        b.addSold(rows.wh);
        b.head.powerOffers = uint16(rows.index);
    }
}
