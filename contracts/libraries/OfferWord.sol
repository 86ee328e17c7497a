// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title A compute offer in two words
/// @notice a: 255..240 closeSlot | 239..224 openSlot | 223..208 capacity | 207..200 zone | 199..192 class
///            | 191..160 siteId | 159..0 maker
///         b: 95..64 energy Wh per VCU-slot | 63..0 ask micro per VCU-slot
library OfferWord {
    /// @dev Fields are range-checked by the caller.
    function packA(
        address offerMaker,
        uint256 siteId,
        uint256 class,
        uint256 zone,
        uint256 lanes,
        uint256 from,
        uint256 to
    ) internal pure returns (uint256) {
        return uint256(uint160(offerMaker)) | (siteId << 160) | (class << 192) | (zone << 200) | (lanes << 208)
            | (from << 224) | (to << 240);
    }

    function packB(uint256 askPrice, uint256 energyWh) internal pure returns (uint256) {
        return askPrice | (energyWh << 64);
    }

    function maker(uint256 a) internal pure returns (address) {
        return address(uint160(a));
    }

    function site(uint256 a) internal pure returns (uint256) {
        return uint32(a >> 160);
    }

    function classId(uint256 a) internal pure returns (uint256) {
        return uint8(a >> 192);
    }

    function zoneId(uint256 a) internal pure returns (uint256) {
        return uint8(a >> 200);
    }

    function capacity(uint256 a) internal pure returns (uint256) {
        return uint16(a >> 208);
    }

    function openSlot(uint256 a) internal pure returns (uint256) {
        return uint16(a >> 224);
    }

    function closeSlot(uint256 a) internal pure returns (uint256) {
        return a >> 240;
    }

    function ask(uint256 b) internal pure returns (uint256) {
        return uint64(b);
    }

    function energy(uint256 b) internal pure returns (uint256) {
        return uint32(b >> 64);
    }
}
