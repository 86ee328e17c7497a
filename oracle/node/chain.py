"""The chain as a node reads and writes it: events in, reports out. Blocking: run it in a thread."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import decode

from backend.chain.abi import Abi
from backend.chain.addressbook import AddressBook
from backend.chain.errors import RpcError
from backend.chain.plan import Call, Fees, Sender
from backend.chain.rpc import Rpc
from oracle.node.consensus import Committee
from oracle.wire.signed import Equivocation, SignedReport
from oracle.wire.typed import Report, domain_separator

_SOURCES = {
    "Registry": ("ClassAdded", "SiteAdded", "PlantAdded", "DeviceRecorded", "MeasurementSet", "TcbStatusSet"),
    "BundleMarket": (
        "BatchOpened",
        "ComputeOfferAdded",
        "PowerOfferAdded",
        "ChunkCleared",
        "BatchFinalised",
        "BatchVoided",
    ),
    "DeliveryOracle": ("ReportSubmitted", "Published", "Bonded", "Equivocated"),
}
_LOG_SPAN = 5_000
_SUBMIT_GAS = 800_000
_PROVE_GAS = 500_000


@dataclass(frozen=True, slots=True)
class Head:
    """The latest block: number, hash, and chain time in unix seconds."""

    number: int
    block_hash: str
    timestamp: int


@dataclass(frozen=True, slots=True)
class News:
    """What a poll brought: the head and the events since the last. `rewritten`: start over from nothing."""

    head: Head
    events: tuple[tuple[str, Mapping[str, Any]], ...]
    rewritten: bool = False


class ChainReader:
    """Follows the events of the contracts; notices when blocks it has read were replaced."""

    def __init__(self, rpc: Rpc, book: AddressBook) -> None:
        self._rpc, self._book = rpc, book
        self._abis: dict[str, Abi] = {
            book[name].address.lower(): Abi(
                [item for item in book[name].abi.items if item["type"] == "event" and item["name"] in events]
            )
            for name, events in _SOURCES.items()
        }
        self._topics = ["0x" + topic.hex() for abi in self._abis.values() for topic in abi.events]
        self._last: Head | None = None

    def poll(self) -> News:
        """The head and the events up to it; raises RpcUnavailable or RpcError."""
        requests: list[tuple[str, list[object]]] = [("eth_getBlockByNumber", ["latest", False])]
        if self._last:
            requests.append(("eth_getBlockByNumber", [hex(self._last.number), False]))
        answers = self._rpc.batch(requests)
        for answer in answers:
            if isinstance(answer, RpcError):
                raise answer
        head = _head(answers[0])
        rewritten = self._last is not None and (not answers[1] or answers[1]["hash"] != self._last.block_hash)
        first = 0 if rewritten or self._last is None else self._last.number + 1
        first = max(first, self._book.deploy_block)
        events: list[tuple[str, Mapping[str, Any]]] = []
        for begin in range(first, head.number + 1, _LOG_SPAN):
            end = min(begin + _LOG_SPAN - 1, head.number)
            for log in self._rpc.logs(list(self._abis), [self._topics], begin, end):
                event = self._abis[log["address"].lower()].decode_log(log)
                if event:
                    events.append((event.name, event.arguments))
        self._last = head
        return News(head, tuple(events), rewritten)


def _head(block: Mapping[str, Any]) -> Head:
    return Head(int(block["number"], 16), block["hash"], int(block["timestamp"], 16))


def submitted_report(rpc: Rpc, abi: Abi, log: dict[str, Any]) -> SignedReport | None:
    """The report of a ReportSubmitted log, with the signatures in its transaction; None for another log."""
    event = abi.decode_log(log)
    if event is None:
        return None
    values = event.arguments["report"]
    names = (item.name for item in dataclasses.fields(Report))
    report = Report(**dict(zip(names, values, strict=True)) | {"totals": tuple(values[6])})
    data = bytes.fromhex(rpc.call("eth_getTransactionByHash", log["transactionHash"])["input"][2:])
    return SignedReport(report, bytes(decode(abi.function("submit").types, data[4:])[1]))


class OracleContract:
    """DeliveryOracle: its committee, and submission of reports from one account."""

    def __init__(self, rpc: Rpc, book: AddressBook, secret: bytes) -> None:
        self._rpc, self._book, self._secret = rpc, book, secret
        self._contract = book["DeliveryOracle"]
        self._sending = threading.Lock()
        self.separator = domain_separator(book.chain_id, self._contract.address)

    def committee(self, feed_id: bytes) -> Committee:
        """The members, quorum and digest as the contract states them."""
        members = tuple(address.lower() for address in self._read("members"))
        return Committee(members, self._read("quorum"), self._read("configDigest"), feed_id)

    def next_epoch(self, feed_id: bytes) -> int:
        """The epoch the next report of a feed must carry."""
        return self._read("feed", feed_id)[0][0]

    def block_time(self, block_hash: bytes) -> int | None:
        """Timestamp of the block with that hash, None when the chain has none."""
        block = self._rpc.call("eth_getBlockByHash", "0x" + block_hash.hex(), False)
        return int(block["timestamp"], 16) if block else None

    def submit(self, report: Report, signatures: bytes) -> str:
        """Sends a report and waits for it; returns the transaction hash, raises Reverted or ChainError."""
        data = self._contract.abi.encode_call("submit", (report.abi_tuple(), signatures))
        return self._send(Call(self._contract.address, data, _SUBMIT_GAS, f"report of epoch {report.epoch}"))

    def signed_report(self, feed_id: bytes, epoch: int) -> SignedReport | None:
        """The report of an epoch as it stands on chain, with the signatures it was submitted with."""
        topics = ["0x" + self._contract.abi.topic("ReportSubmitted").hex(), "0x" + feed_id.hex()]
        topics.append(f"0x{epoch:064x}")
        for log in self._rpc.logs([self._contract.address], topics, self._book.deploy_block):
            return submitted_report(self._rpc, self._contract.abi, log)
        return None

    def prove_equivocation(self, proof: Equivocation) -> str:
        """Has a member slashed; returns the transaction hash, raises Reverted or ChainError."""
        data = self._contract.abi.encode_call("proveEquivocation", proof.arguments())
        call = Call(self._contract.address, data, _PROVE_GAS, f"equivocation of {proof.member}")
        return self._send(call)

    def unbonded(self, members: Iterable[str]) -> frozenset[str]:
        """Members whose signatures do not count, because their bond was not posted or is slashed."""
        if self._read("bondMicro") == 0:
            return frozenset()
        return frozenset(member for member in members if self._read("bondOf", member) == 0)

    def _send(self, call: Call) -> str:
        with self._sending:  # one transaction at a time has the next nonce
            sender = Sender(self._rpc, self._secret, self._book.chain_id, 0, self._book.errors, self._fees())
            sender.position = self._rpc.nonce(sender.address)
            return sender.send([call])[0].transaction_hash

    def _fees(self) -> Fees:
        block, tip = self._rpc.batch(
            [("eth_getBlockByNumber", ["latest", False]), ("eth_maxPriorityFeePerGas", [])]
        )
        base = int(block.get("baseFeePerGas", "0x0"), 16)
        priority = 0 if base == 0 or isinstance(tip, RpcError) else int(tip, 16)
        return Fees(2 * base + priority, priority)

    def _read(self, function: str, *arguments: object) -> Any:
        abi = self._contract.abi
        data = self._rpc.eth_call(self._contract.address, abi.encode_call(function, arguments))
        value = abi.decode_result(function, data)
        return value if function != "feed" else (value,)
