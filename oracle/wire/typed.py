"""What committee members sign: EIP-712 hashes of reports, publications and device attestations."""

from __future__ import annotations

from dataclasses import dataclass, replace

from oracle.wire.errors import WireError
from oracle.wire.keys import keccak256

ORACLE_NAME = "BitWatt Oracle"
VERSION = "1"
TOTALS = 8

_DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
REPORT_TYPE = (
    "Report(bytes32 feedId,uint64 epoch,uint64 start,uint64 end,bytes32 root,uint32 count,uint64[8] totals,"
    "bytes32 outcomesRoot,bytes32 evidenceRoot,bytes32 policyHash,bytes32 archiveHash,bytes32 prevHash,"
    "bytes32 configDigest)"
)
PUBLICATION_TYPE = "Publication(uint64 start,bytes32 contentHash,bytes32 configDigest)"
DEVICE_ATTESTATION_TYPE = (
    "DeviceAttestation(uint32 meterId,uint8 assetKind,uint32 assetId,bytes32 x,bytes32 y,bytes32 measurement,"
    "uint64 attestedUntil,bytes32 evidenceHash,uint8 evidenceKind,bytes32 configDigest)"
)
_REPORT_TYPEHASH = keccak256(REPORT_TYPE.encode())
_PUBLICATION_TYPEHASH = keccak256(PUBLICATION_TYPE.encode())
_DEVICE_TYPEHASH = keccak256(DEVICE_ATTESTATION_TYPE.encode())


def uint_word(value: int, bits: int = 256, name: str = "value") -> bytes:
    """A 32-byte word; raises WireError when `value` does not fit in `bits`."""
    if not 0 <= value < 1 << bits:
        raise WireError(name, f"{value} does not fit in uint{bits}")
    return value.to_bytes(32, "big")


def word(value: bytes, name: str = "value") -> bytes:
    """`value` itself; raises WireError unless it has 32 bytes."""
    if len(value) != 32:
        raise WireError(name, f"{len(value)} bytes where 32 are due")
    return value


def feed_id(name: str) -> bytes:
    """keccak256("bitwatt/feed/" || name)."""
    return keccak256(f"bitwatt/feed/{name}".encode())


def domain_separator(chain_id: int, contract: str, name: str = ORACLE_NAME) -> bytes:
    """The EIP-712 domain separator of `name` at `contract` (0x address) on `chain_id`."""
    return keccak256(
        b"".join(
            (
                keccak256(_DOMAIN_TYPE.encode()),
                keccak256(name.encode()),
                keccak256(VERSION.encode()),
                uint_word(chain_id),
                bytes(12) + bytes.fromhex(contract.removeprefix("0x")),
            )
        )
    )


def digest(separator: bytes, struct_hash: bytes) -> bytes:
    """The 32 bytes a member signs."""
    return keccak256(b"\x19\x01" + separator + struct_hash)


@dataclass(frozen=True, slots=True)
class Report:
    """One epoch of one feed. `totals[kind]` is in Wh or resource-seconds; the hashes have 32 bytes."""

    feed_id: bytes
    epoch: int
    start: int
    end: int
    root: bytes
    count: int
    totals: tuple[int, ...]
    outcomes_root: bytes
    evidence_root: bytes
    policy_hash: bytes
    archive_hash: bytes
    prev_hash: bytes
    config_digest: bytes

    def struct_hash(self) -> bytes:
        """EIP-712 hashStruct; the next report's prevHash."""
        if len(self.totals) != TOTALS:
            raise WireError("report.totals", f"{len(self.totals)} numbers where {TOTALS} are due")
        totals = b"".join(uint_word(total, 64, "report.totals") for total in self.totals)
        return keccak256(
            b"".join(
                (
                    _REPORT_TYPEHASH,
                    word(self.feed_id, "report.feed_id"),
                    uint_word(self.epoch, 64, "report.epoch"),
                    uint_word(self.start, 64, "report.start"),
                    uint_word(self.end, 64, "report.end"),
                    word(self.root, "report.root"),
                    uint_word(self.count, 32, "report.count"),
                    keccak256(totals),
                    word(self.outcomes_root, "report.outcomes_root"),
                    word(self.evidence_root, "report.evidence_root"),
                    word(self.policy_hash, "report.policy_hash"),
                    word(self.archive_hash, "report.archive_hash"),
                    word(self.prev_hash, "report.prev_hash"),
                    word(self.config_digest, "report.config_digest"),
                )
            )
        )

    def abi_tuple(self) -> tuple[object, ...]:
        """The fields in order, as an ABI encoder takes the struct."""
        return (
            self.feed_id,
            self.epoch,
            self.start,
            self.end,
            self.root,
            self.count,
            list(self.totals),
            self.outcomes_root,
            self.evidence_root,
            self.policy_hash,
            self.archive_hash,
            self.prev_hash,
            self.config_digest,
        )

    def with_archive(self, archive_hash: bytes) -> Report:
        """The same report naming its archived bundle."""
        return replace(self, archive_hash=archive_hash)


@dataclass(frozen=True, slots=True)
class Publication:
    """What the committee publishes before a batch: `start` unix seconds, the hash of the carbon table."""

    start: int
    content_hash: bytes
    config_digest: bytes

    def struct_hash(self) -> bytes:
        """EIP-712 hashStruct."""
        return keccak256(
            _PUBLICATION_TYPEHASH
            + uint_word(self.start, 64, "publication.start")
            + word(self.content_hash, "publication.content_hash")
            + word(self.config_digest, "publication.config_digest")
        )

    def abi_tuple(self) -> tuple[object, ...]:
        """The fields in order."""
        return (self.start, self.content_hash, self.config_digest)


@dataclass(frozen=True, slots=True)
class DeviceAttestation:
    """A device key the committee vouches for until `attested_until` (unix seconds)."""

    meter_id: int
    asset_kind: int
    asset_id: int
    x: bytes
    y: bytes
    measurement: bytes
    attested_until: int
    evidence_hash: bytes
    evidence_kind: int
    config_digest: bytes

    def struct_hash(self) -> bytes:
        """EIP-712 hashStruct."""
        return keccak256(
            b"".join(
                (
                    _DEVICE_TYPEHASH,
                    uint_word(self.meter_id, 32, "device.meter_id"),
                    uint_word(self.asset_kind, 8, "device.asset_kind"),
                    uint_word(self.asset_id, 32, "device.asset_id"),
                    word(self.x, "device.x"),
                    word(self.y, "device.y"),
                    word(self.measurement, "device.measurement"),
                    uint_word(self.attested_until, 64, "device.attested_until"),
                    word(self.evidence_hash, "device.evidence_hash"),
                    uint_word(self.evidence_kind, 8, "device.evidence_kind"),
                    word(self.config_digest, "device.config_digest"),
                )
            )
        )

    def abi_tuple(self) -> tuple[object, ...]:
        """The fields in order."""
        return (
            self.meter_id,
            self.asset_kind,
            self.asset_id,
            self.x,
            self.y,
            self.measurement,
            self.attested_until,
            self.evidence_hash,
            self.evidence_kind,
            self.config_digest,
        )
