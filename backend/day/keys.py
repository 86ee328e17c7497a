"""Development keys of every party, derived from the run's seed; worthless, and refused off dev chains."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from coincurve import PrivateKey

from backend.chain.eip712 import address_of
from backend.chain.errors import WrongChain
from backend.chain.plan import DEV_CHAIN_ID

_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@dataclass(frozen=True)
class Party:
    """A named account of the run and its secp256k1 secret (32 bytes)."""

    name: str
    secret: bytes

    @cached_property
    def key(self) -> PrivateKey:
        """The signing key."""
        return PrivateKey(self.secret)

    @cached_property
    def address(self) -> str:
        """The account's checksum address."""
        return address_of(self.key.public_key)


def derive_secret(seed: int, name: str) -> bytes:
    """The 32-byte development secret of `name` for this seed."""
    wide = hashlib.sha512(f"bitwatt/dev-key/1/{seed}/{name}".encode()).digest()
    return (int.from_bytes(wide, "big") % (_ORDER - 1) + 1).to_bytes(32, "big")


class Keyring:
    """All parties of a run by name.

    Raises WrongChain anywhere but on the development chain: everybody can derive these keys.
    """

    def __init__(self, seed: int, chain_id: int) -> None:
        if chain_id != DEV_CHAIN_ID:
            raise WrongChain(
                chain_id,
                "a market day signs with development keys that everybody can derive",
                f"run it on a development chain (chain id {DEV_CHAIN_ID})",
            )
        self._seed = seed
        self._parties: dict[str, Party] = {}

    def __getitem__(self, name: str) -> Party:
        if name not in self._parties:
            self._parties[name] = Party(name, derive_secret(self._seed, name))
        return self._parties[name]

    def device_secret(self, meter_id: int) -> bytes:
        """Seed of a device's P-256 key."""
        return hashlib.sha256(f"bitwatt/dev-device/1/{self._seed}/{meter_id}".encode()).digest()

    def addresses(self, names: Iterable[str]) -> list[str]:
        """Addresses of `names`, in that order."""
        return [self[name].address for name in names]

    def write(self, path: Path) -> None:
        """Writes every key used so far as JSON, readable by the owner only."""
        document = {
            "note": "development keys derived from a public seed; never send anything of value to them",
            "keys": {
                name: {"address": party.address, "secret": "0x" + party.secret.hex()}
                for name, party in sorted(self._parties.items())
            },
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(".part")
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
            json.dump(document, stream, indent=1)
        scratch.replace(path)
