// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BundleMarket} from "../../../contracts/BundleMarket.sol";
import {Certificates} from "../../../contracts/Certificates.sol";
import {DeliveryOracle} from "../../../contracts/DeliveryOracle.sol";
import {DevToken} from "../../../contracts/DevToken.sol";
import {FlexMarket} from "../../../contracts/FlexMarket.sol";
import {PointsMarket} from "../../../contracts/PointsMarket.sol";
import {Registry} from "../../../contracts/Registry.sol";
import {Settlement} from "../../../contracts/Settlement.sol";
import {Treasury} from "../../../contracts/Treasury.sol";
import {IBundleMarket} from "../../../contracts/interfaces/IBundleMarket.sol";
import {ICertificates} from "../../../contracts/interfaces/ICertificates.sol";
import {IDeliveryOracle} from "../../../contracts/interfaces/IDeliveryOracle.sol";
import {IRegistry} from "../../../contracts/interfaces/IRegistry.sol";
import {ISettlement} from "../../../contracts/interfaces/ISettlement.sol";
import {ITreasury} from "../../../contracts/interfaces/ITreasury.sol";
import {Check} from "./Check.sol";

/// @title A deployed market with participants
/// @notice Two zones, two classes, four slots of 15 minutes. Zone 0: site 1, plants 11 (pv) and 12 (wind), grid 91.
/// Zone 1: site 2, plant 13 (hydro), grid 92. Meter of plant p is 100 + p.
abstract contract World is Check {
    uint64 internal constant START = 1_800_000_000;
    uint32 internal constant SLOT = 900;
    uint256 internal constant ZONES = 2;
    uint256 internal constant CLASSES = 2;
    uint256 internal constant SLOTS = 4;
    uint256 internal constant FUNDS = 1e15;
    uint256 internal constant BOND = 1_000e6;
    uint256 internal constant DISPUTE_BOND = 100e6;
    uint256 internal constant WINDOW = 900;
    uint256 internal constant COMMITTEE_DELAY = 7 days;
    uint256 internal constant REFUND_DELAY = 1 days;
    uint256 internal constant GRACE = 1 hours;
    bytes32 internal constant FEED = keccak256("bitwatt/feed/main");
    bytes32 internal constant CODE = keccak256("device code");

    address internal constant OWNER = address(0xA0);
    address internal constant OPERATOR = address(0xA1);
    address internal constant SOLVER = address(0xA2);
    address internal constant STRANGER = address(0xA3);
    address internal constant ARBITER = address(0xA4);

    uint256 internal constant SITE_KEY = 0x51; // sites 1 and 2: 0x52, 0x53
    uint256 internal constant PLANT_KEY = 0x70; // plant p: 0x70 + p
    uint256 internal constant BUYER_KEY = 0x158; // buyer i: 0x158 + i, their addresses ascend

    DevToken internal token;
    Registry internal registry;
    Treasury internal treasury;
    DeliveryOracle internal oracle;
    BundleMarket internal market;
    Certificates internal certificates;
    Settlement internal settlement;
    PointsMarket internal points;
    FlexMarket internal flex;

    uint256[] internal memberKeys;
    address[] internal accounts;
    uint32[5] internal plantIds = [uint32(11), 12, 91, 13, 92];

    function setUp() public virtual {
        vm.warp(START - 1 days);
        _deploy();
        _register();
        for (uint256 i; i < accounts.length; ++i) {
            _fund(accounts[i], FUNDS);
        }
        for (uint256 i; i < memberKeys.length; ++i) {
            address member = vm.addr(memberKeys[i]);
            _fund(member, FUNDS);
            vm.prank(member);
            oracle.postBond();
        }
        _attestMeters();
    }

    function _deploy() internal {
        address[] memory members = _makeMembers(4);
        token = new DevToken();
        registry = new Registry(OWNER, 0);
        treasury = new Treasury(address(token), 1 days);
        oracle = new DeliveryOracle(address(registry), address(treasury), members, 3, BOND, DISPUTE_BOND, WINDOW, COMMITTEE_DELAY);
        market = new BundleMarket(address(registry), address(treasury), address(oracle));
        certificates = new Certificates(address(registry));
        points = new PointsMarket(address(treasury), address(certificates));
        flex = new FlexMarket(address(registry), address(treasury), ARBITER, WINDOW, 1 hours, REFUND_DELAY);
        settlement = new Settlement(
            address(registry),
            address(treasury),
            address(oracle),
            address(market),
            address(certificates),
            FEED,
            REFUND_DELAY,
            GRACE
        );
        registry.wire(address(oracle));
        treasury.wire(_modules());
        certificates.wire(address(settlement));
    }

    /// @dev Who may post in the Treasury.
    function _modules() internal virtual returns (address[] memory list) {
        list = new address[](5);
        (list[0], list[1], list[2]) = (address(market), address(settlement), address(oracle));
        (list[3], list[4]) = (address(points), address(flex));
    }

    /// @dev Keys whose addresses ascend, as the oracle wants them.
    function _makeMembers(uint256 n) internal returns (address[] memory members) {
        members = new address[](n);
        for (uint256 i; i < n; ++i) {
            uint256 key = 0xC0 + i;
            memberKeys.push(key);
            for (uint256 j = i; j > 0 && vm.addr(memberKeys[j - 1]) > vm.addr(memberKeys[j]); --j) {
                (memberKeys[j - 1], memberKeys[j]) = (memberKeys[j], memberKeys[j - 1]);
            }
        }
        for (uint256 i; i < n; ++i) {
            members[i] = vm.addr(memberKeys[i]);
        }
    }

    function _register() internal {
        vm.startPrank(OWNER);
        registry.setOperator(OPERATOR, true);
        registry.setSolver(SOLVER, true);
        vm.stopPrank();
        vm.startPrank(OPERATOR);
        registry.addZone(0, "north");
        registry.addZone(1, "south");
        registry.addClass(0, "gpu-training");
        registry.addClass(1, "cpu");
        registry.addSite(1, siteOwner(1), 0, 100_000_000);
        registry.addSite(2, siteOwner(2), 1, 100_000_000);
        registry.addPlant(11, plantOwner(11), 0, 1, 50_000_000, 45);
        registry.addPlant(12, plantOwner(12), 0, 2, 50_000_000, 11);
        registry.addPlant(13, plantOwner(13), 1, 3, 50_000_000, 24);
        registry.addPlant(91, plantOwner(91), 0, 0, 1e12, 600);
        registry.addPlant(92, plantOwner(92), 1, 0, 1e12, 700);
        registry.setMeasurement(CODE, 0, true);
        vm.stopPrank();
        accounts.push(siteOwner(1));
        accounts.push(siteOwner(2));
        for (uint256 i; i < plantIds.length; ++i) {
            accounts.push(plantOwner(plantIds[i]));
        }
        for (uint256 i; i < 4; ++i) {
            accounts.push(buyer(i));
        }
        accounts.push(STRANGER);
    }

    function _attestMeters() internal {
        _attest(111, 2, 11);
        _attest(112, 2, 12);
        _attest(113, 2, 13);
    }

    function _attest(uint32 meterId, uint8 assetKind, uint32 assetId) internal {
        IDeliveryOracle.DeviceAttestation memory a = attestation(meterId, assetKind, assetId);
        oracle.attestDevice(a, memberSigs(attestationHash(a), 3));
    }

    function _fund(address account, uint256 amount) internal {
        token.mint(address(this), amount);
        token.approve(address(treasury), amount);
        treasury.deposit(account, amount);
    }

    // --- who is who

    function siteOwner(uint256 siteId) internal pure returns (address) {
        return vm.addr(SITE_KEY + siteId);
    }

    function plantOwner(uint256 plantId) internal pure returns (address) {
        return vm.addr(PLANT_KEY + plantId);
    }

    function buyer(uint256 i) internal pure returns (address) {
        return vm.addr(BUYER_KEY + i);
    }

    function available(address account) internal view returns (uint256 amount) {
        (amount,) = treasury.ledger(account);
    }

    function locked(address account) internal view returns (uint256 amount) {
        (, amount) = treasury.ledger(account);
    }

    /// @notice Sum of every ledger word of the world.
    function ledgerSum() internal view returns (uint256 sum) {
        for (uint256 i; i < accounts.length; ++i) {
            sum += available(accounts[i]) + locked(accounts[i]);
        }
        for (uint256 i; i < memberKeys.length; ++i) {
            address member = vm.addr(memberKeys[i]);
            sum += available(member) + locked(member);
        }
        sum += available(address(settlement)) + locked(address(settlement));
        sum += available(OWNER) + locked(OWNER);
    }

    // --- signatures

    function sign(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    function memberSigs(bytes32 structHash, uint256 count) internal view returns (bytes memory sigs) {
        bytes32 digest = oracleDigest(structHash);
        for (uint256 i; i < count; ++i) {
            sigs = bytes.concat(sigs, sign(memberKeys[i], digest));
        }
    }

    function domain(string memory name, address verifier) internal view returns (bytes32) {
        return keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256(bytes(name)),
                keccak256("1"),
                block.chainid,
                verifier
            )
        );
    }

    function oracleDigest(bytes32 structHash) internal view returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", domain("BitWatt Oracle", address(oracle)), structHash));
    }

    // --- messages of the committee

    function attestation(uint32 meterId, uint8 assetKind, uint32 assetId)
        internal
        view
        returns (IDeliveryOracle.DeviceAttestation memory a)
    {
        a.meterId = meterId;
        a.assetKind = assetKind;
        a.assetId = assetId;
        a.x = bytes32(uint256(meterId));
        a.y = bytes32(uint256(meterId) + 1);
        a.measurement = CODE;
        a.attestedUntil = START + 30 days;
        a.evidenceHash = keccak256(abi.encode(meterId));
        a.configDigest = oracle.configDigest();
    }

    function attestationHash(IDeliveryOracle.DeviceAttestation memory a) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                keccak256(
                    "DeviceAttestation(uint32 meterId,uint8 assetKind,uint32 assetId,bytes32 x,bytes32 y,bytes32 measurement,uint64 attestedUntil,bytes32 evidenceHash,uint8 evidenceKind,bytes32 configDigest)"
                ),
                a
            )
        );
    }

    function publicationHash(IDeliveryOracle.Publication memory p) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(keccak256("Publication(uint64 start,bytes32 contentHash,bytes32 configDigest)"), p)
        );
    }

    function rulingHash(IDeliveryOracle.Ruling memory r) internal pure returns (bytes32) {
        return
            keccak256(abi.encode(keccak256("Ruling(bytes32 feedId,uint64 start,bool upheld,bytes32 configDigest)"), r));
    }

    function nextReport(uint64 start, bytes32 root, uint32 count, bytes32 outcomesRoot)
        internal
        view
        returns (IDeliveryOracle.Report memory r)
    {
        IDeliveryOracle.Feed memory feed = oracle.feed(FEED);
        r.feedId = FEED;
        r.epoch = feed.nextEpoch;
        r.start = start;
        r.end = start + SLOT;
        r.root = root;
        r.count = count;
        r.outcomesRoot = outcomesRoot;
        r.policyHash = registry.policyHash();
        r.prevHash = feed.headHash;
        r.configDigest = oracle.configDigest();
    }

    /// @notice Warps past the end of the report and submits it with three signatures.
    function submit(IDeliveryOracle.Report memory r) internal {
        if (block.timestamp < r.end) vm.warp(r.end);
        oracle.submit(r, memberSigs(oracle.hashReport(r), 3));
    }
}
