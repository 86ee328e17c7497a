// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Signed orders, verified clearing
/// @notice A batch is opened by a solver, gets its price table, compute offers, power offers and chunks of orders,
/// each checked in full when it is posted, and is finalised when every energy pool balances exactly. All of that
/// happens before the first slot starts; a batch that is not finalised by then can be voided by anyone and every lock
/// released.
/// Nonces: any number, filled in part or at once, in any order; those of [2^52, 2^52 + 2^24) are queued: cheaper, sixteen
/// open at a time, see libraries/OrderWindow.sol.
/// One price per product and slot by construction: there is one table.
/// Units: compute price micro per VCU-slot; energy price micro per kWh (signed); energy Wh; slots count from `start`.
/// Powers of a solver: open batches, post its own batches, void them before they are final. It cannot fill an order
/// outside the order's terms, nor move more than the cost at the table's prices.
/// Assumes for safety: the table's carbon section is what the committee published. Assumes for liveness: nothing for
/// the release of locked money.
interface IBundleMarket {
    struct BundleOrder {
        address maker;
        uint32 classId;
        uint64 zoneMask;
        uint32 lanes;
        uint32 minLanes;
        uint16 durationSlots;
        uint64 start;
        uint64 deadline;
        uint64 limitPrice;
        uint16 minGreenBps;
        uint32 maxCarbon;
        uint32 carbonPrice;
        uint8 kind;
        uint32 epoch;
        uint64 nonce;
        uint64 expiry;
    }

    struct ComputeOffer {
        address maker;
        uint32 siteId;
        uint32 classId;
        uint32 zoneId;
        uint32 capacity;
        uint32 energyWhPerVcuSlot;
        uint64 askPrice;
        uint64 start;
        uint64 end;
        uint32 epoch;
        uint64 nonce;
        uint64 expiry;
    }

    /// @param profileHash keccak256 of slots x tranches x (uint32 wh, int32 ask micro/kWh), big-endian
    struct PowerOffer {
        address maker;
        uint32 plantId;
        uint32 zoneId;
        uint8 source;
        uint8 tranches;
        uint64 start;
        uint16 slots;
        bytes32 profileHash;
        uint32 epoch;
        uint64 nonce;
        uint64 expiry;
    }

    struct BatchHeader {
        uint64 start;
        uint32 slotSeconds;
        uint16 slots;
        uint16 zones;
        uint16 classes;
        bytes32 publicationHash;
        bytes32 bookHash;
        bytes32 solutionHash;
        int256 welfareMicro;
        int256 dualBoundMicro;
    }

    enum State {
        None,
        Open,
        Finalised,
        Voided
    }

    /// @param tableBytes bytes of the price table posted so far; @param priceParts parts posted so far
    struct Batch {
        address solver;
        uint64 start;
        uint32 slotSeconds;
        uint16 slots;
        uint16 zones;
        uint16 classes;
        State state;
        uint16 computeOffers;
        uint16 powerOffers;
        uint16 priceParts;
        uint32 tableBytes;
        uint32 chunks;
        bytes32 publicationHash;
    }

    /// @notice What a cleared compute offer is, by index in its batch.
    struct OfferView {
        address maker;
        uint8 classId;
        uint8 zoneId;
        uint16 capacity;
        uint16 startSlot;
        uint16 endSlot;
        uint32 siteId;
        uint32 energyWhPerVcuSlot;
        uint64 askPrice;
    }

    /// @notice What a power offer is, by index in its batch.
    /// @param soldPart, soldRow where its sold row lies: see `soldParts`
    struct PowerView {
        address maker;
        uint32 plantId;
        uint8 zoneId;
        uint8 source;
        uint16 soldPart;
        uint16 soldRow;
    }

    /// @notice A green plant of a zone, as settlement needs it. @param index of its power offer in the batch
    struct PoolPlant {
        address maker;
        uint32 plantId;
        uint8 source;
        uint16 index;
    }

    /// @notice One chunk of cleared orders, shown again whenever it is settled, refunded or released.
    /// @param makers 20 bytes an order; @param ordersHash keccak256 of the order hashes, 32 bytes each
    /// @param runs N x 13 bytes, big-endian: orderIdx u16 | offerIdx u16 | mode u8 | startSlot u16 | endSlot u16 | lanes u32
    struct ChunkData {
        bytes makers;
        bytes32 ordersHash;
        bytes runs;
    }

