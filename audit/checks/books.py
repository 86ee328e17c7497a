"""Archived book and solution against the chain: same orders, same prices, same fills, file by file."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from audit.checks.orders import identity
from audit.facts import Batch, BatchFiles, Facts, Ints, Signed, parse_profile, parse_sold
from audit.verdict import Result, Tally, check

Columns = Mapping[str, list[Any]]
ORDER_FIELDS = {
    "class_id": "classId",
    "zone_mask": "zoneMask",
    "lanes": "lanes",
    "min_lanes": "minLanes",
    "duration_slots": "durationSlots",
    "limit_micro_per_vcu_slot": "limitPrice",
    "min_green_bps": "minGreenBps",
    "max_carbon_g_per_kwh": "maxCarbon",
    "carbon_price_micro_per_g": "carbonPrice",
    "kind": "kind",
}
OFFER_FIELDS = {
    "site_id": "siteId",
    "class_id": "classId",
    "zone_id": "zoneId",
    "capacity": "capacity",
    "energy_wh_per_vcu_slot": "energyWhPerVcuSlot",
    "ask_micro_per_vcu_slot": "askPrice",
}
POWER_FIELDS = {"plant_id": "plantId", "zone_id": "zoneId", "source": "source"}
RUN_COLUMNS = ("order", "offer", "mode", "start_slot", "end_slot", "lanes")


def pairs(facts: Facts) -> Iterator[tuple[Batch, BatchFiles]]:
    """Each batch with its archived files."""
    for batch in facts.batches:
        if batch.id in facts.files:
            yield batch, facts.files[batch.id]


@check("clearing.book_file", "BatchHeader.bookHash, solutionHash = sha256 of the archived files")
def book_file(facts: Facts) -> Result:
    tally = Tally()
    for batch, files in pairs(facts):
        for what, document, problem in (
            ("book", files.book, files.book_problem),
            ("solution", files.solution, files.solution_problem),
        ):
            tally.count()
            proves = (
                f"{document.path} proving the {what} of batch {batch.id}: sha256 {document.expected.hex()}"
            )
            if document.state != "intact":
                tally.fail(proves, "intact", f"{document.state}, {document.found}")
            if problem and document.state in ("intact", "altered"):
                tally.fail(proves, f"a {what} file", problem)
    return tally.result()


@check("clearing.book", "every order and offer on chain stands in the archived book with the same terms")
def book(facts: Facts) -> Result:
    tally = Tally()
    for batch, files in pairs(facts):
        doc = files.book_json
        if not doc:
            continue
        orders = doc.get("orders")
        archived = _orders(orders) if isinstance(orders, dict) else {}
        path = files.book.path
        for chunk in batch.chunks:
            for order in chunk.orders:
                hashed = "0x" + chunk.order_hashes[order.index].hex()
                _same(tally, f"{path} order {hashed}", archived.get(hashed), _order_terms(batch, order))
        for key, items, terms in (
            ("compute_offers", batch.compute_offers, _offer_terms),
            ("power_offers", batch.power_offers, _power_terms),
        ):
            rows = doc.get(key)
            by_id = (
                {row.get("id"): row for row in rows if isinstance(row, dict)}
                if isinstance(rows, list)
                else {}
            )
            for item in items:
                hashed = "0x" + identity(facts, item).hex()
                _same(tally, f"{path} {key} {hashed}", by_id.get(hashed), terms(batch, item))
            on_chain = {"0x" + identity(facts, item).hex() for item in items}
            for extra in sorted(str(name) for name in by_id.keys() - on_chain):
                tally.fail(f"{path} {key} {extra}", f"an offer of batch {batch.id} on chain", "none")
        carbon = doc.get("grid_carbon_g_per_kwh")
        if batch.prices is not None:
            for zone, row in enumerate(batch.prices.grid_carbon.tolist()):
                found = carbon[zone] if isinstance(carbon, list) and zone < len(carbon) else None
                _same_row(tally, f"{path} grid carbon of zone {zone}", row, found)
    return tally.result()


def _orders(columns: Columns) -> dict[str, dict[str, Any]]:
    ids = columns.get("id")
    if not isinstance(ids, list):
        return {}
    lists = {name: column for name, column in columns.items() if isinstance(column, list)}
    return {
        str(name): {field: column[at] for field, column in lists.items() if at < len(column)}
        for at, name in enumerate(ids)
    }


def _slot(batch: Batch, seconds: int) -> int:
    return (seconds - batch.start) // batch.slot_seconds


def _order_terms(batch: Batch, order: Signed) -> dict[str, Any]:
    terms = {ours: order.terms[theirs] for ours, theirs in ORDER_FIELDS.items()}
    terms["start_slot"] = _slot(batch, order.terms["start"])
    terms["deadline_slot"] = _slot(batch, order.terms["deadline"])
    return terms


def _offer_terms(batch: Batch, offer: Signed) -> dict[str, Any]:
    terms = {ours: offer.terms[theirs] for ours, theirs in OFFER_FIELDS.items()}
    terms["start_slot"] = _slot(batch, offer.terms["start"])
    terms["end_slot"] = _slot(batch, offer.terms["end"])
    return terms


def _power_terms(batch: Batch, offer: Signed) -> dict[str, Any]:
    terms: dict[str, Any] = {ours: offer.terms[theirs] for ours, theirs in POWER_FIELDS.items()}
    profile = parse_profile(offer.profile, offer.terms["slots"], offer.terms["tranches"])
    if profile is not None:
        terms["wh"] = [[wh for wh, _ in row] for row in profile]
        terms["ask_micro_per_kwh"] = [[ask for _, ask in row] for row in profile]
    return terms


def _same(tally: Tally, where: str, archived: Mapping[str, Any] | None, terms: Mapping[str, Any]) -> None:
    tally.count()
    if archived is None:
        tally.fail(where, "in the archived book", "absent")
        return
    for name, due in terms.items():
        found = archived.get(name)
        if found == due:
            continue
        if isinstance(due, list):
            _same_row(tally, f"{where} {name}", due, found)
        else:
            tally.fail(f"{where} {name}", due, found)


def _same_row(tally: Tally, where: str, due: list[Any], found: object) -> None:
    tally.count()
    if due == found:
        return
    if not isinstance(found, list) or len(found) != len(due):
        tally.fail(where, f"{len(due)} values", f"{len(found) if isinstance(found, list) else found}")
        return
    at = next(at for at, (one, other) in enumerate(zip(due, found, strict=True)) if one != other)
    tally.fail(f"{where}[{at}]", due[at], found[at])


@check("clearing.prices", "posted price table = compute_price and energy_price of the archived solution")
def prices(facts: Facts) -> Result:
    tally = Tally()
    for batch, files in pairs(facts):
        if batch.prices is None or not files.solution_json:
            continue
        for name, table in (("compute_price", batch.prices.compute), ("energy_price", batch.prices.energy)):
            archived = _table(files.solution_json.get(name))
            tally.count(table.size)
            where = f"{files.solution.path} {name} of batch {batch.id}"
            if archived is None or archived.shape != table.shape:
                tally.fail(
                    where,
                    f"integers of shape {table.shape}",
                    archived.shape if archived is not None else "none",
                )
                continue
            for at in np.argwhere(archived != table)[:20]:
                tally.fail(f"{where}{[int(i) for i in at]}", int(table[tuple(at)]), int(archived[tuple(at)]))
    return tally.result()


def _table(value: object) -> Ints | None:
    try:
        table = np.array(value)
    except ValueError:
        return None
    return table.astype(np.int64) if table.dtype.kind in "iu" else None


@check("clearing.fills", "every run on chain = the archived fills; event ChunkCleared, solution runs")
def fills(facts: Facts) -> Result:
    tally = Tally()
    for batch, files in pairs(facts):
        if not files.solution_json or not files.book_json:
            continue
        archived, bad = _archived_fills(facts, batch, files)
        for text in bad:
            tally.fail(f"{files.solution.path} {text}", "a run of the archived book", "unreadable")
        on_chain = _chain_fills(facts, batch)
        tally.count(sum(map(len, on_chain.values())))
        for key in sorted(on_chain.keys() | archived.keys()):
            due, found = on_chain.get(key, Counter()), archived.get(key, Counter())
            if due == found:
                continue
            slot = min(slot for slot in due.keys() | found.keys() if due[slot] != found[slot])
            where = (
                f"{files.solution.path} fill of order {key[0]} at offer {key[1]} mode {key[2]} slot {slot}"
            )
            tally.fail(where, f"{due[slot]} lanes on chain", f"{found[slot]} lanes")
    return tally.result()


Fill = tuple[str, str, int]


def _chain_fills(facts: Facts, batch: Batch) -> dict[Fill, Counter[int]]:
    offers = ["0x" + identity(facts, offer).hex() for offer in batch.compute_offers]
    found: dict[Fill, Counter[int]] = defaultdict(Counter)
    for chunk in batch.chunks:
        for run in chunk.runs:
            order = "0x" + chunk.order_hashes[run.order].hex() if run.order < len(chunk.order_hashes) else "?"
            offer = offers[run.offer] if run.offer < len(offers) else "?"
            row = found[order, offer, run.mode]
            for slot in range(run.start_slot, min(run.end_slot, batch.slots)):
                row[slot] += run.lanes
    return found


def _archived_fills(
    facts: Facts, batch: Batch, files: BatchFiles
) -> tuple[dict[Fill, Counter[int]], list[str]]:
    found: dict[Fill, Counter[int]] = defaultdict(Counter)
    bad: list[str] = []
    orders = files.book_json.get("orders")
    ids = orders.get("id") if isinstance(orders, dict) else None
    offers = files.book_json.get("compute_offers")
    runs = files.solution_json.get("runs")
    if not isinstance(ids, list) or not isinstance(offers, list) or not isinstance(runs, dict):
        return found, ["runs"]
    columns = [runs.get(name) for name in RUN_COLUMNS]
    if (
        not all(isinstance(column, list) for column in columns)
        or len({len(c) for c in columns if c is not None}) > 1
    ):
        return found, ["runs columns"]
    for number, row in enumerate(zip(*columns, strict=True)):
        sane = all(type(value) is int and 0 <= value < 1 << 40 for value in row)
        if not sane or row[0] >= len(ids) or row[1] >= len(offers) or row[4] > batch.slots:
            bad.append(f"run {number}: {row}")
            continue
        offer = offers[row[1]]
        name = str(offer.get("id")) if isinstance(offer, dict) else "?"
        fill = found[str(ids[row[0]]), name, row[2]]
        for slot in range(row[3], row[4]):
            fill[slot] += row[5]
    return found, bad


@check("clearing.sold", "sold Wh on chain = sold_wh of the archived solution")
def sold(facts: Facts) -> Result:
    tally = Tally()
    for batch, files in pairs(facts):
        rows, offers = files.solution_json.get("sold_wh"), files.book_json.get("power_offers")
        if not isinstance(rows, list) or not isinstance(offers, list):
            continue
        by_id = {
            str(offer.get("id")): row
            for offer, row in zip(offers, rows, strict=False)
            if isinstance(offer, dict)
        }
        for offer in batch.power_offers:
            due = parse_sold(offer.sold)
            if due is not None:
                name = "0x" + identity(facts, offer).hex()
                _same_row(tally, f"{files.solution.path} sold Wh of power offer {name}", due, by_id.get(name))
    return tally.result()


CHECKS = (book_file, book, prices, fills, sold)
