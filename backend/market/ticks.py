"""Price ticks: the steps in which a batch publishes its prices."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from backend.market.assets import Ints


def on_tick(price: npt.NDArray[np.float64] | Ints, low: int, high: int, tick: int) -> Ints:
    """Prices rounded up to a multiple of `tick`, at the nearest multiple inside [low, high]."""
    ticks = np.ceil(np.clip(price, low, high) / tick) if tick > 1 else np.clip(price, low, high)
    return np.clip(np.asarray(ticks, dtype=np.int64), -(-low // tick), high // tick) * tick
