// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBundleMarket} from "../interfaces/IBundleMarket.sol";
import {ICertificates} from "../interfaces/ICertificates.sol";
import {IDeliveryOracle} from "../interfaces/IDeliveryOracle.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";
import {ISettlement} from "../interfaces/ISettlement.sol";
import {ITreasury} from "../interfaces/ITreasury.sol";
import {Packed} from "./Packed.sol";

/// @title Settlement's storage and its keys
library SettlementState {
    uint256 internal constant METER_STEP = 300;
    /// @dev In place of the delivered Wh of a plant; what was delivered stays below it.
    uint256 internal constant MISSING = type(uint32).max;

    /// @param settled chunk nullifiers, by batch << 64 | chunk << 32 | slot / 256
    /// @param pools by batch << 64 | slot << 32 | zone << 1 | mode; grey pools are kept only at negative prices
    /// @param delivered Wh of power offers, eight a word, by batch << 64 | slot << 32 | offer / 8; MISSING where no reading
    /// was shown; not kept where all plants of a pool delivered what they sold (the pool says so)
    /// @param missingUntil by pool key: when a pool with missing plants may be paid
    /// @param meterUsed meter nullifiers, one bit for five minutes
    struct State {
        mapping(uint256 key => uint256) settled;
        mapping(uint256 key => ISettlement.Pool) pools;
        mapping(uint256 key => uint256) delivered;
        mapping(uint256 key => uint256) missingUntil;
        mapping(uint256 meterId => mapping(uint256 word => uint256)) meterUsed;
    }

    /// @notice Settlement's immutables, which a linked library cannot read itself.
    struct Wiring {
        IRegistry registry;
        ITreasury treasury;
        IDeliveryOracle oracle;
        IBundleMarket market;
        ICertificates certificates;
        bytes32 feedId;
        uint256 missingGrace;
    }

    function poolOf(State storage s, uint64 batchId, uint256 slot, uint256 zoneId, uint256 mode)
        internal
        view
        returns (ISettlement.Pool storage)
    {
        return s.pools[poolKey(batchId, slot, zoneId, mode)];
    }

    function poolKey(uint64 batchId, uint256 slot, uint256 zoneId, uint256 mode) internal pure returns (uint256) {
        return (uint256(batchId) << 64) | (slot << 32) | (zoneId << 1) | mode;
    }

    /// @param index zone * 2 + mode
    function setPool(
        State storage s,
        uint64 batchId,
        uint256 slot,
        uint256 index,
        ISettlement.Pool memory pool
    ) internal {
        s.pools[(uint256(batchId) << 64) | (slot << 32) | index] = pool;
    }

    function deliveredWh(State storage s, uint64 batchId, uint256 slot, uint256 index)
        internal
        view
        returns (uint256)
    {
        return Packed.get32(s.delivered[_deliveredKey(batchId, slot, index)], index & 7);
    }

    function setDelivered(State storage s, uint64 batchId, uint256 slot, uint256 index, uint256 wh) internal {
        uint256 key = _deliveredKey(batchId, slot, index);
        s.delivered[key] = Packed.set32(s.delivered[key], index & 7, wh);
    }

    function settledWord(State storage s, uint64 batchId, uint32 chunkIndex, uint256 word)
        internal
        view
        returns (uint256)
    {
        return s.settled[_chunkKey(batchId, chunkIndex, word)];
    }

    /// @notice Uses the nullifier of (batch, chunk, slot), once.
    function useSlot(State storage s, uint64 batchId, uint32 chunkIndex, uint16 slot) internal {
        uint256 key = _chunkKey(batchId, chunkIndex, slot >> 8);
        uint256 word = s.settled[key];
        uint256 bit = 1 << (slot & 0xff);
        require(word & bit == 0, ISettlement.AlreadySettled(batchId, chunkIndex, slot));

        s.settled[key] = word | bit;
    }

    /// @notice Uses the nullifier of a metered interval, once, in steps of five minutes, so that slots of any length
    /// exclude each other.
    function useMeter(State storage s, uint256 meterId, uint256 start, uint256 end) internal {
        for (uint256 step = start / METER_STEP; step < end / METER_STEP; ++step) {
            uint256 bit = 1 << (step & 0xff);
            uint256 word = s.meterUsed[meterId][step >> 8];
            require(word & bit == 0, ISettlement.MeterAlreadyUsed(meterId, step * METER_STEP));
            s.meterUsed[meterId][step >> 8] = word | bit;
        }
    }

    function _chunkKey(uint64 batchId, uint32 chunkIndex, uint256 word) private pure returns (uint256) {
        return (uint256(batchId) << 64) | (uint256(chunkIndex) << 32) | word;
    }

    function _deliveredKey(uint64 batchId, uint256 slot, uint256 index) private pure returns (uint256) {
        return (uint256(batchId) << 64) | (slot << 32) | (index >> 3);
    }
}
