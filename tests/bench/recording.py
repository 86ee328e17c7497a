"""Writes what a chain would show (logs, transactions, views, by the published ABIs) and an archive."""

from __future__ import annotations

import hashlib
import struct
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eth_abi.abi import encode

from audit.abi import signature, type_of
from audit.eip712 import keccak
from tests.faults.world import ADDRESSES, BLOCK_0, ZERO, account

Json = dict[str, Any]


def plain(entry: Json, value: Any) -> Any:
    """Turns dicts into tuples in the order of an ABI entry, at any depth."""
    kind: str = entry["type"]
    if kind.endswith("]"):
        inner = {**entry, "type": kind[: kind.rindex("[")]}
        return [plain(inner, item) for item in value]
    if kind == "tuple":
        return tuple(plain(part, value[part["name"]]) for part in entry["components"])
    return value


@dataclass
class Day:
    """Collects logs, transactions, views and archived files."""

    root: Path
    abis: dict[str, list[Json]]
    logs: list[Json] = field(default_factory=list)
    transactions: dict[str, Json] = field(default_factory=dict)
    views: dict[tuple[str, str], str] = field(default_factory=dict)
    ledger: dict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    minted: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    retired: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    held: dict[tuple[str, int], int] = field(default_factory=lambda: defaultdict(int))
    credits: dict[tuple[str, int], int] = field(default_factory=lambda: defaultdict(int))
    block: int = 0
    time: int = BLOCK_0

    def __post_init__(self) -> None:
        self._entry = {
            (contract, entry["type"], entry["name"]): entry
            for contract, abi in self.abis.items()
            for entry in abi
            if entry["type"] in ("event", "function")
        }

    # --- plumbing -----------------------------------------------------------------
    def put(self, kind: str, content: bytes, extension: str) -> bytes:
        """Writes a file into the archive under its hash."""
        name = hashlib.sha256(content).digest()
        folder = self.root / kind
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name.hex()}.{extension}").write_bytes(content)
        return name

    def send(self, call: tuple[str, str, Json] | None, *emitted: tuple[str, str, Json]) -> None:
        """One transaction in a block of its own: its calldata and its logs."""
        self.block += 1
        self.time += 1
        tx = f"0x{self.block:064x}"
        place = {"blockNumber": hex(self.block), "transactionHash": tx, "blockTimestamp": hex(self.time)}
        for index, (contract, name, args) in enumerate(emitted):
            entry = self._entry[contract, "event", name]
            topics, kinds, values = ["0x" + keccak(signature(entry).encode()).hex()], [], []
            for part in entry["inputs"]:
                value = plain(part, args[part["name"]])
                if part["indexed"]:
                    topics.append("0x" + encode([type_of(part)], [value]).hex())
                else:
                    kinds.append(type_of(part))
                    values.append(value)
            log = {
                "address": ADDRESSES[contract],
                "topics": topics,
                "data": "0x" + encode(kinds, values).hex(),
            }
            self.logs.append({**place, **log, "logIndex": hex(index), "removed": False})
        if call is not None:
            contract, name, args = call
            data = self.calldata(contract, name, [args[p["name"]] for p in self.inputs(contract, name)])
            sent = {"from": account("driver"), "to": ADDRESSES[contract], "input": data, "hash": tx}
            self.transactions[tx] = {**sent, "blockNumber": hex(self.block)}

    def inputs(self, contract: str, name: str) -> list[Json]:
        """ABI inputs of a function."""
        return self._entry[contract, "function", name]["inputs"]

    def calldata(self, contract: str, name: str, values: list[Any]) -> str:
        """Encoded call."""
        entry = self._entry[contract, "function", name]
        kinds = [type_of(part) for part in entry["inputs"]]
        rows = [plain(part, value) for part, value in zip(entry["inputs"], values, strict=True)]
        return "0x" + (keccak(signature(entry).encode())[:4] + encode(kinds, rows)).hex()

    def view(self, contract: str, name: str, arguments: list[Any], *results: Any) -> None:
        """What a view answers."""
        outputs = self._entry[contract, "function", name]["outputs"]
        data = self.calldata(contract, name, arguments)
        self.views[ADDRESSES[contract], data] = "0x" + encode([type_of(o) for o in outputs], results).hex()

    def move(self, who: str, available: int, locked: int) -> None:
        """Keeps the ledger's view."""
        self.ledger[who][0] += available
        self.ledger[who][1] += locked

    def settled(self, rows: dict[tuple[str, int], list[int]]) -> tuple[str, str, Json]:
        """Treasury.Settled of (account, credit key) -> [available, locked, mg]."""
        packed = []
        for (who, key), (available, locked, mg) in rows.items():
            self.move(who, available, locked)
            if mg:
                self.credits[who, key] += mg
            packed.append(struct.pack(">20sqqQ", bytes.fromhex(who[2:]), available, locked, key << 40 | mg))
        return "Treasury", "Settled", {"entries": b"".join(packed)}

    def mint(self, who: str, number: int, amount: int) -> tuple[str, str, Json]:
        """Certificates minted to an account."""
        self.minted[number] += amount
        self.held[who, number] += amount
        args = {"operator": ADDRESSES["Settlement"], "from": ZERO, "to": who, "id": number, "value": amount}
        return "Certificates", "TransferSingle", args
