"""What-if replays of cleared batches, and the jobs that compute them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response
from sqlmodel import col, select

from backend.api.deps import Ctx, PageDep, SignedIn
from backend.api.problems import responses
from backend.api.schemas.base import Page
from backend.api.schemas.jobs import JobOut, WhatIfAsk
from backend.service import jobs
from backend.service.errors import NotFound
from backend.service.pages import cursor_of, split_page
from backend.service.prices import get_batch
from backend.store.operations import Job

JobId = Annotated[str, Path(pattern=r"^[0-9a-z]{26}$", examples=["01k0zq3v5m8rw2e6t9yhb4cndx"])]
router = APIRouter(tags=["jobs"], responses=responses(401))


@router.post(
    "/what-ifs",
    status_code=202,
    responses={
        200: {"model": JobOut, "description": "it was asked before"},
        202: {"headers": {"Location": {"schema": {"type": "string"}, "description": "the job's address"}}},
        **responses(404),
    },
)
def create_what_if(context: Ctx, principal: SignedIn, response: Response, body: WhatIfAsk) -> JobOut:
    """Clears a past batch again under other circumstances. Answers a job at once; ask until it is done."""
    with context.store.writing() as session:
        if body.batch_id is None:
            day = context.prices.latest(session)
            if day is None:
                raise NotFound("no batch has cleared yet", field="batch_id", mend="wait for the first one")
            batch = get_batch(session, day.batch_id)
        else:
            batch = get_batch(session, body.batch_id)
        jobs.require_archive(context, batch)
        changes = body.changes.model_dump(exclude={"sources"})
        changes["supply_bps_of_source"] = [[item.source, item.bps] for item in body.changes.sources]
        job, made = jobs.ask_what_if(session, principal, batch, changes, body.mechanism, body.seconds)
        answer = JobOut.model_validate(job)
    response.headers["Location"] = f"/api/v1/jobs/{answer.id}"
    response.status_code = 202 if made else 200
    context.jobs_waiting.set()
    return answer


@router.get("/jobs")
def list_jobs(context: Ctx, principal: SignedIn, page: PageDep) -> Page[JobOut]:
    """The organisation's jobs, newest first."""
    after = cursor_of(page.after, str)
    query = select(Job).where(Job.organisation_id == principal.organisation_id)
    if after:
        query = query.where(col(Job.id) < str(after[0]))
    with context.store.reading() as session:
        rows = session.exec(query.order_by(col(Job.id).desc()).limit(page.limit + 1)).all()
    items, following = split_page(rows, page.limit, lambda row: (row.id,))
    return Page[JobOut](items=[JobOut.model_validate(row) for row in items], next_cursor=following)


@router.get("/jobs/{job_id}", responses=responses(404))
def read_job(context: Ctx, principal: SignedIn, job_id: JobId) -> JobOut:
    """One job."""
    with context.store.reading() as session:
        return JobOut.model_validate(jobs.get_job(session, principal, job_id))


@router.post("/jobs/{job_id}/cancel", responses=responses(404))
def cancel_job(context: Ctx, principal: SignedIn, job_id: JobId) -> JobOut:
    """Ends a job that is not done."""
    with context.store.writing() as session:
        return JobOut.model_validate(jobs.cancel(session, principal, job_id))
