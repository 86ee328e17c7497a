"""Real series through meter, node and report: dirty rows are signed with a quality and never certified."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from oracle.agents.fleet import FleetDevice, read_rows
from oracle.agents.spool import Measured, Spool
from oracle.node.expect import judge
from oracle.node.ledger import Ledger
from oracle.node.store import Store
from oracle.wire.outcomes import slot_readings
from oracle.wire.reading import Kind, Quality, Reading
from oracle.wire.screen import Metered, Suspicion, screen
from tests.unit.oracle.oracle_facts import CHAIN, KEYS, PLANT, PLANT_METER, device, facts
from tests.unit.oracle.test_screen import Memory

SHARED = Path(__file__).parents[3].parent / "shared" / "data" / "generation"
FAR = 1 << 40


def pv_meter(column: str, path: Path, **more: object) -> FleetDevice:
    driver = {
        "kind": "series", "path": str(path), "time": "interval_start_utc", "value": column, "unit": "MW",
        "interval_seconds": 900, "nameplate_w": 30_000_000, **more,
    }  # fmt: skip
    return FleetDevice(PLANT_METER, "meter", 2, PLANT, 1, Path("key"), driver=driver)


def reported(tmp_path: Path, meter: FleetDevice) -> list[tuple[Reading, int, int]]:
    """(reading, the committee's quality, certifiable mWh) of every row, as an honest node reports it."""
    known = facts()
    known.apply("PlantAdded", {"plantId": PLANT, "zoneId": 0, "nameplateW": 30_000_000, "source": 1})
    device(known, PLANT_METER, 2, PLANT, until=FAR)
    spool = Spool(tmp_path / "spool.sqlite", ["http://node"], CHAIN)
    spool.measure(Measured(PLANT_METER, KEYS[PLANT_METER], row) for row in read_rows(meter))
    ledger = Ledger(Store(tmp_path / "node.sqlite"), known, CHAIN)
    found = []
    sent = 0
    while batch := spool.due("http://node", FAR, 96):
        receipt = ledger.take([envelope for _, envelope in batch], FAR)
        assert not receipt.refused
        sent += len(batch)
        due = ledger.due(FAR)
        for held, quality in zip(due, judge(known, due, ledger.history)[0], strict=True):
            item = held.reading
            counted = slot_readings([held.leaf(quality)], item.start, item.end, {}, known.plant_of)
            found.append((item, quality, counted.generation_mwh.get(PLANT, 0)))
        ledger.book(len(found), list(ledger.open))
        spool.posted("http://node", [number for number, _ in batch])
    assert sent == len(found)
    return found


def test_dirty_rows_earn_nothing(tmp_path: Path) -> None:
    path = tmp_path / "pv.csv"
    values = ["0", "1.5", "-0.063", "6553.5", "-99", "", "2.25", "99"]
    rows = [f"2019-05-01T{n // 4:02}:{n % 4 * 15:02}:00Z,{value}" for n, value in enumerate(values)]
    path.write_text("interval_start_utc,mw\n" + "\n".join(rows) + "\n")
    found = reported(tmp_path, pv_meter("mw", path))
    assert [mwh for *_, mwh in found] == [0, 375_000_000, 0, 0, 0, 0, 562_500_000, 0]
    assert [quality for _, quality, _ in found] == [0, 0, 4, 3, 3, 3, 0, 3]


def test_a_chinese_plant_with_negative_power(tmp_path: Path) -> None:
    path = SHARED / "cn_pv_15min.csv"
    if not path.is_file():
        pytest.skip("../shared/data is not here")
    with path.open(newline="") as stream:
        raw = [float(r["power_mw_raw"]) for r in csv.DictReader(stream) if r["site_id"] == "CN_PV_3"]
    found = reported(tmp_path, pv_meter("power_mw_raw", path, where={"site_id": "CN_PV_3"}))
    assert len(found) == len(raw) and min(raw) < 0
    kinds = Counter(quality for _, quality, _ in found)
    assert kinds[Quality.EDITED] == sum(1 for value in raw if value < 0) > 1000
    for value, (_, quality, mwh) in zip(raw, found, strict=True):
        assert mwh == (round(value * 250_000_000) if value >= 0 and quality == 0 else 0)
    # the weather columns hold sentinels: taken for power by mistake they earn nothing either
    weather = reported(tmp_path / "w", pv_meter("humidity_pct", path, where={"site_id": "CN_PV_1"}))
    assert sum(1 for _, quality, mwh in weather if quality == Quality.MISSING and mwh == 0) > 0


def test_a_load_spike_of_luxembourg_is_not_believed() -> None:
    path = SHARED / "lu_15min.csv"
    if not path.is_file():
        pytest.skip("../shared/data is not here")
    with path.open(newline="") as stream:
        rows = [(r["interval_start_utc"], float(r["load_mwh"])) for r in csv.DictReader(stream)]
    spike = next(n for n, (start, _) in enumerate(rows) if start == "2024-05-14T23:45:00Z")
    site, memory, doubted = Metered(1_000_000_000, None, 1), Memory(), []
    for number in range(spike - 40, spike + 40):
        neighbour = rows[number if number != spike else spike - 1][1]  # what the machines really used
        items = []
        for meter, kind, mwh in (
            (1, Kind.SITE_IMPORT, rows[number][1]),
            (2, Kind.JOB_IT_ENERGY, neighbour * 0.85),
        ):
            begin = number * 900
            items.append(
                Reading(1, meter, kind, bytes(32), number, begin, begin + 900, int(mwh * 1e9), 1 << 62)
            )
        found = screen(items, {1: site, 2: site}, memory)
        doubted += [(number, doubt) for doubt in found.values()]
    assert doubted == [(spike, Suspicion.MASS_BALANCE)]
