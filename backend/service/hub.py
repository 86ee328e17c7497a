"""Tells waiting streams that there is something new, inside this process."""

from __future__ import annotations

import threading
from collections import deque

_REMEMBERED = 64


class Hub:
    """A counter that grows with every change, and the forks seen; `closing` ends every stream."""

    def __init__(self) -> None:
        self.version = 0
        self.closing = threading.Event()
        self._forks: deque[tuple[int, int]] = deque(maxlen=_REMEMBERED)
        self._lock = threading.Lock()

    def changed(self) -> None:
        """New events are in the tables."""
        with self._lock:
            self.version += 1

    def reorganised(self, fork: int) -> None:
        """Everything above block `fork` was taken back."""
        with self._lock:
            self.version += 1
            self._forks.append((self.version, fork))

    def lowest_fork_since(self, version: int) -> int | None:
        """The lowest block that was stepped back to after `version`, None when there was none."""
        with self._lock:
            forks = [fork for at, fork in self._forks if at > version]
        return min(forks) if forks else None
