"""When a job may run: rounding, slack, mornings, weekends and the horizon."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime

import pytest

from backend.day.errors import DataFileError
from backend.day.params import DayParameters
from backend.day.sources.jobs import JobRow
from backend.day.windows import make_windows, next_morning, slack_s

TUESDAY, FRIDAY, SATURDAY = date(2017, 10, 17), date(2017, 10, 20), date(2017, 10, 21)
NO_SLACK = replace(DayParameters(), tolerance_minutes=((0, 1),))


def job(submit: datetime, duration_s: int, flexible: bool = False, **more: object) -> JobRow:
    return JobRow("j", "tenant/t", submit, duration_s, 1, (), flexible, **more)  # type: ignore[arg-type]


def window(row: JobRow, day: date = TUESDAY, params: DayParameters = NO_SLACK) -> tuple[int, int, int, int]:
    found = make_windows([row], day, params, 0)
    (w,) = found.jobs
    return w.start_slot, w.duration_slots, w.deadline_slot, found.slots


def test_start_rounds_up_and_deadline_down_but_never_below_the_job() -> None:
    # submitted 00:01, 66 s + 378 s of slack end at 00:08: the deadline is slot 0, the job needs slot 1
    assert window(job(datetime(2017, 10, 17, 0, 1), 66)) == (1, 1, 2, 96)
    # on the grid: starts at once; 900 s + 900 s x 600/600
    twice = replace(NO_SLACK, tolerance_minutes=((600, 1),))
    assert window(job(datetime(2017, 10, 17, 1, 0), 900), params=twice) == (4, 1, 6, 96)


def test_a_job_is_cut_to_a_day_and_a_late_one_runs_over_midnight() -> None:
    assert window(job(datetime(2017, 10, 17, 23, 50), 10**6)) == (96, 96, 192, 192)


@pytest.mark.parametrize(
    ("ready", "morning"),
    [
        (datetime(2017, 10, 17, 8, 59), datetime(2017, 10, 17, 9)),
        (datetime(2017, 10, 17, 9, 0), datetime(2017, 10, 17, 9)),
        (datetime(2017, 10, 17, 9, 1), datetime(2017, 10, 18, 9)),
        (datetime(2017, 10, 20, 10, 0), datetime(2017, 10, 23, 9)),  # Friday to Monday
        (datetime(2017, 10, 21, 8, 0), datetime(2017, 10, 23, 9)),
        (datetime(2017, 10, 22, 23, 0), datetime(2017, 10, 23, 9)),
    ],
)
def test_morning_is_the_first_working_day_at_nine(ready: datetime, morning: datetime) -> None:
    assert next_morning(ready, 9) == morning


def test_a_flexible_job_takes_the_first_morning_at_which_it_can_be_ready() -> None:
    assert window(job(datetime(2017, 10, 17, 3, 0), 3600, True)) == (12, 4, 36, 96)
    assert window(job(datetime(2017, 10, 17, 8, 0), 3600 * 2, True)) == (32, 8, 96 + 36, 192)
    assert window(job(datetime(2017, 10, 17, 23, 0), 86_400, True)) == (92, 96, 192 + 36, 288)
    assert window(job(datetime(2017, 10, 20, 10, 0), 60, True), FRIDAY) == (40, 1, 3 * 96 + 36, 384)


def test_deadlines_beyond_the_horizon_are_clipped_and_counted() -> None:
    short = replace(NO_SLACK, max_days=2)
    found = make_windows([job(datetime(2017, 10, 20, 10, 0), 60, True)], FRIDAY, short, 0)
    assert (found.slots, found.clipped, found.dropped, found.jobs[0].deadline_slot) == (192, 1, 0, 192)


def test_jobs_that_cannot_finish_within_the_horizon_are_dropped_and_counted() -> None:
    one = replace(NO_SLACK, max_days=1)
    rows = [job(datetime(2017, 10, 17, 1, 0), 60), job(datetime(2017, 10, 17, 23, 0), 86_400)]
    found = make_windows(rows, TUESDAY, one, 0)
    assert (len(found.jobs), found.dropped, found.slots) == (1, 1, 96)
    with pytest.raises(DataFileError, match="no job fits"):
        make_windows(rows[1:], TUESDAY, one, 0)


def test_a_deadline_of_the_file_wins() -> None:
    row = job(datetime(2017, 10, 17, 1, 0), 3600, True, deadline_local=datetime(2017, 10, 17, 5, 7))
    assert window(row) == (4, 4, 20, 96)


def test_slack_is_a_share_of_the_duration_and_at_least_the_minimum() -> None:
    params = replace(DayParameters(), tolerance_minutes=((60, 1),))
    assert slack_s("j", 600, params, 0) == 378
    assert slack_s("j", 36_000, params, 0) == 3600


def test_slack_follows_the_surveys_weights() -> None:
    params = DayParameters()
    drawn = [slack_s(f"job-{n}", 600_000, params, 0) // 1000 for n in range(4000)]
    for minutes, answers in params.tolerance_minutes:
        share = drawn.count(minutes) / len(drawn)
        assert abs(share - answers / 106) < 0.025, minutes


def test_flexible_share_of_a_trace_that_does_not_say() -> None:
    rows = [
        JobRow(f"job-{n}", "tenant/t", datetime(2017, 10, 17, 1, 0), 60, 1, (), None) for n in range(4000)
    ]
    found = make_windows(rows, TUESDAY, DayParameters(), 0)
    assert abs(sum(not w.urgent for w in found.jobs) / 4000 - 0.526) < 0.02
    other = make_windows(rows, TUESDAY, DayParameters(), 1)
    assert [w.urgent for w in found.jobs] != [w.urgent for w in other.jobs]


def test_slots_must_divide_the_day() -> None:
    with pytest.raises(DataFileError, match="slot_seconds"):
        make_windows([job(datetime(2017, 10, 17, 1), 60)], TUESDAY, replace(NO_SLACK, slot_seconds=7000), 0)
