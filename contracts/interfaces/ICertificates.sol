// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Wh certificates and gram credits (ERC-1155)
/// @notice The id carries the metadata (bits, high to low):
///   255..248 kind (1 certificate, unit 1 Wh; 2 avoided-emission credit, unit 1 g CO2e)
///   247..224 year * 100 + month of the slot start, UTC
///   223..208 zone   207..200 source (0 for credits)   199..160 zero   159..0 issuer (the Settlement)
/// Minted by Settlement only. Units of one id are alike: any part can be transferred on its own and keeps the id, which
/// is its history (month, zone, source, issuer). Transferable until retired; retirement is final. Per id: supply =
/// minted - retired.
/// Two nullifiers keep one Wh from two uses: (meter, interval) in Settlement before minting, and here the serial of an
/// external registry: whoever has units entered there retires them here, once a serial. A Chinese green electricity
/// certificate (GEC) is 1,000 kWh, exactly 1,000,000 units.
/// Powers of an operator of the Registry: confirm by signature that a serial belongs to an account. Nothing else.
/// Never: mints twice for one metered interval, un-retires, burns without a record, uses a serial twice.
interface ICertificates {
    struct Issue {
        uint256 id;
        address account;
        uint128 minted;
        uint128 retired;
    }

    event Retired(
        address indexed account, uint256 indexed id, uint256 amount, address indexed beneficiary, bytes32 purposeHash
    );
    /// @param registry keccak256 of the registry's name; @param serial keccak256 of the serial's text
    event Exported(
        address indexed account, uint256 indexed id, bytes32 indexed registry, bytes32 serial, uint256 amount
    );
    event Wired(address settlement);

    error NotDeployer(address caller);
    error AlreadyWired();
    error NotSettlement(address caller);
    error ZeroAmount();
    error LengthMismatch(uint256 a, uint256 b);
    error SupplyOverflow(uint256 id);
    error NotCertificate(uint256 id);
    error SerialUsed(bytes32 registry, bytes32 serial);
    error NotConfirmed(address signer);

    /// @notice Names the Settlement, once, by the deployer.
    function wire(address settlement) external;

    /// @notice Mints one id to several accounts; zero amounts are skipped. Settlement only. No receiver callback, so
    /// that no receiver can block a settlement.
    function mint(uint256 id, address[] calldata accounts, uint256[] calldata amounts) external;

    /// @notice Issues certificates of many plants: the Wh that a batch used are retired for `beneficiary` as they are
    /// minted, the rest goes to the plant's owner. Settlement only, no receiver callback.
    function issue(Issue[] calldata list, address beneficiary, bytes32 purposeHash) external;

    /// @notice Retires units of the caller for a beneficiary; final.
    function retire(uint256 id, uint256 amount, address beneficiary, bytes32 purposeHash) external;

    /// @notice Retires one external certificate's worth of units (1,000,000) of the caller under its serial, so that
    /// they live on in the other registry only.
    /// @param confirmation 65-byte signature of an operator over the EIP-712 message
    /// `Export(address account,uint256 id,bytes32 registry,bytes32 serial)` of this contract
    function exportUnits(uint256 id, bytes32 registry, bytes32 serial, bytes calldata confirmation) external;

    /// @notice Units of one external certificate: 1,000,000.
    function unitsPerExternal() external pure returns (uint256);
    /// @notice Whether a serial of an external registry was used; never unset.
    function serialUsed(bytes32 registry, bytes32 serial) external view returns (bool);
    function hashExport(address account, uint256 id, bytes32 registry, bytes32 serial)
        external
        view
        returns (bytes32 digest);
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
