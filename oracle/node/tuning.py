"""How a node's process uses memory."""

from __future__ import annotations

import gc


def tune_memory() -> None:
    """Fewer collections of cycles: readings hold none, and walking all of them takes long."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
