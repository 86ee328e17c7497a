"""The type of the `write` fixture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Write = Callable[[str, str], Path]
"""Name and text to the path of a file in the test's folder."""
