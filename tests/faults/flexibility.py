"""A period of flexibility on the hand-made day, and its corruptions.

A grid pays an aggregator with two members for an hour of shedding and an hour of reserve. Loads are flat,
so that every figure can be worked out by hand.
"""

from __future__ import annotations

import io
import json
from datetime import date, timedelta
from typing import Any

import numpy as np
from eth_abi.abi import encode

from audit.eip712 import keccak
from oracle.wire.merkle import MerkleTree
from tests.faults.corruptions import Case, dropped, edited
from tests.faults.world import World, account

FLEX, PERIOD, HOURS = "FlexMarket", 77, 24
DAYS = [(date(2017, 10, 17) - timedelta(days=n)).isoformat() for n in range(20, -1, -1)]
LEVEL_W, SHED_W = 4_000, (1_000, 800)
AWARDS = (("energy_shed", 2_000, 50_000), ("reserve_up", 3_000, 10_000))
"""(product, Wh declared, micro per kWh): 1,800 of 2,000 Wh are shed (90 %), 3,000 Wh are held ready."""
PAID, STAKE = (90_000, 30_000), (130_000, 195_000)
SPLIT = (("member-x", 70_000), ("vpp", 50_000))


def _leaf(kinds: list[str], *values: Any) -> bytes:
    return keccak(keccak(encode(kinds, values)))


def _document(world: World) -> bytes:
    """The archived document; its SHA-256."""
    history = np.full((2, len(DAYS) - 1, HOURS), LEVEL_W, np.int64)
    today = np.full((2, HOURS), LEVEL_W, np.int64)
    today[:, 12] -= SHED_W
    tables = {
        "history_w": history, "today_w": today, "nameplate_w": np.full(2, 10_000),
        "event_day": np.zeros((2, len(DAYS) - 1), np.int64),
    }  # fmt: skip
    readings = io.BytesIO()
    np.savez_compressed(readings, **world.changed("flex readings", tables))
    shed = {"slot": 12, "slots": 1, "window": [12, 13], "direction": "up", "method": "caiso_10_in_10",
            "member": [0, 1], "declared_wh": [1_000, 1_000], "delivered_wh": list(SHED_W)}  # fmt: skip
    ready = {"slot": 14, "slots": 1, "window": [14, 15], "direction": "up", "method": "availability",
             "member": [0], "declared_wh": [3_000], "delivered_wh": [3_000]}  # fmt: skip
    document = {
        "version": 1, "period_id": PERIOD, "slot_seconds": 3_600, "days": DAYS, "members": [shed, ready],
        "awards": [
            {"index": n, "aggregator": account("vpp"), "product": product, "declared_wh": declared,
             "price_micro_per_kwh": price} for n, (product, declared, price) in enumerate(AWARDS)
        ],
        "readings": world.put("flex-readings", readings.getvalue(), "npz").hex(),
    }  # fmt: skip
    return world.put("flex", json.dumps(world.changed("flex document", document)).encode(), "json")


