"""The guide's examples: every curl of docs/api.md gives the status and the fields that stand beside it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

from tests.unit.api.callers import World
from tests.unit.api.market_chain import SLOT, SLOTS, START

DOCS = Path(__file__).resolve().parents[3] / "docs"
EXAMPLE = re.compile(r"^(curl .*?)  # (\d{3})(.*)$", re.MULTILINE)


def call(world: World, command: str) -> tuple[int, Any]:
    """What the service answers to a curl command: status and JSON."""
    for name, value in (("$API", ""), ("$START", str(START)), ("$DEADLINE", str(START + SLOTS * SLOT))):
        command = command.replace(name, value)
    words = iter(shlex.split(command)[1:])
    method, path, headers, body = "GET", "", {}, None
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word == "-d":
            body = next(words)
        else:
            path = word
    answer = world.anonymous().call(method, path, headers=headers, content=body)
    return answer.status_code, answer.json()


def test_every_example_answers_as_the_page_says(trading: World) -> None:
    examples = EXAMPLE.findall((DOCS / "api.md").read_text(encoding="utf-8"))
    assert len(examples) >= 15
    for command, status, fields in examples:
        code, told = call(trading, command)
        assert code == int(status), f"{command}: {code} {told}"
        row = told[0] if isinstance(told, list) else told
        missing = [name for name in fields.split() if name not in row]
        assert not missing, f"{command}: no {missing} in {row}"


def test_the_translation_has_the_same_examples() -> None:
    pages = [(DOCS / name).read_text(encoding="utf-8") for name in ("api.md", "api.zh.md")]
    assert EXAMPLE.findall(pages[0]) == EXAMPLE.findall(pages[1])
