"""Every posting of the ledger has a cause: each transaction's money recomputed from what happened in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from audit.abi import Event
from audit.checks.flexibility import periods
from audit.checks.settlement import Settled, active, chunks, pay, settled_slots
from audit.checks.treasury import MOVES, Ledger
from audit.facts import Batch, Facts, parse_sold
from audit.formulas import GREEN, GREY, obligation, plant_penalty, site_penalty
from audit.verdict import Result, Tally, check

GRID = 0
# Bonds, fees and reserves of optimistic clearing: seen as a cause, not recomputed.
OPTIMISTIC = (
    *("CandidatePosted", "Demanded", "RowShown", "StepShown", "Slashed", "ChunkOpened", "BatchOpened"),
    *("CandidateClosed", "ChunkReturned", "Reserved", "Released"),
)
CAUSES = {
    "BundleMarket": ("OrderCleared", "PowerOfferAdded", "ChunkReleased", "ObligationsReleased"),
    "DeliveryOracle": (
        *("Bonded", "BondReturned", "Equivocated", "Disputed", "Ruled"),
        *("LeafDisputed", "LeafAnswered", "LeafUnanswered"),
    ),
    "FlexMarket": ("StakeLocked", "AwardSettled", "StakeReleased", "SplitAnchored", "MemberPaid"),
    "OptimisticMarket": OPTIMISTIC,
    "PointsMarket": ("Filled",),
    "Settlement": ("SlotSettled", "SlotRefunded", "PlantMetered", "PlantPaid", "GridReleased"),
}
Nets = dict[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Penalty:
    """A penalty as F5 and the payer's money allow it, beside what the event says."""

    event: Event
    due: int


@dataclass(frozen=True, slots=True)
class Movement:
    """Net changes of accounts in one transaction, recomputed and posted; None: cannot be recomputed."""

    tx: str
    due: Nets | None
    posted: Nets
    causes: tuple[str, ...]


@dataclass(slots=True)
class _Book:
    """Net changes of one transaction while its events are replayed; `ledger` is from before it."""

    facts: Facts
    ledger: Ledger
    available: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    locked: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    sites: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    outside: bool = False

    def add(self, account: str, available: int, locked: int) -> None:
        self.available[account] += available
        self.locked[account] += locked

    def penalise(self, payer: str, receiver: str, amount: int) -> int:
        """Moves a penalty as far as the payer's money goes."""
        paid = max(0, min(amount, self.ledger.available[payer] + self.available[payer]))
        self.add(payer, -paid, 0)
        self.add(receiver, paid, 0)
        return paid

    def penalise_site(self, payer: str, receiver: str, amount: int) -> int:
        """The same for a site: what it had before, and what its compute earned in this call."""
        paid = max(0, min(amount, self.ledger.available[payer] + self.sites[payer]))
        self.sites[payer] -= paid
        self.add(payer, -paid, 0)
        self.add(receiver, paid, 0)
        return paid

    def nets(self) -> Nets:
        accounts = self.available.keys() | self.locked.keys()
        words = {account: (self.available[account], self.locked[account]) for account in accounts}
        return {account: word for account, word in words.items() if word != (0, 0)}


def grid_account(batch: Batch, zone: int) -> str | None:
    """Who is paid for grey energy of a zone and whom a failing plant compensates."""
    for offer in batch.power_offers:
        if offer.terms["source"] == GRID and offer.terms["zoneId"] == zone:
            return offer.maker
    return None


def replay(facts: Facts) -> tuple[tuple[Movement, ...], tuple[Penalty, ...]]:
    """Every transaction that posted, in chain order, and every penalty due in it."""
    return _replay(facts)


