"""What a run remembers between starts (OUT/run.json): parameters, chain, child processes, stage times."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

VERSION = 1


class DriverError(Exception):
    """Base of what can stop a run besides bad input and the chain; the message says what to do."""


class RunMismatch(DriverError):
    """The output folder belongs to another command."""

    def __init__(self, out: Path, field: str, recorded: object, given: object) -> None:
        self.field = field
        super().__init__(
            f"{out} holds a run with {field} = {recorded!r}, this command has {given!r}: "
            "repeat the first command to finish it, or choose another --out"
        )


class RunState:
    """OUT/run.json: read once, written whole after every change."""

    def __init__(self, out: Path, parameters: dict[str, Any]) -> None:
        """Opens or begins the run in `out`; raises RunMismatch when it belongs to another command."""
        self.out = out
        self.path = out / "run.json"
        out.mkdir(parents=True, exist_ok=True)
        # compared as JSON knows it, where a tuple is a list
        given = json.loads(json.dumps(parameters))
        self._data: dict[str, Any] = {"version": VERSION, "parameters": given}
        if self.path.exists():
            self._data = json.loads(self.path.read_text(encoding="utf-8"))
            recorded = self._data["parameters"]
            for field in sorted(recorded.keys() | given.keys()):
                if recorded.get(field) != given.get(field):
                    raise RunMismatch(out, field, recorded.get(field), given.get(field))
        self._data.setdefault("seconds", {})
        self._data.setdefault("children", {})
        self._data.setdefault("chain", {})
        self._data.setdefault("ports", {})
        self.save()

    @classmethod
    def stored(cls, out: Path) -> RunState:
        """The run that is in `out`, whatever its command."""
        recorded = json.loads((out / "run.json").read_text(encoding="utf-8"))
        return cls(out, recorded["parameters"])

    def save(self) -> None:
        """Writes the file, whole or not at all."""
        scratch = self.path.with_suffix(".part")
        with scratch.open("w", encoding="utf-8") as stream:
            json.dump(self._data, stream, indent=1, sort_keys=True)
            stream.flush()
            os.fsync(stream.fileno())
        scratch.replace(self.path)

    @property
    def children(self) -> dict[str, dict[str, Any]]:
        """Child processes by name."""
        return self._data["children"]

    @property
    def chain(self) -> dict[str, Any]:
        """The chain this run is on: url, embedded, start of the batch, base nonces."""
        return self._data["chain"]

    @property
    def seconds(self) -> dict[str, float]:
        """Wall seconds by stage, added up over all starts."""
        return self._data["seconds"]

    @property
    def finished(self) -> bool:
        """Whether the day was run to its end."""
        return bool(self._data.get("finished"))

    def finish(self) -> None:
        """Notes that the day was run to its end."""
        self._data["finished"] = True
        self.save()

    @property
    def ports(self) -> dict[str, int]:
        """TCP ports chosen for children, noted before they start."""
        return self._data["ports"]

    def forget_chain(self) -> None:
        """Forgets the chain and everything that lived on it."""
        self._data["chain"] = {}
        self._data["ports"] = {name: port for name, port in self.ports.items() if name == "anvil"}
        self._data["seconds"] = {
            name: spent for name, spent in self.seconds.items() if name in ("load", "clear")
        }
        self.save()

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Adds the time spent inside to the stage's seconds."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[stage] = round(self.seconds.get(stage, 0.0) + time.monotonic() - began, 3)
            self.save()
