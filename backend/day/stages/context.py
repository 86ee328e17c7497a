"""What the stages of one run share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from backend.chain.addressbook import AddressBook
from backend.chain.anvil import DevClock
from backend.chain.plan import Call, Receipt, Sender, send_all
from backend.chain.rpc import Rpc
from backend.day.children import Children
from backend.day.keys import Keyring
from backend.day.progress import Advance, Narrator
from backend.day.run_state import RunState
from backend.day.types import DayInput

OPERATOR = "bitwatt/operator"
SOLVER = "bitwatt/solver"
SETTLER = "bitwatt/settler"


@dataclass
class Context:
    """One run: its day, folder, chain, keys, children, and the gas it has used by stage."""

    day: DayInput
    seed: int
    state: RunState
    children: Children
    narrator: Narrator
    rpc: Rpc
    clock: DevClock
    chain_id: int
    start: int
    keyring: Keyring
    gas: dict[str, int] = field(default_factory=dict)
    transactions: int = 0
    _book: AddressBook | None = None
    _senders: dict[str, Sender] = field(default_factory=dict)

    @property
    def out(self) -> Path:
        """The run's folder."""
        return self.state.out

    @property
    def archive(self) -> Path:
        """The content-addressed archive."""
        return self.state.out / "archive"

    @property
    def book(self) -> AddressBook:
        """The deployed contracts; only after the deployment."""
        if self._book is None:
            raise RuntimeError("the contracts are not deployed yet")
        return self._book

    def deployed(self, book: AddressBook) -> None:
        """Notes the address book; reverts are decoded with it from now on."""
        self._book = book
        for sender in self._senders.values():
            sender.errors = book.errors

    def slot_start(self, slot: int) -> int:
        """Unix seconds at which a slot of the batch begins."""
        return self.start + slot * self.day.slot_seconds

    def sender(self, name: str) -> Sender:
        """The transaction plan of a party."""
        if name not in self._senders:
            party = self.keyring[name]
            base = int(self.state.chain["nonces"].get(party.address, 0))
            errors = self._book.errors if self._book else {}
            self._senders[name] = Sender(self.rpc, party.secret, self.chain_id, base, errors)
        return self._senders[name]

    def send(
        self, stage: str, name: str, calls: Iterable[Call], progress: Advance | None = None
    ) -> list[Receipt]:
        """Sends a party's next calls; their gas is counted under `stage`."""
        return self.send_all(stage, ((name, call) for call in calls), progress)

    def send_all(
        self, stage: str, items: Iterable[tuple[str, Call]], progress: Advance | None = None
    ) -> list[Receipt]:
        """Sends calls of several parties, in order."""
        pairs = ((self.sender(name), call) for name, call in items)
        receipts = send_all(self.rpc, self.chain_id, pairs, progress)
        self.count(stage, receipts)
        return receipts

    def count(self, stage: str, receipts: Sequence[Receipt]) -> None:
        """Adds the gas of `receipts` to a stage."""
        self.gas[stage] = self.gas.get(stage, 0) + sum(receipt.gas_used for receipt in receipts)
        self.transactions += len(receipts)
