"""Wallets and machines that call the service in tests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from coincurve import PrivateKey
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx import Response

from backend.chain.eip712 import address_of, sign_digest
from backend.service.context import Context
from backend.service.signatures import personal_digest

ORIGIN = "http://127.0.0.1:8000"


@dataclass(frozen=True)
class Key:
    """A wallet's key."""

    private: PrivateKey

    @classmethod
    def of(cls, seed: str) -> Key:
        """A key that a name always gives again."""
        return cls(PrivateKey(seed.encode().rjust(32, b"\x01")))

    @property
    def address(self) -> str:
        """Checksum address."""
        return address_of(self.private.public_key)

    def sign_text(self, text: str) -> str:
        """EIP-191 signature of a text, hex."""
        return "0x" + sign_digest(personal_digest(text), self.private).hex()


def siwe_text(
    address: str,
    nonce: str,
    *,
    domain: str = "127.0.0.1:8000",
    uri: str = ORIGIN,
    chain_id: int = 31337,
    issued: timedelta = timedelta(0),
    expires: timedelta | None = timedelta(hours=1),
) -> str:
    """An EIP-4361 message; times are offsets from now."""
    now = datetime.now(UTC)
    lines = [
        f"{domain} wants you to sign in with your Ethereum account:",
        address,
        "",
        "Sign in to BitWatt.",
        "",
        f"URI: {uri}",
        "Version: 1",
        f"Chain ID: {chain_id}",
        f"Nonce: {nonce}",
        f"Issued At: {(now + issued).strftime('%Y-%m-%dT%H:%M:%SZ')}",
    ]
    if expires is not None:
        lines.append(f"Expiration Time: {(now + expires).strftime('%Y-%m-%dT%H:%M:%SZ')}")
    return "\n".join(lines)


class Caller:
    """One client with its own cookies; adds the CSRF token once signed in."""

    def __init__(self, app: FastAPI, key: Key | None = None) -> None:
        self.key = key
        self.http = TestClient(app, base_url=ORIGIN, raise_server_exceptions=False)
        self.session: dict[str, Any] = {}

    def nonce(self) -> str:
        """A fresh nonce."""
        return str(self.call("POST", "/session/nonce").json()["nonce"])

    def sign_in(self) -> Caller:
        """Signs the wallet in."""
        assert self.key is not None
        text = siwe_text(self.key.address, self.nonce())
        answer = self.call("POST", "/session", json={"message": text, "signature": self.key.sign_text(text)})
        assert answer.status_code == 201, answer.text
        self.session = answer.json()
        return self

    def with_token(self, token: str) -> Caller:
        """Calls as a machine from now on."""
        self.http.headers["Authorization"] = f"Bearer {token}"
        return self

    def call(self, method: str, path: str, **kwargs: Any) -> Response:
        """One request to the API; `path` is relative to /api/v1."""
        headers = dict(kwargs.pop("headers", {}))
        if self.session.get("csrf_token"):
            headers.setdefault("X-CSRF-Token", self.session["csrf_token"])
        return self.http.request(method, f"/api/v1{path}", headers=headers, **kwargs)

    def get(self, path: str, **kwargs: Any) -> Response:
        """GET."""
        return self.call("GET", path, **kwargs)

    def post(self, path: str, json: object = None, **kwargs: Any) -> Response:
        """POST."""
        return self.call("POST", path, json=json, **kwargs)


class World:
    """The service and whoever calls it."""

    def __init__(self, context: Context, app: FastAPI) -> None:
        self.context = context
        self.app = app

    def anonymous(self) -> Caller:
        """Somebody who is not signed in."""
        return Caller(self.app)

    def wallet(self, name: str) -> Caller:
        """A wallet, signed in."""
        return Caller(self.app, Key.of(name)).sign_in()

    def member(self, owner: Caller, name: str, *roles: str) -> Caller:
        """A wallet with only these roles in the owner's organisation, signed in."""
        body = {"address": Key.of(name).address, "roles": list(roles)}
        assert owner.post("/organisation/members", body).status_code == 201
        return self.wallet(name)
