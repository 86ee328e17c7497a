"""Readings in the tables are those in the archive, by meter and time; they come and go with their reports."""

from __future__ import annotations

from sqlalchemy import text
from sqlmodel import func, select

from backend.service.indexer import apply
from backend.service.readings import ReadingsFiller, fill_all
from backend.store.chain import ReportRow
from backend.store.readings import MeterReading, ReadingsTaken, month_of
from tests.unit.api.callers import World
from tests.unit.api.market_chain import SLOT, START

METER = 11


def test_a_meters_series_is_what_its_reports_hold(trading: World) -> None:
    context = trading.context
    assert context.settings.archive is not None
    fill_all(context.store, context.settings.archive)
    anyone = trading.anonymous()
    page = anyone.get("/readings", params={"meter_id": METER, "limit": 4}).json()
    rest = anyone.get("/readings", params={"meter_id": METER, "cursor": page["next_cursor"]}).json()
    items = page["items"] + rest["items"]
    assert [row["start"] for row in items] == [START + n * SLOT for n in range(6)]
    assert [row["register_value"] for row in items] == [str(11_000 * n) for n in range(1, 7)]
    some = anyone.get(
        "/readings", params={"meter_id": METER, "start": START + SLOT, "end": START + 3 * SLOT}
    ).json()["items"]
    assert some == items[1:3]
    proofs = anyone.get(f"/reports/{items[0]['report_start']}/readings", params={"meter_id": METER}).json()
    proof = proofs["items"][0]
    assert proof["index"] == items[0]["leaf_index"]
    assert all(proof[name] == items[0][name] for name in ("seq", "start", "end", "quantity", "quality"))
    assert not ReadingsFiller(context.store, context.settings.archive).step()
    if context.store.is_postgresql:
        with context.store.reading() as session:
            parts = session.execute(
                text("SELECT DISTINCT tableoid::regclass::text FROM meter_reading")
            ).scalars()
            assert list(parts) == [month_of(START)[0]] == ["meter_reading_2017_10"]


def test_readings_go_with_a_report_that_a_reorganisation_took(trading: World) -> None:
    context = trading.context
    assert context.settings.archive is not None
    fill_all(context.store, context.settings.archive)
    with context.store.reading() as session:
        reports = session.exec(select(ReportRow).order_by(ReportRow.epoch)).all()  # type: ignore[arg-type]
        before = session.exec(select(func.count()).select_from(MeterReading)).one()
    with context.store.writing() as session:
        apply.forget_readings_above(session, reports[2].block_number)
    with context.store.reading() as session:
        assert session.exec(select(func.count()).select_from(MeterReading)).one() == before // 2
        assert {row.epoch for row in session.exec(select(ReadingsTaken))} == {0, 1, 2}
    fill_all(context.store, context.settings.archive)
    with context.store.reading() as session:
        assert session.exec(select(func.count()).select_from(MeterReading)).one() == before
