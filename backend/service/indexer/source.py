"""Blocks, events and the calldata behind them, read from a node so that one answer is one chain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from eth_abi.abi import decode

from backend.chain.addressbook import AddressBook
from backend.chain.errors import RpcError
from backend.chain.keccak import keccak
from backend.chain.rpc import Rpc

CONTRACTS = ("Registry", "Treasury", "DeliveryOracle", "BundleMarket", "Certificates", "Settlement")
OPTIONAL = ("PointsMarket", "FlexMarket")
"""Contracts that a deployment may lack."""
_WITH_CALLDATA = frozenset({"ComputeOfferAdded", "PowerOfferAdded", "ChunkCleared"})
_BATCH = 200


class Moved(Exception):
    """The chain changed while it was being read; read again."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block's place in the chain; `timestamp` in unix seconds."""

    number: int
    hash: str
    parent_hash: str
    timestamp: int


@dataclass(frozen=True, slots=True)
class Log:
    """A decoded contract event. `call` is the decoded market function that emitted it, where it was
    called directly.
    """

    contract: str
    name: str
    arguments: dict[str, Any]
    block: Block
    log_index: int
    tx_hash: str
    call: Call | None = None
    code: bytes | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A market function's arguments by position."""

    function: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Slice:
    """Everything in blocks [first, last]: the events in order, and the blocks worth remembering."""

    last: int
    logs: list[Log]
    blocks: list[Block] = field(default_factory=list)


def _block(answer: dict[str, Any]) -> Block:
    return Block(
        int(answer["number"], 16),
        answer["hash"].lower(),
        answer["parentHash"].lower(),
        int(answer["timestamp"], 16),
    )


class Source:
    """Reads one deployment's events from one node."""

    def __init__(self, rpc: Rpc, book: AddressBook) -> None:
        self._rpc = rpc
        self._book = book
        names = [*CONTRACTS, *(name for name in OPTIONAL if name in book.contracts)]
        self._by_address = {book[name].address.lower(): book[name] for name in names}
        market = book["BundleMarket"].abi
        self._functions = {
            keccak(market.function(name).signature.encode())[:4]: market.function(name)
            for name in ("addComputeOffers", "addPowerOffers", "clearChunk")
        }

    @property
    def first_block(self) -> int:
        """The block from which there can be events."""
        return self._book.deploy_block

    def head(self) -> int:
        """Number of the latest block."""
        return self._rpc.block_number()

    def blocks(self, numbers: Sequence[int]) -> dict[int, Block]:
        """Blocks by number; one that is not there is left out."""
        found: dict[int, Block] = {}
        for at in range(0, len(numbers), _BATCH):
            requests = [
                ("eth_getBlockByNumber", (hex(number), False)) for number in numbers[at : at + _BATCH]
            ]
            for answer in self._many(requests):
                if answer:
                    block = _block(answer)
                    found[block.number] = block
        return found

    def read(self, first: int, last: int, tail: int) -> Slice:
        """Blocks [first, last] with their events, remembering the last `tail` blocks; Moved when they
        changed.
        """
        raw = self._rpc.logs([contract.address for contract in self._by_address.values()], [], first, last)
        with_logs = {int(log["blockNumber"], 16) for log in raw}
        blocks = self.blocks(sorted(with_logs | set(range(max(first, last - tail + 1), last + 1))))
        for log in raw:
            block = blocks.get(int(log["blockNumber"], 16))
            if block is None or block.hash != log["blockHash"].lower():
                raise Moved
        if last not in blocks:
            raise Moved
        logs = self._decoded(raw, blocks)
        again = self.blocks([last])
        if last not in again or again[last].hash != blocks[last].hash:
            raise Moved
        return Slice(last, logs, [blocks[number] for number in sorted(blocks) if number > last - tail])

    def _decoded(self, raw: Sequence[dict[str, Any]], blocks: dict[int, Block]) -> list[Log]:
        logs: list[Log] = []
        for item in raw:
            contract = self._by_address[item["address"].lower()]
            event = contract.abi.decode_log(item)
            if event is not None:
                place = blocks[event.block_number]
                tx_hash = item["transactionHash"].lower()
                logs.append(Log(contract.name, event.name, event.arguments, place, event.log_index, tx_hash))
        logs.sort(key=lambda log: (log.block.number, log.log_index))
        calls = self._calls(sorted({log.tx_hash for log in logs if log.name in _WITH_CALLDATA}))
        codes = self._codes([log.arguments["pointer"] for log in logs if log.name == "PricesPosted"])
        return [self._completed(log, calls, codes) for log in logs]

    def _completed(self, log: Log, calls: dict[str, Call], codes: dict[str, bytes]) -> Log:
        if log.name == "PricesPosted":
            data = codes[log.arguments["pointer"]][1:]
            if keccak(data) != log.arguments["dataHash"]:
                raise Moved
            return Log(
                log.contract, log.name, log.arguments, log.block, log.log_index, log.tx_hash, code=data
            )
        call = calls.get(log.tx_hash) if log.name in _WITH_CALLDATA else None
        if call is None:
            return log
        return Log(log.contract, log.name, log.arguments, log.block, log.log_index, log.tx_hash, call)

    def _calls(self, hashes: Sequence[str]) -> dict[str, Call]:
        market = self._book["BundleMarket"].address.lower()
        calls: dict[str, Call] = {}
        answers = self._many([("eth_getTransactionByHash", (tx_hash,)) for tx_hash in hashes])
        for tx_hash, answer in zip(hashes, answers, strict=True):
            if answer is None:
                raise Moved
            data = bytes.fromhex(answer["input"][2:])
            function = self._functions.get(data[:4])
            if (answer["to"] or "").lower() == market and function is not None:
                calls[tx_hash] = Call(function.name, tuple(decode(function.types, data[4:])))
        return calls

    def _codes(self, pointers: Sequence[str]) -> dict[str, bytes]:
        answers = self._many([("eth_getCode", (pointer, "latest")) for pointer in pointers])
        return {pointer: bytes.fromhex(code[2:]) for pointer, code in zip(pointers, answers, strict=True)}

    def _many(self, requests: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        answers: list[Any] = []
        for at in range(0, len(requests), _BATCH):
            answers += self._rpc.batch(requests[at : at + _BATCH])
        for answer in answers:
            if isinstance(answer, RpcError):
                raise answer
        return answers
