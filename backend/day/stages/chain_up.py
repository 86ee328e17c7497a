"""Brings the chain up: the embedded Anvil or the given node, its clock, the deployment and the register."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from typing import Any

from backend.chain.addressbook import save_book
from backend.chain.anvil import DevClock, anvil_command, await_anvil, free_port, give_gas_money
from backend.chain.clients import Registry
from backend.chain.deploy import DeploySettings, deploy
from backend.chain.errors import ChainError, RpcUnavailable
from backend.chain.optimistic import OptimisticMarket
from backend.chain.plan import Call
from backend.chain.rpc import Rpc
from backend.day.children import ChildFailed, Children, kill_strays
from backend.day.run_state import RunState
from backend.day.stages.context import OPERATOR, SOLVER, Context
from backend.day.types import DayInput
from backend.day.zones import standard_wh

COMMITTEE = ("committee/0", "committee/1", "committee/2", "committee/3")
QUORUM = 3
ANVIL = "anvil"
LEAD_SECONDS = 86_400
"""The embedded chain begins this long before the first slot (day-ahead gate closure)."""
GATE_SECONDS = 6 * 3600
"""A given chain must have this long before the first slot, else the day is moved by whole weeks."""
WEEK_SECONDS = 7 * 86_400
CHAIN_FOLDERS = ("nodes", "agents", "archive", "addresses.json", "report.json", "report.html")


def connect(state: RunState, children: Children, day: DayInput, url: str | None) -> Rpc:
    """An RPC to the run's chain, found again after a restart; begins the chain part anew where it is gone.

    Raises ChainError when the given node does not answer.
    """
    rpc = _reconnect(state, children, url)
    if rpc:
        return rpc
    children.stop()
    _forget(state)
    if url is None:
        rpc = _embedded(state, children, day)
        start = day.start
    else:
        rpc = Rpc(url)
        clock = DevClock(rpc)
        start = _future_start(day.start, clock.now())
        clock.advance_to(start - LEAD_SECONDS)
    head: dict[str, Any] = rpc.call("eth_getBlockByNumber", "latest", False)
    anchor = {"number": head["number"], "hash": head["hash"], "time": int(head["timestamp"], 16)}
    state.chain.update({"url": rpc.url, "start": start, "anchor": anchor, "nonces": {}, "ready": False})
    state.save()
    return rpc


def _reconnect(state: RunState, children: Children, url: str | None) -> Rpc | None:
    if not state.chain or (url is None and not children.find(ANVIL)):
        return None
    rpc = Rpc(state.chain["url"])
    anchor = state.chain["anchor"]
    try:
        block = rpc.call("eth_getBlockByNumber", anchor["number"], False)
    except RpcUnavailable:
        if url is None:
            return None
        raise
    return rpc if block and block["hash"] == anchor["hash"] else None


def _forget(state: RunState) -> None:
    """Drops everything that lived on a chain that is no more."""
    state.forget_chain()
    for name in CHAIN_FOLDERS:
        path = state.out / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _embedded(state: RunState, children: Children, day: DayInput) -> Rpc:
    genesis = day.start - LEAD_SECONDS
    if ANVIL in state.ports:
        kill_strays(anvil_command(state.ports[ANVIL], genesis))
    port = state.ports[ANVIL] = free_port()
    state.save()
    url = f"http://127.0.0.1:{port}"
    children.start(ANVIL, anvil_command(port, genesis), {"url": url})
    try:
        await_anvil(url, lambda: children.find(ANVIL) is not None)
    except ChainError as error:
        raise ChildFailed(ANVIL, str(error), children.log(ANVIL)) from error
    return Rpc(url)


def _future_start(start: int, now: int) -> int:
    """`start`, or the same weekday and hour of the first week that still lies ahead on the chain's clock."""
    late = now + GATE_SECONDS - start
    return start if late <= 0 else start + -(-late // WEEK_SECONDS) * WEEK_SECONDS


def party_names(day: DayInput) -> list[str]:
    """Every account of the day, sorted."""
    owners = {job.tenant for job in day.jobs} | {site.owner for site in day.sites}
    owners |= {plant.owner for plant in day.plants} | {offer.owner for offer in day.compute_offers}
    owners |= {offer.owner for offer in day.power_offers}
    return sorted(owners)


def prepare_accounts(context: Context, names: Sequence[str]) -> None:
    """Remembers where each account's plan begins, and gives gas money: once, before the first transaction."""
    if context.state.chain["ready"]:
        return
    accounts = context.keyring.addresses(names)
    answers = context.rpc.batch([("eth_getTransactionCount", [account, "latest"]) for account in accounts])
    nonces = {account: int(answer, 16) for account, answer in zip(accounts, answers, strict=True)}
    context.state.chain["nonces"] = {account: nonce for account, nonce in nonces.items() if nonce}
    give_gas_money(context.rpc, accounts)
    context.state.chain["ready"] = True
    context.state.save()


def deploy_contracts(context: Context) -> None:
    """Deploys, wires and writes the address book."""
    members = tuple(context.keyring.addresses(COMMITTEE))
    settings = DeploySettings(members, QUORUM)
    book, receipts = deploy(context.sender(OPERATOR), context.chain_id, settings)
    context.count("deploy", receipts)
    context.deployed(book)
    for path in (context.out / "addresses.json", context.archive / "addresses.json"):
        save_book(book, path)


def register(context: Context, measurements: Sequence[tuple[bytes, int]]) -> None:
    """Roles, zones, classes, sites, plants and the measurement policy."""
    context.send("register", OPERATOR, _register_calls(context, measurements))


def _register_calls(context: Context, measurements: Sequence[tuple[bytes, int]]) -> Iterator[Call]:
    registry = Registry(context.book)
    optimistic = OptimisticMarket(context.book)
    day = context.day
    address = {name: context.keyring[name].address for name in party_names(day)}
    yield registry.set_operator(context.keyring[OPERATOR].address)
    yield registry.set_solver(context.keyring[SOLVER].address)
    for zone in day.zones:
        yield registry.add_zone(zone.zone_id, zone.name)
    for cls in day.classes:
        yield registry.add_class(cls.class_id, cls.name)
        yield optimistic.set_class_energy(cls.class_id, standard_wh(cls.it_w, day.slot_seconds))
    for site in day.sites:
        yield registry.add_site(site.site_id, address[site.owner], site.zone_id, site.nameplate_w)
    for plant in day.plants:
        place = (plant.plant_id, address[plant.owner], plant.zone_id, plant.source)
        yield registry.add_plant(*place, plant.nameplate_w, plant.emission_g_per_kwh)
    for measurement, kind in measurements:
        yield registry.set_measurement(measurement, kind)
