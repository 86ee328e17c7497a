"""Audit of flexibility: every award, delivery and share of a period, derived again from chain and bundle.

Nothing of the market's own program is used: roots, F5, F6 and sums are computed here a second time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from eth_abi.abi import encode

from audit.abi import Event, Interface
from audit.rpc import Rpc
from oracle.wire.keys import keccak256

Table = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's verdict: `pass` or `fail`, over how many things, and the first that broke it."""

    check: str
    verdict: str
    count: int
    detail: str = ""


def audit_flex(rpc: Rpc, book: Path, bundle: Path) -> list[Finding]:
    """Checks a period of FlexMarket; one finding per rule."""
    known = json.loads(book.read_text(encoding="utf-8"))
    contract = known["contracts"]["FlexMarket"]
    document = json.loads((bundle / "flex.json").read_text(encoding="utf-8"))
    with np.load(bundle / "readings.npz") as readings:
        tables = {name: readings[name].astype(np.int64) for name in ("history_w", "today_w", "kind")}
    interface = Interface("FlexMarket", contract["abi"])
    raw = rpc.call("eth_getLogs", {"address": contract["address"], "fromBlock": hex(known["deploy_block"]),
                                   "toBlock": "latest"})  # fmt: skip
    events = [event for log in raw if (event := interface.event(log)) is not None]
    period = document["period_id"]
    events = [event for event in events if event.args.get("periodId", period) == period]
    return [
        _roots(document, events), _amounts(document, events), _measured(document, tables),
        _member_sums(document), _shares(document, events), _stakes(document, events),
    ]  # fmt: skip


def _result(check: str, count: int, wrong: Sequence[str]) -> Finding:
    return Finding(check, "fail" if wrong else "pass", count, wrong[0] if wrong else "")


def _named(events: Sequence[Event], name: str) -> list[dict[str, Any]]:
    return [event.args for event in events if event.name == name]


def _leaf(kinds: Sequence[str], values: Sequence[object]) -> bytes:
    return keccak256(keccak256(encode(kinds, values)))


def _root(leaves: Sequence[bytes]) -> bytes:
    """The standard tree over sorted leaves, from the bottom up."""
    nodes = sorted(leaves, reverse=True)
    tree = [b""] * (len(nodes) - 1) + nodes
    for place in range(len(nodes) - 2, -1, -1):
        tree[place] = keccak256(b"".join(sorted((tree[2 * place + 1], tree[2 * place + 2]))))
    return tree[0]


def _bytes(value: Any) -> bytes:
    return bytes.fromhex(value.removeprefix("0x")) if isinstance(value, str) else bytes(value)


def _roots(document: dict[str, Any], events: Sequence[Event]) -> Finding:
    """Awards, deliveries and splits in the bundle are the anchored ones."""
    period = document["period_id"]
    awards = [
        _leaf(("uint64", "uint32", "address", "bytes32", "uint64", "int64"),
              (period, a["index"], a["aggregator"], a["product"].encode().ljust(32, b"\0"), a["declared_wh"],
               a["price_micro_per_kwh"])) for a in document["awards"]
    ]  # fmt: skip
    deliveries = [
        _leaf(
            ("uint64", "uint32", "uint64", "bytes32"),
            (period, n, d["delivered_wh"], _bytes(d["inputs_hash"])),
        )
        for n, d in enumerate(document["deliveries"])
    ]
    wrong = []
    for name, leaves in (("AwardsAnchored", awards), ("DeliveriesAnchored", deliveries)):
        anchored = [_bytes(args["root"]) for args in _named(events, name)]
        if anchored != [_root(leaves)]:
            wrong.append(f"{name}: the bundle's root is not the anchored one")
    anchored_splits = {
        args["aggregator"].lower(): _bytes(args["root"]) for args in _named(events, "SplitAnchored")
    }
    for name, shares in document["splits"].items():
        kinds = ("uint64", "address", "address", "uint128")
        leaves = [_leaf(kinds, (period, name, s["account"], s["amount_micro"])) for s in shares]
        if anchored_splits.get(name.lower()) != _root(leaves):
            wrong.append(f"split of {name}: the bundle's root is not the anchored one")
    return _result("anchored roots", 2 + len(document["splits"]), wrong)


