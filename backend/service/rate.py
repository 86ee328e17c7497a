"""Token buckets, one per caller, in this process."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from backend.service.errors import TooMany

_MAX_BUCKETS = 100_000


class RateLimiter:
    """At most `per_minute` units a minute, with bursts of a tenth of a minute's worth (at least 20)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, caller: str, per_minute: int, units: int = 1) -> None:
        """Uses up `units` of the caller's bucket; raises TooMany when it is empty."""
        rate = per_minute / 60.0
        size = max(20.0, per_minute / 10.0)
        now = self._clock()
        with self._lock:
            level, at = self._buckets.pop(caller, (size, now))
            level = min(size, level + (now - at) * rate)
            allowed = level >= units
            self._buckets[caller] = (level - units if allowed else level, now)
            if len(self._buckets) > _MAX_BUCKETS:
                self._buckets.popitem(last=False)
        if not allowed:
            raise TooMany(
                f"more than {per_minute} requests a minute", max(1, round((units - level) / rate + 0.5))
            )
