"""Latency and bandwidth as they are sold: in the name of a compute class, which order and offer share.

`gpu-inference@20ms/1000mbps` is class gpu-inference with a round trip of at most 20 ms and 1000 Mbit/s at
least. A class without `@` guarantees neither.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from oracle.wire.errors import WireError

_PART = re.compile(r"([1-9][0-9]{0,8})(ms|mbps)")


class Guarantees(NamedTuple):
    """What a site owes besides compute; None where nothing was sold."""

    latency_ms: int | None = None
    bandwidth_mbps: int | None = None

    def hold(self, latency_ms: float | None, bandwidth_mbps: float | None) -> bool:
        """Whether measured values (None: no answer) keep them."""
        if self.latency_ms is not None and (latency_ms is None or latency_ms > self.latency_ms):
            return False
        return self.bandwidth_mbps is None or (bandwidth_mbps or 0) >= self.bandwidth_mbps


NONE = Guarantees()


def parse_class(name: str) -> tuple[str, Guarantees]:
    """(class of the VCU table, guarantees) of a class name on chain; raises WireError."""
    base, _, terms = name.partition("@")
    found: dict[str, int] = {}
    for term in terms.split("/") if terms else ():
        match = _PART.fullmatch(term)
        if match is None or match[2] in found:
            raise WireError("class", f"{name!r} has a term {term!r}", "write it like gpu@20ms/1000mbps")
        found[match[2]] = int(match[1])
    return base, Guarantees(found.get("ms"), found.get("mbps"))
