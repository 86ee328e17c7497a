"""Thin typed clients of the contracts: a change is a `Call` to be planned, a read asks the node at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from backend.chain.addressbook import AddressBook
from backend.chain.keccak import address_bytes, keccak
from backend.chain.order_codec import pack_orders
from backend.chain.orders import BundleOrder, ComputeOffer, PowerOffer, abi_tuple
from backend.chain.plan import Call, read_contract
from backend.chain.rpc import Rpc

LARGE_GAS = 16_700_000
"""Limit of the calls that do much; just below EIP-7825's."""
SMALL_GAS = 1_000_000
MAX_UINT256 = 2**256 - 1


@dataclass(frozen=True, slots=True)
class BatchHeader:
    """What `openBatch` takes. Times in unix seconds, hashes of 32 bytes, money in micro-units."""

    start: int
    slot_seconds: int
    slots: int
    zones: int
    classes: int
    publication_hash: bytes
    book_hash: bytes
    solution_hash: bytes
    welfare_micro: int
    dual_bound_micro: int


@dataclass(frozen=True, slots=True)
class ChunkData:
    """A cleared chunk as its commitment holds it; `runs` is packed (`packing.pack_runs`)."""

    makers: tuple[str, ...]
    order_hashes: tuple[bytes, ...]
    runs: bytes

    def abi(self) -> tuple[object, ...]:
        """The tuple the contracts take."""
        makers = b"".join(address_bytes(maker) for maker in self.makers)
        return (makers, keccak(b"".join(self.order_hashes)), self.runs)


class Client:
    """One contract of an address book; `rpc` is needed for reads only."""

    name = ""

    def __init__(self, book: AddressBook, rpc: Rpc | None = None) -> None:
        self._contract = book[self.name]
        self._errors = book.errors
        self._rpc = rpc

    @property
    def address(self) -> str:
        """Where the contract is."""
        return self._contract.address

    def call(self, function: str, *arguments: object, gas: int = SMALL_GAS, label: str = "") -> Call:
        """The transaction that calls `function`."""
        data = self._contract.abi.encode_call(function, arguments)
        return Call(self.address, data, gas, f"{self.name}.{function}{label and ' ' + label}")

    def read(self, function: str, *arguments: object) -> Any:
        """The result of a view function now; raises Reverted with the reason."""
        if self._rpc is None:
            raise ValueError(f"{self.name}.{function}: this client was made without an RPC")
        return read_contract(self._rpc, self._contract, function, *arguments, errors=self._errors)


class Token(Client):
    """The development chain's settlement token."""

    name = "DevToken"

    def mint(self, account: str, amount_micro: int) -> Call:
        """The faucet."""
        return self.call("mint", account, amount_micro)

    def approve(self, spender: str, amount_micro: int = MAX_UINT256) -> Call:
        """Lets `spender` take up to `amount_micro`."""
        return self.call("approve", spender, amount_micro)


class Treasury(Client):
    """The ledger of the settlement token."""

    name = "Treasury"

    def deposit(self, account: str, amount_micro: int) -> Call:
        """Moves tokens of the sender into the account's available money."""
        return self.call("deposit", account, amount_micro)

    def ledger(self, account: str) -> tuple[int, int]:
        """(available, locked) of an account, micro-units."""
        return self.read("ledger", account)

    def total(self) -> int:
        """Sum of all accounts, micro-units."""
        return self.read("totalMicro")


