"""The carbon statement of a period (F9, F10, F11) and the synergy index (F14), from settled slots alone.

Energy in Wh, emissions in mg (1 Wh x 1 g/kWh), shares in ppm. Both Scope 2 methods stand side by side:
location = all load at the grid's factor of its zone and slot; market = what was matched and retired at its
plants' factor, the rest at the residual mix, which is never the average. Nothing is carried over in time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from audit.checks.readings import readable
from audit.checks.settlement import Settled, settled_slots
from audit.facts import Facts, parse_profile
from audit.formulas import ceil_div
from oracle.wire.reading import Kind

FORMAT = "bitwatt/statement/1"
RESIDUAL_G_PER_KWH = 820
"""Where a zone publishes no residual mix: the dirtiest common source (coal, life-cycle)."""
PPM = 1_000_000
WEIGHTS_PERCENT: Mapping[str, int] = {
    "energy_match": 30,
    "dispatch": 25,
    "economics": 20,
    "technology": 15,
    "ecology": 10,
}
"""F14; the 15/10 split of the last quarter is ours."""


@dataclass(frozen=True, slots=True)
class Carbon:
    """Both methods of F10 of some deliveries, with F9's pure contract score; `avoided_mg` is F11."""

    load_wh: int = 0
    matched_wh: int = 0
    location_mg: int = 0
    market_mg: int = 0
    avoided_mg: int = 0

    @property
    def cfe_ppm(self) -> int:
        """F9: matched share of the load, rounded down; no load scores 0."""
        return self.matched_wh * PPM // self.load_wh if self.load_wh else 0


def load_wh(row: Settled) -> int:
    """Energy of what was delivered, Wh rounded up, and never less than what was matched."""
    energy = row.run.lanes * row.batch.compute_offers[row.run.offer].terms["energyWhPerVcuSlot"]
    return max(row.matched_wh, ceil_div(energy * row.delivered_milli, 1000 * row.run.lanes))


def carbon_of(rows: Iterable[Settled], residual_g_per_kwh: int = RESIDUAL_G_PER_KWH) -> Carbon:
    """The statement of these deliveries."""
    load = matched = location = market = avoided = 0
    for row in rows:
        prices = row.batch.prices
        assert prices is not None  # settled rows have prices
        grid, green = (int(table[row.zone, row.slot]) for table in (prices.grid_carbon, prices.green_factor))
        used = load_wh(row)
        load, matched = load + used, matched + row.matched_wh
        location += used * grid
        market += row.matched_wh * green + (used - row.matched_wh) * residual_g_per_kwh
        avoided += row.matched_wh * max(0, grid - green)
    return Carbon(load, matched, location, market, avoided)


def rows_of(facts: Facts, start: int, end: int, account: str | None = None) -> list[Settled]:
    """Settled runs whose slot lies in [start, end), of one buyer or of all."""
    return [
        row
        for _, rows in settled_slots(facts)
        for row in rows or ()
        if start <= row.batch.start + row.slot * row.batch.slot_seconds < end
        and (account is None or row.buyer == account)
    ]


