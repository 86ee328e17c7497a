"""Power of the day: plants scaled to the orders, their forecasts, tranches, and the zones' grids.

Two stated rules make a horizon longer than a day honest:
- scale: plants with a known nameplate sell equal contracted nameplates (others keep the file's mix), and one
  factor makes the forecast of the first day equal a multiple of the energy of the day's orders;
- share: later days have orders of their own. If every day looked like this one, the orders that may run in a
  slot of the day would come from several days; this book is offered its own part of the slot's supply.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backend.day import draws
from backend.day.params import EMISSION_G_PER_KWH, PPM, DayParameters
from backend.day.types import SOURCE_IDS, DayPlant, DayPowerOffer


@dataclass(frozen=True)
class PlantSeries:
    """Unscaled Wh per slot of the horizon for one plant."""

    key: str
    kind: str
    zone_id: int
    forecast_wh: tuple[int, ...]
    actual_wh: tuple[int, ...]
    nameplate_w: int | None


def book_share_ppm(loads: Sequence[tuple[int, int, int]], slots: int, day_slots: int) -> tuple[int, ...]:
    """For each slot, this book's part of the load that may run there in a steady state, in ppm.

    `loads` are (start, deadline, energy Wh); energy is spread evenly over its window. At each slot of the day
    the shares of all days add up to at most one.
    """
    density = [0] * slots
    for start, deadline, energy in loads:
        each = energy * 1000 // (deadline - start)
        for slot in range(start, deadline):
            density[slot] += each
    shares = []
    for slot in range(slots):
        total = sum(density[slot % day_slots :: day_slots])
        first = PPM if slot < day_slots else 0
        shares.append(density[slot] * PPM // total if total else first)
    return tuple(shares)


def drawn_forecast(
    actual: Sequence[int], key: str, kind: str, params: DayParameters, seed: int
) -> tuple[int, ...]:
    """A forecast where the file brings none: the actual times 1 + an error drifting over two hours."""
    deviation = params.forecast_error_ppm.get(kind, 0)
    knot = max(1, 7200 // params.slot_seconds)
    knots = [_normal_ppm(seed, key, i) for i in range(len(actual) // knot + 2)]
    result = []
    for slot, value in enumerate(actual):
        at, rest = divmod(slot, knot)
        error = (knots[at] * (knot - rest) + knots[at + 1] * rest) * deviation // (knot * PPM)
        result.append(max(0, value * (PPM + error) // PPM))
    return tuple(result)


def _normal_ppm(seed: int, key: str, index: int) -> int:
    """Close to a standard normal in ppm: twelve uniform draws less six, all integers."""
    return sum(draws.below(seed, key, f"forecast-{index}-{i}", PPM) for i in range(12)) - 6 * PPM


def corrected_forecast(
    actual: Sequence[int], day_ahead: Sequence[int], params: DayParameters
) -> tuple[int, ...]:
    """The day-ahead forecast after the part of its error that is known when offers are made."""
    rest = PPM - params.intraday_correction_ppm
    return tuple(a + (f - a) * rest // PPM for a, f in zip(actual, day_ahead, strict=True))


def scale_plants(
    series: Sequence[PlantSeries], target_wh: int, share_ppm: Sequence[int], day_slots: int, slot_s: int
) -> tuple[DayPlant, ...]:
    """Plants scaled so that the first day's full forecast is `target_wh`, then offered by share.

    Rounding is down on running totals, so no plant ever offers a Wh that the exact value does not hold.
    Plant ids count from 1.
    """
    equal = all(plant.nameplate_w for plant in series)
    # Weight of a plant in units of the file: 1, or 10^12 / nameplate where every nameplate is known.
    weights = [10**12 // (plant.nameplate_w or 1) if equal else 1 for plant in series]
    total = sum(
        weight * sum(plant.forecast_wh[:day_slots]) for weight, plant in zip(weights, series, strict=True)
    )
    plants = []
    for index, (weight, plant) in enumerate(zip(weights, series, strict=True)):
        factor = weight * target_wh if total else 0
        forecast = _scaled(plant.forecast_wh, share_ppm, factor, max(total, 1))
        actual = _scaled(plant.actual_wh, share_ppm, factor, max(total, 1))
        plants.append(
            DayPlant(
                index + 1,
                plant.key,
                f"producer/{plant.key}",
                plant.zone_id,
                SOURCE_IDS.get(plant.kind, SOURCE_IDS["other"]),
                EMISSION_G_PER_KWH.get(plant.kind, 0),
                max(1, -(-max(*forecast, *actual) * 3600 // slot_s)),
                forecast,
                actual,
            )
        )
    return tuple(plants)


def _scaled(values: Sequence[int], share_ppm: Sequence[int], factor: int, total: int) -> tuple[int, ...]:
    result, exact, given = [], 0, 0
    for value, share in zip(values, share_ppm, strict=True):
        exact += value * factor * share
        whole = exact // (total * PPM)
        result.append(whole - given)
        given = whole
    return tuple(result)


def power_offer(plant: DayPlant, kind: str, params: DayParameters) -> DayPowerOffer:
    """The plant's forecast as tranches: fixed shares of each slot, the rest in the last tranche."""
    asks = params.tranche_asks_micro_per_kwh[kind]
    shares = params.tranche_shares
    rows = []
    for wh in plant.forecast_wh:
        row = [wh * share // sum(shares) for share in shares[:-1]]
        rows.append((*row, wh - sum(row)))
    return DayPowerOffer(
        f"plant-{plant.plant_id}",
        plant.owner,
        plant.plant_id,
        plant.zone_id,
        plant.source,
        plant.emission_g_per_kwh,
        tuple(rows),
        (tuple(asks),) * len(rows),
    )


def grid_plant(
    plant_id: int, zone_id: int, wh_per_slot: Sequence[int], carbon: Sequence[int], slot_s: int
) -> DayPlant:
    """A zone's grid: enough for all its compute at once, so that it never binds."""
    amounts = tuple(wh_per_slot)
    return DayPlant(
        plant_id,
        f"grid z{zone_id}",
        f"grid/z{zone_id}",
        zone_id,
        SOURCE_IDS["grid"],
        (2 * sum(carbon) + len(carbon)) // (2 * len(carbon)),
        max(1, -(-max(amounts) * 3600 // slot_s)),
        amounts,
        amounts,
    )


def grid_offer(plant: DayPlant, tariff: Sequence[int]) -> DayPowerOffer:
    """The grid's single tranche at the zone's tariff."""
    return DayPowerOffer(
        f"grid-z{plant.zone_id}",
        plant.owner,
        plant.plant_id,
        plant.zone_id,
        plant.source,
        plant.emission_g_per_kwh,
        tuple((wh,) for wh in plant.forecast_wh),
        tuple((price,) for price in tariff),
    )


def kinds_by_source() -> Mapping[int, str]:
    """Source number to name."""
    return {number: name for name, number in SOURCE_IDS.items()}
