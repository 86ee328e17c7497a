"""What the flexibility market trades, when its gates close, and whose account stands behind a bid."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sqlmodel import Session, col, select

from backend.service.access import Principal
from backend.service.errors import Conflict, Forbidden, Invalid
from backend.settings import Settings
from backend.store.identity import Wallet
from backend.vpp.calendar import DAY_AHEAD, REAL_TIME, Gates, TradingDay, trading_day
from backend.vpp.products import PRODUCTS, Product
from backend.vpp.spot import Band

ANCILLARY = "ancillary"
MARKETS = (DAY_AHEAD, REAL_TIME, ANCILLARY)
ZONES = 64
BAND = Band()
SLOT_SECONDS = 900
HOUR_SLOTS = 3600 // SLOT_SECONDS
ENERGY = ("energy_shed", "energy_raise", "peak_shed")
CAPACITY = ("reserve_up", "reserve_down", "frequency")
CONTRACT_OF = {"reserve_up": "reserve", "reserve_down": "reserve", "frequency": "frequency"}


@dataclass(frozen=True, slots=True)
class Terms:
    """The calendar of one market: its time zone and gates."""

    zone_name: str
    gates: Gates

    @classmethod
    def of(cls, settings: Settings) -> Terms:
        """The terms that the settings give."""
        lead = settings.flex_real_time_lead_seconds
        return cls(settings.flex_time_zone, Gates(settings.flex_day_ahead_hour, lead))

    def day(self, day: date) -> TradingDay:
        """The slots of a local day."""
        return trading_day(day, self.zone_name, SLOT_SECONDS)

    def closes_at(self, day: TradingDay, market: str, slot: int = 0) -> int:
        """When the gate of a market (in real time: of the hour a slot lies in) closes; the ancillary one
        closes with the day-ahead one.
        """
        return self.gates.closes_at(day, *_gate_of(market, slot))

    def require_open(self, day: TradingDay, market: str, now: int, slot: int = 0) -> None:
        """Raises GateClosed at or past the closure."""
        name, first = _gate_of(market, slot)
        self.gates.require_open(day, name, now, first)


def _gate_of(market: str, slot: int) -> tuple[str, int]:
    """(market, slot) whose closure counts."""
    return (DAY_AHEAD if market == ANCILLARY else market), slot - slot % HOUR_SLOTS


def day_of(text: str) -> date:
    """A day from its ISO text."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise Invalid("there is no such day", field="day", mend="give YYYY-MM-DD") from error


def product_of(name: str, kind: tuple[str, ...]) -> Product:
    """A product of a kind (ENERGY or CAPACITY)."""
    if name not in kind:
        raise Invalid(f"{name} is not sold here", field="product", mend=f"use one of {', '.join(kind)}")
    return PRODUCTS[name]


def account_of(session: Session, who: Principal, given: str | None) -> str:
    """The trading account that stands behind what the caller bids: the given one, its own, or the oldest."""
    rows = session.exec(
        select(Wallet)
        .where(Wallet.organisation_id == who.organisation_id)
        .order_by(col(Wallet.created_at), col(Wallet.address))
    ).all()
    mine = [row.address for row in rows]
    if given is not None and given.lower() not in mine:
        raise Forbidden(
            "this account is not the organisation's", field="account", mend="link its wallet first"
        )
    wanted = (given or who.address or "").lower()
    if wanted in mine:
        return wanted
    if not mine:
        raise Conflict("the organisation has no trading account", field="account", mend="link a wallet first")
    return mine[0]


def payout_of(session: Session, organisation_id: str) -> str | None:
    """The account an organisation is paid at: its oldest wallet."""
    return session.exec(
        select(Wallet.address)
        .where(Wallet.organisation_id == organisation_id)
        .order_by(col(Wallet.created_at), col(Wallet.address))
    ).first()
