"""Jobs: work that outlasts a request, kept in the database and done by whichever worker holds the lease."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from sqlalchemy import func, update
from sqlmodel import Session, col, select

from backend.market.errors import MarketError
from backend.service.access import Principal
from backend.service.audit_log import record
from backend.service.context import Context
from backend.service.engine_process import engine_pool
from backend.service.errors import Conflict, NotFound, ServiceError, TooMany, Unauthenticated
from backend.service.fills import archived
from backend.service.prices import get_batch
from backend.store.chain import Batch
from backend.store.operations import Job

WAITING, RUNNING, DONE, FAILED, CANCELLED = "waiting", "running", "done", "failed", "cancelled"
MOST_OPEN = 4
MOST_ATTEMPTS = 3
KEEP_SECONDS = 7 * 86_400


def ask_what_if(
    session: Session, who: Principal, batch: Batch, changes: Mapping[str, Any], mechanism: str, seconds: int
) -> tuple[Job, bool]:
    """A job for a replay, and whether it is new: the same question of an organisation is answered once."""
    if who.organisation_id is None:
        raise Unauthenticated("this needs a signed-in caller", mend="sign in with a wallet, or send a key")
    request = {
        "batch_id": batch.batch_id,
        "solution_hash": batch.solution_hash,
        "changes": dict(changes),
        "mechanism": mechanism,
        "seconds": seconds,
    }
    fingerprint = "0x" + hashlib.sha256(json.dumps(["what-if", request], sort_keys=True).encode()).hexdigest()
    known = session.exec(
        select(Job)
        .where(
            Job.organisation_id == who.organisation_id,
            Job.fingerprint == fingerprint,
            col(Job.state).in_((WAITING, RUNNING, DONE)),
        )
        .order_by(col(Job.id).desc())
        .limit(1)
    ).first()
    if known is not None:
        return known, False
    open_ = session.exec(
        select(func.count())
        .select_from(Job)
        .where(Job.organisation_id == who.organisation_id, col(Job.state).in_((WAITING, RUNNING)))
    ).one()
    if open_ >= MOST_OPEN:
        raise TooMany(f"{open_} jobs of your organisation are waiting already", 10)
    job = Job(
        organisation_id=who.organisation_id,
        kind="what-if",
        request=request,
        fingerprint=fingerprint,
        created_by=who.actor,
        created_at=int(time.time()),
    )
    session.add(job)
    record(session, who, "job.asked", job.id, kind=job.kind)
    return job, True


def get_job(session: Session, who: Principal, job_id: str) -> Job:
    """A job of the caller's organisation; NotFound otherwise."""
    job = session.get(Job, job_id)
    if job is None or job.organisation_id != who.organisation_id:
        raise NotFound("no such job in your organisation", field="job_id", mend="list the jobs")
    return job


def cancel(session: Session, who: Principal, job_id: str) -> Job:
    """Ends a job that is not done; Conflict when it is. Twice is fine."""
    job = get_job(session, who, job_id)
    if job.state == CANCELLED:
        return job
    ended = session.execute(
        update(Job)
        .where(col(Job.id) == job_id, col(Job.state).in_((WAITING, RUNNING)))
        .values(state=CANCELLED, ended_at=int(time.time()))
    )
    if ended.rowcount != 1:  # type: ignore[attr-defined]
        raise Conflict(f"the job is {job.state}", field="job_id", mend="only an open job can be cancelled")
    record(session, who, "job.cancelled", job_id)
    session.expire(job)
    return job


def require_archive(context: Context, batch: Batch) -> None:
    """Raises Conflict unless the batch's book and solution are archived here."""
    for kind, digest in (("book", batch.book_hash), ("solution", batch.solution_hash)):
        if archived(context.settings.archive, kind, digest) is None:
            raise Conflict(
                f"the {kind} of batch {batch.batch_id} is not in this service's archive",
                field="batch_id",
                mend="ask for another batch, or start the service with --archive",
            )


class JobRunner:
    """Does one job after the other in a process of its own, so that the service stays quick."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._pool: ProcessPoolExecutor | None = None

    def close(self) -> None:
        """Ends the process."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            for process in list((self._pool._processes or {}).values()):
                process.terminate()
            self._pool = None

    def recover(self) -> None:
        """Jobs that a worker left behind are done again, a few times at most."""
        with self._context.store.writing() as session:
            for job in session.exec(select(Job).where(Job.state == RUNNING)):
                job.state = WAITING if job.attempts < MOST_ATTEMPTS else FAILED
                if job.state == FAILED:
                    job.error, job.ended_at = "its worker ended every time", int(time.time())

    def step(self) -> bool:
        """Does the oldest waiting job; whether there was one."""
        job = self._claim()
        if job is None:
            return False
        try:
            result, error = self._result(job), ""
        except (MarketError, ServiceError) as problem:
            result, error = None, str(problem)
        except BrokenProcessPool:
            self.close()
            result, error = None, "the process that did it ended; it may need more memory than there is"
        with self._context.store.writing() as session:
            session.execute(
                update(Job)
                .where(col(Job.id) == job.id, col(Job.state) == RUNNING)
                .values(
                    state=FAILED if error else DONE,
                    result=result,
                    error=error[:400],
                    progress_bps=10_000,
                    ended_at=int(time.time()),
                )
            )
        return True

    def _claim(self) -> Job | None:
        with self._context.store.writing() as session:
            job = session.exec(select(Job).where(Job.state == WAITING).order_by(Job.id).limit(1)).first()
            if job is not None:
                job.state, job.started_at = RUNNING, int(time.time())
                job.attempts += 1
                job.progress_bps = 500
            return job

    def _result(self, job: Job) -> dict[str, Any]:
        request = job.request
        with self._context.store.reading() as session:
            batch = get_batch(session, request["batch_id"])
        require_archive(self._context, batch)
        archive = self._context.settings.archive
        book, solution = (
            archived(archive, kind, digest)
            for kind, digest in (("book", batch.book_hash), ("solution", batch.solution_hash))
        )
        from backend.service import whatif  # the engine is slow to import, and only a worker needs it

        if self._pool is None:
            self._pool = engine_pool()
        work = self._pool.submit(
            whatif.replay, book or b"", solution or b"", request["changes"], request["mechanism"],
            float(request["seconds"]),
        )  # fmt: skip
        return work.result()
