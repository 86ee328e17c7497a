"""A market day of virtual power plants on a development chain, and the bundle an auditor reads.

The operator anchors awards before delivery begins and deliveries after it; awards are settled when the
dispute window has passed, and every member's share is paid.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from eth_account import Account

from backend.chain.addressbook import AddressBook, save_book
from backend.chain.anvil import DevClock, give_gas_money
from backend.chain.cli import DEV_MEMBERS
from backend.chain.clients import Registry, Token, Treasury
from backend.chain.deploy import DeploySettings, deploy
from backend.chain.flex import Award, Delivery, FlexMarket, Share, stakes_of
from backend.chain.keccak import checksum_address, keccak
from backend.chain.plan import DEV_CHAIN_ID, Sender
from backend.chain.rpc import Rpc
from backend.vpp.day import KINDS, METHOD_OF, WINDOWS, ZONES, FlexDay, shares_of

PRODUCT = "energy_shed"
WINDOW_S = 60
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ChainResult:
    """What the chain came to, in micro-units, and gas."""

    period_id: int
    book: AddressBook
    paid_micro: int
    penalty_micro: int
    members_paid: int
    members_micro: int
    gas_settle_per_award: int
    gas_claim_per_member: int


def account_of(name: str) -> str:
    """The dev chain's account of a member: an address nobody has the key of, which is enough to be paid."""
    return checksum_address(keccak(b"bitwatt/dev/member/" + name.encode())[12:])


def _sender(rpc: Rpc, name: str) -> Sender:
    key = keccak(b"bitwatt/dev/vpp/" + name.encode())
    give_gas_money(rpc, [Account.from_key(key).address])
    return Sender(rpc, key, DEV_CHAIN_ID, 0)


def settle_on_chain(day: FlexDay, rpc: Rpc, out: Path, say: Say = lambda _: None) -> ChainResult:
    """Runs the period on a fresh development chain and writes `book.json` and the auditor's bundle to
    `out`.
    """
    out.mkdir(parents=True, exist_ok=True)
    owner, payer = _sender(rpc, "owner"), _sender(rpc, "payer")
    vpps = [_sender(rpc, f"vpp-{z}") for z in range(ZONES)]
    settings = DeploySettings(DEV_MEMBERS, 3, dispute_window=WINDOW_S, policy_delay=0)
    book, _ = deploy(owner, DEV_CHAIN_ID, settings)
    for sender in (owner, payer, *vpps):
        sender.errors = book.errors
    save_book(book, out / "book.json")
    token, treasury, flex = Token(book, rpc), Treasury(book, rpc), FlexMarket(book, rpc)
    owner.send([Registry(book).set_operator(owner.address)])
    period = day.series.start // 86_400
    awards = [
        Award(a.index, vpps[a.zone].address, PRODUCT, a.declared, a.price_micro_per_kwh) for a in day.awards
    ]
    deliveries = [Delivery(a.settled.total.delivered_wh, a.settled.inputs_hash) for a in day.awards]
    stakes = {s.aggregator: s for s in stakes_of(awards)}
    for sender in (payer, *vpps):
        stake = stakes.get(sender.address)
        need = (
            sum(s.payment_micro for s in stakes.values())
            if sender is payer
            else stake.penalty_micro
            if stake
            else 1
        )
        sender.send([token.mint(sender.address, need), token.approve(treasury.address),
                     treasury.deposit(sender.address, need), flex.trust(owner.address)])  # fmt: skip
    end = day.series.start + 86_400
    owner.send([flex.anchor_awards(period, payer.address, end, awards)])
    say(f"{len(awards)} awards anchored")
    clock = DevClock(rpc)
    clock.advance_to(end)
    owner.send([flex.anchor_deliveries(period, deliveries)])
    clock.advance_to(rpc.timestamp() + WINDOW_S)
    settled = owner.send(flex.settle(period, awards, deliveries))
    owner.send([flex.release(period, name) for name in stakes])
    say("awards settled")
    splits, claims_gas, members = {}, 0, 0
    for z, sender in enumerate(vpps):
        if sender.address not in stakes:
            continue
        paid = int(flex.read("position", period, sender.address)[2])
        shares = [Share(sender.address if name == f"vpp-{z}" else account_of(name), amount)
                  for name, amount in shares_of(day, z, paid).items()]  # fmt: skip
        sender.send([flex.anchor_split(period, sender.address, shares)])
        receipts = owner.send(flex.claim(period, sender.address, shares))
        claims_gas += sum(receipt.gas_used for receipt in receipts)
        members += len(shares)
        splits[sender.address] = shares
    say(f"{members} shares paid")
    _write_bundle(day, out, period, awards, deliveries, splits)
    positions = [flex.read("position", period, name) for name in stakes]
    penalties = sum(a.settled.total.penalty_micro for a in day.awards)
    return ChainResult(
        period, book, sum(int(p[2]) for p in positions), penalties, members,
        sum(share.amount_micro for shares in splits.values() for share in shares),
        sum(receipt.gas_used for receipt in settled) // max(len(awards), 1), claims_gas // max(members, 1),
    )  # fmt: skip


def _write_bundle(
    day: FlexDay, out: Path, period: int, awards: list[Award], deliveries: list[Delivery],
    splits: dict[str, list[Share]],
) -> None:  # fmt: skip
    """What an auditor needs to measure again: awards, deliveries, member rows, shares, readings."""
    document = {
        "period_id": period,
        "slot_seconds": 900,
        "days": [d.isoformat() for d in day.series.days],
        "windows": WINDOWS,
        "methods": [METHOD_OF[kind] for kind in KINDS],
        "awards": [asdict(award) for award in awards],
        "deliveries": [asdict(delivery) for delivery in deliveries],
        "slots": [a.slot for a in day.awards],
        "members": [
            {
                "member": a.member.tolist(),
                "declared_wh": a.declared_wh.tolist(),
                "delivered_wh": a.delivered_wh.tolist(),
            }
            for a in day.awards
        ],
        "splits": {name: [asdict(share) for share in shares] for name, shares in splits.items()},
    }
    (out / "flex.json").write_text(json.dumps(document), encoding="utf-8")
    np.savez_compressed(
        out / "readings.npz", history_w=day.members.history_w[:, :-1].astype(np.int32),
        today_w=day.telemetry_w.astype(np.int32), kind=day.members.kind,
    )  # fmt: skip
