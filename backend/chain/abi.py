"""Calls, results, events and custom errors by ABI; a revert becomes a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError

from backend.chain.errors import ChainError, FieldError
from backend.chain.keccak import checksum_address, hex0x, keccak

_STANDARD_ERRORS = (
    {"type": "error", "name": "Error", "inputs": [{"name": "message", "type": "string"}]},
    {"type": "error", "name": "Panic", "inputs": [{"name": "code", "type": "uint256"}]},
)
_PANICS = {
    0x01: "an assertion failed",
    0x11: "arithmetic overflow",
    0x12: "division by zero",
    0x32: "index out of range",
}


def abi_type(item: dict[str, Any]) -> str:
    """Canonical type of an ABI parameter; tuples are expanded."""
    kind: str = item["type"]
    if not kind.startswith("tuple"):
        return kind
    return "(" + ",".join(abi_type(part) for part in item["components"]) + ")" + kind[5:]


@dataclass(frozen=True, slots=True)
class Entry:
    """One function, event or error of an ABI."""

    name: str
    types: tuple[str, ...]
    names: tuple[str, ...]
    indexed: tuple[bool, ...]
    outputs: tuple[str, ...]

    @property
    def signature(self) -> str:
        """Such as `transfer(address,uint256)`."""
        return f"{self.name}({','.join(self.types)})"


@dataclass(frozen=True, slots=True)
class Event:
    """A decoded log: the event's name, its arguments by name, and where it stands."""

    name: str
    arguments: dict[str, Any]
    address: str
    block_number: int
    log_index: int


def _entry(item: dict[str, Any]) -> Entry:
    inputs = item.get("inputs", [])
    return Entry(
        item.get("name", ""),
        tuple(abi_type(part) for part in inputs),
        tuple(part.get("name") or f"arg{position}" for position, part in enumerate(inputs)),
        tuple(bool(part.get("indexed")) for part in inputs),
        tuple(abi_type(part) for part in item.get("outputs", [])),
    )


class Abi:
    """One contract's ABI, indexed for encoding and decoding."""

    def __init__(self, items: Iterable[dict[str, Any]]) -> None:
        self.items = list(items)

    def _select(self, kind: str) -> list[Entry]:
        return [_entry(item) for item in self.items if item["type"] == kind]

    @cached_property
    def functions(self) -> dict[str, Entry]:
        """Functions by name and by full signature; an overloaded name means its first."""
        table: dict[str, Entry] = {}
        for entry in self._select("function"):
            table.setdefault(entry.name, entry)
            table[entry.signature] = entry
        return table

    @cached_property
    def events(self) -> dict[bytes, Entry]:
        """Events by topic."""
        return {keccak(entry.signature.encode()): entry for entry in self._select("event")}

    @cached_property
    def errors(self) -> dict[bytes, Entry]:
        """Custom errors by selector."""
        return {keccak(entry.signature.encode())[:4]: entry for entry in self._select("error")}

    def function(self, name: str) -> Entry:
        """The function called `name` (or with that full signature); raises ChainError when there is none."""
        if name not in self.functions:
            raise ChainError(f"the contract has no function {name}: rebuild the artifacts with `make build`")
        return self.functions[name]

    def encode_call(self, name: str, arguments: Sequence[object]) -> bytes:
        """Call data; raises FieldError when the arguments do not fit the function."""
        entry = self.function(name)
        try:
            return keccak(entry.signature.encode())[:4] + encode(entry.types, list(arguments))
        except Exception as error:  # eth_abi has one error per type and no common base
            raise FieldError(entry.signature, arguments, f"the arguments do not fit: {error}") from error

    def encode_constructor(self, arguments: Sequence[object]) -> bytes:
        """Constructor arguments, to be appended to the creation code."""
        for entry in self._select("constructor"):
            return encode(entry.types, list(arguments))
        if arguments:
            raise FieldError("constructor", arguments, "this contract takes no constructor arguments")
        return b""

    def decode_result(self, name: str, data: bytes) -> Any:
        """A call's result: one value, or a tuple of several; addresses in checksum form."""
        entry = self.function(name)
        values = _clean(entry.outputs, decode(entry.outputs, data))
        return values[0] if len(values) == 1 else values

    def topic(self, event: str) -> bytes:
        """The first topic of the event called `event`."""
        for topic, entry in self.events.items():
            if entry.name == event:
                return topic
        raise ChainError(f"the contract has no event {event}: rebuild the artifacts with `make build`")

    def decode_log(self, log: dict[str, Any]) -> Event | None:
        """The event of a JSON-RPC log, or None when it is not one of this contract's."""
        topics = [bytes.fromhex(topic[2:]) for topic in log["topics"]]
        entry = self.events.get(topics[0]) if topics else None
        if entry is None:
            return None
        columns = list(zip(entry.names, entry.types, entry.indexed, strict=True))
        arguments: dict[str, Any] = {}
        for (name, kind, _), topic in zip([c for c in columns if c[2]], topics[1:], strict=False):
            static = not (kind in ("string", "bytes") or kind.endswith("]") or kind.startswith("("))
            arguments[name] = _decoded((kind,), topic)[0] if static else topic
        body = tuple(kind for _, kind, indexed in columns if not indexed)
        values = _decoded(body, bytes.fromhex(log["data"][2:]))
        arguments.update(zip([name for name, _, indexed in columns if not indexed], values, strict=True))
        return Event(
            entry.name,
            {name: arguments[name] for name in entry.names},
            checksum_address(log["address"]),
            int(log["blockNumber"], 16),
            int(log["logIndex"], 16),
        )


