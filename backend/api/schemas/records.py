"""Bodies of agreements, deliveries, payments, certificates and reports."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from backend.api.schemas.base import Address, Answer, Body, Digits, Hash, HexData, Micro, Seconds


class AgreementOut(Answer):
    """Constant lanes of one order at one site over [start_slot, end_slot) of a batch."""

    agreement: str = Field(description="batch-chunk-run", examples=["1-0-12"])
    agreement_id: Digits = Field(description="id on chain and in readings")
    batch_id: int
    order_hash: Hash
    maker: Address
    seller: Address
    site_id: int
    class_id: int
    zone_id: int
    mode: int = Field(description="0 grey, 1 green")
    start_slot: int
    end_slot: int
    start: Seconds
    end: Seconds
    lanes: int
    energy_wh_per_vcu_slot: int


class SlotOut(Answer):
    """One slot of an agreement; what is not known yet is null."""

    slot: int
    start: Seconds
    state: Literal["planned", "running", "reported", "settled", "refunded"]
    lanes: int
    compute_price: Micro
    energy_price: Micro
    energy_wh: int
    bundle_micro: Micro
    delivered_milli_lanes: int | None
    matched_wh: int | None
    compute_micro: Micro | None
    power_micro: Micro | None
    refund_micro: Micro | None


class AgreementDetail(AgreementOut):
    """An agreement with its slots."""

    slots: list[SlotOut]


class DeliveryOut(Answer):
    """Totals of one agreement's slots."""

    agreement: str
    batch_id: int
    order_hash: Hash
    site_id: int
    zone_id: int
    mode: int
    side: Literal["buyer", "seller"]
    start: Seconds
    slots: int
    slots_settled: int
    slots_refunded: int
    lanes: int
    ordered_vcu_slots: int
    delivered_milli_vcu_slots: int
    energy_wh: int
    matched_wh: int
    bundle_micro: Micro
    compute_micro: Micro
    power_micro: Micro
    refund_micro: Micro


class PlantSlotOut(Answer):
    """One slot of a plant's sale."""

    batch_id: int
    slot: int
    start: Seconds
    sold_wh: int
    metered_wh: int | None
    delivered_wh: int | None
    matched_wh: int | None
    minted_wh: int | None
    paid_micro: Micro | None
    penalty_micro: Micro | None


class AccountOut(Answer):
    """A trading account's money and signing epoch."""

    address: Address
    available_micro: Micro
    locked_micro: Micro
    epoch: int


class PaymentOut(Answer):
    """A movement on an account."""

    account: Address
    kind: Literal["deposit", "withdrawal", "posting"]
    available_micro: Micro
    locked_micro: Micro
    at: Seconds
    tx_hash: Hash
    block_number: int


class HoldingOut(Answer):
    """What an account has of one certificate or credit."""

    account: Address
    certificate_id: Digits
    kind: Literal["certificate", "credit"]
    unit: Literal["Wh", "g"]
    year_month: int = Field(examples=[201710])
    zone_id: int
    source: int
    issuer: Address
    amount: int
    retired: int = Field(description="retired for this account")


class CertificateEvent(Answer):
    """A step in a certificate's history."""

    event: Literal["minted", "transferred", "retired"]
    certificate_id: Digits
    sender: Address | None
    receiver: Address | None
    amount: int
    at: Seconds
    tx_hash: Hash
    block_number: int


class RetirementOut(Answer):
    """A retirement, which is final."""

    account: Address
    certificate_id: Digits
    amount: int
    beneficiary: Address
    purpose_hash: Hash
    at: Seconds
    tx_hash: Hash
    block_number: int


class RetirementNew(Body):
    """What to retire, for whom and why."""

    certificate_id: Digits
    amount: int = Field(ge=1, lt=1 << 63)
    beneficiary: Address
    purpose: str = Field(default="", max_length=500, description="its SHA-256 goes on chain")


class ReportOut(Answer):
    """A committee report; final once the dispute window has passed undisputed."""

    feed_id: Hash
    epoch: int
    start: Seconds
    end: Seconds
    report_hash: Hash
    root: Hash
    leaves: int
    totals: list[int] = Field(description="per kind, Wh or resource-seconds")
    outcomes_root: Hash
    evidence_root: Hash
    policy_hash: Hash
    archive_hash: Hash = Field(description="sha-256 of the archived bundle of readings")
    prev_hash: Hash
    signer_bitmap: Digits
    posted_at: Seconds
    tx_hash: Hash
    disputed: bool
    upheld: bool | None


class EventOut(Answer):
    """A contract event."""

    id: str = Field(description="block-log, the id in the event stream", examples=["120-3"])
    block_number: int
    log_index: int
    at: Seconds
    tx_hash: Hash
    contract: str
    name: str
    batch_id: int | None
    arguments: dict[str, object]


class MeterReadingOut(Answer):
    """A reading under a report. Quantities in mWh or resource-milliseconds."""

    meter_id: int
    kind: int = Field(description="1 generation, 2 site import, 3 IT energy of a job, 4 compute delivered")
    seq: int
    start: Seconds
    end: Seconds
    agreement_id: Digits
    quantity: Digits
    register_value: Digits = Field(description="word `register`: running sum of the meter's quantities")
    quality: int = Field(description="0 actual, 1 estimated, 2 substituted, 3 missing, 4 edited")
    report_start: Seconds = Field(description="start of the report it is under")
    leaf_index: int = Field(description="its place in the report's tree")


class ReadingProof(Answer):
    """A signed reading, the twelve words of its leaf, and its path. Quantities in mWh or
    resource-milliseconds.
    """

    index: int = Field(description="place in the bundle")
    kind: int = Field(description="1 generation, 2 site import, 3 IT energy of a job, 4 compute delivered")
    meter_id: int
    agreement_id: Digits
    seq: int
    start: Seconds
    end: Seconds
    quantity: Digits
    register_value: Digits = Field(description="word `register`: running sum of the meter's quantities")
    quality: int = Field(description="0 actual, 1 estimated, 2 substituted, 3 missing, 4 edited")
    key_id: Hash
    evidence_hash: Hash
    payload_hash: Hash = Field(description="sha-256 of the payload")
    payload: HexData = Field(description="deterministic CBOR as signed")
    signature: HexData = Field(description="ES256, r || s, over the payload")
    x: Hash = Field(description="device key, P-256")
    y: Hash
    leaf: Hash = Field(description="keccak(keccak(abi.encode(12 words)))")
    proof: list[Hash] = Field(description="siblings up to the root; commutative keccak")


class OutcomeProof(Answer):
    """What a chunk's runs delivered in a slot, as packed for the contract (uint32 milli-lanes, uint32 Wh
    each).
    """

    batch_id: int
    chunk_index: int
    slot: int
    packed: HexData
    leaf: Hash
    proof: list[Hash]