class Registry(Client):
    """Zones, classes, assets, devices and roles."""

    name = "Registry"

    def set_solver(self, account: str, allowed: bool = True) -> Call:
        """Lets `account` open and post batches, or no longer."""
        return self.call("setSolver", account, allowed)

    def set_operator(self, account: str, allowed: bool = True) -> Call:
        """Lets `account` register assets and set the measurement policy, or no longer."""
        return self.call("setOperator", account, allowed)

    def add_zone(self, zone_id: int, name: str) -> Call:
        """A price area."""
        return self.call("addZone", zone_id, name, label=name)

    def add_class(self, class_id: int, name: str) -> Call:
        """A compute class."""
        return self.call("addClass", class_id, name, label=name)

    def add_site(self, site_id: int, owner: str, zone_id: int, nameplate_w: int) -> Call:
        """A compute site."""
        return self.call("addSite", site_id, owner, zone_id, nameplate_w, label=str(site_id))

    def add_plant(
        self, plant_id: int, owner: str, zone_id: int, source: int, nameplate_w: int, emission_g_per_kwh: int
    ) -> Call:
        """A plant, or with source 0 the grid of a zone."""
        arguments = (plant_id, owner, zone_id, source, nameplate_w, emission_g_per_kwh)
        return self.call("addPlant", *arguments, label=str(plant_id))

    def set_measurement(self, measurement: bytes, evidence_kind: int, allowed: bool = True) -> Call:
        """Allows device code of this measurement from the policy delay on, or forbids it at once."""
        return self.call("setMeasurement", measurement, evidence_kind, allowed)

    def set_tcb_status(self, evidence_kind: int, status: str, allowed: bool = True) -> Call:
        """Puts a platform status of a kind of evidence on the policy's list, or takes it off."""
        return self.call("setTcbStatus", evidence_kind, status, allowed)

    def set_guardian(self, account: str) -> Call:
        """Names who may pause new batches."""
        return self.call("setGuardian", account)

    def pause_batches(self, seconds: int) -> Call:
        """Stops new batches for a while; ends by itself."""
        return self.call("pauseBatches", seconds)

    def resume_batches(self) -> Call:
        """Ends a pause early."""
        return self.call("resumeBatches")


class Market(Client):
    """Orders and their verified clearing."""

    name = "BundleMarket"

    def open_batch(self, header: BatchHeader) -> Call:
        """Opens the next batch."""
        values = tuple(getattr(header, name) for name in header.__slots__)
        return self.call("openBatch", values)

    def post_prices(self, batch_id: int, part: int, data: bytes) -> Call:
        """The next part of the price table."""
        return self.call("postPrices", batch_id, part, data, gas=LARGE_GAS, label=f"part {part}")

    def add_compute_offers(
        self, batch_id: int, offers: Sequence[ComputeOffer], signatures: Sequence[bytes]
    ) -> Call:
        """Signed compute offers; their index is the running number."""
        tuples = [abi_tuple(offer) for offer in offers]
        return self.call("addComputeOffers", batch_id, tuples, list(signatures), gas=LARGE_GAS)

    def add_power_offers(
        self,
        batch_id: int,
        offers: Sequence[PowerOffer],
        signatures: Sequence[bytes],
        profiles: Sequence[bytes],
        sold: Sequence[bytes],
    ) -> Call:
        """Signed power offers with their profiles and what the clearing sold of each."""
        tuples = [abi_tuple(offer) for offer in offers]
        rows = (list(signatures), list(profiles), list(sold))
        return self.call("addPowerOffers", batch_id, tuples, *rows, gas=LARGE_GAS)

    def clear_chunk(
        self,
        batch_id: int,
        index: int,
        orders: Sequence[BundleOrder],
        signatures: Sequence[bytes],
        runs: bytes,
    ) -> Call:
        """A chunk of cleared orders, by ascending maker, and their packed runs."""
        label = f"chunk {index} of {len(orders)} orders"
        packed = pack_orders(orders, signatures)
        return self.call("clearChunk", batch_id, packed, runs, gas=LARGE_GAS, label=label)

    def finalize(self, batch_id: int) -> Call:
        """Makes the batch final once every pool balances."""
        return self.call("finalize", batch_id, gas=LARGE_GAS)


class Oracle(Client):
    """Committee, reports, publications, devices."""

    name = "DeliveryOracle"

    def post_bond(self) -> Call:
        """Locks the sender's committee bond."""
        return self.call("postBond")

    def announce_committee(self, members: Sequence[str], quorum: int) -> Call:
        """Announces the next committee; `members` ascend by address."""
        return self.call("announceCommittee", list(members), quorum, gas=3_000_000)

    def attest_device(self, attestation: tuple[object, ...], signatures: bytes) -> Call:
        """Records a device that a quorum attested."""
        return self.call("attestDevice", attestation, signatures, label=f"meter {attestation[0]}")

    def publish(self, publication: tuple[object, ...], signatures: bytes) -> Call:
        """Posts the hash of the carbon table of a batch."""
        return self.call("publish", publication, signatures)

    def config_digest(self) -> bytes:
        """What every signature of the committee is bound to."""
        return self.read("configDigest")

    def next_epoch(self, feed_id: bytes) -> int:
        """Number of reports posted in a feed."""
        return self.read("feed", feed_id)[0]

    def publication(self, start: int) -> bytes:
        """Content hash published for a batch start, 32 zero bytes if none."""
        return self.read("publication", start)