def _f5(declared: int, delivered: int, price: int) -> tuple[int, int]:
    counted = min(declared, delivered)
    pass_bps = counted * 10_000 // declared
    factor = 0 if pass_bps >= 9_000 else 10_000 if pass_bps >= 7_000 else 15_000
    return max(price, 0) * counted // 1000, -(-(declared - counted) * abs(price) * factor // 10_000_000)


def _amounts(document: dict[str, Any], events: Sequence[Event]) -> Finding:
    """Every award is settled once, on its delivery, with the amounts of F5."""
    settled = _named(events, "AwardSettled")
    wrong = []
    if sorted(args["index"] for args in settled) != list(range(len(document["awards"]))):
        wrong.append("not every award is settled exactly once")
    resolved = {args["index"]: args["deliveredWh"] for args in _named(events, "DisputeResolved")}
    for args in settled:
        award, delivery = document["awards"][args["index"]], document["deliveries"][args["index"]]
        delivered = resolved.get(args["index"], delivery["delivered_wh"])
        due = _f5(award["declared_wh"], delivered, award["price_micro_per_kwh"])
        if (args["deliveredWh"], args["paymentMicro"], args["penaltyMicro"]) != (delivered, *due):
            wrong.append(
                f"award {args['index']}: settled {args['paymentMicro']}, {args['penaltyMicro']}; due {due}"
            )
    return _result("F5 of every award", len(settled), wrong)


def _like_days(document: dict[str, Any]) -> list[int]:
    days = [date.fromisoformat(text) for text in document["days"]]
    today = days.pop()
    return [n for n, d in enumerate(days) if (d.weekday() > 4) == (today.weekday() > 4)]


