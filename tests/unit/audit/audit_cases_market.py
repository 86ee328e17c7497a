"""Corruptions of address book, orders and clearing, each noticed by the check that is named for it."""

from __future__ import annotations

from tests.unit.audit.audit_cases import (
    CARBON_CELL,
    FACTOR_CELL,
    MARKET,
    ORACLE,
    REGISTRY,
    Case,
    cancel,
    dropped,
    edited,
    flipped,
    overwritten,
    removed,
    repeated,
    rewritten,
    run_row,
    sent_order,
    sold_less,
    terms,
    views,
)
from tests.unit.audit.audit_world import START, account

CASES = (
    # --- ground
    Case("book.contracts", "Treasury", views(code_bytes={"Treasury": 0})),
    Case("book.contracts", "chain_id", views(chain_id=1)),
    Case("book.contracts", "Settlement.treasury", views(wiring={"Settlement.treasury": "0x" + "1" * 40})),
    Case("archive.names", "collateral/", after=rewritten("collateral", "UpToDate", "UpToDatf")),
    Case("archive.names", "evidence/", after=overwritten("evidence", b"", 2)),
    # --- orders
    Case(
        "orders.calldata",
        "batch 1 chunk 0",
        after=lambda world: world.edit_call("clearChunk", lambda args: {**args, "orders": ()}),
        verdict="inconclusive",
    ),
    Case(
        "orders.signature", account("buyer-a"), {"order_sigs": lambda sigs: (flipped(40)(sigs[0]), sigs[1])}
    ),
    Case("orders.signature", account("buyer-b"), {"order_sigs": lambda sigs: (sigs[0], sigs[0])}),
    Case(
        "orders.hash",
        "chunk 0 order 1",
        after=lambda world: world.edit_call("clearChunk", sent_order(1, lanes=3)),
    ),
    Case("orders.profile", "power offer 0", {"profiles": lambda rows: (flipped(3)(rows[0]), rows[1])}),
    Case("orders.alive", account("buyer-a"), after=cancel),
    Case("orders.alive", "expiry", {"order": terms(expiry=START - 20_000)}),
    Case("orders.alive", "epoch", {"order": terms(epoch=2)}),
    Case("orders.window", "chunk 0 order 0", {"order": terms(deadline=START + 900)}),
    Case("orders.window", "an allowed zone", {"order": terms(zoneMask=2)}),
    Case("orders.window", "class", {"order": terms(classId=5)}),
    Case("orders.quantity", "lanesFilled", {"runs": run_row(0, lanes=3)}),
    Case("orders.quantity", "at most 4 lanes ever", {"runs": run_row(0, lanes=5)}),
    Case("orders.quantity", "whole slots", {"runs": run_row(0, end=1, lanes=3)}),
    Case("orders.quantity", "lanes in a slot", {"runs": run_row(0, end=1, lanes=8)}),
    Case("orders.quantity", "at least 9 lanes", {"order": terms(minLanes=9)}),
    Case("orders.green", account("buyer-a"), {"runs": run_row(0, mode=0)}),
    Case(
        "orders.carbon",
        "400 g/kWh",
        after=lambda world: world.edit_call("clearChunk", sent_order(1, maxCarbon=400)),
    ),
    Case("orders.limit", "cost at most", {"order": terms(limitPrice=1_049)}),
    # --- publication
    Case("publication.quorum", "3 distinct members", {"publish_sigs": lambda sigs: sigs[:130]}),
    Case("publication.carbon", "carbon table as posted", {"table": flipped(CARBON_CELL)}),
    Case("publication.carbon", "publication for", after=dropped(ORACLE, "Published")),
    Case(
        "publication.file",
        "publication/",
        after=rewritten("publication", "500", "501"),
    ),
    Case("publication.file", "absent", after=removed("publication")),
    # --- clearing
    Case("clearing.table", "price table bytes", {"table": lambda table: table[:-2]}),
    Case("clearing.runs", "run 1", {"runs": run_row(1, offer=7)}),
    Case("clearing.commitment", "batch 1 chunk 0", views(commitments={(1, 0): bytes(32)})),
    Case(
        "clearing.assets",
        "owner",
        after=edited(REGISTRY, "SiteAdded", owner=account("stranger")),
    ),
    Case("clearing.assets", "W", after=edited(REGISTRY, "SiteAdded", nameplateW=3_999)),
    Case("clearing.assets", "source", after=edited(REGISTRY, "PlantAdded", 0, source=2)),
    Case("clearing.capacity", "slot 0", {"offer": terms(capacity=5)}),
    Case("clearing.site_ask", "compute offer 0", {"offer": terms(askPrice=51)}),
    Case("clearing.plant_ask", "power offer 0", {"profiles": lambda rows: (flipped(7)(rows[0]), rows[1])}),
    Case("clearing.balance", "zone 0 green slot 0", {"sold": sold_less}),
    Case("clearing.one_seller", "power offer 9", after=repeated(MARKET, "PowerOfferAdded", offerIndex=9)),
    Case("clearing.green_factor", "slot 0", {"table": flipped(FACTOR_CELL)}),
    # --- archive of the clearing
    Case("clearing.book_file", "book/", after=rewritten("book", "50", "51")),
    Case("clearing.book_file", "solution/", after=rewritten("solution", "}", "]")),
    Case("clearing.book_file", "solution/", after=removed("solution")),
    Case(
        "clearing.book",
        "order 0x",
        after=rewritten("book", '"limit_micro_per_vcu_slot":[3', '"limit_micro_per_vcu_slot":[4'),
    ),
    Case(
        "clearing.book",
        "ask_micro_per_vcu_slot",
        after=rewritten("book", '"ask_micro_per_vcu_slot":50', '"ask_micro_per_vcu_slot":49'),
    ),
    Case("clearing.book", "grid carbon", after=rewritten("book", 'g_per_kwh":[[500,', 'g_per_kwh":[[400,')),
    Case("clearing.prices", "[0, 0, 1, 0]", after=rewritten("solution", "1050", "1051")),
    Case("clearing.fills", "fill of order 0x", after=rewritten("solution", '"lanes":[', '"lanes":[1')),
    Case("clearing.sold", "[1]", after=rewritten("solution", "400,400", "400,401")),
    Case("clearing.feasible", "solution/", after=rewritten("solution", "400,400", "400,401")),
    Case(
        "clearing.certificate",
        "welfareMicro",
        {"header": lambda header: {**header, "welfareMicro": header["welfareMicro"] + 1}},
    ),
    Case(
        "clearing.certificate",
        "dualBoundMicro",
        {"header": lambda header: {**header, "dualBoundMicro": header["dualBoundMicro"] - 1}},
    ),
    Case(
        "clearing.unenvied", "declared gap", after=rewritten("solution", '"bound_milli":', '"bound_milli":1')
    ),
)
