"""Turns decoded events and calls into facts about the market and the oracle. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from audit.abi import Call, Event
from audit.facts import Asset, Batch, Chunk, Place, PublicationFact, Signed, parse_prices, parse_runs
from oracle.wire.typed import Report

Log = Mapping[tuple[str, str], tuple[Event, ...]]
Calls = Mapping[str, Call]
MARKET, ORACLE, REGISTRY = "BundleMarket", "DeliveryOracle", "Registry"


def place_of(event: Event) -> Place:
    """Where an event stands."""
    return Place(event.block, event.index, event.timestamp, event.tx)


def batches(log: Log, calls: Calls) -> Iterator[Batch]:
    """Every batch ever opened, in order."""
    mine: dict[tuple[str, int], list[Event]] = defaultdict(list)
    for (contract, name), events in log.items():
        if contract == MARKET:
            for event in events:
                mine[name, event.args.get("batchId", 0)].append(event)
    for opened in log.get((MARKET, "BatchOpened"), ()):
        number, header = opened.args["batchId"], opened.args["header"]
        ends = {name: mine[name, number] for name in ("BatchFinalised", "BatchVoided")}
        table = _table(mine["PricesPosted", number], calls)
        yield Batch(
            id=number,
            header=header,
            place=place_of(opened),
            table=table,
            prices=parse_prices(table, header["classes"], header["zones"], header["slots"]),
            compute_offers=_compute_offers(mine["ComputeOfferAdded", number], calls),
            power_offers=_power_offers(mine["PowerOfferAdded", number], calls),
            chunks=_chunks(mine["ChunkCleared", number], mine["OrderCleared", number], calls),
            finalised=place_of(ends["BatchFinalised"][0]) if ends["BatchFinalised"] else None,
            voided=place_of(ends["BatchVoided"][0]) if ends["BatchVoided"] else None,
        )


def _table(parts: list[Event], calls: Calls) -> bytes:
    """The posted parts joined; a part that cannot be seen is left out, and the length will tell."""
    sent = (calls.get(event.tx) for event in sorted(parts, key=lambda event: event.args["part"]))
    return b"".join(call.args["data"] for call in sent if call is not None and call.name == "postPrices")


def _sent(event: Event, events: list[Event], calls: Calls, function: str) -> tuple[Mapping[str, Any], int]:
    """Arguments of the call behind an offer's event and the offer's position in it."""
    call = calls.get(event.tx)
    if call is None or call.name != function:
        return {}, 0
    return call.args, [one.index for one in events if one.tx == event.tx].index(event.index)


def _item(values: Mapping[str, Any], name: str, at: int) -> bytes:
    row = values.get(name, ())
    return row[at] if at < len(row) else b""


def _compute_offers(events: list[Event], calls: Calls) -> tuple[Signed, ...]:
    found = []
    for event in events:
        sent, at = _sent(event, events, calls, "addComputeOffers")
        args = event.args
        signature = _item(sent, "sigs", at)
        place = place_of(event)
        found.append(
            Signed("compute offer", args["offer"], signature, args["batchId"], args["offerIndex"], place)
        )
    return tuple(found)


def _power_offers(events: list[Event], calls: Calls) -> tuple[Signed, ...]:
    found = []
    for event in events:
        sent, at = _sent(event, events, calls, "addPowerOffers")
        args = event.args
        found.append(
            Signed(
                "power offer",
                args["offer"],
                _item(sent, "sigs", at),
                args["batchId"],
                args["offerIndex"],
                place_of(event),
                profile=_item(sent, "profiles", at),
                sold=args["sold"],
            )
        )
    return tuple(found)


def _chunks(events: list[Event], cleared: list[Event], calls: Calls) -> tuple[Chunk, ...]:
    told: dict[str, dict[bytes, tuple[int, int]]] = defaultdict(dict)
    for event in cleared:
        told[event.tx][event.args["orderHash"]] = (event.args["lanesFilled"], event.args["costMicro"])
    found = []
    for event in events:
        args, place = event.args, place_of(event)
        call = calls.get(event.tx)
        sent = call.args if call is not None and call.name == "clearChunk" else {}
        terms = sent.get("orders", ())
        signed = zip(terms, sent.get("sigs", ()), sent.get("signed", (b"",) * len(terms)), strict=False)
        orders = tuple(
            Signed(
                "order",
                terms,
                signature,
                args["batchId"],
                at,
                place,
                chunk=args["chunkIndex"],
                together=together,
            )
            for at, (terms, signature, together) in enumerate(signed)
        )
        found.append(
            Chunk(
                args["batchId"],
                args["chunkIndex"],
                args["makers"],
                args["orderHashes"],
                parse_runs(args["runs"]) or (),
                args["runs"],
                orders,
                place,
                told[event.tx],
            )
        )
    return tuple(found)


def report_of(values: Mapping[str, Any]) -> Report:
    """The wire report of an event's struct."""
    return Report(
        values["feedId"],
        values["epoch"],
        values["start"],
        values["end"],
        values["root"],
        values["count"],
        tuple(values["totals"]),
        values["outcomesRoot"],
        values["evidenceRoot"],
        values["policyHash"],
        values["archiveHash"],
        values["prevHash"],
        values["configDigest"],
    )


def signatures_of(event: Event, calls: Calls, function: str) -> bytes | None:
    """The committee's signatures in the call behind an event; None where it cannot be seen."""
    call = calls.get(event.tx)
    return call.args["sigs"] if call is not None and call.name == function else None


def struct_of(call: Call | None, function: str) -> Mapping[str, Any] | None:
    """The struct a call of `function` took as its first argument, whatever the argument's name."""
    return next(iter(call.args.values())) if call is not None and call.name == function else None


def publications(log: Log, calls: Calls) -> tuple[PublicationFact, ...]:
    """What the committee published, with its signatures."""
    found = []
    for event in log.get((ORACLE, "Published"), ()):
        call = calls.get(event.tx)
        sent = struct_of(call, "publish")
        signatures = signatures_of(event, calls, "publish")
        found.append(PublicationFact(event.args, sent, signatures, place_of(event)))
    return tuple(found)


def cancelled(log: Log) -> dict[tuple[str, int], Place]:
    """First cancellation of each (maker, nonce)."""
    found: dict[tuple[str, int], Place] = {}
    for event in log.get((MARKET, "Cancelled"), ()):
        found.setdefault((event.args["maker"].lower(), event.args["nonce"]), place_of(event))
    return found


def epochs(log: Log) -> dict[str, tuple[tuple[Place, int], ...]]:
    """New epochs of each maker, in order."""
    found: dict[str, list[tuple[Place, int]]] = defaultdict(list)
    for event in log.get((MARKET, "AllCancelled"), ()):
        found[event.args["maker"].lower()].append((place_of(event), event.args["epoch"]))
    return {maker: tuple(rows) for maker, rows in found.items()}


def assets(log: Log, event_name: str, id_field: str) -> dict[int, tuple[Asset, ...]]:
    """Registrations of sites or plants by id."""
    found: dict[int, list[Asset]] = defaultdict(list)
    for event in log.get((REGISTRY, event_name), ()):
        found[event.args[id_field]].append(Asset(place_of(event), event.args))
    return {number: tuple(rows) for number, rows in found.items()}
