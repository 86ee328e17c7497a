"""Liveness, readiness, metrics, and what this service is."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import Field
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from backend.api.deps import Ctx, Need
from backend.api.problems import plain, responses
from backend.api.schemas.base import Answer
from backend.chain.errors import ChainError
from backend.service.access import Principal, Scope
from backend.store import migrate

probes = APIRouter(tags=["operations"])
router = APIRouter(tags=["operations"])


class Health(Answer):
    """The process answers."""

    status: str = Field(examples=["ok"])


class Readiness(Answer):
    """Each part that must be there."""

    status: str = Field(examples=["ready"])
    checks: dict[str, str] = Field(examples=[{"database": "ok", "schema": "ok", "chain": "ok"}])


@probes.get("/health")
async def health() -> Health:
    """Whether the process is alive."""
    return Health(status="ok")


@probes.get("/ready", response_model=Readiness, responses=responses(503))
def ready(context: Ctx) -> Readiness | Response:
    """Whether database, schema and chain are there; 503 with the reasons when not."""
    checks: dict[str, str] = {}
    try:
        with context.store.reading() as session:
            session.execute(text("SELECT 1"))
        checks["database"] = "ok"
        checks["schema"] = (
            "ok" if migrate.current(context.store.engine) == migrate.head() else "migrate the database"
        )
    except SQLAlchemyError as error:
        checks["database"] = f"no answer ({type(error).__name__})"
    if context.link is not None:
        try:
            known = context.link.rpc().chain_id() == context.link.book.chain_id
            checks["chain"] = "ok" if known else "the RPC serves another chain"
        except ChainError:
            checks["chain"] = "no answer"
    if all(state == "ok" for state in checks.values()):
        return Readiness(status="ready", checks=checks)
    missing = ", ".join(f"{name}: {state}" for name, state in checks.items() if state != "ok")
    return plain(503, missing, "wait, or see the operator's guide")


@probes.get("/metrics", response_class=Response)
def metrics() -> Response:
    """Metrics in Prometheus' text format."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


@router.get("/settings", responses=responses(401, 403))
def read_settings(
    context: Ctx, _principal: Annotated[Principal, Depends(Need(Scope.PLATFORM_OPERATE))]
) -> dict[str, object]:
    """The service's settings, secrets left out; for operators of the platform."""
    return context.settings.shown()
