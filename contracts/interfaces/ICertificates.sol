// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Wh certificates and gram credits (ERC-1155)
/// @notice The id carries the metadata (bits, high to low):
///   255..248 kind (1 certificate, unit 1 Wh; 2 avoided-emission credit, unit 1 g CO2e)
///   247..224 year * 100 + month of the slot start, UTC
///   223..208 zone   207..200 source (0 for credits)   199..160 zero   159..0 issuer (the Settlement)
/// Minted by Settlement only. Transferable until retired; retirement is final. Per id: supply = minted - retired.
/// Never: mints twice for one metered interval (Settlement holds the nullifier), un-retires, burns without a record.
interface ICertificates {
    event Retired(
        address indexed account, uint256 indexed id, uint256 amount, address indexed beneficiary, bytes32 purposeHash
    );
    event Wired(address settlement);

    error NotDeployer(address caller);
    error AlreadyWired();
    error NotSettlement(address caller);
    error ZeroAmount();
    error LengthMismatch(uint256 a, uint256 b);
    error SupplyOverflow(uint256 id);

    /// @notice Names the Settlement, once, by the deployer.
    function wire(address settlement) external;

    /// @notice Mints one id to several accounts; zero amounts are skipped. Settlement only. No receiver callback, so
    /// that no receiver can block a settlement.
    function mint(uint256 id, address[] calldata accounts, uint256[] calldata amounts) external;

    /// @notice Issues and retires in one step the Wh used by a batch. Settlement only.
    function mintRetired(uint256 id, uint256 amount, address beneficiary, bytes32 purposeHash) external;

    /// @notice Retires units of the caller for a beneficiary; final.
    function retire(uint256 id, uint256 amount, address beneficiary, bytes32 purposeHash) external;

    function mintedOf(uint256 id) external view returns (uint256);
    function retiredOf(uint256 id) external view returns (uint256);
    /// @notice Outstanding units: minted - retired.
    function totalSupply(uint256 id) external view returns (uint256);
    /// @notice Units retired for a beneficiary.
    function retiredFor(uint256 id, address beneficiary) external view returns (uint256);
    function packId(uint8 kind, uint256 timestamp, uint256 zoneId, uint256 source, address issuer)
        external
        pure
        returns (uint256 id);
    function unpackId(uint256 id)
        external
        pure
        returns (uint8 kind, uint256 yearMonth, uint256 zoneId, uint256 source, address issuer);
}
