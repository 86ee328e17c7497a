"""Has the oracle committee sign the grid's carbon for a batch, which must be on chain before it opens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from coincurve import PrivateKey

from backend.chain.addressbook import AddressBook, save_book
from backend.chain.clients import Oracle
from backend.chain.eip712 import address_of, sign_digest
from backend.chain.errors import WrongChain
from backend.chain.plan import DEV_CHAIN_ID, Call
from backend.chain.rpc import Rpc
from backend.service.signers import dev_secret
from oracle.archive import Archive
from oracle.wire.keys import join_signatures
from oracle.wire.publication import CarbonDocument
from oracle.wire.typed import Publication, digest, domain_separator

DEV_MEMBERS, DEV_QUORUM = 4, 3


class Publisher(Protocol):
    """Whoever gets a quorum's signatures under a carbon document."""

    def signed(self, document: CarbonDocument, config_digest: bytes) -> tuple[Publication, bytes]:
        """The publication and the joined signatures."""
        ...


class CommitteePublisher:
    """Asks the committee's nodes, who archive the document themselves."""

    def __init__(self, book: AddressBook, rpc_url: str, nodes: Sequence[str], folder: Path) -> None:
        self._path = folder / "addresses.json"
        if not self._path.exists():
            save_book(book, self._path)
        self._rpc_url, self._nodes = rpc_url, nodes

    def signed(self, document: CarbonDocument, config_digest: bytes) -> tuple[Publication, bytes]:
        """The publication and the joined signatures; raises QuorumMissing."""
        from oracle.client import CommitteeClient

        made = CommitteeClient(self._path, self._rpc_url, self._nodes).publication(document.encode())
        return made.publication, made.signatures


class DevPublisher:
    """Signs with the dev chain's derived committee keys; refused anywhere else."""

    def __init__(self, book: AddressBook, archive: Archive) -> None:
        if book.chain_id != DEV_CHAIN_ID:
            raise WrongChain(
                book.chain_id,
                "the derived committee keys are for development",
                "name the committee's nodes (BITWATT_COMMITTEE_NODES)",
            )
        self._oracle = book["DeliveryOracle"].address
        self._chain_id = book.chain_id
        self._archive = archive
        keys = [PrivateKey(dev_secret(f"member/{n}")) for n in range(DEV_MEMBERS)]
        self._keys = sorted(keys, key=lambda key: address_of(key.public_key).lower())[:DEV_QUORUM]

    def signed(self, document: CarbonDocument, config_digest: bytes) -> tuple[Publication, bytes]:
        """The publication and the joined signatures."""
        self._archive.put("publication", document.encode())
        made = Publication(document.start, document.content_hash(), config_digest)
        what = digest(domain_separator(self._chain_id, self._oracle), made.struct_hash())
        return made, join_signatures(what, [sign_digest(what, key) for key in self._keys])


def publish_call(book: AddressBook, rpc: Rpc, publisher: Publisher, document: CarbonDocument) -> Call | None:
    """The transaction that publishes a document's hash; None when it is on chain already."""
    oracle = Oracle(book, rpc)
    if oracle.publication(document.start) == document.content_hash():
        return None
    made, signatures = publisher.signed(document, oracle.config_digest())
    return oracle.publish(made.abi_tuple(), signatures)
