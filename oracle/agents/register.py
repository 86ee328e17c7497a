"""Registers the machines of a fleet with every node that is reached by HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx

from backend.chain.addressbook import load_book
from oracle.agents.fleet import Fleet, device_key
from oracle.agents.machine import describe
from oracle.wire.machine import Machine, sign_machine
from oracle.wire.reading import encode_envelope


def register_machines(fleet: Fleet, seconds: float = 1.0) -> Iterator[tuple[Machine, dict[str, str]]]:
    """(machine, {node: problem or ""}) for every workload device whose driver names a `machine`."""
    chain_id = load_book(fleet.book).chain_id
    nodes = [node for node in fleet.nodes if urlsplit(node).scheme in ("http", "https")]
    with httpx.Client(trust_env=False, timeout=30.0) as client:
        for device in fleet.of_role("workload"):
            if "machine" not in device.driver:
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