@lru_cache(maxsize=1)
def _replay(facts: Facts) -> tuple[tuple[Movement, ...], tuple[Penalty, ...]]:
    rows = {(event.tx, event.index): settled for event, settled in settled_slots(facts)}
    ledger, penalties, movements = Ledger(), [], []
    for tx, events in _transactions(facts):
        book = _Book(facts, ledger)
        causes = [event for event in events if event.name in CAUSES.get(event.contract, ())]
        for event in causes:
            due = _apply(book, event, rows.get((event.tx, event.index)))
            if due is not None:
                penalties.append(Penalty(event, due))
        posted: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for event in events:
            if event.contract == "Treasury" and event.name == "Posted":
                word = posted[event.args["account"].lower()]
                word[0] += event.args["available"]
                word[1] += event.args["locked"]
        names = tuple(dict.fromkeys(event.name for event in causes))
        due_nets = None if book.outside else book.nets()
        found = {account: (word[0], word[1]) for account, word in posted.items() if word != [0, 0]}
        if found or due_nets:
            movements.append(Movement(tx, due_nets, found, names))
        for event in events:
            if event.contract == "Treasury" and event.name in MOVES:
                ledger.apply(event)
    return tuple(movements), tuple(penalties)


def _transactions(facts: Facts) -> Iterator[tuple[str, list[Event]]]:
    """Events that move money or cause it, by call of a transaction, in chain order: causes, then postings."""
    wanted = {("Treasury", name) for name in MOVES}
    wanted |= {(contract, name) for contract, names in CAUSES.items() for name in names}
    every = [event for key in wanted for event in facts.events.get(key, ())]
    every.sort(key=lambda event: (event.block, event.index))
    call: list[Event] = []
    for event in every:
        next_call = call and call[-1].contract == "Treasury" and event.contract != "Treasury"
        if call and (next_call or event.tx != call[-1].tx):
            yield call[0].tx, call
            call = []
        call.append(event)
    if call:
        yield call[0].tx, call


def _apply(book: _Book, event: Event, rows: tuple[Settled, ...] | None) -> int | None:
    """Adds what an event moves; gives the penalty due where it has one."""
    if event.contract == "DeliveryOracle":
        _oracle(book, event)
        return None
    if event.contract == "OptimisticMarket":
        book.outside = True
        return None
    if event.contract == "PointsMarket":
        _sold(book, event)
        return None
    if event.contract == "FlexMarket":
        _flexibility(book, event)
        return None
    batch = book.facts.batch(event.args["batchId"])
    if batch is None or batch.prices is None:
        book.outside = True
        return None
    if event.name == "SlotSettled":
        return _settled(book, batch, rows)
    if event.name == "PlantMetered":
        return _metered(book, batch, event)
    {
        "OrderCleared": _cleared,
        "PowerOfferAdded": _offered,
        "ChunkReleased": _released,
        "ObligationsReleased": _unbound,
        "SlotRefunded": _refunded,
        "PlantPaid": _plant_paid,
        "GridReleased": _grid_released,
    }[event.name](book, batch, event)
    return None


# --- market ---------------------------------------------------------------------
def _cleared(book: _Book, batch: Batch, event: Event) -> None:
    cost = event.args["costMicro"]
    book.add(event.args["maker"].lower(), -cost, cost)


def _bond_of_offer(batch: Batch, number: int) -> int:
    offer = batch.power_offers[number]
    assert batch.prices is not None
    mode = GREY if offer.terms["source"] == GRID else GREEN
    prices = batch.prices.energy[offer.terms["zoneId"], mode].tolist()
    return sum(map(obligation, parse_sold(offer.sold) or (), prices))


def _offered(book: _Book, batch: Batch, event: Event) -> None:
    number = event.args["offerIndex"]
    bond = _bond_of_offer(batch, number)
    book.add(batch.power_offers[number].maker, -bond, bond)


def _unbound(book: _Book, batch: Batch, event: Event) -> None:
    number = event.args["offerIndex"]
    bond = _bond_of_offer(batch, number)
    book.add(batch.power_offers[number].maker, bond, -bond)


def _released(book: _Book, batch: Batch, event: Event) -> None:
    chunk = batch.chunks[event.args["chunkIndex"]]
    for number, hashed in enumerate(chunk.order_hashes):
        cost = chunk.lanes_filled.get(hashed, (0, 0))[1]
        book.add(chunk.makers[number].lower(), cost, -cost)


