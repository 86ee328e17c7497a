"""The carbon statement and the synergy index of the hand-made market, against figures made by hand."""

from __future__ import annotations

from pathlib import Path

from audit.statement import statement
from tests.faults.world import START, World, account


def test_both_methods_of_a_day_by_hand(tmp_path: Path) -> None:
    told = statement(World(tmp_path).facts(), START, START + 86_400)
    used, matched = 400 + 200 + 320, 400 + 150
    assert (told["load_wh"], told["matched_wh"]) == (used, matched)
    assert told["location_mg"] == used * 500
    assert told["market_mg"] == matched * 43 + (used - matched) * 820
    assert told["avoided_mg"] == matched * (500 - 43)
    assert told["cfe_ppm"] == matched * 1_000_000 // used


def test_buyers_and_slots_add_up(tmp_path: Path) -> None:
    facts = World(tmp_path).facts()
    whole = statement(facts, START, START + 86_400)
    buyers = [statement(facts, START, START + 86_400, account(name)) for name in ("buyer-a", "buyer-b")]
    slots = [statement(facts, START, START + 900), statement(facts, START + 900, START + 1800)]
    for parts in (buyers, slots):
        for name in ("load_wh", "matched_wh", "location_mg", "market_mg", "avoided_mg"):
            assert sum(part[name] for part in parts) == whole[name]


def test_the_index_is_its_weighted_dimensions(tmp_path: Path) -> None:
    index = statement(World(tmp_path).facts(), START, START + 86_400)["synergy"]
    weights = {"energy_match": 30, "dispatch": 25, "economics": 20, "technology": 15, "ecology": 10}
    assert index["sei_ppm"] == sum(weights[name] * index[name] for name in weights) // 100
    assert index["dispatch"] == 1_000_000 * (4000 + 2000 + 3200) // 10_000
    assert index["technology"] == 1_000_000  # one site is the best site, every reading is actual
    assert index["ecology"] == 1_000_000 * (920 * 500 - 327_050) // (920 * 500)


def test_nothing_settled_is_nothing_stated(tmp_path: Path) -> None:
    told = statement(World(tmp_path).facts(), 0, 1)
    assert (told["load_wh"], told["location_mg"], told["cfe_ppm"]) == (0, 0, 0)
