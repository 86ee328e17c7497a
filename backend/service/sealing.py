"""Seals the book of a gate: every signed order and offer that may take part in the batch, for the engine.

What is left out (withdrawn, cancelled, expired, filled before, beyond the deposit) is counted, never lost:
it stays in its table and takes part in the next batch that its window allows.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlmodel import Session, col, select

from backend.chain.eip712 import Domain
from backend.chain.packing import unpack_profile
from backend.day.stages.signing import Signed, SignedDay
from backend.market.domain import Book, ComputeClass, ComputeOffer, PowerOffer, SlotGrid, Zone
from backend.market.orders import Order
from backend.service import offers as offer_desk
from backend.service import orders as order_desk
from backend.service.errors import Unavailable
from backend.settings import Settings
from backend.store import chain as t
from backend.store.market import ComputeOfferRow, OrderRow, PowerOfferRow, Withdrawal

DEFAULT_WH_PER_HOUR = 440
"""Standard facility energy of a VCU-hour where no site has offered its class yet (F2)."""
DEV_GRID_CARBON_G_PER_KWH = 550
_MOST_TRANCHES = 255


@dataclass(frozen=True, slots=True)
class Window:
    """A batch's slots."""

    start: int
    slots: int
    slot_seconds: int

    @property
    def end(self) -> int:
        """First second after the batch."""
        return self.start + self.slots * self.slot_seconds

    def slot(self, at: int) -> int:
        """Index of the slot that starts at `at`."""
        return (at - self.start) // self.slot_seconds


@dataclass(frozen=True)
class Sealed:
    """The book, and how many orders and offers it left out."""

    book: Book
    left_out: int


class _Standing:
    """Which signed messages are still good, asked of the chain's tables once."""

    def __init__(self, session: Session, makers: set[str], now: int) -> None:
        rows = session.exec(select(t.Cancellation).where(col(t.Cancellation.maker).in_(makers))).all()
        self._nonces = {(row.maker, row.nonce) for row in rows}
        accounts = session.exec(select(t.Account).where(col(t.Account.address).in_(makers))).all()
        self._accounts = {account.address: account for account in accounts}
        self._withdrawn = set(
            session.exec(select(Withdrawal.order_hash).where(col(Withdrawal.maker).in_(makers)))
        )
        self._now = now

    def good(self, maker: str, nonce: int, epoch: int, expiry: int, digest: str) -> bool:
        """Whether the market would take it now."""
        account = self._accounts.get(maker)
        return (
            expiry > self._now
            and epoch == (account.epoch if account else 0)
            and (maker, nonce) not in self._nonces
            and digest not in self._withdrawn
        )

    def money(self) -> dict[str, int]:
        """Deposits by maker."""
        return {address: account.available_micro for address, account in self._accounts.items()}


