"""The fault library: every corruption the auditor is held to, and days on which it must stay silent."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from audit.facts import Facts
from audit.statement import statement
from tests.faults import flexibility, market, money, oracle
from tests.faults.corruptions import Case
from tests.faults.world import ADDRESSES, START, World, account

FAULTS: tuple[Case, ...] = (*market.CASES, *oracle.CASES, *money.CASES, *flexibility.CASES)


def corrupted(case: Case, root: Path) -> Facts:
    """What an auditor sees on the day with this corruption."""
    world = World(root, dict(case.changes))
    case.after(world)
    return world.facts()


def _deposit(world: World, chance: random.Random) -> None:
    """Somebody deposits."""
    name, amount = chance.choice(("buyer-a", "newcomer")), chance.randrange(1, 10**9)
    word = world.ledger.setdefault(account(name), [0, 0])
    word[0] += amount
    args = {"payer": account("payer"), "account": account(name), "amountMicro": amount}
    world.send(None, ("Treasury", "Deposited", args))


def _withdrawal(world: World, chance: random.Random) -> None:
    """Somebody asks for money and takes it when it is ripe."""
    who, amount = account("site"), chance.randrange(1, 100)
    asked = {"account": who, "amountMicro": amount, "maturesAt": world.time + 1}
    world.send(None, ("Treasury", "WithdrawalRequested", asked))
    world.time += 10
    world.ledger[who][0] -= amount
    world.send(None, ("Treasury", "Withdrawn", {"account": who, "to": who, "amountMicro": amount}))


def _cancellation(world: World, chance: random.Random) -> None:
    """A buyer cancels another nonce, or everything, after its order was cleared."""
    args = {"maker": account("buyer-a"), "nonce": chance.randrange(1, 1 << 60)}
    world.send(None, ("BundleMarket", "Cancelled", args))
    world.send(None, ("BundleMarket", "AllCancelled", {"maker": account("buyer-b"), "epoch": 1}))


def _transfer(world: World, chance: random.Random) -> None:
    """The plant's owner gives certificates away."""
    number = 1 << 248 | 201710 << 224 | 1 << 200 | int(ADDRESSES["Settlement"], 16)
    giver, taker, amount = account("plant"), account("collector"), chance.randrange(1, 300)
    world.held[giver, number] -= amount
    world.held[taker, number] = amount
    args = {"operator": giver, "from": giver, "to": taker, "id": number, "value": amount}
    world.send(None, ("Certificates", "TransferSingle", args))


def _assets(world: World, chance: random.Random) -> None:
    """A new site joins, and the old one is registered again for later batches."""
    for site, watts in ((2, chance.randrange(1, 10**6)), (1, chance.randrange(1, 10**6))):
        args = {"siteId": site, "owner": account("newcomer"), "zoneId": 0, "nameplateW": watts}
        world.send(None, ("Registry", "SiteAdded", args))


def _statement(world: World, chance: random.Random) -> None:
    """A carbon statement of some of the day is published, as it is."""
    start = START + chance.randrange(1000)
    told = statement(
        world.facts(), start, start + chance.randrange(1, 10_000), chance.choice((None, account("buyer-a")))
    )
    world.put("statement", json.dumps(told).encode(), "json")


HARMLESS: tuple[Callable[[World, random.Random], None], ...] = (
    _deposit,
    _withdrawal,
    _cancellation,
    _transfer,
    _assets,
    _statement,
)


def clean_days(root: Path, count: int, seed: int) -> Iterator[tuple[str, Facts]]:
    """Days with nothing wrong: harmless things in a seeded order."""
    for number in range(count):
        chance = random.Random(f"{seed}/{number}")
        world = World(root / str(number))
        happened = chance.sample(HARMLESS, chance.randrange(len(HARMLESS) + 1))
        for happening in happened:
            happening(world, chance)
        yield ", ".join(item.__name__.strip("_") for item in happened) or "nothing", world.facts()


def at_another_time(facts: Facts) -> Facts:
    """The same facts seen from a later head block: a verdict must not depend on when it is asked."""
    return replace(facts, head=replace(facts.head, timestamp=START + 100 * 86_400))
