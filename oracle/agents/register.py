"""Registers the machines of a fleet with every node that is reached by HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx

from backend.chain.addressbook import load_book
from oracle.agents.fleet import Fleet, device_key
from oracle.agents.machine import describe, inventory
from oracle.wire.machine import Machine, sign_machine
from oracle.wire.reading import encode_envelope


def register_machines(
    fleet: Fleet, again: bool = False, seconds: float = 1.0
) -> Iterator[tuple[Machine, dict[str, str]]]:
    """(machine, {node: problem or ""}) for every workload device whose driver names a `machine`.

    A machine that every node knows by its class and devices is measured `again` only if asked for: a
    benchmark beside running jobs would say too little.
    """
    chain_id = load_book(fleet.book).chain_id
    nodes = [node for node in fleet.nodes if urlsplit(node).scheme in ("http", "https")]
    with httpx.Client(trust_env=False, timeout=30.0) as client:
        for device in fleet.of_role("workload"):
            if "machine" not in device.driver:
                continue
            name = str(device.driver["machine"].get("class", ""))
            if not again and nodes and all(_knows(client, node, device.meter_id, name) for node in nodes):
                continue
            machine = describe(device.driver["machine"], chain_id, device.meter_id, seconds)
            body = encode_envelope(sign_machine(device_key(fleet, device), machine))
            answers = {}
            for node in nodes:
                try:
                    answer = client.post(f"{node}/machines", content=body).json()
                    answers[node] = str(answer.get("problem", ""))
                except (httpx.HTTPError, ValueError) as error:
                    answers[node] = f"no answer ({error})"
            yield machine, answers


def _knows(client: httpx.Client, node: str, meter_id: int, compute_class: str) -> bool:
    """Whether a node lists this very machine under a meter."""
    due = (meter_id, compute_class, list(inventory()))
    try:
        rows = client.get(f"{node}/machines").json()
        return any((row["meter_id"], row["compute_class"], row["devices"]) == due for row in rows)
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return False
