"""`Idempotency-Key` on POST: the same key and body get the first answer again."""

from __future__ import annotations

import hashlib
import time

from anyio.to_thread import run_sync
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from sqlmodel import col
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.api.middleware import API, dump_answer, load_answer
from backend.api.problems import problem
from backend.service.context import Context
from backend.store.operations import IdempotencyKey

KEEP_SECONDS = 86_400
STUCK_SECONDS = 60
_HEADER = "idempotency-key"


class Idempotency:
    """Remembers answers to POST for a day, sealed, per credential."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The stored answer, a refusal, or the request itself with its answer stored."""
        headers = Headers(scope=scope) if scope["type"] == "http" else None
        if (
            headers is None
            or scope["method"] != "POST"
            or _HEADER not in headers
            or not scope["path"].startswith(API)
        ):
            await self.app(scope, receive, send)
            return
        key = headers[_HEADER]
        if not 8 <= len(key) <= 128 or not key.isascii() or not key.isprintable():
            answer = problem(
                422, "invalid", "A value breaks a rule", "the key is not 8 to 128 printable characters",
                field="Idempotency-Key", mend="give a UUID",
            )  # fmt: skip
            await answer(scope, receive, send)
            return
        context: Context = scope["app"].state.context
        row = _row(scope, headers, key, scope["state"]["body"], context)
        stored = await run_sync(_claim, context, row)
        if stored is not None:
            await stored(scope, receive, send)
            return
        await self._answer(scope, receive, send, context, row)

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, context: Context, row: IdempotencyKey
    ) -> None:
        start: Message = {"status": 500, "headers": []}
        body = bytearray()

        async def send_on(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
            elif message["type"] == "http.response.body":
                body.extend(message.get("body", b""))
                if not message.get("more_body"):
                    await run_sync(_settle, context, row, start, bytes(body))
            await send(message)

        try:
            await self.app(scope, receive, send_on)
        except BaseException:
            await run_sync(_forget, context, row)
            raise


def _row(scope: Scope, headers: Headers, key: str, body: bytes, context: Context) -> IdempotencyKey:
    credential = headers.get("authorization") or headers.get("cookie") or ""
    query = scope["query_string"]
    content = b"\0".join((scope["path"].encode(), query, body))
    return IdempotencyKey(
        actor=context.vault.hash(credential),
        key=key,
        fingerprint="0x" + hashlib.sha256(content).hexdigest(),
        created_at=int(time.time()),
    )


def _claim(context: Context, row: IdempotencyKey) -> Response | None:
    """None when the key is now ours to answer; else the stored answer or a refusal."""
    now = int(time.time())
    with context.store.writing() as session:
        session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < now - KEEP_SECONDS))  # type: ignore[arg-type]
        session.execute(
            delete(IdempotencyKey).where(
                IdempotencyKey.actor == row.actor,  # type: ignore[arg-type]
                IdempotencyKey.key == row.key,  # type: ignore[arg-type]
                col(IdempotencyKey.status).is_(None),
                IdempotencyKey.created_at < now - STUCK_SECONDS,  # type: ignore[arg-type]
            )
        )
    try:
        with context.store.writing() as session:
            session.add(IdempotencyKey.model_validate(row.model_dump()))
        return None
    except IntegrityError:
        with context.store.reading() as session:
            found = session.get(IdempotencyKey, (row.actor, row.key))
    if found is not None and found.fingerprint != row.fingerprint:
        return problem(
            422, "idempotency-key-reused", "The key was used for another request", "path or body differ",
            field="Idempotency-Key", mend="use a new key for a new request",
        )  # fmt: skip
    if found is None or found.body is None:
        return problem(
            409, "in-progress", "The first request is still running", "its answer is not there yet",
            field="Idempotency-Key", mend="try again in a second",
        )  # fmt: skip
    return load_answer(context.vault.unseal(found.body))


def _settle(context: Context, row: IdempotencyKey, start: Message, body: bytes) -> None:
    """Stores the answer, or frees the key when the answer is one that a repeat may better."""
    status = int(start["status"])
    if status >= 500 or status in (401, 403, 429):
        _forget(context, row)
        return
    with context.store.writing() as session:
        found = session.get(IdempotencyKey, (row.actor, row.key))
        if found is not None:
            found.status = status
            found.body = context.vault.seal(dump_answer(status, start["headers"], body))
            session.add(found)


def _forget(context: Context, row: IdempotencyKey) -> None:
    with context.store.writing() as session:
        session.execute(
            delete(IdempotencyKey).where(IdempotencyKey.actor == row.actor, IdempotencyKey.key == row.key)  # type: ignore[arg-type]
        )
