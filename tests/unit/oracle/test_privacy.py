"""Commitments hide and bind; a job's power trace is not recognised from what is reported of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from oracle.disclosure_cli import app
from oracle.fingerprint import KINDS, accuracy
from oracle.wire.disclosure import Commitment, Field, opened, purpose_hash
from oracle.wire.errors import WireError

FACTS = {"buyer": "Example Ltd", "contract": "2026-17", "energy_wh": "128400"}


def test_what_is_shown_is_what_was_committed_and_nothing_else() -> None:
    commitment = Commitment.of(FACTS)
    shown = commitment.show(["energy_wh"])
    assert opened(shown) == (commitment.root, {"energy_wh": "128400"})
    assert "Example" not in json.dumps(shown) and "2026-17" not in json.dumps(shown)


@pytest.mark.parametrize(
    ("field", "value"), [("value", "128401"), ("name", "buyer"), ("salt", "0x" + "00" * 32), ("proof", [])]
)
def test_a_changed_disclosure_does_not_fit(field: str, value: object) -> None:
    shown = Commitment.of(FACTS).show(["energy_wh"])
    shown["fields"][0][field] = value
    with pytest.raises(WireError):
        opened(shown)


def test_the_same_facts_give_another_root_each_time() -> None:
    assert Commitment.of(FACTS).root != Commitment.of(FACTS).root


@given(st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=50), min_size=1, max_size=12))
def test_every_field_can_be_shown_from_the_stored_secret(values: dict[str, str]) -> None:
    commitment = Commitment.from_json(json.loads(json.dumps(Commitment.of(values).to_json())))
    for name, value in values.items():
        assert opened(json.loads(json.dumps(commitment.show([name])))) == (commitment.root, {name: value})


def test_name_and_value_cannot_be_shifted_into_each_other() -> None:
    salt = bytes(32)
    assert Field("ab", "c", salt).leaf() != Field("a", "bc", salt).leaf()


@pytest.mark.parametrize("hostile", [None, [], {}, {"format": "bitwatt/commitment/1", "fields": [1]}])
def test_hostile_disclosures_are_refused(hostile: object) -> None:
    with pytest.raises(WireError):
        opened(hostile)


def test_the_commands_from_commitment_to_verification(tmp_path: Path) -> None:
    (tmp_path / "facts.json").write_text(json.dumps(FACTS))
    run = CliRunner().invoke
    arguments = ["commit", str(tmp_path / "facts.json"), "--out", str(tmp_path / "secret.json"), "--json"]
    told = json.loads(run(app, arguments).stdout)
    assert run(app, arguments).exit_code == 1, "a secret is never overwritten"
    shown = run(app, ["show", str(tmp_path / "secret.json"), "--field", "buyer"]).stdout
    (tmp_path / "shown.json").write_text(shown)
    verify = ["verify", str(tmp_path / "shown.json"), "--json", "--purpose-hash"]
    good = run(app, [*verify, told["purpose_hash"]])
    assert json.loads(good.stdout)["fields"] == {"buyer": "Example Ltd"}
    assert told["purpose_hash"] == "0x" + purpose_hash(opened(json.loads(shown))[0]).hex()
    assert run(app, [*verify, "0x" + "11" * 32]).exit_code == 1


def test_slots_hide_the_job_that_seconds_betray() -> None:
    found = accuracy(traces=12, seed=1)
    chance = 1 / len(KINDS)
    assert found[1] >= 0.9
    assert found[900] <= chance + 0.35 and found[900] < found[60]
