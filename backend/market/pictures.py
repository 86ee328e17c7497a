"""The pictures of docs/mechanism.md, drawn from one generated day: `python -m backend.market.pictures
DIR`."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from backend.market.clearing import clear
from backend.market.domain import GREEN, GREY, Book, Solution
from backend.market.instances import plausible

GREEN_INK, GREY_INK, BLUE_INK = "#2e8b57", "#777777", "#2f5d8a"


def draw(folder: Path) -> None:
    """Writes prices.svg, window.svg, slot.svg and certificate.svg into `folder`."""
    plt.rcParams.update({"svg.hashsalt": "bitwatt", "font.size": 9, "axes.spines.top": False,
                         "axes.spines.right": False, "svg.fonttype": "none"})  # fmt: skip
    book = plausible(600, slots=96, zones=1, classes=1, sites=5, plants=8)
    solution = clear(book, effort="fine")
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in (
        ("prices", _prices),
        ("window", _window),
        ("slot", _slot),
        ("certificate", _certificate),
    ):
        figure = picture(book, solution)
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None}, bbox_inches="tight")
        plt.close(figure)


def _hours(book: Book) -> np.ndarray:  # type: ignore[type-arg]
    return np.arange(book.slots.count) * book.slots.slot_seconds / 3600


def _prices(book: Book, solution: Solution) -> Figure:
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(7, 4.6), sharex=True)
    hour = _hours(book)
    for mode, ink, name in ((GREY, GREY_INK, "grid"), (GREEN, GREEN_INK, "green")):
        top.step(hour, solution.energy_price[0, mode] / 1e6, color=ink, where="post", label=f"{name} energy")
        bottom.step(
            hour, solution.compute_price[0, 0, mode] / 1e6, color=ink, where="post", label=f"{name} bundle"
        )
    top.set_ylabel("per kWh")
    top.set_ylim(0, 0.3)
    bottom.set_ylabel("per VCU-slot, all in")
    bottom.set_ylim(0.15, 0.6)
    bottom.set_xlabel("hour of the day")
    top.legend(frameon=False)
    bottom.legend(frameon=False)
    return figure


def _window(book: Book, solution: Solution) -> Figure:
    f, o = solution.fills, book.orders
    slack = np.where(
        np.isin(np.arange(len(o)), f.order), o.deadline_slot - o.start_slot - o.duration_slots, -1
    )
    long = np.where((o.duration_slots >= 8) & (o.min_green_bps > 0), slack, -1)
    j = int(np.argmax(long))
    figure, axes = plt.subplots(figsize=(7, 2.4))
    hour = _hours(book)
    axes.step(
        hour, solution.compute_price[0, 0, GREEN] / 1e6, color=GREEN_INK, where="post", label="green price"
    )
    axes.axvspan(
        hour[o.start_slot[j]], hour[o.deadline_slot[j] - 1] + 0.25, color=BLUE_INK, alpha=0.12, label="window"
    )
    for t in f.slot[f.order == j]:
        axes.axvspan(hour[t], hour[t] + 0.25, color=BLUE_INK, alpha=0.6, lw=0)
    axes.set_ylim(0.15, 0.6)
    axes.set_xlabel("hour of the day; dark: the slots it got")
    axes.legend(frameon=False)
    return figure


def _slot(book: Book, solution: Solution) -> Figure:
    t = int(np.argmax(np.bincount(solution.fills.slot, minlength=book.slots.count)))
    rows = sorted(
        (int(ask), int(wh))
        for g in book.power_offers
        if g.mode == GREEN
        for wh, ask in zip(g.wh[t], g.ask_micro_per_kwh[t], strict=True)
    )
    wh = np.cumsum([0] + [w for _, w in rows]) / 1000
    here = (solution.fills.slot == t) & (solution.fills.mode == GREEN)
    used = sum(
        int(lanes) * book.compute_offers[int(i)].energy_wh_per_vcu_slot
        for i, lanes in zip(solution.fills.offer[here], solution.fills.lanes[here], strict=True)
    )
    figure, axes = plt.subplots(figsize=(7, 2.8))
    axes.step(
        wh,
        [a / 1e6 for a, _ in rows] + [rows[-1][0] / 1e6],
        where="post",
        color=GREEN_INK,
        label="green offers",
    )
    axes.axvline(used / 1000, color=BLUE_INK, label="load that got it")
    axes.axhline(solution.energy_price[0, GREEN, t] / 1e6, color=BLUE_INK, ls="--", label="price of the slot")
    axes.set_xlabel(f"kWh in the slot that starts at {_hours(book)[t]:.2f} h")
    axes.set_ylabel("per kWh")
    axes.legend(frameon=False)
    return figure


def _certificate(book: Book, solution: Solution) -> Figure:
    c = solution.certificate
    assert c is not None
    figure, axes = plt.subplots(figsize=(7, 1.9))
    parts = (("unfilled", c.unfilled_milli), ("regret", c.regret_milli), ("unsold", c.unsold_milli),
             ("unused power", c.unused_power_milli))  # fmt: skip
    left = 0.0
    for (name, value), ink in zip(parts, ("#b5563c", "#d9a441", "#6a8fb5", GREEN_INK), strict=True):
        wide = 100 * value / c.bound_milli
        axes.barh([0], [wide], left=left, color=ink, label=f"{name} {wide:.3f} %")
        left += wide
    axes.set_yticks([])
    axes.set_xlabel(f"per cent of the bound; welfare is the other {100 - left:.2f} %")
    axes.legend(frameon=False, ncols=2, loc="upper center", bbox_to_anchor=(0.5, 1.6))
    return figure


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