    event BatchOpened(uint64 indexed batchId, address indexed solver, BatchHeader header);
    event PricesPosted(uint64 indexed batchId, uint16 part, address pointer, bytes32 dataHash);
    event ComputeOfferAdded(uint64 indexed batchId, uint16 indexed offerIndex, bytes32 offerHash, ComputeOffer offer);
    event PowerOfferAdded(
        uint64 indexed batchId, uint16 indexed offerIndex, bytes32 offerHash, PowerOffer offer, bytes sold
    );
    /// @param makers 20 bytes an order; @param orderHashes 32 bytes each
    /// @param fills 12 bytes each: lanes u32 | cost micro-units u64, big-endian
    event ChunkCleared(
        uint64 indexed batchId,
        uint32 indexed chunkIndex,
        bytes makers,
        bytes orderHashes,
        bytes fills,
        bytes runs
    );
    event BatchFinalised(uint64 indexed batchId);
    event BatchVoided(uint64 indexed batchId);
    event ChunkReleased(uint64 indexed batchId, uint32 indexed chunkIndex);
    event ObligationsReleased(uint64 indexed batchId, uint16 indexed offerIndex, uint256 releasedMicro);
    event Cancelled(address indexed maker, uint64 nonce);
    event AllCancelled(address indexed maker, uint32 epoch);

    // batch
    error NotDeployer(address caller);
    error AlreadyWired();
    error NotOptimistic(address caller);
    error NotSolver(address caller);
    error NewBatchesPaused(uint256 until);
    error BatchInPast(uint64 start, uint256 timestamp);
    error BadGrid(bytes32 what, uint256 value);
    error NotPublished(uint64 start, bytes32 given, bytes32 published);
    error WrongState(uint64 batchId, State state);
    error TooLate(uint64 batchId, uint256 start);
    error NotYetVoidable(uint64 batchId, uint256 start);
    error WrongPart(uint16 given, uint16 expected);
    error TableTooLong(uint256 length, uint256 expected);
    error PartTooLarge(uint256 length);
    error PricesIncomplete(uint64 batchId, uint256 posted, uint256 expected);
    error CarbonNotPublished(bytes32 given, bytes32 published);
    error PoolNotBalanced(uint16 zoneId, uint8 mode, uint16 slot, int256 soldMinusBoughtWh);
    error LengthMismatch(uint256 a, uint256 b);
    // any signed message
    error BadSignature(address maker, bytes32 hash);
    error Expired(bytes32 hash, uint64 expiry);
    error StaleEpoch(bytes32 hash, uint32 given, uint32 current);
    error NonceCancelled(address maker, uint64 nonce);
    error NonceOutsideWindow(uint64 nonce, uint64 firstOpen);
    error LastEpoch(address maker);
    // offers
    error AlreadyOffered(uint64 batchId, bytes32 hash);
    error NotAssetOwner(uint32 assetId, address maker, address owner);
    error WrongZone(bytes32 hash, uint256 given, uint256 expected);
    error WrongClass(bytes32 hash, uint256 given, uint256 expected);
    error WrongSource(bytes32 hash, uint256 given, uint256 expected);
    error OfferOutsideBatch(bytes32 hash, uint64 start, uint64 end);
    error NotSlotAligned(bytes32 hash, uint64 time);
    error CapacityOutOfRange(bytes32 hash, uint256 capacity);
    error ZeroEnergy(bytes32 hash);
    error AboveNameplate(uint32 assetId, uint256 watts, uint256 nameplateW);
    error WrongProfile(bytes32 hash, bytes32 given);
    error SecondPlantOffer(uint64 batchId, uint32 plantId);
    error SecondGridOffer(uint64 batchId, uint16 zoneId);
    error SoldAboveOffer(uint16 offerIndex, uint16 slot, uint256 soldWh, uint256 offeredWh);
    // orders and runs; orderIdx and runIdx count inside the chunk
    error OrdersLength(uint256 length, uint256 needed);
    error BadGroup(uint256 orderIdx, uint256 total, uint256 present);
    error MakersNotAscending(uint256 orderIdx, address maker);
    error CostTooLarge(address maker, uint256 costMicro);
    error RunsLength(uint256 length);
    error RunsNotSorted(uint256 runIdx);
    error OrderNotFilled(uint256 orderIdx);
    error UnknownOrder(uint256 runIdx, uint256 orderIdx);
    error UnknownOffer(uint256 runIdx, uint256 offerIdx);
    error KindNotSupported(uint256 orderIdx, uint8 kind);
    error BadOrder(uint256 orderIdx, bytes32 what);
    error RunMode(uint256 runIdx, uint256 mode);
    error RunEmpty(uint256 runIdx);
    error RunOutsideWindow(uint256 runIdx, uint256 startSlot, uint256 endSlot);
    error RunOutsideOffer(uint256 runIdx, uint256 startSlot, uint256 endSlot);
    error RunWrongClass(uint256 runIdx, uint256 given, uint256 expected);
    error ZoneNotAllowed(uint256 runIdx, uint256 zoneId);
    error RunBelowAsk(uint256 runIdx, uint256 slot);
    error CarbonAboveCap(uint256 runIdx, uint256 slot, uint256 gramsPerKwh);
    error CapacityExceeded(uint256 offerIdx, uint256 slot, uint256 lanes, uint256 capacity);
    error LanesSplit(uint256 orderIdx, uint256 zoneId, uint256 vcuSlots, uint256 durationSlots);
    error RateExceeded(uint256 orderIdx, uint256 slot, uint256 lanes, uint256 lanesFilled);
    error LanesOutOfRange(uint256 orderIdx, uint256 lanesFilled, uint256 atLeast, uint256 atMost);
    error GreenBelowMinimum(uint256 orderIdx, uint256 greenVcuSlots, uint256 vcuSlots);
    error CostAboveLimit(uint256 orderIdx, uint256 costMicro, uint256 limitMicro);
    error WrongChunk(uint64 batchId, uint32 chunkIndex);
    error AlreadyReleased(uint64 batchId, uint256 index);

