"""Numba with a cache inside the build folder, so that kernels compile once per machine."""

from __future__ import annotations

import os
from pathlib import Path

_BUILD = Path(__file__).resolve().parents[2] / ".build"
if "NUMBA_CACHE_DIR" not in os.environ and _BUILD.is_dir() and os.access(_BUILD, os.W_OK):
    os.environ["NUMBA_CACHE_DIR"] = str(_BUILD / "numba")

from numba import njit, prange  # noqa: E402  (the cache folder must be set before numba is imported)

__all__ = ["njit", "prange"]
