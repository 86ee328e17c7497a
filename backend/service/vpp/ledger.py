"""The capacity reservation ledger: one kW is sold once, whatever the market.

Every resource has a row of room per slot. A reservation adds its watts to each slot's used ones by one
conditional statement, which the database carries out atomically and checks (used <= capacity); so two bids at
the same moment cannot both take the last kW, on any number of processes. All slots or none: what finds
no room raises, and the caller's transaction rolls back.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from sqlalchemy import func, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select

from backend.service.errors import Conflict, Invalid, NotFound
from backend.service.vpp.registry import certificate_in_force
from backend.store.chain import Agreement, Batch
from backend.store.flex import FlexReservation, FlexResource, FlexRoom
from backend.store.market import ComputeOfferRow

BUNDLE, SPOT, ANCILLARY = "bundle", "spot", "ancillary"
MARKETS = frozenset({BUNDLE, SPOT, ANCILLARY})
GRAIN_SECONDS = 900
MOST_SLOTS = 1_024


def reserve(
    session: Session, resource: FlexResource, market: str, reference: str, start: int, end: int, watts: int
) -> FlexReservation:
    """Promises `watts` of a resource for [start, end) under a reference; Conflict names the full slot.

    The same reference again returns what it holds if it is the same promise. Times are aligned outwards to
    the ledger's quarter-hours, so a shorter product holds the whole quarter.
    """
    if market not in MARKETS:
        raise Invalid("no such market", field="market", mend=f"use one of {', '.join(sorted(MARKETS))}")
    start, end = start - start % GRAIN_SECONDS, end + -end % GRAIN_SECONDS
    if watts <= 0 or end <= start or (end - start) // GRAIN_SECONDS > MOST_SLOTS:
        raise Invalid("a reservation needs watts and at most 1024 slots", field="watts", mend="correct it")
    _lock(session, resource.id)
    standing = session.exec(
        select(FlexReservation).where(
            FlexReservation.market == market,
            FlexReservation.reference == reference,
            FlexReservation.resource_id == resource.id,
        )
    ).first()
    if standing is not None:
        if (standing.start, standing.end, standing.watts, standing.released_at) == (start, end, watts, None):
            return standing
        raise Conflict(
            "this reference already holds another promise", field="reference", mend="release it first"
        )
    _open_slots(session, resource, range(start, end, GRAIN_SECONDS))
    taken = session.exec(
        update(FlexRoom)
        .where(
            col(FlexRoom.resource_id) == resource.id,
            col(FlexRoom.slot_start) >= start,
            col(FlexRoom.slot_start) < end,
            FlexRoom.used_w + watts <= col(FlexRoom.capacity_w),
        )
        .values(used_w=FlexRoom.used_w + watts)
    )
    if taken.rowcount != (end - start) // GRAIN_SECONDS:
        full = free_w(session, resource, start, end)
        slot, left = min(full.items(), key=lambda item: item[1])
        raise Conflict(
            f"{resource.name} has {left} W left at {slot}, {watts} W are asked for: a kW is sold once",
            field="watts",
            mend="bid less, bid another time, or release what is reserved elsewhere",
        )
    row = FlexReservation(
        resource_id=resource.id, market=market, reference=reference, start=start, end=end,
        slot_seconds=GRAIN_SECONDS, watts=watts, created_at=int(time.time()),
    )  # fmt: skip
    session.add(row)
    session.flush()
    return row


def release(session: Session, market: str, reference: str) -> int:
    """Gives back what a reference holds; how many reservations were released (none twice)."""
    return reduce(session, market, reference, 0)


def reduce(session: Session, market: str, reference: str, watts: int) -> int:
    """Lowers what a reference holds to `watts`, 0 releases it; how many reservations were lowered."""
    held = select(FlexReservation).where(
        FlexReservation.market == market,
        FlexReservation.reference == reference,
        col(FlexReservation.released_at).is_(None),
    )
    for resource_id in sorted({row.resource_id for row in session.exec(held)}):
        _lock(session, resource_id)
    rows = session.exec(held.with_for_update().execution_options(populate_existing=True)).all()
    lowered = [row for row in rows if row.watts > watts]
    for row in lowered:
        session.exec(
            update(FlexRoom)
            .where(
                col(FlexRoom.resource_id) == row.resource_id,
                col(FlexRoom.slot_start) >= row.start,
                col(FlexRoom.slot_start) < row.end,
            )
            .values(used_w=FlexRoom.used_w - (row.watts - watts))
        )
        if watts:
            row.watts = watts
        else:
            row.released_at = int(time.time())
        session.add(row)
    session.flush()
    return len(lowered)


def free_w(session: Session, resource: FlexResource, start: int, end: int) -> dict[int, int]:
    """W still free in each slot of [start, end)."""
    start, end = start - start % GRAIN_SECONDS, end + -end % GRAIN_SECONDS
    rows = session.exec(
        select(FlexRoom).where(
            FlexRoom.resource_id == resource.id, FlexRoom.slot_start >= start, FlexRoom.slot_start < end
        )
    ).all()
    known = {row.slot_start: row.capacity_w - row.used_w for row in rows}
    capacity = capacity_w(session, resource)
    return {slot: known.get(slot, capacity) for slot in range(start, end, GRAIN_SECONDS)}


def capacity_w(session: Session, resource: FlexResource) -> int:
    """What a resource may sell in all markets together: its nameplate.

    What it may sell as flexibility is less: the certificate is checked where flexibility is bid for.
    """
    return resource.nameplate_w


def reserve_flexibility(
    session: Session,
    resource: FlexResource,
    market: str,
    reference: str,
    start: int,
    end: int,
    watts: int,
    now: int,
) -> FlexReservation:
    """Reserves capacity for a flexibility product; the certificate must cover it and all that is sold
    already.

    Nameplate minus what is firmly sold is what can still move; flexibility in all flexibility markets
    together stays inside the certified adjustable capacity.
    """
    _lock(session, resource.id)
    certificate = certificate_in_force(session, resource.id, now)
    if certificate is None:
        raise Invalid(
            f"{resource.name} has no capability certificate in force",
            field="resource_id",
            mend="certify it from its history first",
        )
    most = int(certificate.metrics["adjustable_w"])
    lowered = start - start % GRAIN_SECONDS
    held = session.exec(
        select(func.coalesce(func.sum(FlexReservation.watts), 0)).where(
            FlexReservation.resource_id == resource.id,
            col(FlexReservation.market).in_((SPOT, ANCILLARY)),
            FlexReservation.reference != reference,
            FlexReservation.start < end,
            FlexReservation.end > lowered,
            col(FlexReservation.released_at).is_(None),
        )
    ).one()
    if watts > most - int(held):
        left = max(most - int(held), 0)
        raise Conflict(
            f"{resource.name}: {watts} W asked for, {left} W of {most} W certified are left",
            field="watts",
            mend="bid less, or certify more",
        )
    return reserve(session, resource, market, reference, start, end, watts)


def _open_slots(session: Session, resource: FlexResource, slots: Iterable[int]) -> None:
    """Adds the rows of room that are missing; another process may add them at the same moment."""
    capacity = capacity_w(session, resource)
    rows = [
        {"resource_id": resource.id, "slot_start": slot, "capacity_w": capacity, "used_w": 0}
        for slot in slots
    ]
    dialect = session.get_bind().dialect.name
    make = postgresql.insert if dialect == "postgresql" else sqlite.insert
    session.exec(make(FlexRoom).values(rows).on_conflict_do_nothing())


def _lock(session: Session, resource_id: str) -> None:
    """Lets one transaction at a time count and take a resource's room; SQLite's writers wait by
    themselves.
    """
    session.exec(select(FlexResource.id).where(FlexResource.id == resource_id).with_for_update()).one()


def hold_offers(session: Session, gate_id: str, start: int, end: int, slot_seconds: int) -> frozenset[str]:
    """Holds what compute offers of registered sites could be asked for in a batch, until its gate ends.

    Returns the hashes of the offers that find no room beside what is sold as flexibility: they stay out of
    the batch. Again holds nothing twice.
    """
    rows = session.exec(
        select(ComputeOfferRow, FlexResource)
        .join(FlexResource, col(FlexResource.site_id) == col(ComputeOfferRow.site_id))
        .where(ComputeOfferRow.start >= start, ComputeOfferRow.end <= end)
        .order_by(col(FlexResource.id), col(ComputeOfferRow.offer_hash))
    ).all()
    full = set()
    for offer, resource in rows:
        watts = offer.capacity * offer.energy_wh_per_vcu_slot * 3600 // slot_seconds
        reference = f"gate-{gate_id}/{offer.offer_hash[2:34]}"
        try:
            with session.begin_nested():
                reserve(session, resource, BUNDLE, reference, offer.start, offer.end, watts)
        except Conflict:
            full.add(offer.offer_hash)
    return frozenset(full)


def release_holds(session: Session, gate_id: str) -> None:
    """Gives back what a gate held."""
    held = session.exec(
        select(FlexReservation.reference).where(
            FlexReservation.market == BUNDLE,
            col(FlexReservation.reference).startswith(f"gate-{gate_id}/"),
            col(FlexReservation.released_at).is_(None),
        )
    ).all()
    for reference in sorted(set(held)):
        release(session, BUNDLE, reference)


def reserve_agreements(session: Session, batch_id: int) -> int:
    """Puts what a cleared batch sold of registered sites on the ledger, once; how many agreements that were.

    Its gate held at least as much, so there is room.
    """
    batch = session.get(Batch, batch_id)
    if batch is None:
        raise NotFound("no such batch", field="batch_id", mend="wait until it is indexed")
    rows = session.exec(
        select(Agreement, FlexResource)
        .join(FlexResource, col(FlexResource.site_id) == col(Agreement.site_id))
        .where(Agreement.batch_id == batch_id)
        .order_by(col(FlexResource.id), col(Agreement.chunk_index), col(Agreement.run_index))
    ).all()
    for agreement, resource in rows:
        begin = batch.start + agreement.start_slot * batch.slot_seconds
        end = batch.start + agreement.end_slot * batch.slot_seconds
        watts = agreement.lanes * agreement.energy_wh_per_vcu_slot * 3600 // batch.slot_seconds
        reference = f"{batch_id}/{agreement.chunk_index}/{agreement.run_index}"
        reserve(session, resource, BUNDLE, reference, begin, end, watts)
    return len(rows)
