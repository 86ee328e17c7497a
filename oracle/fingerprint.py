"""How much a power trace tells of the job behind it: by the second, the minute, and as it is metered.

Seeded traces of six kinds of job at the same mean power (drawn anew for every trace, so that power alone
tells nothing) are given to a classifier that is trained on others of their kind. A reading holds one number a
slot, so epochs, batches and phases of a job shorter than a slot are not in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

Floats = NDArray[np.float64]
HOURS = 4
SECONDS = HOURS * 3600
STEPS_SECONDS = (1, 60, 900)
"""By the second (what a sensor sees), by the minute (what many clouds show), a slot (what is reported)."""


def _square(t: Floats, period: float, duty: float, phase: float) -> Floats:
    return ((t / period + phase) % 1 < duty).astype(np.float64)


def training(t: Floats, rng: np.random.Generator) -> Floats:
    """Steps of a second or two, a pause for validation every few minutes."""
    step = _square(t, rng.uniform(0.8, 2.5), 0.8, rng.random())
    return (0.7 + 0.3 * step) * (1 - 0.6 * _square(t, rng.uniform(240, 600), 0.08, rng.random()))


def checkpointing(t: Floats, rng: np.random.Generator) -> Floats:
    """A large model: level, with a dip of half a minute at every checkpoint."""
    return 1 - 0.8 * _square(t, rng.uniform(500, 800), 0.05, rng.random()) + 0.02 * np.sin(t / 3)


def inference(t: Floats, rng: np.random.Generator) -> Floats:
    """Requests that come as they like."""
    return 0.35 + 0.65 * np.minimum(rng.poisson(0.6, len(t)), 2) / 2


def rendering(t: Floats, rng: np.random.Generator) -> Floats:
    """Frames of ten to forty seconds, each rising."""
    period = rng.uniform(10, 40)
    return 0.4 + 0.6 * (t / period % 1)


def simulation(t: Floats, rng: np.random.Generator) -> Floats:
    """Compute and communicate in turn."""
    return 0.55 + 0.45 * _square(t, rng.uniform(20, 90), 0.55, rng.random())


def mining(t: Floats, rng: np.random.Generator) -> Floats:
    """Flat."""
    return np.ones(len(t)) + rng.normal(0, 0.004, len(t))


KINDS: Mapping[str, Callable[[Floats, np.random.Generator], Floats]] = {
    item.__name__: item for item in (training, checkpointing, inference, rendering, simulation, mining)
}


def trace(kind: str, rng: np.random.Generator) -> Floats:
    """Watts by the second, at a mean power that says nothing of the kind, with the load's own slow drift."""
    t = np.arange(SECONDS, dtype=np.float64)
    shape = KINDS[kind](t, rng)
    drift = 1 + 0.05 * np.sin(2 * np.pi * (t / SECONDS * rng.uniform(0.5, 2) + rng.random()))
    watts: Floats = shape / shape.mean() * drift * rng.uniform(2_000, 20_000)
    return watts + rng.normal(0, 20, SECONDS)


def features(watts: Floats, step_seconds: int) -> Floats:
    """What an observer computes from means over `step_seconds`: level, spread, steps, spectrum."""
    means = watts[: len(watts) // step_seconds * step_seconds].reshape(-1, step_seconds).mean(axis=1)
    shape = means / means.mean()
    change = np.diff(shape)
    spectrum = np.abs(np.fft.rfft(shape - 1))[1:]
    bands = [part.sum() / max(spectrum.sum(), 1e-12) for part in np.array_split(spectrum, 8)]
    spread = (shape.std(), shape.min(), shape.max(), change.std(), np.abs(change).max())
    deciles = np.quantile(shape, np.linspace(0.1, 0.9, 9))
    return np.array([np.log(means.mean()), *spread, *deciles, *bands])


def accuracy(traces: int, seed: int) -> dict[int, float]:
    """Share of traces whose kind a classifier names, by step; chance is one in the number of kinds.

    `traces` of each kind to learn from, half as many to guess."""
    rng = np.random.default_rng(seed)
    names = list(KINDS)
    made = [(label, trace(name, rng)) for label, name in enumerate(names) for _ in range(traces * 3 // 2)]
    labels = np.array([label for label, _ in made])
    learn = np.arange(len(made)) % (traces * 3 // 2) < traces
    found = {}
    for step in STEPS_SECONDS:
        table = np.array([features(watts, step) for _, watts in made])
        forest = RandomForestClassifier(200, random_state=seed).fit(table[learn], labels[learn])
        found[step] = float(forest.score(table[~learn], labels[~learn]))
    return found
