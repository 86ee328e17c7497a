"""Seeded, plausible books of any size, for benchmarks and tests.

Demand follows the working day, PV the sun and wind a slow random walk; a third of the orders is urgent, a
third may wait some hours and a third most of the horizon. Energy per VCU-slot is that of an A100 at the
site's PUE (F2). Green supply over the horizon equals `supply` times the energy asked for; each zone's grid
sells without practical limit at a tariff by time of day.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from backend.market.domain import Book, ComputeClass, ComputeOffer, Ints, PowerOffer, SlotGrid, Zone
from backend.market.orders import OrderTable

CLASS_WATT = (366, 300, 250, 60)  # facility power of one VCU before PUE: training, inference, npu, cpu
CLASS_VALUE = (330_000, 260_000, 180_000, 40_000)  # usual price of a VCU-slot, micro
GRID_WH = 4_000_000_000
Hours = npt.NDArray[np.float64]


def plausible(
    orders: int,
    *,
    slots: int = 96,
    zones: int = 5,
    classes: int = 4,
    sites: int = 160,
    plants: int = 25,
    supply: float = 1.0,
    tightness: float = 0.75,
    largest: int = 8,
    carbon_priced: float = 0.3,
    seed: int = 1,
) -> Book:
    """A book of `orders` orders; `tightness` is demand over site capacity, `largest` the most lanes of an
    order."""
    rng = np.random.default_rng([seed, orders, slots, zones])
    grid = SlotGrid(1_508_198_400, 900, slots)
    table = _orders(rng, orders, slots, zones, classes, largest, carbon_priced)
    volume = np.array(
        [int((table.lanes * table.duration_slots)[table.class_id == k].sum()) for k in range(classes)],
        dtype=np.int64,
    )
    energy = [CLASS_WATT[k % 4] * grid.slot_seconds // 3600 * 6 // 5 for k in range(classes)]
    hour = np.arange(slots) * grid.slot_seconds / 3600 % 24
    return Book.of(
        grid,
        [Zone(z, f"zone-{z}") for z in range(zones)],
        [ComputeClass(k, f"class-{k}", energy[k]) for k in range(classes)],
        _sites(rng, volume, sites, zones, classes, slots, tightness, grid.slot_seconds),
        _grids(rng, zones, hour) + _plants(rng, plants, zones, hour, supply * float((volume * energy).sum())),
        _carbon(rng, zones, hour),
        table,
    )


def _orders(
    rng: np.random.Generator,
    count: int,
    slots: int,
    zones: int,
    classes: int,
    largest: int,
    carbon_priced: float,
) -> OrderTable:
    busy = 1.2 + np.sin((np.arange(slots) / 96 % 1 - 0.3) * 2 * np.pi)
    start = rng.choice(slots, size=count, p=busy / busy.sum())
    duration = np.clip(np.round(rng.lognormal(1.8, 1.1, count)), 1, slots // 2).astype(np.int64)
    kind = rng.integers(0, 3, count)
    slack = np.where(
        kind == 0, rng.integers(1, 4, count), np.where(kind == 1, rng.integers(4, 32, count), slots // 2)
    )
    start = np.minimum(start, slots - duration)
    deadline = np.minimum(start + duration + slack, slots)
    cls = rng.choice(classes, size=count, p=np.array([0.4, 0.3, 0.15, 0.15])[:classes] / np.array(
        [0.4, 0.3, 0.15, 0.15])[:classes].sum())  # fmt: skip
    lanes = np.minimum(1 + rng.geometric(0.5, count) * (rng.random(count) < 0.4), largest)
    mask = np.zeros(count, dtype=np.uint64)
    everywhere = rng.random(count) < 0.3
    home = rng.integers(0, zones, count)
    second = (home + rng.integers(1, max(zones, 2), count)) % zones
    mask |= np.uint64(1) << home.astype(np.uint64)
    mask |= np.where(rng.random(count) < 0.5, np.uint64(1) << second.astype(np.uint64), np.uint64(0))
    mask[everywhere] = np.uint64((1 << zones) - 1)
    value = np.array(CLASS_VALUE)[cls % 4] * rng.lognormal(0.1, 0.35, count) * np.where(kind == 0, 1.15, 1.0)
    return OrderTable.from_columns(
        {
            "id": np.char.mod("order-%09d", rng.permutation(count)),
            "class_id": cls,
            "zone_mask": mask,
            "lanes": lanes,
            "duration_slots": duration,
            "start_slot": start,
            "deadline_slot": deadline,
            "limit_micro_per_vcu_slot": value.astype(np.int64),
            "min_lanes": np.zeros(count, dtype=np.int64),
            "min_green_bps": rng.choice([0, 3000, 5000, 10_000], size=count, p=[0.5, 0.15, 0.2, 0.15]),
            "max_carbon_g_per_kwh": np.where(rng.random(count) < 0.1, 600, 0xFFFFFFFF),
            "carbon_price_micro_per_g": np.where(
                rng.random(count) < carbon_priced, rng.choice([50, 100, 300], size=count), 0
            ),
            "kind": np.zeros(count, dtype=np.int64),
            "submitted_at": rng.permutation(count),
        }
    )


def _sites(
    rng: np.random.Generator,
    volume: Ints,
    sites: int,
    zones: int,
    classes: int,
    slots: int,
    tight: float,
    seconds: int,
) -> list[ComputeOffer]:
    offers = []
    pairs = [(n % classes, n // classes % zones) for n in range(max(sites, classes))]
    weight = rng.lognormal(0, 0.5, len(pairs))
    for n, (k, z) in enumerate(pairs):
        total = sum(float(w) for w, (other, _) in zip(weight, pairs, strict=True) if other == k)
        lanes = int(np.ceil(float(volume[k]) / slots / tight * float(weight[n]) / total))
        pue = 1.08 + 0.5 * rng.random()
        offers.append(
            ComputeOffer(
                id=f"site-{n:05d}",
                site_id=n + 1,
                class_id=k,
                zone_id=z,
                capacity=max(lanes, 1),
                energy_wh_per_vcu_slot=int(CLASS_WATT[k % 4] * seconds / 3600 * pue),
                ask_micro_per_vcu_slot=int(CLASS_VALUE[k % 4] * (0.50 + 0.04 * rng.random())),
                start_slot=0,
                end_slot=slots,
            )
        )
    return offers


def _grids(rng: np.random.Generator, zones: int, hour: Hours) -> list[PowerOffer]:
    made = []
    for z in range(zones):
        base = 90_000 + 30_000 * rng.random()
        peak = np.where(
            (hour >= 8) & (hour < 11) | (hour >= 18) & (hour < 21), 1.45, np.where(hour < 7, 0.6, 1.0)
        )
        ask = (base * peak * (1 + 0.05 * rng.standard_normal(len(hour)))).astype(np.int64)
        made.append(
            PowerOffer(f"grid-{z:02d}", z + 1, z, 0, np.full((len(hour), 1), GRID_WH), ask[:, None], 0)
        )
    return made


def _plants(
    rng: np.random.Generator,
    plants: int,
    zones: int,
    hour: Hours,
    total_wh: float,
) -> list[PowerOffer]:
    shapes, asks, kinds = [], [], []
    for _ in range(plants):
        if rng.random() < 0.55:
            shape = np.maximum(0, np.sin((hour - 6) / 12 * np.pi)) * (0.8 + 0.2 * rng.random(len(hour)))
            kinds.append((1, 43))
        else:
            shape = np.clip(0.45 + 0.04 * np.cumsum(rng.standard_normal(len(hour))), 0.05, 1)
            kinds.append((2, 11))
        shapes.append(shape * rng.lognormal(0, 0.4))
        asks.append(30_000 + 50_000 * rng.random())
    scale = total_wh / max(sum(float(s.sum()) for s in shapes), 1e-9)
    made = []
    for n, shape in enumerate(shapes):
        wh = np.floor(shape * scale)
        tranches = np.stack([np.floor(wh * 0.6), np.floor(wh * 0.3), np.floor(wh * 0.1)], axis=1).astype(
            np.int64
        )
        ask = (asks[n] * np.array([0.85, 1.0, 1.25])).astype(np.int64)
        source, factor = kinds[n]
        made.append(
            PowerOffer(
                f"plant-{n:04d}", 1000 + n, n % zones, source, tranches, np.tile(ask, (len(hour), 1)), factor
            )
        )
    return made


def _carbon(rng: np.random.Generator, zones: int, hour: Hours) -> Ints:
    level = 350 + 400 * rng.random(zones)
    swing = 0.85 + 0.2 * np.cos((hour - 20) / 24 * 2 * np.pi)
    made: Ints = (level[:, None] * swing[None, :]).astype(np.int64)
    return made
