// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";

/// @title Registry
/// @notice See IRegistry: the interface is the document.
contract Registry is IRegistry, Ownable2Step {
    uint256 private constant DEV_CHAIN = 31337;
    uint8 private constant SITE_IMPORT = 0;
    uint8 private constant SITE_WORKLOAD = 1;
    uint8 private constant PLANT_METER = 2;

    /// @dev Sets a platform status apart from a measurement in `policyHash`.
    uint256 private constant STATUS_TAG = 256;
    uint256 private constant LONGEST_PAUSE = 3 days;
    uint256 private constant PAUSE_REST = 1 days;

    address private immutable DEPLOYER;
    uint256 public immutable override policyDelay;
    address private oracle;
    address public override guardian;
    uint64 public override batchesPausedUntil;
    bytes32 public override policyHash;
    mapping(address account => bool) public override isOperator;
    mapping(address account => bool) public override isSolver;
    mapping(uint16 zoneId => string) public override zoneName;
    mapping(uint16 classId => string) public override className;
    mapping(bytes32 measurement => mapping(uint8 evidenceKind => uint256)) public override measurementAllowedFrom;
    mapping(uint8 evidenceKind => mapping(bytes32 status => bool)) public override tcbStatusAllowed;
    mapping(uint32 siteId => Site) private sites;
    mapping(uint32 plantId => Plant) private plants;
    mapping(uint32 meterId => Device) private devices;
    mapping(uint32 meterId => mapping(bytes32 keyId => uint64)) private keyAttestedUntil;

    modifier onlyOperator() {
        require(isOperator[msg.sender], NotOperator(msg.sender));
        _;
    }

    constructor(address owner_, uint256 policyDelay_) Ownable(owner_) {
        DEPLOYER = msg.sender;
        policyDelay = policyDelay_;
    }

    /// @inheritdoc IRegistry
    function wire(address oracle_) external {
        require(msg.sender == DEPLOYER, NotDeployer(msg.sender));
        require(oracle == address(0), AlreadyWired());

        oracle = oracle_;
    }

    /// @inheritdoc IRegistry
    function setOperator(address account, bool allowed) external onlyOwner {
        isOperator[account] = allowed;

        emit OperatorSet(account, allowed);
    }

    /// @inheritdoc IRegistry
    function setSolver(address account, bool allowed) external onlyOwner {
        isSolver[account] = allowed;

        emit SolverSet(account, allowed);
    }

    /// @inheritdoc IRegistry
    function setGuardian(address account) external onlyOwner {
        guardian = account;

        emit GuardianSet(account);
    }

    /// @inheritdoc IRegistry
    function pauseBatches(uint256 duration) external {
        require(msg.sender == guardian, NotGuardian(msg.sender));
        require(duration != 0 && duration <= LONGEST_PAUSE, OutOfRange("duration", duration));
        uint256 allowedAt = batchesPausedUntil == 0 ? 0 : batchesPausedUntil + PAUSE_REST;
        require(block.timestamp >= allowedAt, PauseTooSoon(allowedAt));

        batchesPausedUntil = uint64(block.timestamp + duration);

        emit BatchesPaused(msg.sender, batchesPausedUntil);
    }

    /// @inheritdoc IRegistry
    function resumeBatches() external {
        require(msg.sender == guardian || msg.sender == owner(), NotGuardian(msg.sender));
        require(block.timestamp < batchesPausedUntil, NotPaused());

        batchesPausedUntil = uint64(block.timestamp);

        emit BatchesResumed(msg.sender);
    }

    /// @inheritdoc IRegistry
    function addZone(uint16 zoneId, string calldata name) external onlyOperator {
        require(zoneId < 64, OutOfRange("zoneId", zoneId));
        require(bytes(name).length != 0, OutOfRange("name", 0));
        require(bytes(zoneName[zoneId]).length == 0, AlreadyExists("zone", zoneId));

        zoneName[zoneId] = name;

        emit ZoneAdded(zoneId, name);
    }

    /// @inheritdoc IRegistry
    function addClass(uint16 classId, string calldata name) external onlyOperator {
        require(classId < 256, OutOfRange("classId", classId));
        require(bytes(name).length != 0, OutOfRange("name", 0));
        require(bytes(className[classId]).length == 0, AlreadyExists("class", classId));

        className[classId] = name;

        emit ClassAdded(classId, name);
    }

    /// @inheritdoc IRegistry
    function addSite(uint32 siteId, address owner_, uint16 zoneId, uint64 nameplateW) external onlyOperator {
        require(siteId != 0, OutOfRange("siteId", siteId));
        require(owner_ != address(0), OutOfRange("owner", 0));
        require(sites[siteId].owner == address(0), AlreadyExists("site", siteId));
        require(bytes(zoneName[zoneId]).length != 0, UnknownZone(zoneId));

        sites[siteId] = Site(owner_, zoneId, nameplateW);

        emit SiteAdded(siteId, owner_, zoneId, nameplateW);
    }

    /// @inheritdoc IRegistry
    function addPlant(
        uint32 plantId,
        address owner_,
        uint16 zoneId,
        uint8 source,
        uint48 nameplateW,
        uint16 emissionFactor
    ) external onlyOperator {
        require(plantId != 0, OutOfRange("plantId", plantId));
        require(owner_ != address(0), OutOfRange("owner", 0));
        require(source < 8, OutOfRange("source", source));
        require(plants[plantId].owner == address(0), AlreadyExists("plant", plantId));
        require(bytes(zoneName[zoneId]).length != 0, UnknownZone(zoneId));

        plants[plantId] = Plant(owner_, zoneId, source, emissionFactor, nameplateW);

        emit PlantAdded(plantId, owner_, zoneId, source, nameplateW, emissionFactor);
    }

    /// @inheritdoc IRegistry
    function setMeasurement(bytes32 measurement, uint8 evidenceKind, bool allowed) external onlyOperator {
        require(evidenceKind != 0 || block.chainid == DEV_CHAIN, SimulatedEvidence(block.chainid));

        bytes32 next = keccak256(abi.encode(policyHash, measurement, evidenceKind, allowed));

        policyHash = next;
        measurementAllowedFrom[measurement][evidenceKind] = allowed ? block.timestamp + policyDelay : 0;

        emit MeasurementSet(measurement, evidenceKind, allowed, next);
    }

    /// @inheritdoc IRegistry
    function setTcbStatus(uint8 evidenceKind, string calldata status, bool allowed) external onlyOperator {
        require(bytes(status).length != 0, OutOfRange("status", 0));
        bytes32 name = keccak256(bytes(status));

        bytes32 next = keccak256(abi.encode(policyHash, name, STATUS_TAG + evidenceKind, allowed));

        policyHash = next;
        tcbStatusAllowed[evidenceKind][name] = allowed;

        emit TcbStatusSet(evidenceKind, status, allowed, next);
    }

    /// @inheritdoc IRegistry
    function recordDevice(uint32 meterId, Device calldata record) external {
        require(msg.sender == oracle, NotOracle(msg.sender));
        require(meterId != 0, OutOfRange("meterId", meterId));
        require(_assetExists(record.assetKind, record.assetId), UnknownAsset(record.assetKind, record.assetId));
        require(record.evidenceKind != 0 || block.chainid == DEV_CHAIN, SimulatedEvidence(block.chainid));
        require(
            measurementAllowed(record.measurement, record.evidenceKind),
            MeasurementNotAllowed(record.measurement, record.evidenceKind)
        );
        require(record.attestedUntil > block.timestamp, AttestationExpired(meterId, record.attestedUntil));

        devices[meterId] = record;
        keyAttestedUntil[meterId][keccak256(abi.encodePacked(record.x, record.y))] = record.attestedUntil;

        emit DeviceRecorded(meterId, record);
    }

    function _assetExists(uint8 assetKind, uint32 assetId) private view returns (bool) {
        if (assetKind == SITE_IMPORT || assetKind == SITE_WORKLOAD) return sites[assetId].owner != address(0);
        return assetKind == PLANT_METER && plants[assetId].owner != address(0);
    }

    /// @inheritdoc IRegistry
    function measurementAllowed(bytes32 measurement, uint8 evidenceKind) public view returns (bool) {
        uint256 from = measurementAllowedFrom[measurement][evidenceKind];
        return from != 0 && block.timestamp >= from;
    }

    /// @inheritdoc IRegistry
    function wasAttested(uint32 meterId, bytes32 keyId, uint256 time) external view returns (bool) {
        return keyAttestedUntil[meterId][keyId] >= time;
    }

    /// @inheritdoc IRegistry
    function site(uint32 siteId) external view returns (Site memory) {
        return sites[siteId];
    }

    /// @inheritdoc IRegistry
    function plant(uint32 plantId) external view returns (Plant memory) {
        return plants[plantId];
    }

    /// @inheritdoc IRegistry
    function device(uint32 meterId) external view returns (Device memory) {
        return devices[meterId];
    }

    /// @inheritdoc IRegistry
    function meterBinding(uint32 meterId)
        external
        view
        returns (uint64 attestedUntil, uint32 assetId, uint8 assetKind, uint8 evidenceKind)
    {
        Device storage record = devices[meterId];
        return (record.attestedUntil, record.assetId, record.assetKind, record.evidenceKind);
    }
}
