"""What a reader of the report must know about how a day was made."""

from __future__ import annotations

from collections.abc import Sequence

from backend.day.params import DayParameters
from backend.day.sources.together import DaySources
from backend.day.types import DayJob, DayPlant
from backend.day.windows import Windows


def remarks_of(
    sources: DaySources,
    windows: Windows,
    jobs: Sequence[DayJob],
    params: DayParameters,
    target: int,
    day_slots: int,
    plants: Sequence[DayPlant],
) -> list[str]:
    """What a reader of the report must know about how the day was made."""
    offered = sum(sum(plant.forecast_wh) for plant in plants)
    later = sum(sum(plant.forecast_wh[day_slots:]) for plant in plants)
    fee = params.grid_fee_micro_per_kwh / 1_000_000
    currency, multiple = sources.price.currency, params.supply_multiple_ppm / 1_000_000
    tariff = (
        f"grid tariff = price + {fee:g} per kWh of network use and levies" if fee else "tariffs are all in"
    )
    remarks = [
        f"{currency} to {params.settlement_currency}: {params.fx_ppm[currency] / 1_000_000:g}; {tariff}",
        f"green supply: the first day's full forecast is {multiple:g} x {target} Wh, the energy of the day's "
        "orders; of every slot this book is offered the part that its orders would hold if every day were "
        f"like this one: {offered} Wh in all, {later} Wh of it on later days",
    ]
    if windows.clipped:
        remarks.append(
            f"{windows.clipped} deadlines lie beyond {params.max_days} days and were set to its end"
        )
    if windows.dropped:
        remarks.append(
            f"{windows.dropped} jobs cannot finish within {params.max_days} days and were left out"
        )
    if sources.jobs.format == "openb":
        remarks.append(
            "openb has no calendar: its day 0 is taken as 1 January "
            f"{windows.jobs[0].row.submit_local.year}; a shared GPU counts as a whole one"
        )
    remarks.extend(
        f"{sources.jobs.file}: {count} rows are no orders: {reason}" for reason, count in sources.jobs.skipped
    )
    if sources.day_ahead is not None:
        remarks.append(
            "power is offered from the day-ahead forecast after "
            f"{params.intraday_correction_ppm // 10_000} % of its error has become known"
        )
    else:
        remarks.append("the generation file brings no forecast: its error is drawn with the stated deviation")
    remarks.append(f"{sum(job.urgent for job in jobs)} of {len(jobs)} orders are urgent")
    return remarks
