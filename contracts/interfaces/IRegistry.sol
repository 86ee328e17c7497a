// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Participants, assets and devices
/// @notice Zones, compute classes, sites, plants, measuring devices, the measurement policy and the two roles.
/// Powers of the owner (two-step transfer): name operators, solvers and the guardian; announce a committee (see
/// IDeliveryOracle); end a pause. Powers of an operator: add zones, classes, sites and plants; forbid a measurement at
/// once, allow one after `policyDelay` seconds. Powers of the guardian: stop NEW batches for at most three days, which
/// ends by itself; a day must pass before the next stop. It cannot touch a batch that is open, settlement, withdrawal or
/// retirement. Devices are written by the DeliveryOracle only.
/// Never: moves money, changes the owner account of an asset, edits a nameplate.
/// Assumes for safety: operators checked who owns an asset and its nameplate before adding it.
interface IRegistry {
    struct Site {
        address owner;
        uint16 zoneId;
        uint64 nameplateW;
    }

    /// @param source 0 grid, 1 pv, 2 wind, 3 hydro, 4 nuclear, 5 biomass, 6 geothermal, 7 other
    /// @param emissionFactor life-cycle g CO2e per kWh
    struct Plant {
        address owner;
        uint16 zoneId;
        uint8 source;
        uint16 emissionFactor;
        uint48 nameplateW;
    }

    /// @param assetKind 0 site import meter, 1 site workload agent, 2 plant meter
    /// @param evidenceKind 0 simulated (dev chains only), 1 Intel TDX, 2 Intel SGX, 3 AMD SEV-SNP, 4 AWS Nitro, 5 NVIDIA
    struct Device {
        bytes32 x;
        bytes32 y;
        bytes32 measurement;
        bytes32 evidenceHash;
        uint64 attestedUntil;
        uint32 assetId;
        uint8 assetKind;
        uint8 evidenceKind;
    }

    event ZoneAdded(uint16 indexed zoneId, string name);
    event ClassAdded(uint16 indexed classId, string name);
    event SiteAdded(uint32 indexed siteId, address indexed owner, uint16 zoneId, uint64 nameplateW);
    event PlantAdded(
        uint32 indexed plantId,
        address indexed owner,
        uint16 zoneId,
        uint8 source,
        uint48 nameplateW,
        uint16 emissionFactor
    );
    event DeviceRecorded(uint32 indexed meterId, Device device);
    event MeasurementSet(bytes32 indexed measurement, uint8 evidenceKind, bool allowed, bytes32 policyHash);
    event TcbStatusSet(uint8 indexed evidenceKind, string status, bool allowed, bytes32 policyHash);
    event OperatorSet(address indexed account, bool allowed);
    event SolverSet(address indexed account, bool allowed);
    event GuardianSet(address indexed account);
    event BatchesPaused(address indexed guardian, uint64 until);
    event BatchesResumed(address indexed caller);

    error NotDeployer(address caller);
    error AlreadyWired();
    error NotOperator(address caller);
    error NotOracle(address caller);
    error NotGuardian(address caller);
    error PauseTooSoon(uint256 allowedAt);
    error NotPaused();
    error AlreadyExists(bytes32 what, uint256 id);
    error OutOfRange(bytes32 what, uint256 value);
    error UnknownZone(uint256 zoneId);
    error UnknownAsset(uint256 assetKind, uint256 assetId);
    error SimulatedEvidence(uint256 chainId);
    error MeasurementNotAllowed(bytes32 measurement, uint256 evidenceKind);
    error AttestationExpired(uint32 meterId, uint256 attestedUntil);

    /// @notice Names the oracle that may record devices, once, by the deployer.
    function wire(address oracle) external;

    function setOperator(address account, bool allowed) external;
    function setSolver(address account, bool allowed) external;
    /// @notice Names the guardian; zero for none. Owner only.
    function setGuardian(address account) external;
    /// @notice Stops new batches for `duration` seconds, at most three days. Guardian only; not again before a day has
    /// passed since the last stop ended.
    function pauseBatches(uint256 duration) external;
    /// @notice Ends a stop early. Guardian or owner.
    function resumeBatches() external;

    /// @param zoneId 0..63
    function addZone(uint16 zoneId, string calldata name) external;
    /// @param classId 0..255
    function addClass(uint16 classId, string calldata name) external;
    /// @param siteId nonzero
    function addSite(uint32 siteId, address owner, uint16 zoneId, uint64 nameplateW) external;
    /// @param plantId nonzero; the grid of a zone is a plant of source 0
    function addPlant(
        uint32 plantId,
        address owner,
        uint16 zoneId,
        uint8 source,
        uint48 nameplateW,
        uint16 emissionFactor
    ) external;

    /// @notice Allows device code from `policyDelay` seconds on, or forbids it at once. Simulated evidence (kind 0) is refused off chain id 31337.
    function setMeasurement(bytes32 measurement, uint8 evidenceKind, bool allowed) external;

    /// @notice Allows or forbids a platform status that a vendor's collateral states ("UpToDate", "SWHardeningNeeded"...).
    /// As soon as one is allowed for a kind of evidence, the committee signs only devices whose quote has an allowed one;
    /// with none allowed the committee's own minimum holds. Quotes are not verified on chain: what binds the committee is
    /// that each report carries `policyHash`, and that anyone can verify the archived quotes again.
    function setTcbStatus(uint8 evidenceKind, string calldata status, bool allowed) external;

    /// @notice Writes what the committee attested. Oracle only; checks policy, asset and expiry.
    function recordDevice(uint32 meterId, Device calldata device) external;

    function site(uint32 siteId) external view returns (Site memory);
    function plant(uint32 plantId) external view returns (Plant memory);
    function device(uint32 meterId) external view returns (Device memory);
    /// @notice The cheap half of a device: what settlement needs. attestedUntil is 0 for an unknown meter.
    function meterBinding(uint32 meterId)
        external
        view
        returns (uint64 attestedUntil, uint32 assetId, uint8 assetKind, uint8 evidenceKind);
    /// @notice Name of a zone, empty if unknown.
    function zoneName(uint16 zoneId) external view returns (string memory);
    function className(uint16 classId) external view returns (string memory);
    function isOperator(address account) external view returns (bool);
    function isSolver(address account) external view returns (bool);
    function guardian() external view returns (address);
    /// @notice Unix seconds; no batch opens before.
    function batchesPausedUntil() external view returns (uint64);
    /// @notice Seconds between allowing device code and its use.
    function policyDelay() external view returns (uint256);
    /// @notice Whether device code is allowed now.
    function measurementAllowed(bytes32 measurement, uint8 evidenceKind) external view returns (bool);
    /// @notice Unix seconds from which on it is allowed, zero if it is not.
    function measurementAllowedFrom(bytes32 measurement, uint8 evidenceKind) external view returns (uint256);
    /// @notice Whether this key of a meter was attested for `time`; keys that were replaced are remembered.
    function wasAttested(uint32 meterId, bytes32 keyId, uint256 time) external view returns (bool);
    /// @notice Whether a platform status is on the list of a kind of evidence; `status` is keccak256 of its name.
    function tcbStatusAllowed(uint8 evidenceKind, bytes32 status) external view returns (bool);
    /// @notice Hash chain over every policy change: keccak256(abi.encode(previous, measurement, evidenceKind, allowed)),
    /// for a platform status keccak256(abi.encode(previous, keccak256(status), 256 + evidenceKind, allowed)); zero before
    /// the first. Reports carry it, so that a report names the policy it was made under.
    function policyHash() external view returns (bytes32);
}
