"""Reads the chain through one endpoint: every event, the calls behind them, views at the head."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from eth_abi.exceptions import DecodingError

from audit.abi import AbiMismatch, Call, Event, Interface
from audit.archive import parse_json
from audit.facts import Head
from audit.packed import spell_out, spell_out_call
from audit.rpc import Rpc, RpcError

NEEDED = ("Treasury", "Registry", "BundleMarket", "DeliveryOracle", "Settlement", "Certificates")
Step = Callable[[int], None]


class BookError(Exception):
    """The address book cannot be used: the field at fault, and what to give instead."""


@dataclass(frozen=True, slots=True)
class AddressBook:
    """Where the contracts are and what they understand."""

    chain_id: int
    deploy_block: int
    addresses: Mapping[str, str]
    interfaces: Mapping[str, Interface]


def read_book(content: bytes, source: str) -> AddressBook:
    """The book of a JSON file; raises BookError naming the field at fault."""
    document, problem = parse_json(content)
    if problem:
        raise BookError(f"{source}: {problem}; give the file that `bitwatt deploy` wrote")
    try:
        contracts = document["contracts"]
        addresses = {name: str(contracts[name]["address"]).lower() for name in contracts}
        interfaces = {name: Interface(name, contracts[name]["abi"]) for name in contracts}
        book = AddressBook(int(document["chain_id"]), int(document["deploy_block"]), addresses, interfaces)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BookError(f"{source}: field {error} is missing or malformed") from error
    for name in NEEDED:
        address = addresses.get(name, "")
        if len(address) != 42 or not address.startswith("0x") or not _is_hex(address[2:]):
            raise BookError(f"{source}: contracts.{name}.address is {address!r}, not an address")
    return book


def _is_hex(text: str) -> bool:
    return all(letter in "0123456789abcdef" for letter in text)


class Chain:
    """One deployment seen through one endpoint, pinned at a head block."""

    def __init__(self, rpc: Rpc, book: AddressBook) -> None:
        self.rpc = rpc
        self.book = book
        block = rpc.call("eth_getBlockByNumber", "latest", False)
        self.head = Head(int(block["number"], 16), int(block["timestamp"], 16))
        self.chain_id = int(rpc.call("eth_chainId"), 16)

    def code_sizes(self) -> dict[str, int]:
        """Bytes of code at each address of the book."""
        names = list(self.book.addresses)
        params = [[self.book.addresses[name], hex(self.head.number)] for name in names]
        codes = self.rpc.calls("eth_getCode", params)
        return {name: (len(code) - 2) // 2 for name, code in zip(names, codes, strict=True)}

    def events(self, step: Step | None = None) -> tuple[list[Event], list[str]]:
        """Every event of the book's contracts in chain order, and logs that do not fit the published ABIs."""
        by_address = {address: self.book.interfaces[name] for name, address in self.book.addresses.items()}
        found: list[Event] = []
        odd: list[str] = []
        logs = self.rpc.logs(list(by_address), self.book.deploy_block, self.head.number, step)
        for log in logs:
            interface = by_address.get(log["address"].lower())
            if interface is None or log.get("removed"):
                continue
            try:
                event = interface.event(log)
                if event is not None:
                    found += spell_out(event)
                    continue
                odd.append(f"{interface.name}: unknown event {log['topics'][:1]} in {log['transactionHash']}")
            except AbiMismatch as error:
                odd.append(str(error))
        return self._dated(found), odd

    def _dated(self, events: list[Event]) -> list[Event]:
        undated = sorted({event.block for event in events if not event.timestamp})
        if not undated:
            return events
        blocks = self.rpc.calls("eth_getBlockByNumber", [[hex(number), False] for number in undated])
        times = {number: int(block["timestamp"], 16) for number, block in zip(undated, blocks, strict=True)}
        return [
            event if event.timestamp else replace(event, timestamp=times[event.block]) for event in events
        ]

    def transactions(self, hashes: Sequence[str], step: Step | None = None) -> dict[str, Call]:
        """Decoded calls by transaction hash, without those not sent straight to a contract of the book."""
        by_address = {address: self.book.interfaces[name] for name, address in self.book.addresses.items()}
        unique = list(dict.fromkeys(hashes))
        found: dict[str, Call] = {}
        for tx in self.rpc.calls("eth_getTransactionByHash", [[item] for item in unique], step):
            interface = by_address.get((tx.get("to") or "").lower()) if isinstance(tx, dict) else None
            if interface is None:
                continue
            try:
                call = interface.call(tx)
                if call is not None:
                    found[call.tx] = spell_out_call(call)
            except AbiMismatch:
                continue
        return found

    def views(
        self, contract: str, function: str, arguments: Sequence[Sequence[Any]], block: int | None = None
    ) -> list[tuple[Any, ...] | None]:
        """Results of a view for many argument lists at `block` (default the head); None where refused."""
        interface, address = self.book.interfaces[contract], self.book.addresses[contract]
        if not interface.has(function):
            return [None] * len(arguments)
        at = hex(self.head.number if block is None else block)
        params = [[{"to": address, "data": interface.encode(function, *values)}, at] for values in arguments]
        results = []
        for answer in self.rpc.calls("eth_call", params, tolerate=True):
            try:
                results.append(None if isinstance(answer, RpcError) else interface.outputs(function, answer))
            except (DecodingError, ValueError, TypeError):  # no contract there, or another one
                results.append(None)
        return results

    def view(self, contract: str, function: str, *arguments: Any) -> Any:
        """The single result of a view at the head, or None where refused."""
        result = self.views(contract, function, [arguments])[0]
        return result[0] if result else None
