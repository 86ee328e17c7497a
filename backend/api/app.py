"""The FastAPI application."""

from __future__ import annotations

from typing import Any

from fastapi import Depends, FastAPI
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from backend.api import problems
from backend.api.deps import query_names, refuse_unknown_query
from backend.api.frontend import Frontend
from backend.api.idempotency import Idempotency
from backend.api.middleware import BodyLimits, EntityTags, Surround
from backend.api.order_door import OrderDoor
from backend.api.read_cache import ReadCache
from backend.api.routers import (
    agreements,
    batches,
    certificates,
    evidence,
    flex,
    flex_market,
    health,
    invoices,
    jobs,
    listings,
    lookup,
    market,
    offers,
    openadr,
    orders,
    organisation,
    planning,
    readings,
    reports,
    sessions,
    stream,
    templates,
    webhooks,
)
from backend.service.context import Context

PREFIX = "/api/v1"
ROUTERS = tuple(
    module.router
    for module in (
        market, planning, jobs, batches, orders, offers, templates, agreements, invoices, certificates,
        listings, lookup,
        reports, evidence, readings, stream, sessions, organisation, webhooks, flex, flex_market, health,
    )
)  # fmt: skip
_DESCRIPTION = """\
Compute and green power bought as one good. Money is in micro-units of the settlement token, energy in Wh,
carbon in g/kWh, market times in unix seconds aligned to slots; integers that may pass 2^53 are decimal text.
Errors are RFC 9457 problems that name field and mend. Every POST takes an `Idempotency-Key`. Listings take
`limit` and `cursor`.
"""


def make_app(context: Context) -> FastAPI:
    """The application on a context that the caller opens and closes."""
    settings = context.settings
    app = FastAPI(
        title="BitWatt",
        version="1",
        description=_DESCRIPTION,
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=_operation_id,
        redirect_slashes=False,
    )
    app.state.context = context
    app.state.query_names = {route.endpoint: query_names(route.dependant) for route in api_routes()}
    problems.install(app)
    common = problems.responses(400, 401, 403, 409, 413, 415, 422, 429, 503)
    for router in ROUTERS:
        app.include_router(
            router, prefix=PREFIX, responses=common, dependencies=[Depends(refuse_unknown_query)]
        )
    app.include_router(health.probes)
    app.include_router(openadr.router)
    if settings.frontend is not None:
        app.mount("/", Frontend(settings.frontend), name="frontend")
    app.add_middleware(Idempotency)
    app.add_middleware(EntityTags)
    app.add_middleware(GZipMiddleware, minimum_size=1024, compresslevel=5)
    app.add_middleware(ReadCache)
    app.add_middleware(OrderDoor, route=next(r for r in api_routes() if r.name == "place_order"))
    app.add_middleware(BodyLimits, max_bytes=settings.max_body_bytes)
    rpc = settings.rpc_url or (context.link.rpc_url if context.link else None)
    app.add_middleware(Surround, rpc_origin=rpc, https=settings.secure_cookies)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def api_routes() -> list[APIRoute]:
    """Every route of the API; their paths lack the prefix."""
    return [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]


def _operation_id(route: APIRoute) -> str:
    """The function's name, which is unique and makes a clean client."""
    return route.name


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document with the shared problem schema."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        problem_schema = problems.Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(problem_schema.pop("$defs", {}))
        schemas["Problem"] = problem_schema
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        app.openapi_schema = document
    return app.openapi_schema
