"""Philly and openb rows, each refusal by its reason."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from backend.day.errors import DataFileError
from backend.day.sources.jobs import read_jobs
from tests.unit.day.writing import Write

PHILLY = "job_id,submit_utc,submit_local,duration_s,num_gpus,vc\n"
GOOD = "philly-1,2017-10-17T07:11:57Z,2017-10-17T00:11:57,66,2,11cb48\n"
OPENB = (
    "job_id,trace_day,submit_s,scheduled_s,deleted_s,queue_s,run_s,num_gpu,gpu_milli,gpu_equiv,"
    "cpu_milli,memory_mib,gpu_spec,qos,pod_phase\n"
)


def test_philly_row(write: Write) -> None:
    found = read_jobs(write("j.csv", PHILLY + GOOD), 2017)
    (job,) = found.jobs
    assert (found.format, found.timezone, found.refused) == ("philly", "America/Los_Angeles", ())
    assert job.submit_local == datetime(2017, 10, 17, 0, 11, 57)
    assert (job.duration_s, job.gpus, job.tenant, job.flexible) == (66, 2, "tenant/11cb48", None)


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ("p,2017-10-17T07:11:57Z,2017-10-17T00:11:57,0,1,v", "duration_s"),
        ("p,2017-10-17T07:11:57Z,2017-10-17T00:11:57,-5,1,v", "duration_s"),
        ("p,2017-10-17T07:11:57Z,2017-10-17T00:11:57,1e9,1,v", "duration_s"),
        ("p,2017-10-17T07:11:57Z,2017-10-17T00:11:57,99999999999,1,v", "duration_s"),
        ("p,2017-10-17T07:11:57Z,2017-10-17T00:11:57,66,0,v", "num_gpus"),
        ("p,2017-10-17T07:11:57Z,2017-10-17T00:11:57,66,1.5,v", "num_gpus"),
        ("p,2017-10-17T07:11:57Z,2017-10-17T00:11:57,66,999999,v", "num_gpus"),
        ("p,2017-10-17T07:11:57Z,2017-10-17T03:11:57,66,1,v", "submit_local"),
        ("p,17/10/2017,2017-10-17T00:11:57,66,1,v", "submit_utc"),
        (",2017-10-17T07:11:57Z,2017-10-17T00:11:57,66,1,v", "job_id"),
        ("p,2017-10-17T07:11:57Z,2017-10-17T00:11:57,66,1,", "vc"),
        ("philly-1,2017-10-17T07:11:57Z,2017-10-17T00:11:57,66,1,v", "job_id"),
        ("p,2017-10-17T07:11:57Z", "row"),
    ],
)
def test_bad_philly_row_is_refused_by_field_and_the_rest_goes_on(write: Write, row: str, field: str) -> None:
    found = read_jobs(write("j.csv", PHILLY + GOOD + row + "\n"), 2017)
    assert len(found.jobs) == 1
    (refused,) = found.refused
    assert (refused.file, refused.line, refused.field) == ("j.csv", 3, field)
    assert refused.reason
    assert refused.mend


def test_deadline_before_the_start_and_unknown_class_are_refused(write: Write) -> None:
    head = PHILLY.strip() + ",deadline_local,class\n"
    base = "2017-10-17T07:00:00Z,2017-10-17T00:00:00,3600,1,v"
    found = read_jobs(
        write(
            "j.csv",
            f"{head}a,{base},2017-10-17T05:00:00,T4\nb,{base},2017-10-16T23:00:00,\n"
            f"c,{base},2017-10-17T00:30:00,\nd,{base},,H999\n",
        ),
        2017,
    )
    assert [job.job_id for job in found.jobs] == ["a"]
    assert found.jobs[0].models == ("T4",)
    assert [(r.line, r.field) for r in found.refused] == [
        (3, "deadline_local"),
        (4, "deadline_local"),
        (5, "class"),
    ]
    assert "before the start" in found.refused[0].reason


def openb(**changes: str) -> str:
    row = {
        "job_id": "openb-pod-1",
        "trace_day": "115",
        "submit_s": "9941376",
        "scheduled_s": "9941376",
        "deleted_s": "9972429",
        "queue_s": "0",
        "run_s": "31053",
        "num_gpu": "1",
        "gpu_milli": "320",
        "gpu_equiv": "0.32",
        "cpu_milli": "1000",
        "memory_mib": "2048",
        "gpu_spec": "V100M16|V100M32|V100M32",
        "qos": "BE",
        "pod_phase": "Running",
    } | changes
    return ",".join(row.values()) + "\n"


def test_openb_row_has_local_time_models_and_quality_of_service(write: Write) -> None:
    found = read_jobs(write("o.csv", OPENB + openb() + openb(job_id="b", qos="LS", gpu_spec="")), 2024)
    best_effort, sensitive = found.jobs
    # hour of day = (9941376 / 3600 + 16) mod 24 = 17.49
    assert best_effort.submit_local == datetime(2024, 4, 25, 17, 29, 36)
    assert best_effort.models == ("V100M16", "V100M32")
    assert (best_effort.flexible, sensitive.flexible, sensitive.models) == (True, False, ())


def test_openb_rows_that_are_no_orders_are_counted_not_refused(write: Write) -> None:
    text = OPENB + openb(num_gpu="0") + openb(job_id="b", scheduled_s="", deleted_s="", queue_s="", run_s="")
    found = read_jobs(write("o.csv", text), 2024)
    assert (found.jobs, found.refused) == ((), ())
    assert dict(found.skipped) == {"CPU-only pod": 1, "never scheduled": 1}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"deleted_s": "9941000", "run_s": "-376"}, "run_s"),
        ({"deleted_s": "9941000", "run_s": "0"}, "deleted_s"),
        ({"scheduled_s": "9000000"}, "scheduled_s"),
        ({"run_s": "5"}, "run_s"),
        ({"gpu_spec": "H999"}, "gpu_spec"),
        ({"qos": "XX"}, "qos"),
        ({"gpu_milli": "0"}, "gpu_milli"),
        ({"num_gpu": "-1"}, "num_gpu"),
        ({"submit_s": "nan"}, "submit_s"),
    ],
)
def test_bad_openb_row_is_refused_by_field(write: Write, changes: dict[str, str], field: str) -> None:
    found = read_jobs(write("o.csv", OPENB + openb(**changes)), 2024)
    assert [row.field for row in found.refused] == [field]


def test_unknown_format_names_the_known_ones(write: Write) -> None:
    with pytest.raises(DataFileError, match="submit_local"):
        read_jobs(write("x.csv", "a,b\n1,2\n"), 2017)


def test_a_day_without_jobs_is_an_error_that_names_the_days_there_are(write: Write) -> None:
    found = read_jobs(write("j.csv", PHILLY + GOOD), 2017)
    with pytest.raises(DataFileError, match="2017-10-17"):
        found.on(date(2017, 11, 1))
