"""Corruptions of the hand-made market, and how tests state them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from audit.statement import statement
from oracle.wire.keys import sign_digest
from oracle.wire.reading import Envelope, Kind
from tests.faults.world import FEED, START, Change, World, account, secret

MARKET, ORACLE, REGISTRY, SETTLEMENT = "BundleMarket", "DeliveryOracle", "Registry", "Settlement"
CARBON_CELL, FACTOR_CELL = 33, 37  # last byte of the first carbon and the first green factor cell


@dataclass(frozen=True)
class Case:
    """A corruption while the world is built (`changes`) or afterwards (`after`), and who must notice.

    `check` must say so and mention `names`; it and `also` are the only checks that fail. `story` is what an
    attacker did, or what happened by accident."""

    check: str
    names: str
    changes: dict[str, Change] = field(default_factory=dict)
    after: Callable[[World], object] = lambda world: None
    verdict: str = "fail"
    story: str = ""
    by: Literal["attack", "accident"] = "attack"
    also: tuple[str, ...] = ()

    @property
    def fails(self) -> frozenset[str]:
        """The checks that fail, and no other."""
        return frozenset((*self.also, *([self.check] if self.verdict == "fail" else [])))


def flipped(at: int) -> Change:
    """Flips the lowest bit of one byte."""
    return lambda data: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def only(kind: Kind, **values: Any) -> Change:
    """Changes fields of the readings of one kind."""
    return lambda reading: reading._replace(**values) if reading.kind == kind else reading


def when(kind: Kind, change: Callable[[Any], Any]) -> Change:
    """Changes the readings of one kind by a function."""
    return lambda reading: change(reading) if reading.kind == kind else reading


def terms(**values: Any) -> Change:
    """Changes fields of an order or offer before it is signed."""
    return lambda fields: {**fields, **values}


def run_row(number: int, **values: Any) -> Change:
    """Changes one run: order, offer, mode, start, end, lanes."""
    names = ("order", "offer", "mode", "start", "end", "lanes")

    def change(runs: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
        row = tuple(values.get(name, value) for name, value in zip(names, runs[number], strict=True))
        return (*runs[:number], row, *runs[number + 1 :])

    return change


def sent_order(index: int, **values: Any) -> Change:
    """Changes one order of a clearChunk call."""

    def change(args: dict[str, Any]) -> dict[str, Any]:
        orders = list(args["orders"])
        orders[index] = {**orders[index], **values}
        return {**args, "orders": tuple(orders)}

    return change


def offer_event(world: World, name: str, index: int, **values: Any) -> None:
    """Changes the offer inside an added-offer event."""
    event = [event for event in world.events if event.name == name][index]
    world.edit("BundleMarket", name, index, offer={**event.args["offer"], **values})


def views(**values: Any) -> dict[str, Change]:
    """Changes what the contracts say."""
    return {"views": lambda found: replace(found, **values)}


def report(**values: Any) -> dict[str, Change]:
    """Changes every report before it is signed."""
    return {"report": lambda made: replace(made, **values)}


def cancel(world: World) -> None:
    """A cancellation that came before the order was cleared."""
    world.send(None, ("BundleMarket", "Cancelled", {"maker": account("buyer-a"), "nonce": 0}))
    world.events[-1] = replace(world.events[-1], block=1)


def other_status(world: World) -> None:
    """The policy lists a platform status, and it is not that of the devices."""
    args = {"evidenceKind": 0, "status": "SWHardeningNeeded", "allowed": True, "policyHash": bytes(32)}
    world.send(None, ("Registry", "TcbStatusSet", args))
    world.events[-1] = replace(world.events[-1], block=1)


def stranger(message: bytes) -> bytes:
    """A signature of somebody outside the committee."""
    return sign_digest(secret("stranger"), message)


def sold_less(rows: dict[str, bytes]) -> dict[str, bytes]:
    """The plant sells 399 Wh in slot 0."""
    return {**rows, "plant": (399).to_bytes(4, "big") + rows["plant"][4:]}


def missing_position(position: dict[str, Any]) -> dict[str, Any]:
    """A reported reading passed off as missing."""
    return {**position, "missing": True, "proof": ()}


def leaf_word(**values: Any) -> Change:
    """Changes words of the leaf shown on chain."""
    return lambda position: {**position, "reading": {**position["reading"], **values}}


def early(world: World) -> None:
    """The first report stands before its epoch is over."""
    place = next(at for at, event in enumerate(world.events) if event.name == "ReportSubmitted")
    world.events[place] = replace(world.events[place], timestamp=1)


def conflicting(world: World) -> None:
    """A second report of the first epoch with another root."""
    event = next(event for event in world.events if event.name == "ReportSubmitted")
    world.repeat(ORACLE, "ReportSubmitted", 0, report={**event.args["report"], "root": bytes(32)})


def moved_key(world: World) -> None:
    """The Registry holds another key for a meter than the bundles use."""
    event = next(event for event in world.events if event.name == "DeviceRecorded")
    world.edit(REGISTRY, "DeviceRecorded", 0, device={**event.args["device"], "x": bytes(31) + b"\1"})


def forged(envelope: Envelope) -> Envelope:
    """An envelope with one bit of its signature flipped."""
    return envelope._replace(signature=flipped(20)(envelope.signature))


def voided(world: World) -> None:
    """The first report is ruled void after a dispute."""
    args = {"feedId": FEED, "start": START, "upheld": False}
    world.send(None, (ORACLE, "Ruled", args))


def withdraw(world: World) -> None:
    """A withdrawal nobody requested."""
    args = {"account": account("site"), "to": account("site"), "amountMicro": 1}
    world.send(None, ("Treasury", "Withdrawn", args))


def second_settlement(name: str, **values: Any) -> Callable[[World], object]:
    """A settlement event of slot 1 that nothing asked for."""
    args = {"batchId": 1, "chunkIndex": 0, "slot": 1, **values}
    return lambda world: world.send(None, (SETTLEMENT, name, args))


def edited(contract: str, name: str, index: int = 0, **values: Any) -> Callable[[World], object]:
    """One event with other arguments."""
    return lambda world: world.edit(contract, name, index, **values)


def repeated(contract: str, name: str, index: int = 0, **values: Any) -> Callable[[World], object]:
    """One event twice."""
    return lambda world: world.repeat(contract, name, index, **values)


def dropped(contract: str, name: str, index: int = 0) -> Callable[[World], object]:
    """One event missing."""
    return lambda world: world.drop(contract, name, index)


def rewritten(kind: str, old: str, new: str, index: int = 0) -> Callable[[World], object]:
    """An archived file with some bytes replaced under the same name."""
    return lambda world: world.rewrite(kind, old.encode(), new.encode(), index)


def removed(kind: str, index: int = 0) -> Callable[[World], object]:
    """An archived file missing."""
    return lambda world: world.file(kind, index).unlink()


def overwritten(kind: str, content: bytes, index: int = 0) -> Callable[[World], object]:
    """An archived file with other content."""
    return lambda world: world.file(kind, index).write_bytes(content)


def claimed(**values: Any) -> Callable[[World], object]:
    """A carbon statement of the whole day is published, with some figures changed."""

    def after(world: World) -> None:
        told = statement(world.facts(), START, START + 86_400)
        synergy = {**told["synergy"], **values.get("synergy", {})}
        world.put("statement", json.dumps({**told, **values, "synergy": synergy}).encode(), "json")

    return after