def grid_carbon(settings: Settings, zones: Sequence[int], window: Window) -> list[list[int]]:
    """Grid carbon g/kWh [zone][slot] by the configured table (slots of a day, UTC), or the dev figure.

    Raises Unavailable off dev chains when no table is configured.
    """
    if settings.carbon_table is None:
        if not settings.is_dev:
            raise Unavailable("there is no table of grid carbon", mend="set BITWATT_CARBON_TABLE to its file")
        return [[DEV_GRID_CARBON_G_PER_KWH] * window.slots for _ in zones]
    table = json.loads(settings.carbon_table.read_text(encoding="utf-8"))["grid_carbon_g_per_kwh"]
    rows = []
    for zone in zones:
        day = [int(value) for value in table[str(zone)]]
        length = 86_400 // len(day)
        rows.append(
            [day[(window.start + n * window.slot_seconds) % 86_400 // length] for n in range(window.slots)]
        )
    return rows


def seal(
    session: Session, settings: Settings, window: Window, now: int, full: frozenset[str] = frozenset()
) -> Sealed:
    """The book of a window as it stands in the tables; offers in `full` have no capacity left and stay
    out.
    """
    zones = session.exec(select(t.Zone).order_by(col(t.Zone.zone_id))).all()
    classes = session.exec(select(t.ComputeClass).order_by(col(t.ComputeClass.class_id))).all()
    asked = session.exec(
        select(OrderRow)
        .where(OrderRow.start >= window.start, OrderRow.deadline <= window.end, OrderRow.start < window.end)
        .order_by(OrderRow.received_at, OrderRow.order_hash)  # type: ignore[arg-type]
    ).all()
    compute = session.exec(
        select(ComputeOfferRow).where(ComputeOfferRow.start < window.end, ComputeOfferRow.end > window.start)
    ).all()
    power = session.exec(
        select(PowerOfferRow)
        .where(PowerOfferRow.start >= window.start, PowerOfferRow.start < window.end)
        .order_by(col(PowerOfferRow.seen_id).desc())
    ).all()
    makers = {row.maker for rows in (asked, compute, power) for row in rows}
    standing = _Standing(session, makers, now)
    taken = _taken_before(session, window) | full
    orders = _orders(asked, standing, taken, window)
    sites = _compute(compute, standing, taken, window)
    plants = _power(session, power, standing, taken, window)
    energy = _class_energy(sites, window.slot_seconds)
    book = Book.of(
        SlotGrid(window.start, window.slot_seconds, window.slots),
        [Zone(zone.zone_id, zone.name) for zone in zones],
        [ComputeClass(c.class_id, c.name, energy(c.class_id)) for c in classes],
        sites,
        plants,
        grid_carbon(settings, [zone.zone_id for zone in zones], window),
        orders,
    )
    left_out = len(asked) + len(compute) + len(power) - len(orders) - len(sites) - len(plants)
    return Sealed(book, left_out)


def _taken_before(session: Session, window: Window) -> set[str]:
    """Hashes that a batch which still stands has used: orders it cleared, offers of overlapping batches."""
    alive = col(t.Batch.voided_block).is_(None)
    end = col(t.Batch.start) + col(t.Batch.slots) * col(t.Batch.slot_seconds)
    overlapping = select(t.Batch.batch_id).where(alive, t.Batch.start < window.end, end > window.start)
    cleared = select(t.ClearedOrder.order_hash).where(col(t.ClearedOrder.batch_id).in_(overlapping))
    sites = select(t.BatchComputeOffer.offer_hash).where(col(t.BatchComputeOffer.batch_id).in_(overlapping))
    plants = select(t.BatchPowerOffer.offer_hash).where(col(t.BatchPowerOffer.batch_id).in_(overlapping))
    return {found for query in (cleared, sites, plants) for found in session.exec(query)}


def _orders(rows: Sequence[OrderRow], standing: _Standing, taken: set[str], window: Window) -> list[Order]:
    """Orders in the order they came; each maker's together cost at most its deposit."""
    money = defaultdict(int, standing.money())
    found = []
    for row in rows:
        cost = row.limit_price * row.lanes * row.duration_slots
        good = standing.good(row.maker, row.nonce, row.epoch, row.expiry, row.order_hash)
        if not good or row.order_hash in taken or cost > money[row.maker]:
            continue
        money[row.maker] -= cost
        found.append(
            Order(
                id=row.order_hash,
                class_id=row.class_id,
                zone_mask=row.zone_mask,
                lanes=row.lanes,
                min_lanes=row.min_lanes,
                duration_slots=row.duration_slots,
                start_slot=window.slot(row.start),
                deadline_slot=window.slot(row.deadline),
                limit_micro_per_vcu_slot=row.limit_price,
                min_green_bps=row.min_green_bps,
                max_carbon_g_per_kwh=row.max_carbon,
                carbon_price_micro_per_g=row.carbon_price,
                kind=row.kind,
                submitted_at=row.received_at,
            )
        )
    return found


def _compute(
    rows: Sequence[ComputeOfferRow], standing: _Standing, taken: set[str], window: Window
) -> list[ComputeOffer]:
    return [
        ComputeOffer(
            id=row.offer_hash,
            site_id=row.site_id,
            class_id=row.class_id,
            zone_id=row.zone_id,
            capacity=row.capacity,
            energy_wh_per_vcu_slot=row.energy_wh_per_vcu_slot,
            ask_micro_per_vcu_slot=row.ask_price,
            start_slot=window.slot(row.start),
            end_slot=window.slot(row.end),
        )
        for row in rows
        if window.start <= row.start
        and row.end <= window.end
        and row.offer_hash not in taken
        and standing.good(row.maker, row.nonce, row.epoch, row.expiry, row.offer_hash)
    ]


def _power(
    session: Session, rows: Sequence[PowerOfferRow], standing: _Standing, taken: set[str], window: Window
) -> list[PowerOffer]:
    """The newest offer of each plant, and of the grid of each zone."""
    factors = {plant.plant_id: plant.emission_factor for plant in session.exec(select(t.Plant))}
    # a meter's interval settles one batch only, so a plant that an overlapping batch uses stays out
    used = set(
        session.exec(
            select(PowerOfferRow.plant_id).where(
                col(PowerOfferRow.offer_hash).in_(taken), PowerOfferRow.source_kind != 0
            )
        )
    )
    found: dict[tuple[str, int], PowerOffer] = {}
    for row in rows:
        key = ("grid", row.zone_id) if row.source_kind == 0 else ("plant", row.plant_id)
        good = standing.good(row.maker, row.nonce, row.epoch, row.expiry, row.offer_hash)
        inside = row.start + row.slots * window.slot_seconds <= window.end
        if key in found or not good or not inside or row.offer_hash in taken or row.plant_id in used:
            continue
        wh, asks = unpack_profile(row.profile, row.tranches)
        first = window.slot(row.start)
        padding = ((first, window.slots - first - row.slots), (0, 0))
        found[key] = PowerOffer(
            id=row.offer_hash,
            plant_id=row.plant_id,
            zone_id=row.zone_id,
            source=row.source_kind,
            wh=np.pad(wh, padding),
            ask_micro_per_kwh=np.pad(asks, padding),
            emission_g_per_kwh=factors.get(row.plant_id, 0),
        )
    return list(found.values())


class _class_energy:
    """Standard energy of a class: what the offered sites burn, by capacity."""

    def __init__(self, sites: Sequence[ComputeOffer], slot_seconds: int) -> None:
        self._sites = sites
        self._default = max(DEFAULT_WH_PER_HOUR * slot_seconds // 3600, 1)

    def __call__(self, class_id: int) -> int:
        mine = [site for site in self._sites if site.class_id == class_id]
        weight = sum(site.capacity for site in mine)
        if not weight:
            return self._default
        return max(sum(site.capacity * site.energy_wh_per_vcu_slot for site in mine) // weight, 1)


def signed_messages(session: Session, book: Book, domain: Domain) -> SignedDay:
    """The signed messages behind a book, by id, as they go on chain."""
    hashes = [str(identity) for identity in book.orders.id]
    orders = {}
    for at in range(0, len(hashes), 500):
        part = hashes[at : at + 500]
        for row in session.exec(select(OrderRow).where(col(OrderRow.order_hash).in_(part))):
            orders[row.order_hash] = Signed(
                row.order_hash, order_desk.as_message(row), row.signature, row.order_hash
            )
    compute = {}
    wanted = [offer.id for offer in book.compute_offers]
    for site in session.exec(select(ComputeOfferRow).where(col(ComputeOfferRow.offer_hash).in_(wanted))):
        compute[site.offer_hash] = Signed(
            site.offer_hash, offer_desk.compute_message(site), site.signature, site.offer_hash
        )
    power, profiles = {}, {}
    wanted = [offer.id for offer in book.power_offers]
    for plant in session.exec(select(PowerOfferRow).where(col(PowerOfferRow.offer_hash).in_(wanted))):
        power[plant.offer_hash] = Signed(
            plant.offer_hash, offer_desk.power_message(plant), plant.signature, plant.offer_hash
        )
        profiles[plant.offer_hash] = plant.profile
    return SignedDay(orders, compute, power, profiles, ())
