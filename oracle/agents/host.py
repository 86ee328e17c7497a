"""A live workload agent: which jobs of the market run on this machine, for how long, with how much energy.

Settings of a `host` driver: `jobs` (a JSON file that the site's scheduler keeps: [{"agreement_id",
"milli_vcu", "running"}]), `power` (settings of a power driver), `interval_seconds`, and optionally
`guarantees` (where to measure them, see probe.py) and `machine` (see machine.py).

Compute is counted while a job runs and the guarantees hold that its class on chain was sold with. Energy is
shared among all jobs by the VCU they have reserved, so that idle energy falls on who reserved it (F2). What
was not watched is not counted.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from oracle.agents.drivers.source import Source, SourceError
from oracle.agents.fleet import FleetDevice, Row
from oracle.agents.probe import Probe, Probed
from oracle.wire.guarantees import NONE, Guarantees
from oracle.wire.reading import Kind

log = logging.getLogger("bitwatt.agent")
MOST_GAP_MS = 10_000
"""Between two looks at the jobs: what was longer unwatched is not counted."""
MAX_JOBS_BYTES = 1 << 20


class Job(NamedTuple):
    """An agreement on this machine."""

    agreement_id: bytes
    milli_vcu: int
    running: bool


def read_jobs(path: Path) -> list[Job]:
    """The scheduler's file; raises ValueError naming what is wrong with it."""
    with path.open("rb") as stream:
        content = stream.read(MAX_JOBS_BYTES + 1)
    if len(content) > MAX_JOBS_BYTES:
        raise ValueError(f"{path} has more than {MAX_JOBS_BYTES} bytes")
    try:
        table = json.loads(content)
    except RecursionError:
        raise ValueError(f"{path} is nested too deep") from None
    jobs = []
    for number, entry in enumerate(table if isinstance(table, list) else []):
        try:
            agreement = bytes.fromhex(str(entry["agreement_id"]).removeprefix("0x").zfill(64))
            job = Job(agreement, int(entry["milli_vcu"]), entry["running"] is True)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: job {number}: {error!r}") from None
        if len(agreement) != 32 or job.milli_vcu <= 0:
            raise ValueError(f"{path}: job {number}: agreement_id or milli_vcu is of no use")
        jobs.append(job)
    return jobs


class Host:
    """Looks at jobs and power from time to time, and says at the end of each interval what flowed."""

    def __init__(
        self,
        device: FleetDevice,
        power: Source,
        probe: Probe | None,
        sold: Callable[[bytes], Guarantees] = lambda agreement: NONE,
    ) -> None:
        settings: Mapping[str, Any] = device.driver
        try:
            self._jobs = Path(settings["jobs"])
            self.interval = int(settings.get("interval_seconds", 900))
        except (KeyError, ValueError) as error:
            raise SourceError(f"driver: {error!r} is missing or of no use") from None
        self.device, self.power, self.probe, self._sold = device, power, probe, sold
        self._last: int | None = None
        self._watched: float | None = None
        self._register: int | None = None
        self._micro_vcu_ms: defaultdict[bytes, int] = defaultdict(int)
        self._share: defaultdict[bytes, int] = defaultdict(int)  # of energy, mWh
        self._rest = 0

    async def look(self, monotonic: float) -> None:
        """Counts what has run since the last look; times in seconds of a clock that never goes back."""
        elapsed = 0 if self._watched is None else round((monotonic - self._watched) * 1000)
        self._watched = monotonic
        register = await self.power.register_mwh()
        before, self._register = self._register, register
        try:
            jobs = read_jobs(self._jobs)
        except (OSError, ValueError) as error:
            log.warning("meter %d: %s", self.device.meter_id, error)
            return
        probed = await self.probe.measure(monotonic) if self.probe else Probed()
        if not 0 < elapsed <= MOST_GAP_MS:
            return
        for job in jobs:
            if job.running and self._sold(job.agreement_id).hold(*probed):
                self._micro_vcu_ms[job.agreement_id] += job.milli_vcu * elapsed
        reserved = sum(job.milli_vcu for job in jobs)
        if before is None or register is None or register < before or not reserved:
            return
        flowed = register - before + self._rest
        self._rest = flowed
        for job in jobs:
            part = flowed * job.milli_vcu // reserved
            self._share[job.agreement_id] += part
            self._rest -= part

    def rows(self, now: int) -> list[Row]:
        """The rows of the interval that ended by chain time `now`; none before its end or at the first call.

        An interval that was not watched from its beginning is the agent's first: it is not reported.
        """
        end, last = now - now % self.interval, self._last
        if last is not None and end <= last:
            return []
        compute, energy = dict(self._micro_vcu_ms), dict(self._share)
        self._micro_vcu_ms.clear()
        self._share.clear()
        self._last = end
        if last is None or end - last != self.interval:
            return []
        rows = []
        for agreement in sorted(compute.keys() | energy.keys()):
            start = end - self.interval
            mwh, milliseconds = energy.get(agreement, 0), compute.get(agreement, 0) // 1000
            rows.append(Row(start, end, Kind.JOB_IT_ENERGY, mwh, agreement))
            rows.append(Row(start, end, Kind.COMPUTE, milliseconds, agreement))
        return rows
