"""`python -m bitwatt`."""

from bitwatt.cli import app

app()
