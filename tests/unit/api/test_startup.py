"""What the API loads before its first answer."""

from __future__ import annotations

import subprocess
import sys


def test_numba_is_loaded_by_the_first_clearing_and_not_at_start_up() -> None:
    program = "import sys, backend.api.app, backend.api.serving; sys.exit('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
