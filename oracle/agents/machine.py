"""A machine registers itself: what it has, what a short benchmark gives, how many VCU that is (F1)."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from oracle.agents.drivers.source import SourceError
from oracle.wire.machine import Machine

_SIZE = 1024


def reference_devices() -> dict[str, Any]:
    """The table of classes and their reference devices, with its version."""
    table: dict[str, Any] = json.loads(files("oracle.agents").joinpath("reference_devices.json").read_text())
    return table


def measure_mflops(seconds: float = 1.0) -> int:
    """Sustained dense fp32 matrix multiplication on this machine's processors, in Mflop/s."""
    left = np.random.default_rng(1).random((_SIZE, _SIZE), dtype=np.float32)
    right = left.T.copy()
    _ = left @ right  # the first one wakes threads and fills caches
    rounds, begin = 0, time.perf_counter()
    while (spent := time.perf_counter() - begin) < seconds:
        left @ right
        rounds += 1
    return int(rounds * 2 * _SIZE**3 / spent / 1e6)


def run_benchmark(command: list[str]) -> int:
    """Mflop/s that a program prints as its last line in GFLOPS: for accelerators, whose stack is not ours."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
        return int(float(done.stdout.strip().splitlines()[-1]) * 1000)
    except (OSError, ValueError, IndexError, subprocess.SubprocessError) as error:
        raise SourceError(f"benchmark: {command[0]}: {error}") from None


def inventory() -> tuple[str, ...]:
    """Processors, memory and GPUs, as the machine names them."""
    found = [f"{os.cpu_count()} x {_processor()}"]
    found.append(f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') >> 20} MiB memory")
    import pynvml

    try:
        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(n) for n in range(pynvml.nvmlDeviceGetCount())]
        found += [str(pynvml.nvmlDeviceGetName(handle)) for handle in handles]
        pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        pass  # no GPU, or no driver for one
    return tuple(found)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def describe(settings: Mapping[str, Any], chain_id: int, meter_id: int, seconds: float = 1.0) -> Machine:
    """The machine's document, measured now. Settings: `class`, `zone`, and `benchmark` (a command) for other
    devices than processors. Raises SourceError."""
    table = reference_devices()
    name = str(settings.get("class", ""))
    if name not in table["classes"]:
        raise SourceError(f"machine.class: {name!r} is none of {', '.join(table['classes'])}")
    command = [str(part) for part in settings.get("benchmark", ())]
    if not command and name != "cpu":
        raise SourceError(f"machine.benchmark: class {name} needs a program that prints GFLOPS")
    return Machine(
        chain_id,
        meter_id,
        name,
        str(settings.get("zone", "")),
        inventory(),
        run_benchmark(command) if command else measure_mflops(seconds),
        int(table["classes"][name]["gflops"]) * 1000,
        int(table["version"]),
        int(time.time()),
    )