# --- settlement -------------------------------------------------------------------
def _settled(book: _Book, batch: Batch, rows: tuple[Settled, ...] | None) -> int | None:
    if rows is None:
        book.outside = True
        return None
    escrow = book.facts.address("Settlement")
    total = 0
    for row in rows:
        payment = row.payment
        site = batch.compute_offers[row.run.offer].maker
        book.add(row.buyer, payment.refund, -payment.bundle)
        book.add(site, payment.pay_compute, 0)
        book.sites[site] += payment.pay_compute
        if row.run.mode == GREEN:
            book.add(escrow, payment.pay_power, 0)
        else:
            grid = grid_account(batch, row.zone) or "no grid offer"
            book.add(grid, max(payment.pay_power, 0), min(payment.pay_power, 0))
        due = site_penalty(payment, row.run.lanes, row.delivered_milli)
        total += book.penalise_site(site, row.buyer, due)
    return total


def _refunded(book: _Book, batch: Batch, event: Event) -> None:
    _, chunk = chunks(book.facts)[batch.id, event.args["chunkIndex"]]
    slot = event.args["slot"]
    for run in active(batch, chunk).get(slot, ()):
        bundle = pay(batch, run, slot, 0, 0).bundle
        book.add(chunk.makers[run.order].lower(), bundle, -bundle)


def _price(batch: Batch, zone: int, mode: int, slot: int) -> int:
    assert batch.prices is not None
    return int(batch.prices.energy[zone, mode, slot])


def _metered(book: _Book, batch: Batch, event: Event) -> int:
    args, offer = event.args, batch.power_offers[event.args["powerOfferIndex"]]
    zone = offer.terms["zoneId"]
    price = _price(batch, zone, GREEN, args["slot"])
    bond = obligation(args["soldWh"], price)
    book.add(offer.maker, 0, -bond)
    book.add(book.facts.address("Settlement"), bond, 0)
    grid = grid_account(batch, zone)
    if grid is None:
        return 0
    return book.penalise(offer.maker, grid, plant_penalty(args["soldWh"], args["deliveredWh"], price))


def _plant_paid(book: _Book, batch: Batch, event: Event) -> None:
    args, offer = event.args, batch.power_offers[event.args["powerOfferIndex"]]
    zone, slot = offer.terms["zoneId"], args["slot"]
    sold = (parse_sold(offer.sold) or [0] * batch.slots)[slot]
    bond = obligation(sold, _price(batch, zone, GREEN, slot))
    pool = (batch.id, slot, zone)
    metered = pool in _pools_metered(book.facts)
    money = args["moneyMicro"]
    book.add(offer.maker, money + bond, 0 if metered else -bond)
    book.add(book.facts.address("Settlement"), -money - bond if metered else -money, 0)


@lru_cache(maxsize=1)
def _pools_metered(facts: Facts) -> frozenset[tuple[int, int, int]]:
    """(batch, slot, zone) of metered green pools; a pool is metered before it is paid or never."""
    return frozenset(
        (event.args["batchId"], event.args["slot"], event.args["zoneId"])
        for event in facts.log("Settlement", "PoolMetered")
    )


def _grid_released(book: _Book, batch: Batch, event: Event) -> None:
    grid = grid_account(batch, event.args["zoneId"]) or "no grid offer"
    left = event.args["releasedMicro"]
    book.add(grid, left, -left)


# --- flexibility ------------------------------------------------------------------
def _flexibility(book: _Book, event: Event) -> None:
    """Locks, payments, penalties and shares as FlexMarket's events say; that they are due is checked
    apart.
    """
    args, escrow = event.args, book.facts.address("FlexMarket")
    if event.name == "SplitAnchored":
        book.add(args["aggregator"].lower(), -args["totalMicro"], 0)
        book.add(escrow, 0, args["totalMicro"])
        return
    if event.name == "MemberPaid":
        book.add(args["account"].lower(), args["amountMicro"], 0)
        book.add(escrow, 0, -args["amountMicro"])
        return
    payer = next((period.payer for period in periods(book.facts) if period.id == args["periodId"]), "")
    payment, penalty, aggregator = args["paymentMicro"], args["penaltyMicro"], args["aggregator"].lower()
    if event.name == "StakeLocked":
        book.add(payer, -payment, payment)
        book.add(aggregator, -penalty, penalty)
    elif event.name == "AwardSettled":
        book.add(payer, penalty, -payment)
        book.add(aggregator, payment, -penalty)
    else:
        book.add(payer, payment, -payment)
        book.add(aggregator, penalty, -penalty)


