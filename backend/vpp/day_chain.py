"""A market day of virtual power plants on a development chain, and the archive an auditor reads.

The operator anchors awards before delivery begins and deliveries after it; awards are settled when the
dispute window has passed, and every member's share is paid.
"""

from __future__ import annotations

import io
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
from backend.vpp.baselines import VERSION
from backend.vpp.day import KINDS, METHOD_OF, SLOT_S, WINDOWS, ZONES, FlexDay, shares_of
from oracle.archive import Archive

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
    """Runs the period on a fresh development chain and writes address book and archive to `out`/archive."""
    out.mkdir(parents=True, exist_ok=True)
    owner, payer = _sender(rpc, "owner"), _sender(rpc, "payer")
    vpps = [_sender(rpc, f"vpp-{z}") for z in range(ZONES)]
    settings = DeploySettings(DEV_MEMBERS, 3, dispute_window=WINDOW_S, policy_delay=0)
    book, _ = deploy(owner, DEV_CHAIN_ID, settings)
    for sender in (owner, payer, *vpps):
        sender.errors = book.errors
    archive = Archive(out / "archive")
    archive.root.mkdir(parents=True, exist_ok=True)
    save_book(book, archive.root / "addresses.json")
    token, treasury, flex = Token(book, rpc), Treasury(book, rpc), FlexMarket(book, rpc)
    owner.send([Registry(book).set_operator(owner.address)])
    period = day.series.start // 86_400
    awards = [
        Award(a.index, vpps[a.zone].address, PRODUCT, a.declared, a.price_micro_per_kwh) for a in day.awards
    ]
    inputs = "0x" + _archived(day, archive, period, awards).hex()
    deliveries = [Delivery(a.settled.total.delivered_wh, inputs) for a in day.awards]
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
    settled = owner.send([call for _, call in flex.settle(period, awards, deliveries)])
    owner.send([flex.release(period, name) for name in stakes])
    say("awards settled")
    paid_out, claims_gas, members = 0, 0, 0
    for z, sender in enumerate(vpps):
        if sender.address not in stakes:
            continue
        paid = int(flex.read("position", period, sender.address)[2])
        shares = [Share(sender.address if name == f"vpp-{z}" else account_of(name), amount)
                  for name, amount in shares_of(day, z, paid).items()]  # fmt: skip
        sender.send([flex.anchor_split(period, sender.address, shares)])
        receipts = owner.send([call for _, call in flex.claim(period, sender.address, shares)])
        claims_gas += sum(receipt.gas_used for receipt in receipts)
        members += len(shares)
        paid_out += sum(share.amount_micro for share in shares)
    say(f"{members} shares paid")
    positions = [flex.read("position", period, name) for name in stakes]
    penalties = sum(a.settled.total.penalty_micro for a in day.awards)
    return ChainResult(
        period, book, sum(int(p[2]) for p in positions), penalties, members,
        paid_out,
        sum(receipt.gas_used for receipt in settled) // max(len(awards), 1), claims_gas // max(members, 1),
    )  # fmt: skip


def _archived(day: FlexDay, archive: Archive, period: int, awards: list[Award]) -> bytes:
    """Archives readings and the document that deliveries name; its SHA-256."""
    readings = io.BytesIO()
    history = day.members.history_w[:, :-1].astype(np.int32)
    np.savez_compressed(
        readings, history_w=history, today_w=day.telemetry_w.astype(np.int32),
        event_day=np.zeros(history.shape[:2], np.int8), nameplate_w=day.members.nameplate_w,
    )  # fmt: skip
    methods = [METHOD_OF[KINDS[code]] for code in day.members.kind.tolist()]
    window_of = {slot: [first, last] for first, last in WINDOWS for slot in range(first, last)}
    document = {
        "version": 1, "period_id": period, "slot_seconds": SLOT_S, "baseline_version": VERSION,
        "days": [d.isoformat() for d in day.series.days],
        "awards": [asdict(award) for award in awards],
        "members": [
            {
                "slot": a.slot, "slots": 1, "window": window_of[a.slot], "direction": "up",
                "method": [methods[n] for n in a.member.tolist()], "member": a.member.tolist(),
                "declared_wh": a.declared_wh.tolist(), "delivered_wh": a.delivered_wh.tolist(),
            }
            for a in day.awards
        ],
        "readings": archive.put("flex-readings", readings.getvalue()).hex(),
    }  # fmt: skip
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return archive.put("flex", text.encode())