    /// @notice Opens a batch. Solvers only; `header.start` lies ahead and the committee has published for it.
    function openBatch(BatchHeader calldata header) external returns (uint64 batchId);

    /// @notice Posts the next part (0, 1, ...) of the price table. The last part completes it and is refused unless
    /// the carbon section is the published one. Parts are cut anywhere.
    /// Table, big-endian: compute price uint32 [class][zone][mode][slot]; energy price int32 [zone][mode][slot];
    /// grid carbon uint16 [zone][slot] g/kWh; green factor uint16 [zone][slot] g/kWh.
    function postPrices(uint64 batchId, uint16 part, bytes calldata data) external;

    function addComputeOffers(uint64 batchId, ComputeOffer[] calldata offers, bytes[] calldata sigs) external;

    /// @param sold per offer: uint32 Wh per batch slot, big-endian
    function addPowerOffers(
        uint64 batchId,
        PowerOffer[] calldata offers,
        bytes[] calldata sigs,
        bytes[] calldata profiles,
        bytes[] calldata sold
    ) external;

    /// @notice Clears a chunk of orders; see ChunkData for `runs`, sorted by (orderIdx, zone of the offer).
    /// @param orders groups of orders under one signature each, by ascending maker; see libraries/OrderReader.sol. A
    /// signature is 65 bytes, 64 (EIP-2098) or what the maker's contract takes (EIP-1271), over the EIP-712 BundleOrder,
    /// or over BundleOrders(BundleOrder[] orders) where a group has more than one
    function clearChunk(uint64 batchId, bytes calldata orders, bytes calldata runs)
        external
        returns (uint32 chunkIndex);

    /// @notice Clears a chunk that the OptimisticMarket proved; only it, on a batch of which it is the solver. The buyers'
    /// money is locked already; lanes and balances are what the challenge window left standing.
    /// @param makers 20 bytes an order; @param orderHashes 32 bytes; @param fills 12 bytes: lanes u32 | cost u64
    function clearProven(
        uint64 batchId,
        bytes calldata makers,
        bytes calldata orderHashes,
        bytes calldata fills,
        bytes calldata runs
    ) external returns (uint32 chunkIndex);

    /// @notice Makes a proved batch final. OptimisticMarket only.
    function finalizeProven(uint64 batchId) external;

    /// @notice Names the OptimisticMarket, once, by the deployer.
    function wire(address optimistic) external;

    /// @notice Makes the batch final once every pool balances.
    function finalize(uint64 batchId) external;

