"""Settles the delivered day: waits out the windows, then meters, settles and pays; adds up what happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from backend.chain.abi import Event
from backend.chain.addressbook import Deployed
from backend.chain.clients import Oracle, Settlement
from backend.chain.rpc import Rpc
from backend.day.progress import Narrator
from backend.day.stages import settle_plan
from backend.day.stages.chunks import Chunk
from backend.day.stages.clearing import Cleared
from backend.day.stages.context import SETTLER, Context
from backend.day.stages.physics import PLANT, devices_of
from backend.day.stages.posting import BATCH_ID
from backend.day.stages.settle_plan import SlotEvidence
from oracle.wire.bundle import Bundle

_MARGIN_SECONDS = 60
_LOG_BLOCKS = 2_000


def settle_day(
    context: Context, cleared: Cleared, chunks: Sequence[Chunk], bundles: Mapping[int, Bundle]
) -> None:
    """Meters every green pool, settles every chunk, pays every pool; `bundles` are the reported slots."""
    client = Settlement(context.book, context.rpc)
    window = Oracle(context.book, context.rpc).read("disputeWindow")
    grace = client.read("missingGrace")
    context.clock.advance_to(context.clock.now() + window + grace + _MARGIN_SECONDS)
    evidence = {slot: SlotEvidence.of(bundle, BATCH_ID) for slot, bundle in bundles.items()}
    meter_of = {
        device.asset_id: device.meter_id for device in devices_of(context.day) if device.asset_kind == PLANT
    }
    pools = settle_plan.green_pools(cleared.book, cleared.joint)
    releases = list(settle_plan.release_calls(client, BATCH_ID, cleared.book, cleared.joint))
    narrator: Narrator = context.narrator
    with narrator.stage("meter the green pools", len(pools)) as step:
        calls = settle_plan.meter_calls(client, BATCH_ID, cleared.book, pools, meter_of, evidence)
        context.send("meter", SETTLER, calls, step)
    groups = sum(len(settle_plan.slot_groups(chunk)) for chunk in chunks)
    with narrator.stage("settle the agreements", groups) as step:
        context.send("settle", SETTLER, settle_plan.settle_calls(client, BATCH_ID, chunks, evidence), step)
    claims = list(settle_plan.claim_calls(client, context.slot_start(0), cleared.book, chunks))
    pays = list(settle_plan.pay_calls(client, BATCH_ID, pools))
    if settle_plan.has_missing(cleared.book, pools, meter_of, evidence):
        context.clock.advance_to(context.clock.now() + grace + _MARGIN_SECONDS)
    steps = len(pays) + len(releases) + len(claims)
    with narrator.stage("pay the plants, mint certificates and credits", steps) as step:
        context.send("pay", SETTLER, pays, step)
        context.send("pay", SETTLER, releases, step)
        context.send("claim", SETTLER, claims, step)


def settlement_figures(events: Sequence[Event]) -> dict[str, int]:
    """Sums over the settlement's events: money micro-units, energy Wh, credits g."""
    sums: Counter[str] = Counter()
    for event in events:
        given: dict[str, Any] = event.arguments
        if event.name == "SlotSettled":
            sums["paid_compute_micro"] += given["computeMicro"]
            sums["paid_power_micro"] += given["powerMicro"]
            sums["refund_micro"] += given["refundMicro"]
            sums["site_penalty_micro"] += given["penaltyMicro"]
            sums["slots_settled"] += 1
        elif event.name == "SlotRefunded":
            sums["refund_micro"] += given["refundMicro"]
            sums["slots_refunded"] += 1
        elif event.name == "PlantMetered":
            sums["metered_wh"] += given["meteredWh"]
            sums["delivered_green_wh"] += given["deliveredWh"]
            sums["plant_penalty_micro"] += given["penaltyMicro"]
        elif event.name == "PlantPaid":
            sums["certificates_retired_wh"] += given["matchedWh"]
            sums["certificates_minted_wh"] += given["mintedWh"]
        elif event.name == "Credited":
            sums["credits_g"] += given["grams"]
    return dict(sums)


def settlement_events(rpc: Rpc, contract: Deployed, first_block: int) -> list[Event]:
    """All decoded events of a contract since `first_block`, in order."""
    events = []
    last = rpc.block_number()
    for at in range(first_block, last + 1, _LOG_BLOCKS):
        for log in rpc.logs([contract.address], [], at, min(at + _LOG_BLOCKS - 1, last)):
            event = contract.abi.decode_log(log)
            if event:
                events.append(event)
    return events