def happen(world: World) -> None:
    """The period, from awards to paid members; the escrow is the contract itself."""
    inputs = _document(world)
    vpp, grid = account("vpp"), account("grid-payer")
    kinds = ["uint64", "uint32", "address", "bytes32", "uint64", "int64"]
    awards = MerkleTree.of(
        _leaf(kinds, PERIOD, n, vpp, product.encode().ljust(32, b"\0"), declared, price)
        for n, (product, declared, price) in enumerate(AWARDS)
    )
    kinds = ["uint64", "uint32", "uint64", "bytes32"]
    deliveries = MerkleTree.of(_leaf(kinds, PERIOD, n, wh, inputs) for n, wh in enumerate((1_800, 3_000)))
    shares = MerkleTree.of(
        _leaf(["uint64", "address", "address", "uint128"], PERIOD, vpp, account(name), amount)
        for name, amount in SPLIT
    )
    for name in ("vpp", "grid-payer"):
        word = world.ledger.setdefault(account(name), [0, 0])
        word[0] += 1_000_000
        args = {"payer": account("payer"), "account": account(name), "amountMicro": 1_000_000}
        world.send(None, ("Treasury", "Deposited", args))
    stake = {"periodId": PERIOD, "aggregator": vpp, "paymentMicro": STAKE[0], "penaltyMicro": STAKE[1]}
    anchored = {"periodId": PERIOD, "payer": grid, "end": world.time + 100, "root": awards.root}
    posts = world.post(**{"vpp": (-STAKE[1], STAKE[1]), "grid-payer": (-STAKE[0], STAKE[0])})
    world.send(None, (FLEX, "StakeLocked", stake), (FLEX, "AwardsAnchored", anchored), *posts)
    world.time += 100
    world.send(None, (FLEX, "DeliveriesAnchored", {"periodId": PERIOD, "root": deliveries.root}))
    for number, (delivered, paid) in enumerate(zip((1_800, 3_000), PAID, strict=True)):
        settled = {"periodId": PERIOD, "index": number, "aggregator": vpp, "deliveredWh": delivered,
                   "paymentMicro": paid, "penaltyMicro": 0, "inputsHash": inputs}  # fmt: skip
        world.send(
            None, (FLEX, "AwardSettled", settled), *world.post(**{"vpp": (paid, 0), "grid-payer": (0, -paid)})
        )
    left = STAKE[0] - sum(PAID), STAKE[1]
    released = {"periodId": PERIOD, "aggregator": vpp, "paymentMicro": left[0], "penaltyMicro": left[1]}
    posts = world.post(**{"vpp": (left[1], -left[1]), "grid-payer": (left[0], -left[0])})
    world.send(None, (FLEX, "StakeReleased", released), *posts)
    split = {"periodId": PERIOD, "aggregator": vpp, "root": shares.root, "totalMicro": sum(PAID)}
    world.send(None, (FLEX, "SplitAnchored", split), *world.post(vpp=(-sum(PAID), 0), flex=(0, sum(PAID))))
    for name, amount in SPLIT:
        member = {"periodId": PERIOD, "aggregator": vpp, "account": account(name), "amountMicro": amount}
        posts = world.post(**{name: (amount, 0), "flex": (0, -amount)})
        world.send(None, (FLEX, "MemberPaid", member), *posts)


def _more(document: dict[str, Any], part: str, number: int, **values: Any) -> dict[str, Any]:
    rows = list(document[part])
    rows[number] = {**rows[number], **values}
    return {**document, part: rows}


def _less(tables: dict[str, Any]) -> dict[str, Any]:
    return {**tables, "history_w": tables["history_w"] * 3 // 4}


CASES = (
    Case(
        "flexibility.roots",
        "awardsRoot",
        {"flex document": lambda d: _more(d, "awards", 0, declared_wh=2_000, product="peak_shed")},
        story="the archived awards are not those that were anchored",
    ),
    Case(
        "flexibility.amounts",
        "award 0",
        after=edited(FLEX, "AwardSettled", 0, paymentMicro=90_001),
        story="an aggregator is paid more than F5 gives",
        also=("flexibility.shares", "flexibility.stakes", "treasury.causes"),
    ),
    Case(
        "flexibility.measured",
        "member 0",
        {"flex readings": _less},
        story="the readings behind a delivery show a lower baseline than was paid",
    ),
    Case(
        "flexibility.members",
        "award 0",
        {"flex document": lambda d: _more(d, "members", 0, declared_wh=[1_000, 900])},
        story="members answer for less than their aggregator sold",
    ),
    Case(
        "flexibility.shares",
        "totalMicro",
        after=edited(FLEX, "SplitAnchored", 0, totalMicro=119_999),
        story="an aggregator sets less aside for its members than it was paid",
        also=("treasury.causes",),
    ),
    Case(
        "flexibility.shares",
        "root",
        after=edited(FLEX, "MemberPaid", 0, account=account("stranger")),
        story="a member's share is paid to a stranger",
        also=("treasury.causes",),
    ),
    Case(
        "flexibility.stakes",
        "stake of",
        after=edited(FLEX, "StakeReleased", 0, penaltyMicro=195_001),
        story="more is given back than was locked",
        also=("treasury.causes",),
    ),
    Case(
        "treasury.causes",
        "for nothing",
        after=dropped(FLEX, "MemberPaid", 1),
        story="money leaves a split without a member being paid",
    ),
)
