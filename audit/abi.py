"""Events and calldata decoded with the published ABIs of the address book."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError

from audit.eip712 import keccak

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """One decoded log: which contract and event, its arguments by name, and where it stands on chain."""

    contract: str
    name: str
    args: dict[str, Any]
    block: int
    index: int
    tx: str
    timestamp: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """One decoded transaction to a contract: function name, arguments by name, sender and place."""

    contract: str
    name: str
    args: dict[str, Any]
    sender: str
    block: int
    tx: str


class AbiMismatch(Exception):
    """A log or a call does not fit the published ABI of its contract."""


def type_of(entry: Json) -> str:
    """The canonical type of an ABI parameter, tuples spelled out."""
    kind: str = entry["type"]
    if not kind.startswith("tuple"):
        return kind
    return "(" + ",".join(type_of(part) for part in entry["components"]) + ")" + kind[5:]


def signature(entry: Json) -> str:
    """Canonical signature of a function or event entry."""
    return entry["name"] + "(" + ",".join(type_of(part) for part in entry["inputs"]) + ")"


def name_values(entry: Json, value: Any) -> Any:
    """Turns decoded tuples into dicts by component name, at any depth; addresses stay lower-case text."""
    kind: str = entry["type"]
    if kind.endswith("]"):
        inner = {**entry, "type": kind[: kind.rindex("[")]}
        return tuple(name_values(inner, item) for item in value)
    if kind == "tuple":
        parts = entry["components"]
        return {part["name"]: name_values(part, item) for part, item in zip(parts, value, strict=True)}
    return value


@dataclass(slots=True)
class _Entry:
    entry: Json
    types: list[str] = field(default_factory=list)


class Interface:
    """The published interface of one contract."""

    def __init__(self, name: str, abi: list[Json]) -> None:
        self.name = name
        self._events: dict[str, tuple[Json, list[Json], list[Json]]] = {}
        self._functions: dict[bytes, _Entry] = {}
        self._by_name: dict[str, Json] = {}
        for entry in abi:
            if entry.get("type") == "event":
                topic = "0x" + keccak(signature(entry).encode()).hex()
                indexed = [part for part in entry["inputs"] if part["indexed"]]
                plain = [part for part in entry["inputs"] if not part["indexed"]]
                self._events[topic] = (entry, indexed, plain)
            elif entry.get("type") == "function":
                selector = keccak(signature(entry).encode())[:4]
                self._functions[selector] = _Entry(entry, [type_of(part) for part in entry["inputs"]])
                self._by_name[entry["name"]] = entry

    def event(self, log: Json) -> Event | None:
        """The decoded log, or None for an event this ABI does not know."""
        topics = log["topics"]
        found = self._events.get(topics[0]) if topics else None
        if found is None:
            return None
        entry, indexed, plain = found
        args: dict[str, Any] = {}
        try:
            for part, topic in zip(indexed, topics[1:], strict=True):
                kind = type_of(part)
                raw = bytes.fromhex(topic[2:])
                dynamic = kind in ("bytes", "string") or kind.endswith("]") or kind.startswith("(")
                args[part["name"]] = raw if dynamic else _decode([kind], raw)[0]
            values = _decode([type_of(part) for part in plain], bytes.fromhex(log["data"][2:]))
        except (DecodingError, ValueError) as error:
            raise AbiMismatch(f"{self.name}.{entry['name']} in {log['transactionHash']}: {error}") from error
        for part, value in zip(plain, values, strict=True):
            args[part["name"]] = name_values(part, value)
        place = int(log["blockNumber"], 16), int(log["logIndex"], 16)
        stamp = int(log.get("blockTimestamp") or "0x0", 16)
        return Event(self.name, entry["name"], args, *place, log["transactionHash"], stamp)

    def call(self, tx: Json) -> Call | None:
        """The decoded transaction, or None for a function this ABI does not know."""
        data = bytes.fromhex(tx["input"][2:])
        found = self._functions.get(data[:4])
        if found is None:
            return None
        try:
            values = _decode(found.types, data[4:])
        except (DecodingError, ValueError) as error:
            raise AbiMismatch(f"{self.name}.{found.entry['name']} in {tx['hash']}: {error}") from error
        inputs = found.entry["inputs"]
        args = {part["name"]: name_values(part, value) for part, value in zip(inputs, values, strict=True)}
        return Call(
            self.name, found.entry["name"], args, tx["from"].lower(), int(tx["blockNumber"], 16), tx["hash"]
        )

    def encode(self, function: str, *arguments: Any) -> str:
        """Calldata of a view call."""
        entry = self._by_name[function]
        types = [type_of(part) for part in entry["inputs"]]
        data = keccak(signature(entry).encode())[:4] + encode(types, list(arguments))
        return "0x" + data.hex()

    def outputs(self, function: str, data: str) -> tuple[Any, ...]:
        """Decoded results of a view call."""
        entry = self._by_name[function]
        outputs = entry["outputs"]
        values = _decode([type_of(part) for part in outputs], bytes.fromhex(data[2:]))
        return tuple(name_values(part, value) for part, value in zip(outputs, values, strict=True))

    def arity(self, function: str) -> int:
        """Number of arguments of a function."""
        return len(self._by_name[function]["inputs"])

    def has(self, function: str) -> bool:
        """Whether the ABI has a function of that name."""
        return function in self._by_name


_WORD = frozenset({"address", "bool", "bytes32", *(f"uint{bits}" for bits in range(8, 257, 8))})


def _decode(types: list[str], data: bytes) -> tuple[Any, ...]:
    """eth_abi, with a short cut for rows of plain words, which most events are."""
    if len(data) >= 32 * len(types) and all(kind in _WORD for kind in types):
        return tuple(_word(kind, data[32 * at : 32 * at + 32]) for at, kind in enumerate(types))
    return tuple(decode(types, data))


def _word(kind: str, raw: bytes) -> Any:
    if kind == "address":
        return "0x" + raw[12:].hex()
    if kind == "bytes32":
        return raw
    number = int.from_bytes(raw, "big")
    return bool(number) if kind == "bool" else number
