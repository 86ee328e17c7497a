"""What a running service holds: settings, store, keys, chain; made once, handed to every request."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from backend.chain.addressbook import AddressBook
from backend.chain.eip712 import Domain
from backend.chain.rpc import Rpc
from backend.service.access import Principal
from backend.service.desk import OrderDesk
from backend.service.errors import Unavailable
from backend.service.hub import Hub
from backend.service.intake import Writer
from backend.service.prices import PriceBook
from backend.service.rate import RateLimiter
from backend.service.secrets import Vault
from backend.settings import Settings
from backend.store.engine import Store

_CLOCK_SECONDS = 0.25


class ChainLink:
    """The chain this service follows: an address book, and one RPC connection per thread."""

    def __init__(self, book: AddressBook, rpc_url: str, timeout_seconds: float = 10.0) -> None:
        self.book = book
        self.rpc_url = rpc_url
        self._timeout_seconds = timeout_seconds
        self._local = threading.local()
        self._clock = (-1e9, 0)
        self._clock_lock = threading.Lock()

    @property
    def domain(self) -> Domain:
        """EIP-712 domain of orders and offers."""
        return Domain(self.book.chain_id, self.book["BundleMarket"].address)

    def recent_timestamp(self) -> int:
        """The latest block's time, asked for at most every quarter of a second."""
        asked, value = self._clock
        if time.monotonic() - asked > _CLOCK_SECONDS:
            with self._clock_lock:
                if self._clock[0] == asked:
                    self._clock = (time.monotonic(), self.rpc().timestamp())
                value = self._clock[1]
        return value

    def new_rpc(self) -> Rpc:
        """A connection for one user alone."""
        return Rpc(self.rpc_url, self._timeout_seconds)

    def rpc(self) -> Rpc:
        """This thread's connection."""
        if not hasattr(self._local, "rpc"):
            self._local.rpc = Rpc(self.rpc_url, self._timeout_seconds)
        rpc: Rpc = self._local.rpc
        return rpc


@dataclass
class Context:
    """Everything a request may need."""

    settings: Settings
    store: Store
    vault: Vault
    limiter: RateLimiter = field(default_factory=RateLimiter)
    link: ChainLink | None = None
    prices: PriceBook = field(default_factory=PriceBook)
    hub: Hub = field(default_factory=Hub)
    jobs_waiting: threading.Event = field(default_factory=threading.Event)
    principals: dict[str, tuple[float, Principal]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.writer = Writer(self.store)
        self.desk = OrderDesk(self.store, self.settings, lambda: self.chain.domain, self.recent_now)

    def close(self) -> None:
        """Ends the streams and stores what waits."""
        self.hub.closing.set()
        self.desk.close()
        self.writer.close()

    @property
    def chain(self) -> ChainLink:
        """The chain; Unavailable when this service has none."""
        if self.link is None:
            raise Unavailable(
                "this service follows no chain", mend="start it with --rpc and --book, or --out"
            )
        return self.link

    @property
    def rpc_or_none(self) -> Rpc | None:
        """This thread's connection to the chain, if there is a chain."""
        return self.link.rpc() if self.link else None

    @property
    def origins(self) -> frozenset[str]:
        """Origins a browser may come from; on the dev chain `localhost` and `127.0.0.1` are the same."""
        origin = self.settings.public_origin
        if not self.settings.is_dev:
            return frozenset({origin})
        return frozenset(
            {
                origin,
                origin.replace("//127.0.0.1", "//localhost"),
                origin.replace("//localhost", "//127.0.0.1"),
            }
        )

    def recent_now(self) -> int:
        """The market's clock, at most a quarter of a second old; for what is asked many times a second."""
        if self.link is not None and self.settings.is_dev:
            return self.link.recent_timestamp()
        return int(time.time())

    def market_now(self) -> int:
        """The market's clock, unix seconds: the latest block's time on a dev chain, else the wall clock."""
        if self.link is not None and self.settings.is_dev:
            return self.link.rpc().timestamp()
        return int(time.time())