# --- F14 ----------------------------------------------------------------------------
def _share(part: int, whole: int, empty: int = PPM) -> int:
    """part / whole in ppm within 0..1, rounded down; `empty` where there is no whole."""
    return max(0, min(PPM, part * PPM // whole)) if whole > 0 else empty


def _offered_and_sold(facts: Facts, start: int, end: int) -> tuple[int, int]:
    """Green Wh offered to, and sold in, the batches of the period."""
    offered = sold = 0
    for batch in facts.batches:
        for offer in batch.power_offers:
            profile = parse_profile(offer.profile, offer.terms["slots"], offer.terms["tranches"])
            if offer.terms["source"] == 0 or profile is None:
                continue
            shift = (offer.terms["start"] - batch.start) // batch.slot_seconds
            for slot in range(batch.slots):
                if start <= batch.start + slot * batch.slot_seconds < end and 0 <= slot - shift < len(
                    profile
                ):
                    offered += sum(wh for wh, _ in profile[slot - shift])
                    sold += int.from_bytes(offer.sold[4 * slot : 4 * slot + 4], "big")
    return offered, sold


def _paid_and_rigid(rows: Iterable[Settled]) -> tuple[int, int]:
    """What the bundles cost, and what the same runs would have at the mean price of their own window.

    The mean over the batch is what a load pays that runs at any time alike: no flexibility at all."""
    paid = rigid = 0
    for row in rows:
        assert row.batch.prices is not None
        terms = row.batch.compute_offers[row.run.offer].terms
        prices = row.batch.prices.compute[terms["classId"], terms["zoneId"], row.run.mode]
        posted = prices[prices > 0]
        paid += row.run.lanes * int(prices[row.slot])
        rigid += row.run.lanes * int(posted.sum()) // max(len(posted), 1)
    return paid, rigid


def _pue_ppm(facts: Facts, start: int, end: int) -> int:
    """IT energy / import of all sites against the best site's, in ppm; 1 where nothing was metered."""
    site_of = {device.meter_id: device.terms.get("assetId") for device in facts.devices}
    used: dict[Any, list[int]] = {}
    for _, _, reading in readable(facts):
        if start <= reading.start < end and reading.kind in (Kind.JOB_IT_ENERGY, Kind.SITE_IMPORT):
            pair = used.setdefault(site_of.get(reading.meter_id), [0, 0])
            pair[reading.kind == Kind.SITE_IMPORT] += reading.quantity
    metered = [(it, imported) for it, imported in used.values() if it and imported]
    if not metered:
        return PPM
    best = max(_share(it, imported) for it, imported in metered)
    return _share(_share(sum(it for it, _ in metered), sum(all_ for _, all_ in metered)), best)


def synergy(
    facts: Facts, start: int, end: int, residual_g_per_kwh: int = RESIDUAL_G_PER_KWH
) -> dict[str, int]:
    """F14 in ppm with its five dimensions.

    `dispatch` is the delivered share of the lanes owed (response times are not on chain); `economics` is 0.5
    plus what was saved against the batch's mean prices; `technology` is PUE against the best site and the
    share of actual readings."""
    rows = rows_of(facts, start, end)
    carbon = carbon_of(rows, residual_g_per_kwh)
    offered, sold = _offered_and_sold(facts, start, end)
    owed = sum(1000 * row.run.lanes for row in rows)
    paid, rigid = _paid_and_rigid(rows)
    qualities = [item.quality for _, item, reading in readable(facts) if start <= reading.start < end]
    actual = _share(qualities.count(0), len(qualities))
    dimensions = {
        "energy_match": (carbon.cfe_ppm + _share(sold, offered)) // 2,
        "dispatch": _share(sum(row.delivered_milli for row in rows), owed),
        "economics": max(0, min(PPM, PPM // 2 + ((rigid - paid) * PPM // rigid if rigid > 0 else 0))),
        "technology": (_pue_ppm(facts, start, end) + actual) // 2,
        "ecology": _share(carbon.location_mg - carbon.market_mg, carbon.location_mg),
    }
    index = sum(WEIGHTS_PERCENT[name] * value for name, value in dimensions.items()) // 100
    return {"sei_ppm": index, **dimensions}


def statement(
    facts: Facts,
    start: int,
    end: int,
    account: str | None = None,
    residual_g_per_kwh: int = RESIDUAL_G_PER_KWH,
) -> dict[str, Any]:
    """The statement as it is published: what it is about, both methods, and F14 where it is of all."""
    carbon = carbon_of(rows_of(facts, start, end, account), residual_g_per_kwh)
    head = {"format": FORMAT, "chain_id": facts.chain_id, "start": start, "end": end, "account": account}
    figures = {**asdict(carbon), "cfe_ppm": carbon.cfe_ppm, "residual_g_per_kwh": residual_g_per_kwh}
    index = {} if account else {"synergy": synergy(facts, start, end, residual_g_per_kwh)}
    return {**head, **figures, **index}
