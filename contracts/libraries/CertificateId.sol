// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Ids that carry their metadata
/// @notice 255..248 kind | 247..224 year * 100 + month, UTC | 223..208 zone | 207..200 source | 199..160 zero
///         | 159..0 issuer
library CertificateId {
    uint8 internal constant CERTIFICATE = 1;
    uint8 internal constant CREDIT = 2;

    function pack(uint8 kind, uint256 timestamp, uint256 zoneId, uint256 source, address issuer)
        internal
        pure
        returns (uint256)
    {
        return packMonth(kind, yearMonth(timestamp), zoneId, source, issuer);
    }

    /// @param month year * 100 + month
    function packMonth(uint8 kind, uint256 month, uint256 zoneId, uint256 source, address issuer)
        internal
        pure
        returns (uint256)
    {
        return (uint256(kind) << 248) | (month << 224) | (zoneId << 208) | (source << 200) | uint160(issuer);
    }

    /// @notice Months since January 1970, below 2^12 until 2311.
    function monthIndex(uint256 timestamp) internal pure returns (uint256) {
        uint256 month = yearMonth(timestamp);
        return (month / 100 - 1970) * 12 + month % 100 - 1;
    }

    /// @notice year * 100 + month of a month index.
    function monthOf(uint256 index) internal pure returns (uint256) {
        return (1970 + index / 12) * 100 + index % 12 + 1;
    }

    function unpack(uint256 id)
        internal
        pure
        returns (uint8 kind, uint256 month, uint256 zoneId, uint256 source, address issuer)
    {
        return (uint8(id >> 248), uint24(id >> 224), uint16(id >> 208), uint8(id >> 200), address(uint160(id)));
    }

    /// @notice year * 100 + month of a unix time, proleptic Gregorian. Days are counted from 0000-03-01, so that the
    /// leap day is the last of its year; 400 years have 146097 days, 5 months from March have 153.
    function yearMonth(uint256 timestamp) internal pure returns (uint256) {
        uint256 day = timestamp / 86_400 + 719_468;
        uint256 era = day / 146_097;
        uint256 dayOfEra = day % 146_097;
        uint256 yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365;
        uint256 dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100);
        uint256 fromMarch = (5 * dayOfYear + 2) / 153;
        uint256 month = fromMarch < 10 ? fromMarch + 3 : fromMarch - 9;
        uint256 year = era * 400 + yearOfEra + (month <= 2 ? 1 : 0);
        return year * 100 + month;
    }
}
