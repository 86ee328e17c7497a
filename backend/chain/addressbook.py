"""The address book: where the contracts are and what they understand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from backend.chain.abi import Abi, Entry, merge_errors
from backend.chain.errors import ChainError, FieldError
from backend.chain.keccak import checksum_address


@dataclass(frozen=True)
class Deployed:
    """One deployed contract."""

    name: str
    address: str
    abi: Abi


@dataclass(frozen=True)
class AddressBook:
    """All contracts of one deployment on one chain; events start at `deploy_block`."""

    chain_id: int
    deploy_block: int
    contracts: dict[str, Deployed]

    def __getitem__(self, name: str) -> Deployed:
        if name not in self.contracts:
            known = ", ".join(sorted(self.contracts))
            raise ChainError(f"the address book has no contract {name}: it has {known}")
        return self.contracts[name]

    @cached_property
    def errors(self) -> dict[bytes, Entry]:
        """Custom errors of all contracts by selector."""
        return merge_errors(contract.abi for contract in self.contracts.values())

    def to_json(self) -> str:
        """The book as published JSON."""
        document = {
            "chain_id": self.chain_id,
            "deploy_block": self.deploy_block,
            "contracts": {
                name: {"address": contract.address, "abi": contract.abi.items}
                for name, contract in sorted(self.contracts.items())
            },
        }
        return json.dumps(document, indent=1) + "\n"


def book_from_json(text: str, source: str = "address book") -> AddressBook:
    """The book of a JSON text; raises FieldError naming what is missing in `source`."""
    try:
        document: dict[str, Any] = json.loads(text)
        return AddressBook(
            int(document["chain_id"]),
            int(document["deploy_block"]),
            {
                name: Deployed(name, checksum_address(entry["address"]), Abi(entry["abi"]))
                for name, entry in document["contracts"].items()
            },
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FieldError(source, str(error), "give the file that `bitwatt deploy` wrote") from error


def load_book(path: Path) -> AddressBook:
    """The book in a file."""
    return book_from_json(path.read_text(encoding="utf-8"), str(path))


def save_book(book: AddressBook, path: Path) -> None:
    """Writes the book, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(path.suffix + ".part")
    scratch.write_text(book.to_json(), encoding="utf-8")
    scratch.replace(path)
