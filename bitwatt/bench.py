"""`bitwatt bench`: every part's benchmark under one command."""

from __future__ import annotations

from backend.market.bench import app
from oracle.bench import app as oracle_app

app.add_typer(oracle_app, name="oracle", help="what one oracle node does on one core")

__all__ = ["app"]