_STATIC = re.compile(r"^(address|bool|u?int\d+|bytes\d+)$")


@lru_cache(maxsize=65_536)
def _address(word: bytes) -> str:
    return checksum_address("0x" + word[12:].hex())


def _static(kind: str, word: bytes) -> Any:
    """The value of a static type in its 32-byte word."""
    if kind == "address":
        return _address(word)
    if kind == "bool":
        return word[31] == 1
    if kind.startswith("bytes"):
        return word[: int(kind[5:])]
    return int.from_bytes(word, signed=kind[0] == "i")


def _decoded(types: Sequence[str], data: bytes) -> tuple[Any, ...]:
    """Values of `types`; static ones are read off their words, which is what most events are made of."""
    if all(_STATIC.match(kind) for kind in types) and len(data) == 32 * len(types):
        return tuple(_static(kind, data[32 * n : 32 * n + 32]) for n, kind in enumerate(types))
    return _clean(types, decode(types, data))


def _clean(types: Sequence[str], values: Sequence[Any]) -> tuple[Any, ...]:
    """Values with addresses in checksum form, at top level and in flat arrays."""
    result: list[Any] = []
    for kind, value in zip(types, values, strict=True):
        if kind == "address":
            result.append(checksum_address(value))
        elif kind == "address[]":
            result.append(tuple(checksum_address(item) for item in value))
        else:
            result.append(value)
    return tuple(result)


def merge_errors(abis: Iterable[Abi]) -> dict[bytes, Entry]:
    """The custom errors of all contracts by selector, and Solidity's two standard ones."""
    table = Abi(_STANDARD_ERRORS).errors
    for abi in abis:
        table = {**table, **abi.errors}
    return table


def _words(name: str) -> str:
    """`InsufficientBalance` -> `insufficient balance`."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return split.replace("_", " ").strip().lower()


def _show(value: Any) -> str:
    if isinstance(value, bytes):
        return hex0x(value)
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(_show(part) for part in value) + "]"
    return str(value)


def explain_revert(data: bytes, errors: dict[bytes, Entry]) -> tuple[str, str, dict[str, object]]:
    """Revert data as (sentence, error name, arguments); an unknown error shows its selector."""
    entry = errors.get(data[:4])
    if not data:
        return "refused without a reason (out of gas, or a call to an address without code)", "", {}
    if entry is None:
        return f"refused with an unknown error {hex0x(data[:4])}", "", {}
    try:
        values = _clean(entry.types, decode(entry.types, data[4:]))
    except DecodingError:
        return f"{_words(entry.name)} (its arguments are malformed)", entry.name, {}
    arguments = dict(zip(entry.names, values, strict=True))
    if entry.name == "Error":
        return str(values[0]), "Error", arguments
    if entry.name == "Panic":
        return _PANICS.get(values[0], f"panic {values[0]:#x}"), "Panic", arguments
    detail = ", ".join(f"{_words(name)} {_show(value)}" for name, value in arguments.items())
    return _words(entry.name) + (f": {detail}" if detail else ""), entry.name, arguments
