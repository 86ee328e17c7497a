"""Money: every balance rebuilt from genesis through all events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from audit.abi import Event
from audit.facts import Facts
from audit.verdict import Result, Tally, check

MOVES = ("Deposited", "Withdrawn", "Posted")


@dataclass(slots=True)
class Ledger:
    """Balances in micro-units by account while events are replayed."""

    available: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    locked: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def apply(self, event: Event) -> str:
        """Moves money as the event says; gives the account."""
        args = event.args
        account = str(args["account"]).lower()
        if event.name == "Deposited":
            self.available[account] += args["amountMicro"]
        elif event.name == "Withdrawn":
            self.available[account] -= args["amountMicro"]
        else:
            self.available[account] += args["available"]
            self.locked[account] += args["locked"]
        return account


def moves(facts: Facts) -> Iterator[Event]:
    """Every event that moves money, in chain order."""
    every = (event for name in MOVES for event in facts.log("Treasury", name))
    yield from sorted(every, key=lambda event: (event.block, event.index))


@check(
    "treasury.ledger", "Treasury.ledger: Deposited, Posted, Withdrawn from genesis add up to every account"
)
def ledger(facts: Facts) -> Result:
    tally = Tally()
    book = Ledger()
    for event in moves(facts):
        account = book.apply(event)
        for part, amount in (("available", book.available[account]), ("locked", book.locked[account])):
            if amount < 0:
                where = f"account {account} {part} after {event.name} in {event.tx}"
                tally.fail(where, "never negative", f"{amount} micro")
    accounts = {account.lower(): words for account, words in facts.views.ledger.items()}
    for account in sorted(book.available.keys() | book.locked.keys()):
        rebuilt = (book.available[account], book.locked[account])
        if account not in accounts:
            tally.doubt(f"account {account}", f"{rebuilt} micro", "the ledger cannot be read")
            continue
        for part, due, found in zip(("available", "locked"), rebuilt, accounts[account], strict=True):
            tally.equal(f"account {account} {part} micro", due, found)
    return tally.result()


@check("treasury.balanced", "Treasury.post: the entries of every transaction add up to zero")
def balanced(facts: Facts) -> Result:
    tally = Tally()
    sums: dict[str, int] = defaultdict(int)
    for event in facts.log("Treasury", "Posted"):
        sums[event.tx] += event.args["available"] + event.args["locked"]
    for tx, total in sums.items():
        tally.equal(f"postings of {tx}", 0, total)
    return tally.result()


@check("treasury.total", "Treasury.totalMicro = sum of accounts = its balance of the token")
def total(facts: Facts) -> Result:
    tally = Tally()
    book = Ledger()
    for event in moves(facts):
        book.apply(event)
    rebuilt = sum(book.available.values()) + sum(book.locked.values())
    views = facts.views
    if views.total_micro is None or views.token_balance_micro is None:
        tally.doubt("Treasury", f"{rebuilt} micro", "totalMicro or the token balance cannot be read")
        return tally.result()
    tally.equal("Treasury.totalMicro", rebuilt, views.total_micro)
    backed = views.token_balance_micro >= rebuilt
    tally.true(
        backed, "token balance of the Treasury", f"at least {rebuilt} micro", views.token_balance_micro
    )
    if views.token_balance_micro > rebuilt:
        extra = views.token_balance_micro - rebuilt
        tally.doubt(
            "token balance of the Treasury", f"{rebuilt} micro", f"{extra} more, sent without a deposit"
        )
    return tally.result()


@check("treasury.withdrawals", "Treasury.withdraw: not before a request matured, not above it")
def withdrawals(facts: Facts) -> Result:
    tally = Tally()
    asked: dict[str, tuple[int, int]] = {}
    every = [*facts.log("Treasury", "WithdrawalRequested"), *facts.log("Treasury", "Withdrawn")]
    for event in sorted(every, key=lambda event: (event.block, event.index)):
        account, amount = event.args["account"].lower(), event.args["amountMicro"]
        if event.name == "WithdrawalRequested":
            asked[account] = (amount, event.args["maturesAt"])
            continue
        most, due = asked.pop(account, (0, 0))
        where = f"withdrawal of {account} in {event.tx}"
        tally.true(amount <= most, where, f"at most the requested {most} micro", amount)
        tally.true(event.timestamp >= due, where, f"not before {due}", event.timestamp)
    return tally.result()


CHECKS = (ledger, balanced, total, withdrawals)
