"""Salted commitments: facts of an agreement that need not be public, shown one by one to whom they concern.

Each field is committed under a random salt of its own, so that a hash tells nothing about a field that could
be guessed, and showing one field tells nothing about the others. The root goes on chain inside something that
is there anyway: the purpose of a retirement is SHA-256("bitwatt/commitment/1:0x<root>").
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from oracle.wire.errors import WireError
from oracle.wire.keys import keccak256
from oracle.wire.merkle import MerkleTree, verify

DOMAIN = "bitwatt/commitment/1"
SALT_BYTES = 32
MAX_FIELDS = 64
MAX_TEXT = 2_000


@dataclass(frozen=True, slots=True)
class Field:
    """One committed fact: its name, its value as text, and its salt."""

    name: str
    value: str
    salt: bytes

    def leaf(self) -> bytes:
        """keccak(keccak(keccak(domain) | keccak(name) | salt | keccak(value)))."""
        if len(self.salt) != SALT_BYTES:
            raise WireError("field.salt", f"{len(self.salt)} bytes where {SALT_BYTES} are due")
        if len(self.name) > MAX_TEXT or len(self.value) > MAX_TEXT:
            raise WireError("field", f"is longer than {MAX_TEXT} characters")
        words = (DOMAIN, self.name, self.value)
        domain, name, value = (keccak256(word.encode()) for word in words)
        return keccak256(keccak256(domain + name + self.salt + value))


@dataclass(frozen=True, slots=True)
class Commitment:
    """All fields with their salts: the secret of whoever committed. Lose it, and nothing can be shown."""

    fields: tuple[Field, ...]

    @classmethod
    def of(cls, values: Mapping[str, str]) -> Commitment:
        """Commits to values under fresh salts; raises WireError for none or too many."""
        if not 1 <= len(values) <= MAX_FIELDS:
            raise WireError("fields", f"{len(values)} fields", f"commit to 1 to {MAX_FIELDS}")
        return cls(
            tuple(Field(n, str(v), secrets.token_bytes(SALT_BYTES)) for n, v in sorted(values.items()))
        )

    @property
    def root(self) -> bytes:
        """What is published."""
        return self._tree().root

    def _tree(self) -> MerkleTree:
        return MerkleTree.of(field.leaf() for field in self.fields)

    def show(self, names: Iterable[str]) -> dict[str, Any]:
        """The disclosure of some fields, each with its path to the root; WireError for unknown ones."""
        known = {field.name: field for field in self.fields}
        tree, shown = self._tree(), []
        for name in names:
            if name not in known:
                raise WireError("field", f"{name!r} was not committed", f"one of {', '.join(known)}")
            field = known[name]
            proof = ["0x" + step.hex() for step in tree.proof(field.leaf())]
            shown.append(
                {"name": name, "value": field.value, "salt": "0x" + field.salt.hex(), "proof": proof}
            )
        return {"format": DOMAIN, "root": "0x" + self.root.hex(), "fields": shown}

    def to_json(self) -> dict[str, Any]:
        """The secret, to be kept."""
        rows = [{"name": f.name, "value": f.value, "salt": "0x" + f.salt.hex()} for f in self.fields]
        return {"format": DOMAIN, "secret": True, "fields": rows}

    @classmethod
    def from_json(cls, document: Any) -> Commitment:
        """The commitment that `to_json` wrote; raises WireError."""
        return cls(tuple(_field(row) for row in _rows(document)))


def purpose_text(root: bytes) -> str:
    """What is given as the purpose of a retirement; its SHA-256 stands on chain."""
    return f"{DOMAIN}:0x{root.hex()}"


def purpose_hash(root: bytes) -> bytes:
    """`purposeHash` of a retirement whose purpose is committed."""
    return hashlib.sha256(purpose_text(root).encode()).digest()


def opened(document: Any) -> tuple[bytes, dict[str, str]]:
    """(root, values by name) of a disclosure whose every field leads to its root; raises WireError."""
    rows = _rows(document)
    root = _bytes(document.get("root"), "root")
    values: dict[str, str] = {}
    for row in rows:
        field = _field(row)
        proof = row.get("proof")
        if not isinstance(proof, list) or len(proof) > 16:
            raise WireError("field.proof", "is no list of at most 16 hashes")
        if not verify(root, [_bytes(step, "field.proof") for step in proof], field.leaf()):
            raise WireError(f"field {field.name!r}", "was not committed with this value under this root")
        if field.name in values:
            raise WireError(f"field {field.name!r}", "is shown twice")
        values[field.name] = field.value
    return root, values


def _rows(document: Any) -> list[dict[str, Any]]:
    if not isinstance(document, dict) or document.get("format") != DOMAIN:
        raise WireError("disclosure", f"is no {DOMAIN} object")
    rows = document.get("fields")
    if not isinstance(rows, list) or not 1 <= len(rows) <= MAX_FIELDS:
        raise WireError("disclosure.fields", f"is no list of 1 to {MAX_FIELDS} fields")
    if not all(isinstance(row, dict) for row in rows):
        raise WireError("disclosure.fields", "holds something that is no field")
    return rows


def _field(row: dict[str, Any]) -> Field:
    name, value = row.get("name"), row.get("value")
    if not isinstance(name, str) or not isinstance(value, str):
        raise WireError("field", "has no name or no value as text")
    return Field(name, value, _bytes(row.get("salt"), "field.salt"))


def _bytes(value: Any, what: str) -> bytes:
    try:
        found = bytes.fromhex(value.removeprefix("0x")) if isinstance(value, str) else b""
    except ValueError:
        found = b""
    if len(found) != 32:
        raise WireError(what, "is not 32 bytes in hex")
    return found
