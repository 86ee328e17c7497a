// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC1155} from "@openzeppelin/contracts/token/ERC1155/ERC1155.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {ICertificates} from "./interfaces/ICertificates.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {CertificateId} from "./libraries/CertificateId.sol";

/// @title Certificates
/// @notice See ICertificates: the interface is the document.
contract Certificates is ICertificates, ERC1155, EIP712 {
    bytes32 private constant EXPORT =
        keccak256("Export(address account,uint256 id,bytes32 registry,bytes32 serial)");
    uint256 public constant override unitsPerExternal = 1_000_000;

    /// @dev 255..128 retired | 127..0 minted
    struct Supply {
        uint128 minted;
        uint128 retired;
    }

    address private immutable DEPLOYER;
    IRegistry private immutable REGISTRY;
    address private settlement;
    mapping(uint256 id => Supply) private supplies;
    mapping(uint256 id => mapping(address beneficiary => uint256)) public override retiredFor;
    mapping(bytes32 registry => mapping(bytes32 serial => bool)) public override serialUsed;

    constructor(address registry) ERC1155("") EIP712("BitWatt Certificates", "1") {
        DEPLOYER = msg.sender;
        REGISTRY = IRegistry(registry);
    }

    /// @inheritdoc ICertificates
    function wire(address settlement_) external {
        require(msg.sender == DEPLOYER, NotDeployer(msg.sender));
        require(settlement == address(0), AlreadyWired());

        settlement = settlement_;

        emit Wired(settlement_);
    }

    /// @inheritdoc ICertificates
    function mint(uint256 id, address[] calldata accounts, uint256[] calldata amounts) external {
        require(msg.sender == settlement, NotSettlement(msg.sender));
        require(accounts.length == amounts.length, LengthMismatch(accounts.length, amounts.length));

        uint256 total;
        for (uint256 i; i < accounts.length; ++i) {
            if (amounts[i] == 0) continue;
            total += amounts[i];
            _mintQuietly(accounts[i], id, amounts[i]);
        }

        _addMinted(id, total);
    }

    /// @inheritdoc ICertificates
    function issue(Issue[] calldata list, address beneficiary, bytes32 purposeHash) external {
        require(msg.sender == settlement, NotSettlement(msg.sender));

        for (uint256 i; i < list.length; ++i) {
            (uint256 id, uint256 minted, uint256 retired) = (list[i].id, list[i].minted, list[i].retired);
            _addMinted(id, minted + retired);
            if (minted != 0) _mintQuietly(list[i].account, id, minted);
            if (retired == 0) continue;
            _addRetired(id, retired, beneficiary);
            emit Retired(msg.sender, id, retired, beneficiary, purposeHash);
        }
    }

    /// @inheritdoc ICertificates
    function retire(uint256 id, uint256 amount, address beneficiary, bytes32 purposeHash) external {
        require(amount != 0, ZeroAmount());

        _burn(msg.sender, id, amount);
        _addRetired(id, amount, beneficiary);

        emit Retired(msg.sender, id, amount, beneficiary, purposeHash);
    }

    /// @inheritdoc ICertificates
    function exportUnits(uint256 id, bytes32 registry, bytes32 serial, bytes calldata confirmation) external {
        require(id >> 248 == CertificateId.CERTIFICATE, NotCertificate(id));
        require(!serialUsed[registry][serial], SerialUsed(registry, serial));
        (address signer,,) = ECDSA.tryRecoverCalldata(hashExport(msg.sender, id, registry, serial), confirmation);
        require(signer != address(0) && REGISTRY.isOperator(signer), NotConfirmed(signer));

        serialUsed[registry][serial] = true;
        _burn(msg.sender, id, unitsPerExternal);
        _addRetired(id, unitsPerExternal, msg.sender);

        emit Retired(msg.sender, id, unitsPerExternal, msg.sender, keccak256(abi.encode(registry, serial)));
        emit Exported(msg.sender, id, registry, serial, unitsPerExternal);
    }

    /// @dev Without the receiver callback: a receiver must not be able to stop a settlement.
    function _mintQuietly(address account, uint256 id, uint256 amount) private {
        uint256[] memory ids = new uint256[](1);
        uint256[] memory amounts = new uint256[](1);
        (ids[0], amounts[0]) = (id, amount);
        _update(address(0), account, ids, amounts);
    }

    function _addMinted(uint256 id, uint256 amount) private {
        uint256 minted = supplies[id].minted + amount;
        require(minted <= type(uint128).max, SupplyOverflow(id));
        supplies[id].minted = uint128(minted);
    }

    /// @dev retired <= minted < 2^128 because what is retired was minted before.
    function _addRetired(uint256 id, uint256 amount, address beneficiary) private {
        supplies[id].retired += uint128(amount);
        retiredFor[id][beneficiary] += amount;
    }

    /// @inheritdoc ICertificates
    function mintedOf(uint256 id) external view returns (uint256) {
        return supplies[id].minted;
    }

    /// @inheritdoc ICertificates
    function retiredOf(uint256 id) external view returns (uint256) {
        return supplies[id].retired;
    }

    /// @inheritdoc ICertificates
    function totalSupply(uint256 id) external view returns (uint256) {
        return supplies[id].minted - supplies[id].retired;
    }

    /// @inheritdoc ICertificates
    function hashExport(address account, uint256 id, bytes32 registry, bytes32 serial)
        public
        view
        returns (bytes32)
    {
        return _hashTypedDataV4(keccak256(abi.encode(EXPORT, account, id, registry, serial)));
    }

    /// @inheritdoc ICertificates
    function packId(uint8 kind, uint256 timestamp, uint256 zoneId, uint256 source, address issuer)
        external
        pure
        returns (uint256)
    {
        return CertificateId.pack(kind, timestamp, zoneId, source, issuer);
    }

    /// @inheritdoc ICertificates
    function unpackId(uint256 id)
        external
        pure
        returns (uint8 kind, uint256 yearMonth, uint256 zoneId, uint256 source, address issuer)
    {
        return CertificateId.unpack(id);
    }
}
