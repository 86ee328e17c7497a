"""Asking the committee to sign carbon tables and device keys, for whoever then sends the transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from backend.chain.addressbook import load_book
from backend.chain.errors import ChainError
from backend.chain.rpc import Rpc
from oracle.agents.fleet import Fleet, FleetDevice, device_key
from oracle.evidence import dev_root
from oracle.evidence.document import kind_number
from oracle.evidence.simulated import attest
from oracle.node.chain import OracleContract
from oracle.node.consensus import Committee, tally
from oracle.node.cosign import DeviceRequest, encode_device_requests
from oracle.wire.publication import decode_carbon_document
from oracle.wire.typed import DeviceAttestation, Publication, digest

_SECONDS = 60.0
_DEVICES_AT_ONCE = 64


class QuorumMissing(ChainError):
    """Too few members signed; the message holds what each of them answered."""


@dataclass(frozen=True, slots=True)
class SignedPublication:
    """What `DeliveryOracle.publish` takes."""

    publication: Publication
    signatures: bytes


@dataclass(frozen=True, slots=True)
class SignedDevice:
    """What `DeliveryOracle.attestDevice` takes."""

    attestation: DeviceAttestation
    signatures: bytes


class CommitteeClient:
    """The committee of an address book, reached by the URLs of its nodes."""

    def __init__(self, book: Path, rpc: str, nodes: Sequence[str]) -> None:
        self._book, self._rpc = load_book(book), Rpc(rpc)
        self._contract = OracleContract(self._rpc, self._book, bytes(31) + b"\1")
        self._nodes = [url.rstrip("/") for url in nodes]
        self.committee: Committee = self._contract.committee(bytes(32))
        self._bonded = self.committee

    def publication(self, document: bytes) -> SignedPublication:
        """A quorum's signatures under a carbon document (CarbonDocument.encode()); raises QuorumMissing."""
        table = decode_carbon_document(document)
        made = Publication(table.start, table.content_hash(), self.committee.config_digest)
        answers = self._ask("/cosign/publication", document)
        return SignedPublication(made, self._join(made.struct_hash(), answers))

    def devices(
        self, requests: Sequence[tuple[DeviceRequest, DeviceAttestation]], collateral: bytes
    ) -> list[SignedDevice]:
        """A quorum's signatures under each device; raises QuorumMissing for the first that lacks it."""
        signed: list[SignedDevice] = []
        for first in range(0, len(requests), _DEVICES_AT_ONCE):
            part = requests[first : first + _DEVICES_AT_ONCE]
            answers = self._ask(
                "/cosign/devices", encode_device_requests([item for item, _ in part], collateral)
            )
            for position, (_, attestation) in enumerate(part):
                mine = {url: _result(answer, position) for url, answer in answers.items()}
                joined = self._join(attestation.struct_hash(), mine)
                signed.append(SignedDevice(attestation, joined))
        return signed

    def enrol(
        self, fleet: Fleet, attested_until: int, devices: Sequence[FleetDevice] | None = None
    ) -> list[SignedDevice]:
        """Makes the keys and simulated evidence of a fleet's devices and has them co-signed."""
        block = self._rpc.call("eth_getBlockByNumber", "latest", False)
        nonce, now = bytes.fromhex(block["hash"][2:]), int(block["timestamp"], 16)
        collateral = dev_root.collateral(now - now % 86_400)
        requests = []
        for device in devices if devices is not None else fleet.devices:
            key = device_key(fleet, device).public
            document = attest(device.role, key, device.meter_id, nonce, collateral, self._book.chain_id)
            attestation = DeviceAttestation(
                device.meter_id,
                device.asset_kind,
                device.asset_id,
                key.x,
                key.y,
                dev_root.MEASUREMENTS[device.role],
                attested_until,
                document.hash(),
                kind_number(document.kind),
                self.committee.config_digest,
            )
            request = DeviceRequest(document.encode(), device.asset_kind, device.asset_id, attested_until)
            requests.append((request, attestation))
        return self.devices(requests, collateral)

    def _ask(self, path: str, body: bytes) -> dict[str, Any]:
        self._bonded = self.committee.without(self._contract.unbonded(self.committee.members))
        answers: dict[str, Any] = {}
        with httpx.Client(trust_env=False, timeout=_SECONDS) as client:
            for url in self._nodes:
                try:
                    answers[url] = client.post(url + path, content=body).json()
                except (httpx.HTTPError, ValueError) as error:
                    answers[url] = {"problem": f"no answer ({error})"}
        return answers

    def _join(self, struct_hash: bytes, answers: Mapping[str, Any]) -> bytes:
        signatures, problems = [], []
        for url, answer in answers.items():
            if "signature" in answer:
                signatures.append(bytes.fromhex(answer["signature"][2:]))
            else:
                problems.append(f"{url}: {answer.get('problem')}")
        due = digest(self._contract.separator, struct_hash)
        joined = tally(self._bonded, due, signatures)
        if joined is None:
            raise QuorumMissing(f"fewer than {self.committee.quorum} members signed: {'; '.join(problems)}")
        return joined


def _result(answer: Mapping[str, Any], position: int) -> Mapping[str, Any]:
    """A node's answer to one of several requests."""
    results = answer.get("results")
    return results[position] if results is not None else answer
