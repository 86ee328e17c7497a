"""The OpenADR 3.1 façade: an unmodified client works with it, and nobody sees what is not theirs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from backend.api.app import make_app
from backend.chain.anvil import free_port
from backend.service.context import Context
from backend.service.secrets import Vault
from backend.settings import Settings
from backend.store.engine import Store
from tests.unit.api.callers import World

ROOT = Path(__file__).resolve().parents[3]
CLIENT = Path(__file__).with_name("openadr_client.py")
LOCK = ROOT / "requirements-openadr.lock"


@pytest.fixture
def vtn(settings: Settings, store: Store) -> Iterator[tuple[str, World]]:
    """The service on a real port, and the same service in process."""
    port = free_port()
    own = settings.model_copy(
        update={"public_origin": f"http://127.0.0.1:{port}", "webhook_private_hosts": True}
    )
    context = Context(own, store, Vault(own))
    app = make_app(context)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}/openadr3", World(context, app)
    server.should_exit = True
    thread.join(10)


def clients(world: World) -> dict[str, tuple[str, str]]:
    """Credentials of two VENs and of the aggregator's business logic, in one organisation."""
    from backend.service.access import Principal, Scope
    from backend.service.organisations import make_client
    from backend.store.identity import Organisation

    out = {}
    with world.context.store.writing() as session:
        org = Organisation(name="agg", created_at=0)
        session.add(org)
        session.flush()
        who = Principal("wallet:0x", org.id, "unlimited", roles=("operator",), scopes=frozenset(Scope))
        for name, scopes in (("ven", [Scope.FLEX_READ]), ("other", [Scope.FLEX_READ]),
                             ("bl", [Scope.FLEX_READ, Scope.FLEX_WRITE])):  # fmt: skip
            client, secret = make_client(session, world.context.vault, who, name, scopes)
            out[name] = (client.id, secret)
    return out


def call(base: str, credentials: tuple[str, str]) -> httpx.Client:
    answer = httpx.post(f"{base}/auth/token", data={"grant_type": "client_credentials"}, auth=credentials)
    assert answer.status_code == 200, answer.text
    return httpx.Client(base_url=base, headers={"Authorization": f"Bearer {answer.json()['access_token']}"})


