"""What else the committee signs: carbon tables before a batch, and device keys. Checked first, always."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from oracle.evidence.document import decode_document, kind_number
from oracle.evidence.verify import verify_device
from oracle.node.facts import PLANT
from oracle.node.machines import registered
from oracle.node.node import Node
from oracle.wire import cbor
from oracle.wire.errors import WireError
from oracle.wire.keys import sign_digest
from oracle.wire.machine import Machine
from oracle.wire.publication import decode_carbon_document
from oracle.wire.reading import decode_envelope
from oracle.wire.typed import DeviceAttestation, Publication, digest

MAX_ATTESTED_SECONDS = 31 * 86_400
MAX_NONCE_AGE_SECONDS = 86_400
MAX_PLAUSIBLE_G_PER_KWH = 2_000
ASSET_KINDS = (0, 1, 2)


class NotSigned(Exception):
    """A request this node does not put its name under, with the reason."""


# --- carbon tables ---------------------------------------------------------------
def publication(node: Node, body: bytes) -> tuple[Publication, bytes]:
    """(publication, signature) for a carbon document; raises NotSigned or WireError.

    One content per batch start, a whole batch ahead of chain time, with intensities a grid can have.
    """
    document = decode_carbon_document(body)
    worst = max(max(row) for row in document.grid_carbon)
    if worst > MAX_PLAUSIBLE_G_PER_KWH:
        raise NotSigned(f"{worst} g/kWh is above any grid's {MAX_PLAUSIBLE_G_PER_KWH}")
    content = document.content_hash()
    if document.start <= node.now and node.facts.published.get(document.start) != content:
        raise NotSigned(f"the batch of {document.start} has begun at chain time {node.now}")
    if document.start % document.slot_seconds:
        raise NotSigned(f"start {document.start} is no multiple of {document.slot_seconds} s")
    earlier = node.store.publication(document.start)
    if earlier not in (None, content):
        raise NotSigned(f"another table is signed already for the batch of {document.start}")
    node.store.keep_publication(document.start, content)
    node.archive.put("publication", body)
    made = Publication(document.start, content, node.committee.config_digest)
    return made, sign_digest(node.secret, digest(node.contract.separator, made.struct_hash()))


# --- devices ---------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class DeviceRequest:
    """A device's evidence document, its asset, and until when it wants to be attested (unix seconds)."""

    document: bytes
    asset_kind: int
    asset_id: int
    attested_until: int


def encode_device_requests(requests: list[DeviceRequest], collateral: bytes) -> bytes:
    """The body of POST /cosign/devices: requests that share one collateral file (empty: none)."""
    rows: list[cbor.Value] = [
        [item.document, item.asset_kind, item.asset_id, item.attested_until] for item in requests
    ]
    return cbor.encode([collateral, rows])


def decode_device_requests(body: bytes) -> tuple[list[DeviceRequest], bytes]:
    """Raises WireError."""
    match cbor.decode(body):
        case [bytes(collateral), list(rows)]:
            return [_request(row) for row in rows], collateral
    raise WireError("devices", "has not the shape of a request")


def _request(row: cbor.Value) -> DeviceRequest:
    match row:
        case [bytes(document), int(kind), int(asset), int(until)] if kind in ASSET_KINDS:
            return DeviceRequest(document, kind, asset, until)
    raise WireError("devices", "a row is not document, asset kind 0..2, asset id, attested until")


async def device(node: Node, request: DeviceRequest, collateral: bytes) -> tuple[DeviceAttestation, bytes]:
    """(attestation, signature) for a device; raises NotSigned or WireError.

    The evidence must be genuine now, bound to exactly this key and meter, fresh by its nonce (the hash of a
    block of the last day), and allowed by the policy on chain.
    """
    document = decode_document(request.document)
    known = node.facts.plants if request.asset_kind == PLANT else node.facts.sites
    if request.asset_id not in known:
        raise NotSigned(f"asset {request.asset_id} of kind {request.asset_kind} is not registered")
    mined = await asyncio.to_thread(node.contract.block_time, document.nonce)
    if mined is None or mined < node.now - MAX_NONCE_AGE_SECONDS:
        raise NotSigned(f"nonce 0x{document.nonce.hex()} is the hash of no block of the last day")
    policy = node.facts.policy(kind_number(document.kind))
    verdict = verify_device(document, collateral or None, node.now, node.chain_id, policy)
    if not (verdict.genuine and verdict.allowed):
        raise NotSigned(verdict.reason)
    if not policy.measurements:
        raise NotSigned(f"no measurement of kind {document.kind} is allowed on chain")
    latest = min(verdict.valid_until, node.now + MAX_ATTESTED_SECONDS)
    if not node.now < request.attested_until <= latest:
        raise NotSigned(f"attested until {request.attested_until} is not within ({node.now}, {latest}]")
    if collateral:
        node.archive.put("collateral", collateral)
    evidence_hash = node.archive.put("evidence", request.document)
    made = DeviceAttestation(
        document.meter_id,
        request.asset_kind,
        request.asset_id,
        document.x,
        document.y,
        verdict.measurement,
        request.attested_until,
        evidence_hash,
        kind_number(document.kind),
        node.committee.config_digest,
    )
    return made, sign_digest(node.secret, digest(node.contract.separator, made.struct_hash()))


# --- machines ---------------------------------------------------------------------
def machine(node: Node, body: bytes) -> Machine:
    """Keeps a machine's document (one envelope) until a report holds it; raises NotRegistered, WireError."""
    envelope = decode_envelope(body)
    found = registered(envelope, node.facts, node.chain_id, node.ledger.history)
    node.store.keep_machine(found.meter_id, found.measured_at, envelope)
    node.archive.put("machine", body)
    return found
