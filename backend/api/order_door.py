"""The short way in for orders of machines: a known key, a well-formed order, straight to the order desk.

Whatever it does not know (a key it has not seen for a second, a session's cookie, an idempotency key, a body
with a fault) goes on to the application, which answers as it always does.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from pydantic import TypeAdapter, ValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.api.deps import HOT_PATH, HOT_SECONDS, renew, take_of_address, take_of_organisation
from backend.api.problems import problem_of
from backend.api.routers.orders import place
from backend.api.schemas.trading import OrderNew
from backend.chain.errors import ChainError
from backend.service import access
from backend.service.context import Context
from backend.service.errors import ServiceError

_BODY: TypeAdapter[OrderNew] = TypeAdapter(OrderNew)
_BEARER = "bearer "


class OrderDoor:
    """Takes POST /orders of callers it knows; `route` is the application's, for the log and the metrics."""

    def __init__(self, app: ASGIApp, *, route: Any) -> None:
        self.app = app
        self._route = route
        self._renewing: dict[str, asyncio.Task[object]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The answer to an order, or the application's to everything else."""
        if scope["type"] != "http" or scope["path"] != HOT_PATH or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        context: Context = scope["app"].state.context
        principal = self._known(context, scope)
        try:
            body = _BODY.validate_json(scope["state"]["body"]) if principal is not None else None
        except ValidationError:
            body = None
        if principal is None or body is None:
            await self.app(scope, receive, send)
            return
        scope["route"] = self._route
        try:
            take_of_address(context, scope["client"][0] if scope.get("client") else "?")
            take_of_organisation(context, principal)
            answer = await place(context, principal, body)
        except (ServiceError, ChainError) as error:
            answer = problem_of(error)
        await answer(scope, receive, send)

    def _known(self, context: Context, scope: Scope) -> access.Principal | None:
        """The caller, when its key was looked up within the last second and may place orders.

        A key in use is looked up again before the second is over, so that not everyone waits for it then.
        """
        headers = Headers(scope=scope)
        given = headers.get("authorization", "")
        if given[:7].lower() != _BEARER or "idempotency-key" in headers or scope["query_string"]:
            return None
        token = given[7:].strip()
        kept = context.principals.get(token)
        age = HOT_SECONDS if kept is None else time.monotonic() - kept[0]
        if kept is None or age >= HOT_SECONDS:
            return None
        if age >= HOT_SECONDS / 2 and token not in self._renewing:
            task = asyncio.ensure_future(self._renew(context, token))
            self._renewing[token] = task
        return kept[1] if access.Scope.ORDERS_WRITE in kept[1].scopes else None

    async def _renew(self, context: Context, token: str) -> None:
        try:
            await renew(context, token)
        except (ServiceError, SQLAlchemyError):
            pass  # it is forgotten, or grows old: the application says what is wrong with it
        finally:
            del self._renewing[token]
