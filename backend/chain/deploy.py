"""Deploys and wires the contracts as one deterministic list of transactions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from backend.chain.abi import Abi
from backend.chain.addressbook import AddressBook, Deployed
from backend.chain.clients import LARGE_GAS
from backend.chain.errors import ChainError, FieldError, WrongChain
from backend.chain.keccak import address_bytes, create_address, keccak
from backend.chain.plan import DEV_CHAIN_ID, Call, Receipt, Sender

ARTIFACTS = Path(__file__).with_name("artifacts")
FEED = keccak(b"bitwatt/feed/main")
TOKEN = "DevToken"
DEFAULT_BOND_MICRO = 1_000_000_000


@dataclass(frozen=True, slots=True)
class ChallengeSettings:
    """Optimistic clearing: money in micro-units, times in seconds; `step_milli` is what a better solution
    must gain, in milli-micro-units."""

    bond_micro: int = 10_000_000_000
    demand_fee_micro: int = 5_000_000
    step_milli: int = 1_000_000_000
    window: int = 7_200
    response: int = 1_800
    opening: int = 3_600
    insist_lead: int = 600


@dataclass(frozen=True, slots=True)
class DeploySettings:
    """What a deployment fixes for ever: money in micro-units, delays in seconds.

    `token` None deploys the faucet token, which works on a development chain only. `arbiter` decides disputes
    about flexibility; None means the deployer.
    """

    members: tuple[str, ...]
    quorum: int
    token: str | None = None
    withdraw_delay: int = 86_400
    bond_micro: int = DEFAULT_BOND_MICRO
    dispute_bond_micro: int = 100_000_000
    dispute_window: int = 900
    committee_delay: int = 604_800
    policy_delay: int = 0
    refund_delay: int = 86_400
    missing_grace: int = 3_600
    arbiter: str | None = None
    arbiter_window: int = 86_400
    feed_id: bytes = field(default=FEED)
    challenge: ChallengeSettings = field(default_factory=ChallengeSettings)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A built contract: its ABI, its creation code in hex, and where library addresses go in it.

    `links` maps a library to the byte offsets at which its 20-byte address stands.
    """

    name: str
    abi: Abi
    code: str
    links: dict[str, tuple[int, ...]]

    def linked(self, libraries: Mapping[str, str]) -> bytes:
        """The creation code with the libraries' addresses in it."""
        code = self.code
        for library, offsets in self.links.items():
            address = address_bytes(libraries[library]).hex()
            for offset in offsets:
                code = code[: 2 * offset] + address + code[2 * offset + 40 :]
        return bytes.fromhex(code)


@cache
def artifact(name: str) -> Artifact:
    """The artifact of a contract; raises ChainError where it is not built."""
    path = ARTIFACTS / f"{name}.json"
    if not path.exists():
        raise ChainError(f"the contract {name} is not built: run `make build`")
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    code = document["bytecode"].removeprefix("0x")
    if not code:
        raise ChainError(f"the artifact of {name} has no code: run `make build`")
    links = {library: tuple(offsets) for library, offsets in sorted(document["links"].items())}
    return Artifact(name, Abi(document["abi"]), code, links)


def check_settings(settings: DeploySettings, chain_id: int) -> None:
    """Raises FieldError or WrongChain for settings that no deployment may have."""
    if settings.token is None and chain_id != DEV_CHAIN_ID:
        raise WrongChain(
            chain_id,
            f"the faucet token is for development chains ({DEV_CHAIN_ID}) only",
            "name the settlement token with --token",
        )
    if settings.token is not None:
        address_bytes(settings.token)
    if settings.policy_delay == 0 and chain_id != DEV_CHAIN_ID:
        raise FieldError("policy_delay", 0, "new device code needs a delay off development chains")
    if len({member.lower() for member in settings.members}) != len(settings.members):
        raise FieldError("members", settings.members, "name every committee member once")
    if not settings.quorum <= len(settings.members):
        raise FieldError("quorum", settings.quorum, f"give at most the {len(settings.members)} members")
    if 3 * settings.quorum <= 2 * len(settings.members) or len(settings.members) < 4:
        raise FieldError(
            "quorum",
            f"{settings.quorum} of {len(settings.members)}",
            "give n >= 4 members and more than 2n/3",
        )


def deployment(owner: str, first_nonce: int, settings: DeploySettings) -> tuple[list[Call], dict[str, str]]:
    """The transactions of `owner` from `first_nonce` on, and the addresses they give to the contracts."""
    calls: list[Call] = []
    book: dict[str, str] = {}
    libraries: dict[str, str] = {}

    def place(built: Artifact, *arguments: object) -> str:
        for library in built.links:
            if library not in libraries:
                libraries[library] = place(artifact(library))
        address = create_address(owner, first_nonce + len(calls))
        code = built.linked(libraries) + built.abi.encode_constructor(arguments)
        calls.append(Call(None, code, LARGE_GAS, f"create {built.name}"))
        return address

    def create(name: str, *arguments: object) -> str:
        book[name] = place(artifact(name), *arguments)
        return book[name]

    def wire(name: str, *arguments: object) -> None:
        data = artifact(name).abi.encode_call("wire", arguments)
        calls.append(Call(book[name], data, 300_000, f"{name}.wire"))

    members = sorted(settings.members, key=address_bytes)
    if settings.token is None:
        token = create(TOKEN)
    else:
        token = book[TOKEN] = settings.token
    registry = create("Registry", owner, settings.policy_delay)
    treasury = create("Treasury", token, settings.withdraw_delay)
    bonds = (settings.bond_micro, settings.dispute_bond_micro)
    committee = (members, settings.quorum, *bonds, settings.dispute_window, settings.committee_delay)
    oracle = create("DeliveryOracle", registry, treasury, *committee)
    market = create("BundleMarket", registry, treasury, oracle)
    certificates = create("Certificates", registry)
    parts = (registry, treasury, oracle, market, certificates)
    delays = (settings.refund_delay, settings.missing_grace)
    settlement = create("Settlement", *parts, settings.feed_id, *delays)
    points = create("PointsMarket", treasury, certificates)
    windows = (settings.dispute_window, settings.arbiter_window, settings.refund_delay)
    flex = create("FlexMarket", registry, treasury, settings.arbiter or owner, *windows)
    challenge = settings.challenge
    stakes = (challenge.bond_micro, challenge.demand_fee_micro, challenge.step_milli)
    times = [challenge.window, challenge.response, challenge.opening, challenge.insist_lead]
    optimistic = create("OptimisticMarket", registry, treasury, market, *stakes, times)
    challenges = create("Challenges", optimistic, market)
    wire("Registry", oracle)
    wire("Treasury", [market, settlement, oracle, points, flex, optimistic])
    wire("BundleMarket", optimistic)
    wire("OptimisticMarket", challenges)
    wire("Certificates", settlement)
    # optimistic batches are opened in the market by the OptimisticMarket itself
    role = artifact("Registry").abi.encode_call("setSolver", (optimistic, True))
    calls.append(Call(registry, role, 300_000, "Registry.setSolver OptimisticMarket"))
    return calls, book


def deploy(sender: Sender, chain_id: int, settings: DeploySettings) -> tuple[AddressBook, Sequence[Receipt]]:
    """Sends the deployment (or what of it is not yet on chain) and returns the address book and receipts."""
    check_settings(settings, chain_id)
    calls, addresses = deployment(sender.address, sender.position, settings)
    receipts = sender.send(calls)
    contracts = {name: Deployed(name, address, artifact(name).abi) for name, address in addresses.items()}
    return AddressBook(chain_id, receipts[0].block_number, contracts), receipts
