"""The report's drawings as inline SVG: deterministic bytes, text as text, colours that follow the page.

Drawn in stand-in colours that are replaced by CSS variables, so one drawing serves light and dark.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import matplotlib

matplotlib.use("svg")

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from backend.day.types import DayInput
from backend.market.domain import GREEN, GREY, Book, Solution

Ints = npt.NDArray[np.int64]

COLOURS: Final[Mapping[str, tuple[str, str]]] = {
    "ink": ("#010101", "var(--ink)"),
    "muted": ("#020202", "var(--muted)"),
    "line": ("#030303", "var(--line)"),
    "green": ("#040404", "var(--green)"),
    "grey": ("#050505", "var(--grey)"),
    "blue": ("#060606", "var(--blue)"),
    "amber": ("#070707", "var(--amber)"),
    "red": ("#080808", "var(--red)"),
}
_STYLE: Any = {
    "svg.hashsalt": "bitwatt",
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": COLOURS["line"][0],
    "axes.labelcolor": COLOURS["muted"][0],
    "xtick.color": COLOURS["muted"][0],
    "ytick.color": COLOURS["muted"][0],
    "text.color": COLOURS["ink"][0],
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": COLOURS["line"][0],
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.labelcolor": COLOURS["ink"][0],
}


def figures_of(
    day: DayInput, book: Book, solutions: Mapping[str, Solution], report: Mapping[str, Any]
) -> dict[str, str]:
    """Name -> SVG of every drawing, in the order in which the page shows them."""
    joint = solutions["joint"]
    drawings: dict[str, Callable[[Axes], None]] = {
        "Price of energy": lambda ax: _prices(ax, day, book, joint),
        "Load against green supply": lambda ax: _load(ax, day, book, solutions),
        "Order fill": lambda ax: _fill(ax, report["fill"]),
        "Carbon of the energy used": lambda ax: _carbon(ax, report),
        "Curtailment": lambda ax: _curtailment(ax, report),
        "Gas by step": lambda ax: _gas(ax, report["gas"]),
    }
    return {name: _svg(name, draw, wide=index < 2) for index, (name, draw) in enumerate(drawings.items())}


def _svg(name: str, draw: Callable[[Axes], None], wide: bool) -> str:
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(9.2, 3.0) if wide else (4.5, 2.9), layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0)
        draw(axes)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    for stand_in, variable in COLOURS.values():
        text = text.replace(stand_in, variable)
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*">', "<g>", text)  # ids of groups repeat from drawing to drawing
    text = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", text)
    text = re.sub(r"font-family: [^;\"]*; ?", "", text)
    text = re.sub(r' (width|height)="[^"]*pt"', "", text, count=2)
    return text.replace("<svg ", f'<svg role="img" aria-label="{name}" ', 1)


def _hours(day: DayInput) -> npt.NDArray[np.float64]:
    hours: npt.NDArray[np.float64] = np.arange(day.slots) * day.slot_seconds / 3600
    return hours


def _clock(axes: Axes, day: DayInput) -> None:
    hours = day.slots * day.slot_seconds // 3600
    step = 6 if hours <= 72 else 12
    axes.set_xlim(0, hours)
    axes.set_xticks(range(0, hours + 1, step), [f"{h % 24:02d}h" for h in range(0, hours + 1, step)])
    axes.grid(axis="x", visible=False)


def _prices(axes: Axes, day: DayInput, book: Book, joint: Solution) -> None:
    """Prices per kWh at which energy changed hands, weighted by the energy of the zones, and the tariff."""
    for mode, colour, label in ((GREEN, "green", "green, joint"), (GREY, "grey", "grid, joint")):
        energy = load_by_zone(book, joint)[:, mode, :]
        price = joint.energy_price[:, mode, :]
        total = energy.sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.where(total > 0, (energy * price).sum(axis=0) / total, np.nan) / 1e6
        axes.step(_hours(day), mean, where="post", color=COLOURS[colour][0], lw=1.6, label=label)
    tariff = np.array(day.tariff_micro_per_kwh, dtype=float).mean(axis=0) / 1e6
    axes.step(
        _hours(day), tariff, where="post", color=COLOURS["muted"][0], lw=0.9, ls=":", label="mean grid tariff"
    )
    axes.set_ylabel(f"{day.params.settlement_currency} per kWh")
    _clock(axes, day)
    axes.legend(ncols=3, loc="upper left", bbox_to_anchor=(0, 1.15))


def _load(axes: Axes, day: DayInput, book: Book, solutions: Mapping[str, Solution]) -> None:
    hours, kw = _hours(day), 3600 / day.slot_seconds / 1000
    joint = load_by_zone(book, solutions["joint"]).sum(axis=0) * kw
    axes.stackplot(
        hours,
        joint[GREEN],
        joint[GREY],
        step="post",
        colors=[COLOURS["green"][0], COLOURS["grey"][0]],
        labels=["green used", "grid used"],
        lw=0,
        alpha=0.8,
    )
    offered = green_offered(book) * kw
    axes.step(hours, offered, where="post", color=COLOURS["amber"][0], lw=1.4, label="green offered")
    if "fcfs" in solutions:
        other = load_by_zone(book, solutions["fcfs"]).sum(axis=(0, 1)) * kw
        axes.step(
            hours, other, where="post", color=COLOURS["ink"][0], lw=0.9, ls="--", label="load, first come"
        )
    axes.set_ylabel("kW")
    _clock(axes, day)
    axes.legend(ncols=4, loc="upper left", bbox_to_anchor=(0, 1.15))


def _bars(axes: Axes, groups: Sequence[str], values: Mapping[str, Sequence[float]]) -> None:
    palette = {"joint": "green", "fcfs": "amber", "sequential": "blue"}
    width = 0.8 / max(len(values), 1)
    for index, (name, heights) in enumerate(values.items()):
        places = np.arange(len(groups)) + (index - (len(values) - 1) / 2) * width
        axes.bar(places, heights, width * 0.92, color=COLOURS[palette.get(name, "muted")][0], label=name)
    axes.set_xticks(range(len(groups)), groups)
    axes.grid(axis="x", visible=False)
    axes.legend(ncols=3, loc="upper left", bbox_to_anchor=(0, 1.18))


def _fill(axes: Axes, fill: Mapping[str, Mapping[str, float]]) -> None:
    groups = list(next(iter(fill.values())))
    _bars(
        axes,
        [g.replace("_", " ") for g in groups],
        {n: [f[g] * 100 for g in groups] for n, f in fill.items()},
    )
    axes.set_ylabel("% of requested")
    axes.set_ylim(0, 100)


def _by_mechanism(report: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {"joint": report, **report["reference"]}


def _carbon(axes: Axes, report: Mapping[str, Any]) -> None:
    named = _by_mechanism(report)
    rows = {
        name: [values["carbon_location_g"] / 1000, values["carbon_market_g"] / 1000]
        for name, values in named.items()
    }
    _bars(axes, ["by location", "by market"], rows)
    axes.set_ylabel("kg CO2e")


def _curtailment(axes: Axes, report: Mapping[str, Any]) -> None:
    rows = {
        name: [
            values["green_matched_wh"] / 1000,
            values["curtailed_wh"] / 1000,
        ]
        for name, values in _by_mechanism(report).items()
    }
    _bars(axes, ["green used", "curtailed"], rows)
    axes.set_ylabel("kWh")


def _gas(axes: Axes, gas: Mapping[str, int]) -> None:
    names = list(gas)[::-1]
    axes.barh(range(len(names)), [gas[name] / 1e6 for name in names], 0.7, color=COLOURS["blue"][0])
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("million gas")
    axes.grid(axis="y", visible=False)


def load_by_zone(book: Book, solution: Solution) -> Ints:
    """Wh used, by zone row, mode and slot."""
    load = np.zeros((len(book.zones), 2, book.slots.count), dtype=np.int64)
    rows = book.zone_index()
    fills = solution.fills
    zone = np.array([rows[offer.zone_id] for offer in book.compute_offers], dtype=np.int64)
    energy = np.array([offer.energy_wh_per_vcu_slot for offer in book.compute_offers], dtype=np.int64)
    if len(fills):
        np.add.at(load, (zone[fills.offer], fills.mode, fills.slot), fills.lanes * energy[fills.offer])
    return load


def green_offered(book: Book) -> Ints:
    """Wh of green offered in each slot, all zones."""
    total = np.zeros(book.slots.count, dtype=np.int64)
    for offer in book.power_offers:
        if offer.mode == GREEN:
            total += offer.wh.sum(axis=1)
    return total
