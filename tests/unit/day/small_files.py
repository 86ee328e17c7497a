"""A whole market day in four small files: two days of RTS generation and prices, a handful of Philly jobs."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from tests.unit.day.writing import Write

DAYS = 3
FIRST = datetime(2020, 7, 5)


def write_day(write: Write, jobs: int = 24) -> dict[str, Path]:
    """Paths by role, as `load_day` takes them; the jobs are of 2017-10-17."""
    write(
        "gen/rts_sites.csv",
        "site_id,technology,bus_id,bus_name,area,lat,lng,pmax_mw\n"
        "W1,WIND,309,Carter,3,34,-118,100\nS1,PV,101,Abel,1,33,-113,50\n",
    )
    generation, ahead, price, carbon = [], [], [], []
    for hour in range(24 * DAYS):
        local = FIRST + timedelta(hours=hour)
        utc = local + timedelta(hours=8)
        sun = max(0, 6 - abs(local.hour - 12)) * 8
        wind = 20 + hour * 7 % 50
        price.extend(f"{bus},{utc:%FT%TZ},{local:%FT%T},{15 + local.hour}" for bus in (101, 309))
        pacific = local + timedelta(hours=7)  # daylight saving
        carbon.append(f"CISO,{pacific:%FT%TZ},1,1,1,0,{local.hour + 1},1,1,1,")
        for site, value in (("W1", wind), ("S1", sun)):
            ahead.append(f"{site},{utc:%FT%TZ},{local:%FT%T},{value * 0.9:.1f}")
            for minute in range(0, 60, 5):
                shift = timedelta(minutes=minute)
                generation.append(f"{site},{utc + shift:%FT%TZ},{local + shift:%FT%T},{value}")
    head = "site_id,interval_start_utc,interval_start_local"
    return {
        "jobs": write("jobs/jobs.csv", _jobs(jobs)),
        "generation": write("gen/rts_actual_5min.csv", f"{head},actual_mw\n" + "\n".join(generation)),
        "price": write(
            "lmp.csv", "bus_id,interval_start_utc,interval_start_local,lmp_usd_per_mwh\n" + "\n".join(price)
        ),
        "carbon": write("eia.csv", _eia(carbon)),
        "ahead": write("gen/rts_day_ahead_hourly.csv", f"{head},day_ahead_mw\n" + "\n".join(ahead)),
    }


def _jobs(count: int) -> str:
    rows = []
    for n in range(count):
        local = datetime(2017, 10, 17) + timedelta(minutes=7 + 53 * n)
        utc = local + timedelta(hours=7)
        rows.append(f"job-{n:03d},{utc:%FT%TZ},{local:%FT%T},{600 + 1700 * (n % 7)},{1 + n % 3},lab-{n % 4}")
    return "job_id,submit_utc,submit_local,duration_s,num_gpus,vc\n" + "\n".join(rows) + "\n"


def _eia(rows: list[str]) -> str:
    from backend.carbon.factors import EIA_MIX_G_PER_KWH, mix_intensity_mg_per_kwh

    text = "zone_id,interval_start_utc,wind_mw,solar_mw,hydro_mw,oil_mw,gas_mw,coal_mw,nuclear_mw,other_mw"
    lines = [text + ",ci_lifecycle_g_per_kwh"]
    for row in rows:
        mix = dict(zip(EIA_MIX_G_PER_KWH, map(int, row.split(",")[2:10]), strict=True))
        lines.append(row + f"{mix_intensity_mg_per_kwh(mix) / 1000:.3f}")
    return "\n".join(lines) + "\n"