# --- points market ---------------------------------------------------------------
def _sold(book: _Book, event: Event) -> None:
    """What a fill pays; who paid whom follows from the side of the offer's maker."""
    maker, taker = event.args["maker"].lower(), event.args["taker"].lower()
    seller, buyer = (maker, taker) if event.args["makerSells"] else (taker, maker)
    book.add(buyer, -event.args["costMicro"], 0)
    book.add(seller, event.args["costMicro"], 0)


# --- oracle ------------------------------------------------------------------------
def _oracle(book: _Book, event: Event) -> None:
    views, args = book.facts.views, event.args
    if event.name == "Bonded":
        book.add(args["member"].lower(), -args["amountMicro"], args["amountMicro"])
    elif event.name == "BondReturned":
        book.add(args["member"].lower(), args["amountMicro"], -args["amountMicro"])
    elif views.committee is None or views.registry_owner is None or views.dispute_bond_micro is None:
        book.outside = True
    elif event.name == "Equivocated":
        bond = views.committee.bond_micro
        book.add(args["member"].lower(), 0, -bond)
        book.add(args["reporter"].lower(), bond // 2, 0)
        book.add(views.registry_owner.lower(), bond - bond // 2, 0)
    elif event.name in ("Disputed", "LeafDisputed"):
        book.add(args["disputer"].lower(), -views.dispute_bond_micro, views.dispute_bond_micro)
    elif event.name in ("LeafAnswered", "LeafUnanswered"):
        book.add(args["disputer"].lower(), 0, -views.dispute_bond_micro)
        book.add(args.get("answerer", args["disputer"]).lower(), views.dispute_bond_micro, 0)
    else:
        _ruled(book, event, views.dispute_bond_micro, views.registry_owner.lower())


def _ruled(book: _Book, event: Event, bond: int, owner: str) -> None:
    key = event.args["feedId"], event.args["start"]
    disputers = [
        one.args["disputer"].lower()
        for one in book.facts.log("DeliveryOracle", "Disputed")
        if (one.args["feedId"], one.args["start"]) == key
        and (one.block, one.index) < (event.block, event.index)
    ]
    if not disputers:
        book.outside = True
        return
    book.add(disputers[-1], 0, -bond)
    book.add(owner if event.args["upheld"] else disputers[-1], bond, 0)


# --- checks ------------------------------------------------------------------------
@check(
    "treasury.causes",
    "Treasury.Posted: every net change of every transaction follows from F15, F5 and the clearing",
)
def causes(facts: Facts) -> Result:
    tally = Tally()
    for movement in replay(facts)[0]:
        if movement.due is None:
            continue
        what = ", ".join(movement.causes) or "nothing"
        for account in sorted(movement.due.keys() | movement.posted.keys()):
            due, found = movement.due.get(account, (0, 0)), movement.posted.get(account, (0, 0))
            where = f"account {account} in {movement.tx} for {what}: available, locked micro"
            tally.equal(where, due, found)
    return tally.result()


@check(
    "settlement.penalty", "F5 tiers on the compute leg, capped by what the site has; SlotSettled penaltyMicro"
)
def site(facts: Facts) -> Result:
    return _penalties(facts, "SlotSettled")


@check("pools.penalty", "F5 tiers on the power leg, capped by what the plant has; PlantMetered penaltyMicro")
def plant(facts: Facts) -> Result:
    return _penalties(facts, "PlantMetered")


def _penalties(facts: Facts, name: str) -> Result:
    tally = Tally()
    for item in replay(facts)[1]:
        if item.event.name == name:
            args = item.event.args
            asset = (
                f"power offer {args['powerOfferIndex']}"
                if name == "PlantMetered"
                else f"chunk {args['chunkIndex']}"
            )
            where = f"batch {args['batchId']} slot {args['slot']} {asset} in {item.event.tx} penaltyMicro"
            tally.equal(where, item.due, args["penaltyMicro"])
    return tally.result()


CHECKS = (site, plant, causes)
