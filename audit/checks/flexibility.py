"""Flexibility: roots, F5, F6 and shares of every period of FlexMarket, derived again from chain and archive.

A delivery's `inputsHash` names the archived document of its period: awards, what every member was told and
delivered, and by which baseline; the document names the file of readings.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from eth_abi.abi import encode

from audit.abi import Event
from audit.archive import Document, parse_json
from audit.baselines import delivered_wh
from audit.facts import Facts
from audit.verdict import Result, Tally, check
from oracle.wire.keys import keccak256
from oracle.wire.merkle import MerkleTree

FLEX = "FlexMarket"
TABLES = ("history_w", "today_w", "event_day", "nameplate_w")
MOST_READINGS = 200_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Period:
    """One period: its anchors, its archived document and readings (empty where they cannot be read), why
    not.
    """

    id: int
    events: Mapping[str, tuple[Event, ...]]
    document: Document | None
    content: Mapping[str, Any]
    tables: Mapping[str, np.ndarray[Any, np.dtype[np.int64]]]
    problem: str
    file: str = ""

    def all(self, name: str) -> tuple[Event, ...]:
        """The period's events of a name, in chain order."""
        return self.events.get(name, ())

    def root(self, name: str) -> bytes | None:
        """The root that an anchoring event carries."""
        found = self.all(name)
        return bytes(found[0].args["root"]) if found else None

    @property
    def payer(self) -> str:
        """Who pays, lower-case."""
        found = self.all("AwardsAnchored")
        return str(found[0].args["payer"]).lower() if found else ""

    def name(self) -> str:
        """How findings call it."""
        return f"flexibility period {self.id}"


@lru_cache(maxsize=1)
def periods(facts: Facts) -> tuple[Period, ...]:
    """Every period, by its number."""
    grouped: dict[int, dict[str, list[Event]]] = {}
    for (contract, name), events in facts.events.items():
        if contract == FLEX and name != "Trusted":
            for event in events:
                grouped.setdefault(event.args["periodId"], {}).setdefault(name, []).append(event)
    found = []
    for number in sorted(grouped):
        own = {name: tuple(items) for name, items in grouped[number].items()}
        hashes = {bytes(event.args["inputsHash"]) for event in own.get("AwardSettled", ())}
        found.append(_with_document(facts, number, own, hashes))
    return tuple(found)


def _with_document(
    facts: Facts, number: int, events: Mapping[str, tuple[Event, ...]], hashes: set[bytes]
) -> Period:
    if not hashes or facts.archive is None:
        return Period(number, events, None, {}, {}, "")
    if len(hashes) > 1:
        return Period(number, events, None, {}, {}, "its deliveries name several documents")
    document = facts.archive.get("flex", next(iter(hashes)))
    if document.state != "intact":
        why = f"{document.state}: {document.found}"
        return Period(number, events, document, {}, {}, why, document.path)
    content, problem = parse_json(document.content)
    if problem or not isinstance(content, dict):
        why = problem or "not a JSON object"
        return Period(number, events, document, {}, {}, why, document.path)
    file = document
    try:
        file = facts.archive.get("flex-readings", bytes.fromhex(content["readings"]))
        if file.state != "intact":
            return Period(number, events, document, content, {}, file.state, file.path)
        tables = _tables(file.content)
    except (KeyError, TypeError, ValueError, OSError, zipfile.BadZipFile) as error:
        return Period(number, events, document, content, {}, type(error).__name__, file.path)
    return Period(number, events, document, content, tables, "")


def _tables(content: bytes) -> dict[str, np.ndarray[Any, np.dtype[np.int64]]]:
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        if sum(item.file_size for item in packed.infolist()) > 8 * MOST_READINGS:
            raise ValueError("too large")
    with np.load(io.BytesIO(content), allow_pickle=False) as readings:
        return {name: readings[name].astype(np.int64) for name in TABLES}


def _leaf(kinds: tuple[str, ...], *values: object) -> bytes:
    return keccak256(keccak256(encode(kinds, values)))


def _settled(period: Period) -> dict[int, Event]:
    return {event.args["index"]: event for event in period.all("AwardSettled")}


def _readable(tally: Tally, facts: Facts) -> Iterator[Period]:
    """Periods with a document; what has none that should is a mismatch."""
    for period in periods(facts):
        if period.problem:
            where = f"{period.file} proving {period.name()}"
            tally.fail(where, "the archived file that deliveries name", period.problem)
        elif period.content:
            yield period


@check("flexibility.roots", "FlexMarket.AwardsAnchored, DeliveriesAnchored: roots of the archived awards")
def roots(facts: Facts) -> Result:
    tally = Tally()
    for period in _readable(tally, facts):
        awards = period.content["awards"]
        kinds = ("uint64", "uint32", "address", "bytes32", "uint64", "int64")
        tree = MerkleTree.of(
            _leaf(kinds, period.id, a["index"], a["aggregator"], a["product"].encode().ljust(32, b"\0"),
                  a["declared_wh"], a["price_micro_per_kwh"])
            for a in awards
        )  # fmt: skip
        tally.equal(f"{period.name()} awardsRoot", tree.root, period.root("AwardsAnchored"))
        assert period.document is not None
        tree = MerkleTree.of(
            _leaf(
                ("uint64", "uint32", "uint64", "bytes32"),
                period.id,
                n,
                posted_wh(a, m),
                period.document.expected,
            )
            for n, (a, m) in enumerate(zip(awards, period.content["members"], strict=True))
        )
        tally.equal(f"{period.name()} deliveriesRoot", tree.root, period.root("DeliveriesAnchored"))
    return tally.result()


