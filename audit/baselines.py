"""F6 a second time: baselines over whole tables of members, for the audit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

Table = npt.NDArray[np.int64]
WINDOW_DAYS = 45
LEAST = {"caiso_10_in_10": (10, 5), "high_4_of_5": (5, 4), "high_5_of_10": (10, 5)}
"""(most, least) valid days that a method takes."""


def _ten(history: Table, today: Table, a: int, b: int, hour: int) -> Table:
    mean = history.sum(axis=1) // history.shape[1]
    factor = np.full(len(today), 10_000)
    first, last = a - 4 * hour, a - 2 * hour
    if first >= 0:
        own, usual = today[:, first:last], mean[:, first:last].sum(axis=1)
        asked = np.clip(own.sum(axis=1) * 10_000 // np.maximum(usual, 1), 8_000, 12_000)
        factor = np.where((usual > 0) & (own >= 0).all(axis=1), asked, factor)
    return mean[:, a:b] * factor[:, None] // 10_000


def _high(most: int) -> Callable[[Table, Table, int, int, int], Table]:
    def high(history: Table, today: Table, a: int, b: int, hour: int) -> Table:
        window = history[:, ::-1, a:b]
        energy = window.sum(axis=2)
        usual = energy <= 2 * np.median(energy, axis=1)[:, None]
        enough = usual.sum(axis=1) >= most
        rank = np.where(usual | ~enough[:, None], energy, np.iinfo(np.int64).min + 1)
        top = np.argsort(-rank, axis=1, kind="stable")[:, :most]
        return np.take_along_axis(window, top[:, :, None], axis=1).sum(axis=1) // most

    return high


F6: dict[str, Callable[[Table, Table, int, int, int], Table]] = {
    "caiso_10_in_10": _ten, "high_4_of_5": _high(4), "high_5_of_10": _high(5),
}  # fmt: skip


def baseline(
    method: str, days: list[date], tables: Mapping[str, Table], a: int, b: int, hour: int, rows: Table
) -> Table:
    """W [row][slot of the window]; -1 where the method has too little to go by."""
    today, history, busy = (tables[name][rows] for name in ("today_w", "history_w", "event_day"))
    if method == "meter_before_after":
        before = today[:, max(0, a - 4) : a]
        if not before.shape[1]:
            return np.full((len(rows), b - a), -1, np.int64)
        level = np.minimum(before[:, -1], before.sum(axis=1) // before.shape[1])
        return np.repeat(np.where((before >= 0).all(axis=1), level, -1)[:, None], b - a, axis=1)
    most, least = LEAST[method]
    like = np.array([
        (d.weekday() >= 5) == (days[-1].weekday() >= 5) and 0 < (days[-1] - d).days <= WINDOW_DAYS
        for d in days[:-1]
    ])  # fmt: skip
    valid = like[None] & (busy == 0) & (history >= 0).all(axis=2)
    out = np.full((len(rows), b - a), -1, np.int64)
    masks, group = np.unique(valid, axis=0, return_inverse=True)
    for n, mask in enumerate(masks):
        chosen = np.flatnonzero(mask)[-most:]
        mine = np.flatnonzero(group.ravel() == n)
        if len(chosen) >= least:
            out[mine] = F6[method](history[mine][:, chosen], today[mine], a, b, hour)
    return out


def delivered_wh(
    content: Mapping[str, Any], rows: Mapping[str, Any], tables: Mapping[str, Table]
) -> list[int]:
    """What each member of an award delivered, whole Wh, by the method that the document names."""
    seconds = content["slot_seconds"]
    days = [date.fromisoformat(text) for text in content["days"]]
    slot = int(rows["slot"])
    a, b = int(rows["window"][0]), int(rows["window"][1])
    member = np.array(rows["member"], np.int64)
    methods = rows["method"] if isinstance(rows["method"], list) else [rows["method"]] * len(member)
    load = tables["today_w"][member, slot]
    out = np.zeros(len(member), np.int64)
    for method in sorted(set(methods)):
        mine = np.flatnonzero(np.array(methods) == method)
        if method == "availability":
            out[mine] = _available(rows, tables, member[mine], np.array(rows["declared_wh"])[mine], seconds)
            continue
        base = baseline(method, days, tables, a, b, 3600 // seconds, member[mine])[:, slot - a]
        change = load[mine] - base if rows["direction"] == "down" else base - load[mine]
        known = (base >= 0) & (load[mine] >= 0)
        out[mine] = np.where(known, np.maximum(change, 0) * seconds // 3600, 0)
    found: list[int] = out.tolist()
    return found


def _available(
    rows: Mapping[str, Any], tables: Mapping[str, Table], member: Table, declared: Table, seconds: int
) -> Table:
    load = tables["today_w"][member, rows["slot"] : rows["slot"] + rows["slots"]]
    promised = (declared * 3600 // (rows["slots"] * seconds))[:, None]
    up, down = load, tables["nameplate_w"][member][:, None] - load
    room = {"up": up, "down": down, "symmetric": np.minimum(up, down)}[rows["direction"]]
    held = np.where(load >= 0, np.minimum(np.maximum(room, 0), promised), 0)
    total: Table = held.sum(axis=1) * seconds // 3600
    return total
