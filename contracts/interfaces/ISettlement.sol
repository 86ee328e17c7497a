// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBundleMarket} from "./IBundleMarket.sol";

/// @title Pay for what was delivered, refund the rest (F15)
/// @notice Three steps per slot: meter every green pool, settle every chunk, pay every green pool. Anyone may call
/// any of them; the result does not depend on who does. Order inside a slot: `meterPool` of the zones in which the
/// chunk bought green, then `settleChunk`, then `payPools` when the whole pool is settled.
/// Several steps go into one transaction with `multicall`; a settled slot costs least that way.
/// Credits of a buyer (F11, mg) accrue in its Treasury word with the money and become ERC-1155 units by `claimCredits`.
/// Units: money micro-units, energy Wh, delivered compute milli-lanes (1000 = one lane for the whole slot).
/// Never: settles a (batch, chunk, slot) twice, pays out more than was locked, matches more Wh than were delivered,
/// mints twice for one metered interval, charges a penalty beyond the available balance.
/// Assumes for safety: final reports are true. Assumes for liveness: nothing; without a report the slots are refunded.
interface ISettlement {
    /// @notice The twelve words of a reading leaf.
    struct Reading {
        uint256 kind;
        uint256 meterId;
        uint256 agreementId;
        uint256 seq;
        uint256 start;
        uint256 end;
        uint256 quantity;
        uint256 register;
        uint256 quality;
        bytes32 keyId;
        bytes32 evidenceHash;
        bytes32 payloadHash;
    }

    /// @param missing true: no reading was reported (allowed `missingGrace` seconds after the report became final);
    /// `reading` and `proof` are then ignored. The plant counts as metered 0, unless `meterMissing` shows the reading
    struct Position {
        bool missing;
        Reading reading;
        bytes32[] proof;
    }

    /// @notice A green pool of (batch, slot, zone). @param missing a plant was marked missing when it was metered
    struct Pool {
        bool metered;
        bool paid;
        bool missing;
        uint48 deliveredWh;
        uint48 matchedWh;
        uint48 settledWh;
        int88 moneyMicro;
    }

    event PlantMetered(
        uint64 indexed batchId,
        uint16 indexed slot,
        uint16 indexed powerOfferIndex,
        uint256 soldWh,
        uint256 meteredWh,
        uint256 deliveredWh,
        uint256 penaltyMicro
    );
    /// @notice A plant was marked missing; its PlantMetered follows with the reading, or when the pool is paid.
    event PlantMissing(
        uint64 indexed batchId, uint16 indexed slot, uint16 indexed powerOfferIndex, uint256 soldWh, uint256 until
    );
    event PoolMetered(uint64 indexed batchId, uint16 indexed slot, uint16 indexed zoneId, uint256 deliveredWh);
    event SlotSettled(
        uint64 indexed batchId,
        uint32 indexed chunkIndex,
        uint16 indexed slot,
        bytes outcomes,
        uint256 computeMicro,
        int256 powerMicro,
        uint256 refundMicro,
        uint256 penaltyMicro
    );
    event SlotRefunded(
        uint64 indexed batchId, uint32 indexed chunkIndex, uint16 indexed slot, uint256 refundMicro
    );
    event SlotContradicted(
        uint64 indexed batchId, uint32 indexed chunkIndex, uint16 indexed slot, bytes outcomes, bytes reason
    );
    event Credited(address indexed account, uint256 indexed id, uint256 grams);
    event PlantPaid(
        uint64 indexed batchId,
        uint16 indexed slot,
        uint16 indexed powerOfferIndex,
        int256 moneyMicro,
        uint256 matchedWh,
        uint256 mintedWh
    );
    event PoolPaid(
        uint64 indexed batchId, uint16 indexed slot, uint16 indexed zoneId, int256 moneyMicro, uint256 matchedWh
    );
    event GridReleased(uint64 indexed batchId, uint16 indexed slot, uint16 indexed zoneId, uint256 releasedMicro);

