"""`bitwatt bench`: every part's benchmark under one command."""

from __future__ import annotations

from audit.bench import bench as audit
from backend.api.bench import main as api
from backend.api.bench_intrusion import bench as intrusion
from backend.market.bench import app
from backend.vpp.bench import vpp
from oracle.bench import app as oracle_app

app.add_typer(oracle_app, name="oracle", help="what one oracle node does on one core")
app.command("vpp")(vpp)
app.command("api")(api)
app.command("audit")(audit)
app.command("intrusion")(intrusion)

__all__ = ["app"]