    /// @notice Ends a batch that is not final: its solver at any time, anyone once the first slot has started.
    function voidBatch(uint64 batchId) external;

    /// @notice Of a voided batch: returns the locks of a chunk's buyers and the lanes to their orders.
    /// A queued nonce that its window has passed stays closed.
    /// @param orders the orders behind `chunk.ordersHash`, in order
    function releaseChunk(
        uint64 batchId,
        uint32 chunkIndex,
        ChunkData calldata chunk,
        BundleOrder[] calldata orders
    ) external;

    /// @notice Of a voided batch: returns what a seller locked for negative prices.
    function releaseObligations(uint64 batchId, uint16 powerOfferIndex) external;

    /// @notice Cancels one nonce of the caller, for ever (a queued one until the epoch ends, see cancelAll).
    function cancel(uint64 nonce) external;

    /// @notice Cancels everything the caller has signed so far: messages must carry the new epoch from now on.
    function cancelAll() external;

    /// @notice Cancels a nonce for a maker who signed Cancel(address maker,uint32 epoch,uint64 nonce) in this epoch.
    function cancelFor(address maker, uint64 nonce, bytes calldata signature) external;

    /// @notice Cancels everything of a maker who signed CancelAll(address maker,uint32 epoch) in this epoch.
    function cancelAllFor(address maker, bytes calldata signature) external;

    function batchCount() external view returns (uint64);
    function batch(uint64 batchId) external view returns (Batch memory);
    function tableLength(uint64 batchId) external view returns (uint256);
    function pricePart(uint64 batchId, uint16 part) external view returns (address pointer);
    /// @notice The whole table as posted.
    function priceTable(uint64 batchId) external view returns (bytes memory);
    function computeOffer(uint64 batchId, uint16 index) external view returns (OfferView memory);
    /// @notice The two packed words of a compute offer, see libraries/OfferWord.sol.
    function offerWords(uint64 batchId, uint16 index) external view returns (uint256 a, uint256 b);
    function powerOffer(uint64 batchId, uint16 index) external view returns (PowerView memory);
    /// @notice Blob that holds the sold rows of one addPowerOffers call.
    function soldPart(uint64 batchId, uint16 part) external view returns (address pointer);
    /// @notice Wh sold by a power offer in a slot.
    function soldWh(uint64 batchId, uint16 powerOfferIndex, uint16 slot) external view returns (uint32);
    /// @notice Green plants of a zone by rising index, and what each sold: soldWh[i * plants.length + j] of slots[i] and
    /// plants[j]. The slots are inside the batch.
    function poolPlants(uint64 batchId, uint16 zoneId, uint16[] calldata slots)
        external
        view
        returns (PoolPlant[] memory plants, uint256[] memory soldWh);
    /// @notice Green power offers of a zone, ascending.
    function greenOffers(uint64 batchId, uint16 zoneId) external view returns (uint16[] memory);
    /// @notice Index + 1 of the zone's grid offer, 0 if there is none.
    function gridOffer(uint64 batchId, uint16 zoneId) external view returns (uint256);
    /// @notice Sold minus bought in a pool, Wh; zero everywhere in a final batch.
    function poolBalanceWh(uint64 batchId, uint16 zoneId, uint8 mode, uint16 slot) external view returns (int256);
    /// @notice Lanes sold of a compute offer in a slot.
    function lanesSold(uint64 batchId, uint16 offerIndex, uint16 slot) external view returns (uint16);
    /// @notice keccak256(abi.encode(keccak256(makers), ordersHash, keccak256(runs))) of a chunk, zero if there is none.
    function chunkCommitment(uint64 batchId, uint32 chunkIndex) external view returns (bytes32);
    function chunkReleased(uint64 batchId, uint32 chunkIndex) external view returns (bool);
    /// @notice Lanes already filled of the order with this nonce; 2^32 - 1 when cancelled, or filled under a queued nonce.
    function lanesFilled(address maker, uint64 nonce) external view returns (uint32);
    function epochOf(address maker) external view returns (uint32);
    function hashOrder(BundleOrder calldata order) external view returns (bytes32 digest);
    function hashComputeOffer(ComputeOffer calldata offer) external view returns (bytes32 digest);
    function hashPowerOffer(PowerOffer calldata offer) external view returns (bytes32 digest);
}
