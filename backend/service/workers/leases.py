"""Leases: which process does a job that only one may do, by the database's clock."""

from __future__ import annotations

import os
import socket

from sqlalchemy import delete, select, text, update
from sqlmodel import Session, col

from backend.service.intake import insert_or_ignore
from backend.store.engine import Store
from backend.store.operations import Lease
from backend.store.types import new_id


class LeaseLost(Exception):
    """Another process does the job now; what was begun is not written."""


def holder_name() -> str:
    """A name for this process that no other has."""
    return f"{socket.gethostname()[:40]}:{os.getpid()}:{new_id()[-8:]}"


def database_now(session: Session) -> int:
    """Unix seconds by the database, so that processes need not agree on theirs."""
    if session.get_bind().dialect.name == "postgresql":
        return int(session.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
    return int(session.execute(text("SELECT strftime('%s', 'now')")).scalar_one())


def acquire(store: Store, name: str, holder: str, seconds: int) -> bool:
    """Takes or renews a lease; False while another holder has it."""
    table = Lease.__table__  # type: ignore[attr-defined]
    with store.writing() as session:
        now = database_now(session)
        session.execute(insert_or_ignore(store, table), [{"name": name, "holder": holder, "until": 0}])
        taken = session.execute(
            update(Lease)
            .where(col(Lease.name) == name, (col(Lease.holder) == holder) | (col(Lease.until) < now))
            .values(holder=holder, until=now + seconds)
        )
        return bool(taken.rowcount == 1)  # type: ignore[attr-defined]


def release(store: Store, name: str, holder: str) -> None:
    """Gives a lease back at once."""
    with store.writing() as session:
        session.execute(delete(Lease).where(col(Lease.name) == name, col(Lease.holder) == holder))


def guard(session: Session, name: str, holder: str) -> None:
    """Inside a writing transaction: holds the lease until it ends; LeaseLost when it is another's."""
    found = session.execute(
        select(Lease).where(col(Lease.name) == name).with_for_update()
    ).scalar_one_or_none()
    if found is None or found.holder != holder:
        raise LeaseLost(name)