def _ten(history: Table, today: Table, a: int, b: int) -> Table:
    mean = history[:, -10:].sum(axis=1) // min(10, history.shape[1])
    own, usual = today[:, a - 16 : a - 8].sum(axis=1), mean[:, a - 16 : a - 8].sum(axis=1)
    factor = np.clip(own * 10_000 // np.maximum(usual, 1), 8_000, 12_000)
    return mean[:, a:b] * np.where(usual > 0, factor, 10_000)[:, None] // 10_000


def _high(most: int, last: int) -> Callable[[Table, Table, int, int], Table]:
    def high(history: Table, today: Table, a: int, b: int) -> Table:
        window = history[:, -last:, a:b][:, ::-1]
        energy = window.sum(axis=2)
        usual = energy <= 2 * np.median(energy, axis=1)[:, None]
        enough = usual.sum(axis=1) >= most
        rank = np.where(usual | ~enough[:, None], energy, -1)
        top = np.argsort(-rank, axis=1, kind="stable")[:, :most]
        return np.take_along_axis(window, top[:, :, None], axis=1).sum(axis=1) // most

    return high


def _before(history: Table, today: Table, a: int, b: int) -> Table:
    level = np.minimum(today[:, a - 1], today[:, max(0, a - 4) : a].sum(axis=1) // min(4, a))
    return np.repeat(level[:, None], b - a, axis=1)


F6: dict[str, Callable[[Table, Table, int, int], Table]] = {
    "caiso_10_in_10": _ten, "high_4_of_5": _high(4, 5), "high_5_of_10": _high(5, 10),
    "meter_before_after": _before,
}  # fmt: skip


def _measured(document: dict[str, Any], tables: dict[str, Table]) -> Finding:
    """What every member delivered of every award follows from its readings (F6)."""
    history, today, kind = tables["history_w"][:, _like_days(document)], tables["today_w"], tables["kind"]
    wrong, count = [], 0
    bases: dict[tuple[int, int], Table] = {}
    for index, (slot, rows) in enumerate(zip(document["slots"], document["members"], strict=True)):
        a, b = next(w for w in document["windows"] if w[0] <= slot < w[1])
        members = np.array(rows["member"], np.int64)
        for code, method in enumerate(document["methods"]):
            if (a, code) not in bases:
                mine = np.flatnonzero(kind == code)
                full = np.zeros((len(kind), b - a), np.int64)
                full[mine] = F6[method](history[mine], today[mine], a, b)
                bases[a, code] = full
        codes = range(len(document["methods"]))
        of_kind = [kind[members] == c for c in codes]
        base = np.select(of_kind, [bases[a, c][members, slot - a] for c in codes])
        due = np.maximum(base - today[members, slot], 0) * document["slot_seconds"] // 3600
        off = np.flatnonzero(due != np.array(rows["delivered_wh"]))
        count += len(members)
        if len(off):
            wrong.append(
                f"award {index}, member {members[off[0]]}: "
                f"{rows['delivered_wh'][off[0]]} Wh, due {due[off[0]]}"
            )
    return _result("F6 of every member and award", count, wrong)


def _member_sums(document: dict[str, Any]) -> Finding:
    """Members' Wh add up to their award: declared exactly, delivered up to what was declared."""
    wrong = []
    for index, (award, delivery, rows) in enumerate(
        zip(document["awards"], document["deliveries"], document["members"], strict=True)
    ):
        if sum(rows["declared_wh"]) != award["declared_wh"]:
            wrong.append(f"award {index}: members declared {sum(rows['declared_wh'])}")
        if min(sum(rows["delivered_wh"]), award["declared_wh"]) != delivery["delivered_wh"]:
            wrong.append(f"award {index}: members delivered {sum(rows['delivered_wh'])}")
    return _result("members add up to awards", len(document["awards"]), wrong)


def _shares(document: dict[str, Any], events: Sequence[Event]) -> Finding:
    """Shares add up to what the aggregator was paid, and each was paid once, to the micro-unit."""
    paid: dict[str, int] = {}
    for args in _named(events, "AwardSettled"):
        paid[args["aggregator"].lower()] = paid.get(args["aggregator"].lower(), 0) + args["paymentMicro"]
    claimed: dict[tuple[str, str], int] = {}
    wrong = []
    for args in _named(events, "MemberPaid"):
        key = (args["aggregator"].lower(), args["account"].lower())
        if key in claimed:
            wrong.append(f"{key[1]} was paid twice")
        claimed[key] = args["amountMicro"]
    count = 0
    for name, shares in document["splits"].items():
        count += len(shares)
        if sum(s["amount_micro"] for s in shares) != paid.get(name.lower(), 0):
            wrong.append(f"{name}: shares do not add up to {paid.get(name.lower(), 0)}")
        for s in shares:
            if claimed.get((name.lower(), s["account"].lower())) != s["amount_micro"]:
                wrong.append(f"{s['account']}: was not paid its {s['amount_micro']}")
    if set(paid) != {name.lower() for name in document["splits"]}:
        wrong.append("an aggregator has no split")
    return _result("member payments equal the aggregator's", count, wrong)


def _stakes(document: dict[str, Any], events: Sequence[Event]) -> Finding:
    """What was locked was paid, charged or given back."""
    left: dict[str, list[int]] = {}
    for args in _named(events, "StakeLocked"):
        left[args["aggregator"]] = [args["paymentMicro"], args["penaltyMicro"]]
    for name in ("AwardSettled", "StakeReleased"):
        for args in _named(events, name):
            left[args["aggregator"]][0] -= args["paymentMicro"]
            left[args["aggregator"]][1] -= args["penaltyMicro"]
    wrong = [f"{name}: {sums} still locked" for name, sums in left.items() if any(sums)]
    return _result("stakes are used up", len(left), wrong)
