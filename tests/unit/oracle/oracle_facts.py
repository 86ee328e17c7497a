"""A small chain state for unit tests of the node: a site, a plant, a batch of four slots with two runs."""

from __future__ import annotations

import struct

from oracle.node.facts import Facts
from oracle.wire.keys import DeviceKey
from oracle.wire.outcomes import agreement_bytes
from oracle.wire.reading import Envelope, Reading, seal
from oracle.wire.typed import feed_id

CHAIN, START, SLOT, SLOTS = 31337, 1_508_198_400, 900, 4
SITE, OTHER_SITE, PLANT = 1, 2, 1
PLANT_METER, SITE_METER, WORKLOAD, EXPIRED = 11, 21, 31, 41
KEYS = {meter: DeviceKey.from_seed(bytes([meter])) for meter in (PLANT_METER, SITE_METER, WORKLOAD, EXPIRED)}
JOB = agreement_bytes(1, 0, 0)
LATER_JOB = agreement_bytes(1, 0, 1)
END = START + SLOTS * SLOT


def device(facts: Facts, meter_id: int, kind: int, asset: int, until: int = END + 86_400) -> None:
    key = KEYS[meter_id].public
    facts.apply(
        "DeviceRecorded",
        {
            "meterId": meter_id,
            "device": (key.x, key.y, bytes(32), bytes([meter_id]) * 32, until, asset, kind, 0),
        },
    )


def facts(finalised: bool = True) -> Facts:
    """Run 0: two green lanes in all slots. Run 1: one grey lane in slots 2 and 3."""
    made = Facts(feed_id("main"))
    made.apply("SiteAdded", {"siteId": SITE, "zoneId": 0, "nameplateW": 2_000})
    made.apply("SiteAdded", {"siteId": OTHER_SITE, "zoneId": 0, "nameplateW": 2_000})
    made.apply("PlantAdded", {"plantId": PLANT, "zoneId": 0, "nameplateW": 1_000, "source": 1})
    device(made, PLANT_METER, 2, PLANT)
    device(made, SITE_METER, 0, SITE)
    device(made, WORKLOAD, 1, SITE)
    device(made, EXPIRED, 0, SITE, until=START)
    made.apply("BatchOpened", {"batchId": 1, "header": (START, SLOT, SLOTS, 1, 1)})
    offer = ("0x", SITE, 0, 0, 10, 110, 1, START, END, 0, 0, END)
    made.apply("ComputeOfferAdded", {"batchId": 1, "offerIndex": 0, "offer": offer})
    sold = struct.pack(">4I", 220, 220, 220, 220)
    for index, (plant, source) in enumerate(((PLANT, 1), (9, 0))):
        power = ("0x", plant, 0, source, 1, START, SLOTS)
        made.apply("PowerOfferAdded", {"batchId": 1, "offerIndex": index, "offer": power, "sold": sold})
    runs = struct.pack(">HHBHHI", 0, 0, 1, 0, 4, 2) + struct.pack(">HHBHHI", 1, 0, 0, 2, 4, 1)
    made.apply("ChunkCleared", {"batchId": 1, "chunkIndex": 0, "runs": runs})
    if finalised:
        made.apply("BatchFinalised", {"batchId": 1})
    return made


def reading(
    meter_id: int = PLANT_METER,
    kind: int = 1,
    slot: int = 0,
    quantity: int = 100_000,
    register: int | None = None,
    seq: int | None = None,
    agreement: bytes = bytes(32),
    quality: int = 0,
    chain_id: int = CHAIN,
    start: int | None = None,
    end: int | None = None,
) -> Reading:
    """A reading of one slot; by default the meter's (slot)th with a register that adds up."""
    begin = START + slot * SLOT if start is None else start
    return Reading(
        chain_id,
        meter_id,
        kind,
        agreement,
        slot if seq is None else seq,
        begin,
        begin + SLOT if end is None else end,
        quantity,
        (slot + 1) * quantity if register is None else register,
        quality,
    )


def signed(item: Reading, key: DeviceKey | None = None) -> Envelope:
    return seal(key or KEYS[item.meter_id], item)