class Settlement(Client):
    """F15: pays what was delivered, refunds the rest."""

    name = "Settlement"

    def meter_pool(self, batch_id: int, slot: int, zone_id: int, positions: Sequence[object]) -> Call:
        """Step 1 of a slot: meters every green plant of a zone."""
        label = f"slot {slot} zone {zone_id}"
        return self.call("meterPool", batch_id, slot, zone_id, list(positions), gas=LARGE_GAS, label=label)

    def settle_chunk(
        self,
        batch_id: int,
        chunk_index: int,
        chunk: ChunkData,
        slots: Sequence[int],
        outcomes: Sequence[bytes],
        proofs: Sequence[Sequence[bytes]],
    ) -> Call:
        """Step 2: settles slots of a chunk."""
        rows = (list(slots), list(outcomes), [list(proof) for proof in proofs])
        label = f"chunk {chunk_index} slots {slots[0]}..{slots[-1]}"
        return self.call("settleChunk", batch_id, chunk_index, chunk.abi(), *rows, gas=LARGE_GAS, label=label)

    def meter_missing(self, batch_id: int, slot: int, zone_id: int, place: int, position: object) -> Call:
        """Shows the reading of a plant that was marked missing; `place` is the plant's in `greenOffers`."""
        label = f"slot {slot} zone {zone_id} plant {place}"
        return self.call("meterMissing", batch_id, slot, zone_id, place, position, gas=LARGE_GAS, label=label)

    def pay_pools(self, batch_id: int, slots: Sequence[int], zone_id: int) -> Call:
        """Step 3: pays the plants of a zone's pools, retires and mints certificates."""
        label = f"zone {zone_id} slots {slots[0]}..{slots[-1]}"
        return self.call("payPools", batch_id, list(slots), zone_id, gas=LARGE_GAS, label=label)

    def claim_credits(self, key: int, accounts: Sequence[str]) -> Call:
        """Mints the whole grams that accounts have earned under a credit key (`packing.credit_key`)."""
        label = f"of {len(accounts)} accounts, zone {key >> 12}"
        return self.call("claimCredits", key, list(accounts), gas=LARGE_GAS, label=label)

    def together(self, calls: Sequence[Call], gas: int = LARGE_GAS) -> Call:
        """Calls of this contract in one transaction, which succeeds or fails as a whole."""
        if len(calls) == 1:
            return calls[0]
        label = f"{calls[0].label} .. {calls[-1].label}"
        return Call(self.address, self.call("multicall", [call.data for call in calls]).data, gas, label)

    def release_grid(self, batch_id: int, slot: int, zone_id: int) -> Call:
        """Returns what a grid account locked for a negative price and did not owe."""
        return self.call("releaseGrid", batch_id, slot, zone_id, label=f"slot {slot} zone {zone_id}")

    def refund_chunk(self, batch_id: int, chunk_index: int, chunk: ChunkData, slots: Sequence[int]) -> Call:
        """Refunds slots that no final report covers."""
        label = f"chunk {chunk_index} slots {slots[0]}..{slots[-1]}"
        arguments = (batch_id, chunk_index, chunk.abi(), list(slots))
        return self.call("refundChunk", *arguments, gas=LARGE_GAS, label=label)

    def refund_contradicted(
        self,
        batch_id: int,
        chunk_index: int,
        chunk: ChunkData,
        slot: int,
        outcomes: bytes,
        proof: Sequence[bytes],
    ) -> Call:
        """Refunds a slot at once whose reported outcomes contradict themselves, the orders or the pools."""
        arguments = (batch_id, chunk_index, chunk.abi(), slot, outcomes, list(proof))
        label = f"chunk {chunk_index} slot {slot}"
        return self.call("refundContradicted", *arguments, gas=LARGE_GAS, label=label)


class Certificates(Client):
    """Wh certificates and gram credits (ERC-1155)."""

    name = "Certificates"

    def transfer(self, sender: str, receiver: str, token_id: int, amount: int) -> Call:
        """Hands `amount` units to another account."""
        return self.call("safeTransferFrom", sender, receiver, token_id, amount, b"")

    def retire(self, token_id: int, amount: int, beneficiary: str, purpose_hash: bytes) -> Call:
        """Retires units of the sender for ever."""
        return self.call("retire", token_id, amount, beneficiary, purpose_hash)

    def balance(self, account: str, token_id: int) -> int:
        """Units an account holds."""
        return self.read("balanceOf", account, token_id)
