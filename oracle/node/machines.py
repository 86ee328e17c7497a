"""Machines that registered themselves: what a document must satisfy, and which ones a report takes. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from oracle.node.facts import SITE_WORKLOAD, Facts
from oracle.wire.bundle import MAX_MACHINES
from oracle.wire.errors import WireError
from oracle.wire.machine import Machine, decode_machine
from oracle.wire.memory import Memory
from oracle.wire.reading import Envelope


class NotRegistered(Exception):
    """A machine's document that does not count, with the reason."""


def registered(envelope: Envelope, facts: Facts, chain_id: int, known: Memory) -> Machine:
    """The machine in a document; raises NotRegistered or WireError.

    It must be signed by the workload device that is attested under its meter id, for this chain, and measured
    after the one that was reported last.
    """
    found = decode_machine(envelope.payload)
    device = facts.devices.get(found.meter_id)
    if device is None or device.asset_kind != SITE_WORKLOAD:
        raise NotRegistered(f"meter {found.meter_id} is no attested workload device")
    if not device.key.verify(envelope.payload, envelope.signature):
        raise NotRegistered("the document is not signed by that device")
    if found.chain_id != chain_id:
        raise NotRegistered(f"chain {found.chain_id} is another chain than {chain_id}")
    if found.measured_at <= known.measured_at(found.meter_id):
        raise NotRegistered(f"a machine measured at {known.measured_at(found.meter_id)} is reported already")
    return found


def reportable(
    envelopes: Iterable[Envelope], facts: Facts, chain_id: int, known: Memory
) -> tuple[Envelope, ...]:
    """Those documents that a report may hold, one for a meter."""
    good: dict[int, Envelope] = {}
    for envelope in envelopes:
        try:
            good[registered(envelope, facts, chain_id, known).meter_id] = envelope
        except (NotRegistered, WireError):
            continue  # its key was replaced since
    return tuple(list(good.values())[:MAX_MACHINES])