def _base_python() -> str:
    """A Python that the client runs on (3.12 or later); the test is skipped where there is none."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    names = [str(path) for path in sorted(versions.glob("3.1[2-4]*/bin/python"))]
    for name in [*names, "python3.12", "python3.13", "python3.14"]:
        found = shutil.which(name)
        if found and subprocess.run([found, "-c", "import venv"], capture_output=True).returncode == 0:
            return found
    pytest.skip("openadr3-client needs Python 3.12 or later, which is not installed")


def _python() -> str:
    """A Python with the client as locked by hash, in the folder of builds; made on first use."""
    folder = ROOT / ".build" / "openadr-client"
    python, ready = folder / "bin" / "python", folder / "ready"
    lock = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if not ready.exists() or ready.read_text() != lock:
        subprocess.run(
            [_base_python(), "-m", "venv", "--clear", "--without-pip", str(folder)],
            check=True, capture_output=True,
        )  # fmt: skip
        uv = [str(Path(sys.executable).with_name("uv")), "pip", "sync", "--quiet", "--require-hashes"]
        subprocess.run([*uv, "--python", str(python), str(LOCK)], check=True, capture_output=True)
        ready.write_text(lock)
    return str(python)


def test_an_unmodified_client_registers_receives_and_reports(vtn: tuple[str, World]) -> None:
    base, world = vtn
    known = clients(world)
    done = subprocess.run(
        [_python(), str(CLIENT), base, *known["ven"], *known["bl"]],
        capture_output=True, text=True, timeout=120,
        env=os.environ | {"OAUTHLIB_INSECURE_TRANSPORT": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout) == {
        "ven": "site-7", "resource_ven": True, "seen": ["evening"], "setpoint": -500,
        "start": "2030-01-01T00:00:00+00:00", "reports": [True], "usage": 412.5, "left": ["evening"],
    }  # fmt: skip


def test_a_ven_sees_and_writes_only_what_is_its_own(vtn: tuple[str, World]) -> None:
    base, world = vtn
    known = clients(world)
    bl, ven, other = (call(base, known[name]) for name in ("bl", "ven", "other"))
    assert ven.post("/programs", json={"programName": "p"}).status_code == 403
    program = bl.post("/programs", json={"programName": "p"}).json()["id"]
    assert bl.post("/programs", json={"programName": "p"}).status_code == 409
    mine = ven.post("/vens", json={"venName": "a", "targets": ["zone-9"]}).json()
    assert "targets" not in mine  # a VEN cannot make itself a target
    body = {"programID": program, "eventName": "e", "targets": ["zone-9"]}
    event = bl.post("/events", json=body).json()["id"]
    assert ven.get("/events").json() == [] and ven.get(f"/events/{event}").status_code == 404
    as_client = {"venName": "a", "clientID": mine["clientID"], "targets": ["zone-9"]}
    assert bl.put(f"/vens/{mine['id']}", json=as_client).status_code == 200
    assert [e["id"] for e in ven.get("/events").json()] == [event]
    assert other.get("/events").json() == [] and other.get("/vens").json() == []
    assert other.delete(f"/vens/{mine['id']}").status_code == 404
    assert ven.put(f"/vens/{mine['id']}", json={"venName": "b"}).json()["targets"] == ["zone-9"]
    assert bl.delete(f"/programs/{program}").status_code == 409
    assert [len(bl.get("/events", params={"skip": s}).json()) for s in (0, 1)] == [1, 0]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/programs", {}, "programName"),
        ("/events", {"programID": "x" * 26}, "id"),
        ("/vens", {"venName": "x" * 129}, "venName"),
        ("/programs", {"programName": "q", "targets": "zone"}, "targets"),
        (
            "/programs",
            {"programName": "q", "intervalPeriod": {"start": "2024-01-01T00:00:00"}},
            "intervalPeriod.start",
        ),
        ("/subscriptions", {"clientName": "c", "objectOperations": [{"callbackUrl": "ftp://x"}]}, "url"),
    ],
)  # fmt: skip
def test_bad_bodies_are_named(vtn: tuple[str, World], path: str, body: dict[str, Any], field: str) -> None:
    base, world = vtn
    answer = call(base, clients(world)["bl"]).post(path, json=body)
    assert answer.status_code in (404, 422) and answer.json()["field"] == field, answer.text


def test_nobody_without_credentials(vtn: tuple[str, World]) -> None:
    base, _ = vtn
    assert httpx.get(f"{base}/events").status_code == 401
    wrong = httpx.post(f"{base}/auth/token", data={"grant_type": "client_credentials"}, auth=("x", "y"))
    assert wrong.status_code == 401
    assert httpx.get(f"{base}/auth/server").json() == {"tokenURL": f"{base}/auth/token"}


class Subscriber(BaseHTTPRequestHandler):
    heard: list[tuple[str, dict[str, Any]]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.heard.append((self.headers["Authorization"], body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


def test_subscribers_are_called_back(vtn: tuple[str, World]) -> None:
    base, world = vtn
    Subscriber.heard = []
    listener = ThreadingHTTPServer(("127.0.0.1", 0), Subscriber)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    known = clients(world)
    bl, ven = call(base, known["bl"]), call(base, known["ven"])
    url = f"http://127.0.0.1:{listener.server_port}/hook"
    wish = {"objects": ["EVENT"], "operations": ["CREATE", "DELETE"], "callbackUrl": url, "bearerToken": "t0"}
    made = ven.post("/subscriptions", json={"clientName": "site", "objectOperations": [wish]})
    assert made.status_code == 201, made.text
    program = bl.post("/programs", json={"programName": "p"}).json()["id"]
    event = bl.post("/events", json={"programID": program}).json()["id"]
    bl.delete(f"/events/{event}")
    end = time.time() + 10
    while len(Subscriber.heard) < 2 and time.time() < end:
        time.sleep(0.05)
    listener.shutdown()
    heard = {(token, body["operation"], body["object"]["id"]) for token, body in Subscriber.heard}
    assert heard == {("Bearer t0", "CREATE", event), ("Bearer t0", "DELETE", event)}
    assert len(Subscriber.heard) == 2  # in either order: the two calls may overtake one another