    error NotFinalised(uint64 batchId);
    error SlotOutOfRange(uint16 slot, uint16 slots);
    error ReportNotFinal(uint64 batchId, uint16 slot);
    error AlreadyMetered(uint64 batchId, uint16 slot, uint16 zoneId);
    error PositionsIncomplete(uint256 given, uint256 expected);
    error ReadingKind(uint256 kind);
    error ReadingInterval(uint256 start, uint256 end);
    error ReadingMeter(uint256 meterId, uint32 plantId);
    error MeterNotAttested(uint256 meterId, uint256 attestedUntil);
    error ReadingNotInReport(uint256 meterId, bytes32 root);
    error MeterAlreadyUsed(uint256 meterId, uint256 time);
    error MissingTooEarly(uint256 allowedAt);
    error NotMissing(uint64 batchId, uint16 slot, uint16 zoneId, uint256 place);
    error MissingReplaceable(uint64 batchId, uint16 slot, uint16 zoneId, uint256 until);
    error NotContradicted(uint64 batchId, uint32 chunkIndex, uint16 slot, bytes reason);
    error WrongChunk(uint64 batchId, uint32 chunkIndex);
    error AlreadySettled(uint64 batchId, uint32 chunkIndex, uint16 slot);
    error OutcomesNotInReport(uint64 batchId, uint32 chunkIndex, uint16 slot);
    error OutcomesLength(uint256 length, uint256 expected);
    error UnknownOrder(uint256 runIdx, uint256 orderIdx);
    error NothingInSlot(uint32 chunkIndex, uint16 slot);
    error PoolNotMetered(uint64 batchId, uint16 slot, uint16 zoneId);
    error DeliveredAboveLanes(uint16 slot, uint256 runIdx, uint256 milliLanes, uint256 maximum);
    error MatchedAboveEnergy(uint16 slot, uint256 runIdx, uint256 matchedWh, uint256 energyWh);
    error GreyMatched(uint16 slot, uint256 runIdx, uint256 matchedWh);
    error MatchedAboveDelivered(uint16 slot, uint256 zoneId, uint256 matchedWh, uint256 deliveredWh);
    error RefundTooEarly(uint16 slot, uint256 allowedAt);
    error PoolNotSettled(uint64 batchId, uint16 slot, uint16 zoneId, uint256 settledWh, uint256 soldWh);
    error AlreadyPaid(uint64 batchId, uint16 slot, uint16 zoneId);
    error NothingToRelease(uint64 batchId, uint16 slot, uint16 zoneId);
    error LengthMismatch(uint256 a, uint256 b);
    error EntryTooLarge(address account, int256 amount);

    /// @notice Step 1: meters every green plant of a zone in a slot, in the order of `greenOffers`.
    function meterPool(uint64 batchId, uint16 slot, uint16 zoneId, Position[] calldata positions) external;

    /// @notice Shows the reading of a plant that was marked missing, as long as its pool is not paid: it then counts as
    /// if it had been metered with the others. @param place of the plant in `greenOffers`
    function meterMissing(
        uint64 batchId,
        uint16 slot,
        uint16 zoneId,
        uint16 place,
        Position calldata position
    ) external;

    /// @notice Step 2: settles slots of a chunk. outcomes[i] belongs to slots[i]: for each run active in the slot, in
    /// run order, uint32 delivered milli-lanes | uint32 matched Wh; proofs[i] is its path in the outcomes tree.
    function settleChunk(
        uint64 batchId,
        uint32 chunkIndex,
        IBundleMarket.ChunkData calldata chunk,
        uint16[] calldata slots,
        bytes[] calldata outcomes,
        bytes32[][] calldata proofs
    ) external;

    /// @notice Step 3: shares money and matched Wh of green pools among their plants, retires the matched Wh, mints
    /// the rest of the delivered Wh to the plant owners; certificates of many slots are issued together. A pool with a
    /// plant that is still missing is paid `missingGrace` seconds after it was metered, and charges its penalty then.
    function payPools(uint64 batchId, uint16[] calldata slots, uint16 zoneId) external;

    /// @notice Returns what a zone's grid account locked for a negative price in a slot and did not owe.
    function releaseGrid(uint64 batchId, uint16 slot, uint16 zoneId) external;

    /// @notice Mints the whole grams that accounts have earned in a zone and month as credits (ERC-1155); anyone may
    /// call it for anyone. Until then a credit is milligrams in the Treasury's account word: the supply of an id counts
    /// what was minted.
    /// @param key zone << 12 | months since January 1970
    function claimCredits(uint256 key, address[] calldata accounts) external;

    /// @notice Refunds slots in full `refundDelay` after they ended if no final report covers them, and after twice
    /// that delay whatever the reason.
    function refundChunk(
        uint64 batchId,
        uint32 chunkIndex,
        IBundleMarket.ChunkData calldata chunk,
        uint16[] calldata slots
    ) external;

    /// @notice Refunds a slot at once whose reported outcomes contradict themselves, the orders or the metered pools: they
    /// are in the final report, and `settleChunk` refuses them for what they say. A match above what was delivered
    /// counts only when no plant of the zone is missing or its time to be shown is over.
    function refundContradicted(
        uint64 batchId,
        uint32 chunkIndex,
        IBundleMarket.ChunkData calldata chunk,
        uint16 slot,
        bytes calldata outcomes,
        bytes32[] calldata proof
    ) external;

    /// @notice Feed whose reports settle.
    function feedId() external view returns (bytes32);
    function refundDelay() external view returns (uint256);
    function missingGrace() external view returns (uint256);
    /// @notice Whether (batch, chunk, slot) was settled or refunded.
    function isSettled(uint64 batchId, uint32 chunkIndex, uint16 slot) external view returns (bool);
    /// @notice 256 slots of the nullifier bitmap from slot 256 * word.
    function settledBitmap(uint64 batchId, uint32 chunkIndex, uint256 word) external view returns (uint256);
    function pool(uint64 batchId, uint16 slot, uint16 zoneId) external view returns (Pool memory);
    /// @notice Whether releaseGrid was done.
    function gridReleased(uint64 batchId, uint16 slot, uint16 zoneId) external view returns (bool);
    /// @notice Wh delivered by a plant in a metered slot, at most what it sold.
    function deliveredWh(uint64 batchId, uint16 slot, uint16 powerOfferIndex) external view returns (uint256);
    /// @notice Whether the interval of a meter that contains `time` was used.
    function isMeterUsed(uint256 meterId, uint256 time) external view returns (bool);
}
