"""Spreading a clearing: groups lose nothing, blocks stay certified, Ray gives what this process gives."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np

from backend.market.asset_instances import plausible_assets
from backend.market.check import check
from backend.market.clearing import clear
from backend.market.codec import solution_to_json
from backend.market.domain import Book
from backend.market.instances import plausible
from backend.market.spread import blocks_of, groups
from backend.market.tables import tables_of


def _two_groups() -> Book:
    book = plausible(80, slots=12, zones=4, classes=2, sites=8, plants=8)
    o = book.orders
    west = (o.zone_mask & np.uint64(0b0011)) > 0
    mask = np.where(west, o.zone_mask & np.uint64(0b0011) | np.uint64(0b0011), np.uint64(0b1100))
    return replace(book, orders=replace(o, zone_mask=mask))


def test_groups_clear_apart_and_add_up() -> None:
    book = _two_groups()
    parts = groups(book)
    assert [[zone.id for zone in part.zones] for part in parts] == [[0, 1], [2, 3]]
    assert sum(len(part.orders) for part in parts) == len(book.orders)
    whole = clear(book, ray="none")
    assert check(book, whole).violations == ()
    assert whole.certificate is not None
    apart = [clear(part).certificate for part in parts]
    assert whole.certificate.bound_milli == sum(c.bound_milli for c in apart if c)
    assert whole.certificate.welfare_milli == sum(c.welfare_milli for c in apart if c)


def test_a_line_joins_its_zones() -> None:
    book = plausible_assets(_two_groups())  # a ring of lines
    assert len(groups(book)) == 1
    assert len(groups(replace(book, assets=replace(book.assets, lines=())))) == 2


def test_blocks_share_everything_and_end_certified() -> None:
    book = plausible(120, slots=16, zones=2, classes=2, sites=6, plants=5)
    blocks = blocks_of(book, 3)
    assert sum(len(block.orders) for block in blocks) == len(book.orders)
    assert (sum(tables_of(block).offer_capacity for block in blocks) == tables_of(book).offer_capacity).all()
    for n, offer in enumerate(book.power_offers):
        assert (sum(block.power_offers[n].wh for block in blocks) == offer.wh).all()
    solution = clear(book, ray="none", blocks=3)
    assert check(book, solution).violations == ()
    assert solution.certificate is not None
    assert solution.certificate.gap < 0.05


def test_two_ray_workers_give_the_same_bytes() -> None:
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        for book in (_two_groups(), plausible(120, slots=16, zones=2, classes=2, sites=6, plants=5)):
            here = clear(book, ray="none")
            there = clear(book, ray="local")
            assert solution_to_json(there) == solution_to_json(here)
    finally:
        ray.shutdown()


def test_the_default_needs_no_ray() -> None:
    code = "import sys, backend.market.clearing as c; sys.exit('ray' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