def posted_wh(award: Mapping[str, Any], members: Mapping[str, Any]) -> int:
    """What counts as delivered of an award: its members' Wh, at most what was declared."""
    return min(sum(members["delivered_wh"]), int(award["declared_wh"]))


def f5(declared: int, delivered: int, price: int) -> tuple[int, int]:
    """(payment, penalty) of a position, micro-units: F5 with its default tiers."""
    counted = min(declared, delivered)
    pass_bps = counted * 10_000 // declared
    factor = 0 if pass_bps >= 9_000 else 10_000 if pass_bps >= 7_000 else 15_000
    return max(price, 0) * counted // 1000, -(-(declared - counted) * abs(price) * factor // 10_000_000)


@check("flexibility.amounts", "F5 of every award on its delivery, or on what the arbiter decided; once")
def amounts(facts: Facts) -> Result:
    tally = Tally()
    for period in _readable(tally, facts):
        resolved = {e.args["index"]: e.args["deliveredWh"] for e in period.all("DisputeResolved")}
        every = [event.args["index"] for event in period.all("AwardSettled")]
        tally.equal(f"{period.name()} settled awards", len(set(every)), len(every))
        settled = _settled(period)
        members = period.content["members"]
        for number, award in enumerate(period.content["awards"]):
            if number not in settled:
                continue
            args = settled[number].args
            delivered = resolved.get(number, posted_wh(award, members[number]))
            due = (delivered, *f5(award["declared_wh"], delivered, award["price_micro_per_kwh"]))
            found = args["deliveredWh"], args["paymentMicro"], args["penaltyMicro"]
            tally.equal(f"{period.name()} award {number}: Wh, payment, penalty", due, found)
    return tally.result()


@check("flexibility.measured", "F6: what every member delivered follows from its archived readings")
def measured(facts: Facts) -> Result:
    tally = Tally()
    for period in _readable(tally, facts):
        for number, rows in enumerate(period.content["members"]):
            due = delivered_wh(period.content, rows, period.tables)
            tally.count(len(due))
            for n, (ours, theirs) in enumerate(zip(due, rows["delivered_wh"], strict=True)):
                if ours != theirs:
                    where = f"{period.name()} award {number} member {rows['member'][n]} delivered Wh"
                    tally.fail(where, ours, theirs)
    return tally.result()


@check("flexibility.members", "What members were told of an award adds up to it, to the Wh")
def members(facts: Facts) -> Result:
    tally = Tally()
    for period in _readable(tally, facts):
        for number, (award, rows) in enumerate(
            zip(period.content["awards"], period.content["members"], strict=True)
        ):
            where = f"{period.name()} award {number} declared Wh"
            tally.equal(where, award["declared_wh"], sum(rows["declared_wh"]))
    return tally.result()


@check(
    "flexibility.shares", "A split is what the aggregator was paid; members' payments are its leaves, once"
)
def shares(facts: Facts) -> Result:
    tally = Tally()
    kinds = ("uint64", "address", "address", "uint128")
    for period in periods(facts):
        paid: dict[str, int] = {}
        for event in period.all("AwardSettled"):
            name = event.args["aggregator"].lower()
            paid[name] = paid.get(name, 0) + event.args["paymentMicro"]
        claims: dict[str, list[tuple[str, int]]] = {}
        for event in period.all("MemberPaid"):
            claims.setdefault(event.args["aggregator"].lower(), []).append(
                (event.args["account"].lower(), event.args["amountMicro"])
            )
        for event in period.all("SplitAnchored"):
            name, total = event.args["aggregator"].lower(), event.args["totalMicro"]
            where = f"{period.name()} split of {name}"
            tally.equal(f"{where} totalMicro", paid.get(name, 0), total)
            mine = claims.pop(name, [])
            tally.equal(f"{where} accounts paid twice", len(mine), len({account for account, _ in mine}))
            given = sum(amount for _, amount in mine)
            tally.true(given <= total, f"{where} payments", f"at most {total}", given)
            if given == total:
                tree = MerkleTree.of(_leaf(kinds, period.id, name, *one) for one in mine)
                tally.equal(f"{where} root of the payments", tree.root, bytes(event.args["root"]))
        for name, mine in claims.items():
            tally.fail(f"{period.name()} split of {name}", "anchored before it is paid", len(mine))
    return tally.result()


@check("flexibility.stakes", "What was locked for awards is paid, charged or given back, and no more")
def stakes(facts: Facts) -> Result:
    tally = Tally()
    for period in periods(facts):
        left: dict[str, tuple[int, int]] = {}
        for event in period.all("StakeLocked"):
            left[event.args["aggregator"].lower()] = event.args["paymentMicro"], event.args["penaltyMicro"]
        for name in ("AwardSettled", "StakeReleased"):
            for event in period.all(name):
                who = event.args["aggregator"].lower()
                payment, penalty = left.get(who, (0, 0))
                left[who] = payment - event.args["paymentMicro"], penalty - event.args["penaltyMicro"]
        released = {event.args["aggregator"].lower() for event in period.all("StakeReleased")}
        for who, rest in sorted(left.items()):
            where = f"{period.name()} stake of {who}: payment, penalty left"
            if who in released:
                tally.equal(where, (0, 0), rest)
            else:
                tally.true(min(rest) >= 0, where, "never negative", rest)
    return tally.result()


CHECKS = (roots, amounts, measured, members, shares, stakes)
