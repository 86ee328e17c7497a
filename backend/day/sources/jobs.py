"""Readers of job traces: Philly and openb, both as `JobRow`s with a local submission time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from backend.day.errors import DataFileError, RefusedRow, RowError
from backend.day.sources.rows import (
    Once,
    Row,
    integer,
    iter_rows,
    local_of,
    read_header,
    refusal,
    text_of,
    utc_of,
)

PHILLY_COLUMNS: Final = ("job_id", "submit_utc", "submit_local", "duration_s", "num_gpus", "vc")
OPENB_COLUMNS: Final = (
    "job_id",
    "submit_s",
    "scheduled_s",
    "deleted_s",
    "run_s",
    "num_gpu",
    "gpu_milli",
    "gpu_spec",
    "qos",
)
OPENB_MODELS: Final = ("P100", "T4", "V100M16", "V100M32", "A10", "G2", "G3")
OPENB_QOS: Final = ("LS", "BE", "Burstable", "Guaranteed")
OPENB_LOCAL_S: Final = 16 * 3600
"""Beijing hour of day = (submit_s / 3600 + 16) mod 24, as the data dictionary infers."""
MAX_GPUS: Final = 2048
MAX_DURATION_S: Final = 366 * 86_400
_OFFSETS: Final = (timedelta(hours=-7), timedelta(hours=-8))


@dataclass(frozen=True)
class JobRow:
    """A job as traced. `flexible` is None where the trace does not say; `models` empty means any device."""

    job_id: str
    tenant: str
    submit_local: datetime
    duration_s: int
    gpus: int
    models: tuple[str, ...]
    flexible: bool | None
    deadline_local: datetime | None = None


@dataclass(frozen=True)
class JobsFile:
    """All usable jobs of a file, what was refused, and rows that are no GPU jobs at all."""

    format: str
    file: str
    timezone: str
    jobs: tuple[JobRow, ...]
    refused: tuple[RefusedRow, ...]
    skipped: tuple[tuple[str, int], ...]

    def on(self, day: date) -> tuple[JobRow, ...]:
        """Jobs submitted on a local day, by submission time then id. Raises `DataFileError` when none."""
        found = [job for job in self.jobs if job.submit_local.date() == day]
        if not found:
            days = sorted({job.submit_local.date() for job in self.jobs})
            span = f"{days[0]} to {days[-1]}" if days else "no day at all"
            raise DataFileError(
                self.file, "date", f"has no job on {day}; it has {span}", "choose a --date within the file"
            )
        return tuple(sorted(found, key=lambda job: (job.submit_local, job.job_id)))


def read_jobs(path: Path, year: int) -> JobsFile:
    """Reads a job file; the header decides the format.

    `year` anchors openb, whose calendar is unknown: its day 0 is taken as 1 January of that year.
    """
    names, _ = read_header(path)
    if set(PHILLY_COLUMNS) <= set(names):
        return _read_philly(path, names)
    if set(OPENB_COLUMNS) <= set(names):
        return _read_openb(path, year)
    raise DataFileError(
        path.name,
        "header",
        f"is no job format known here: {', '.join(names[:8])}",
        f"Philly has {', '.join(PHILLY_COLUMNS)}; openb has {', '.join(OPENB_COLUMNS)}",
    )


def _read_philly(path: Path, names: Sequence[str]) -> JobsFile:
    refused: list[RefusedRow] = []
    jobs: list[JobRow] = []
    once = Once("job_id")
    for line, row in iter_rows(path, refused):
        try:
            job = _philly_job(row, names)
            once.check(job.job_id, job.job_id, line)
            jobs.append(job)
        except RowError as error:
            refused.append(refusal(path, line, error))
    return JobsFile("philly", path.name, "America/Los_Angeles", tuple(jobs), tuple(refused), ())


def _philly_job(row: Row, names: Sequence[str]) -> JobRow:
    submit = local_of(row, "submit_local")
    if submit - utc_of(row, "submit_utc").replace(tzinfo=None) not in _pacific_offsets(submit):
        raise RowError(
            "submit_local",
            row["submit_local"],
            f"does not agree with submit_utc {row['submit_utc']} in US Pacific time",
            "correct one of the two stamps",
        )
    duration_s = integer(row, "duration_s", 1, MAX_DURATION_S)
    deadline = None
    if "deadline_local" in names and row["deadline_local"].strip():
        deadline = local_of(row, "deadline_local")
        if deadline < submit + timedelta(seconds=duration_s):
            before = "the start" if deadline <= submit else "the job can finish"
            raise RowError(
                "deadline_local", row["deadline_local"], f"lies before {before}", "set a later deadline"
            )
    models: tuple[str, ...] = ()
    if "class" in names and row["class"].strip():
        models = _models(row, "class")
    return JobRow(
        text_of(row, "job_id"),
        f"tenant/{text_of(row, 'vc')}",
        submit,
        duration_s,
        integer(row, "num_gpus", 1, MAX_GPUS),
        models,
        None,
        deadline,
    )


def _pacific_offsets(submit: datetime) -> tuple[timedelta, ...]:
    zone = ZoneInfo("America/Los_Angeles")
    both = {submit.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1)}
    return tuple(offset for offset in both if offset is not None) or _OFFSETS


def _read_openb(path: Path, year: int) -> JobsFile:
    refused: list[RefusedRow] = []
    jobs: list[JobRow] = []
    skipped = {"CPU-only pod": 0, "never scheduled": 0}
    once = Once("job_id")
    for line, row in iter_rows(path, refused):
        try:
            gpus = integer(row, "num_gpu", 0, MAX_GPUS)
            job_id = text_of(row, "job_id")
            once.check(job_id, job_id, line)
            if gpus == 0:
                skipped["CPU-only pod"] += 1
            elif not row["scheduled_s"].strip() and not row["run_s"].strip():
                skipped["never scheduled"] += 1
            else:
                jobs.append(_openb_job(row, job_id, gpus, year))
        except RowError as error:
            refused.append(refusal(path, line, error))
    kept = tuple((reason, count) for reason, count in skipped.items() if count)
    return JobsFile("openb", path.name, "Asia/Shanghai", tuple(jobs), tuple(refused), kept)


def _openb_job(row: Row, job_id: str, gpus: int, year: int) -> JobRow:
    limit = 400 * 86_400
    submit_s = integer(row, "submit_s", 0, limit)
    scheduled_s = integer(row, "scheduled_s", 0, limit)
    deleted_s = integer(row, "deleted_s", 0, limit)
    run_s = integer(row, "run_s", 0, limit)
    integer(row, "gpu_milli", 1, 1000)
    if scheduled_s < submit_s:
        raise RowError("scheduled_s", scheduled_s, f"lies before submit_s {submit_s}", "correct the times")
    if deleted_s < scheduled_s:
        raise RowError("deleted_s", deleted_s, f"lies before scheduled_s {scheduled_s}", "correct the times")
    if run_s != deleted_s - scheduled_s:
        raise RowError("run_s", run_s, "is not deleted_s - scheduled_s", "correct the times")
    qos = row["qos"].strip()
    if qos not in OPENB_QOS:
        raise RowError("qos", qos, "is an unknown class of service", f"use one of {', '.join(OPENB_QOS)}")
    return JobRow(
        job_id,
        "tenant/openb",
        datetime(year, 1, 1) + timedelta(seconds=submit_s + OPENB_LOCAL_S),
        max(run_s, 1),
        gpus,
        _models(row, "gpu_spec") if row["gpu_spec"].strip() else (),
        qos == "BE",
    )


def _models(row: Row, field: str) -> tuple[str, ...]:
    found = []
    for model in row[field].split("|"):
        if model.strip() not in OPENB_MODELS and model.strip() != "A100":
            raise RowError(
                field,
                row[field],
                f"names the unknown class {model.strip()!r}",
                f"use {'|'.join(OPENB_MODELS)}",
            )
        if model.strip() not in found:
            found.append(model.strip())
    return tuple(found)
