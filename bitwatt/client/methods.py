"""What both clients can do: every operation as a method, written once."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

import httpx

from bitwatt.client import operations as ops
from bitwatt.client.protocol import Answer, Operation, Request, call, get, pages, post
from bitwatt.client.wallet import Wallet, WalletError

if TYPE_CHECKING:
    from bitwatt.client.client import AsyncClient, Client

P = ParamSpec("P")
T = TypeVar("T")
Json = dict[str, Any]


class operation(Generic[P, T]):
    """A method written once as an operation: blocking on `Client`, awaitable on `AsyncClient`."""

    def __init__(self, function: Callable[Concatenate[Any, P], Operation[T]]) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    @overload
    def __get__(self, client: Client, owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, client: AsyncClient, owner: type) -> Callable[P, Awaitable[T]]: ...

    def __get__(self, client: Any, owner: type) -> Any:
        """The method of a client."""

        def method(*args: P.args, **kwargs: P.kwargs) -> Any:
            return client._run(self._function(client, *args, **kwargs))

        method.__doc__ = self.__doc__
        return method


class Methods:
    """What both clients hold."""

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        wallet: Wallet | None = None,
        timeout_seconds: float = 30.0,
    ) -> None:
        self.url = url.rstrip("/")
        self.wallet = wallet
        self._options: dict[str, Any] = {"timeout": timeout_seconds, "trust_env": False}
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._signed_in = api_key is not None
        self._chain: Json | None = None

    def _address(self, request: Request) -> str:
        return request.path if request.rpc else f"{self.url}/api/v1{request.path}"

    def _prepared(self, request: Request) -> dict[str, Any]:
        headers = request.headers() | ({} if request.rpc else self._headers)
        given: dict[str, Any] = {"headers": headers, "params": request.query()}
        if request.body is not None:
            given["json"] = request.body
        return given

    @staticmethod
    def _answer(response: httpx.Response) -> Answer:
        is_json = response.content and "json" in response.headers.get("content-type", "")
        body = response.json() if is_json else response.text
        wait = response.headers.get("retry-after", "0")
        return Answer(response.status_code, body, float(wait) if wait.isdigit() else 0.0)

    @staticmethod
    def _pause_before(attempt: int, answer: Answer | None) -> float:
        asked = answer.retry_after_seconds if answer else 0.0
        return max(asked, 0.2 * 2**attempt * random.uniform(0.8, 1.2))

    def _wallet(self) -> Wallet:
        if self.wallet is None:
            raise WalletError("this needs a wallet: give the client one")
        return self.wallet

    def _known_chain(self) -> Operation[Json]:
        if self._chain is None:
            self._chain = yield from get("/chain")
        return self._chain

    def _session(self) -> Operation[None]:
        """Signs the wallet in before the first private request."""
        if not self._signed_in and self.wallet is not None:
            session = yield from ops.sign_in(self.wallet)
            self._headers["X-CSRF-Token"] = session["csrf_token"]
            self._signed_in = True

    # --- market ------------------------------------------------------------------
    @operation
    def chain(self) -> Operation[Json]:
        """The chain, its clock and the contracts."""
        return (yield from self._known_chain())

    @operation
    def classes(self) -> Operation[list[Json]]:
        """Classes of compute with their reference devices."""
        return (yield from get("/classes"))

    @operation
    def zones(self) -> Operation[list[Json]]:
        """The zones."""
        return (yield from get("/zones"))

    @operation
    def products(self, days: int | None = None) -> Operation[list[Json]]:
        """The coming market days and when their gates close."""
        return (yield from get("/products", days=days))

    @operation
    def calendar(self, class_id: int = 0, days: int | None = None) -> Operation[Json]:
        """Green share, carbon and price of every slot and zone."""
        return (yield from get("/calendar", class_id=class_id, days=days))

    @operation
    def quote(self, /, **ask: Any) -> Operation[Json]:
        """Cost, green share, carbon and fill probability of a bundle (see POST /quotes)."""
        return (yield from post("/quotes", {name: value for name, value in ask.items() if value is not None}))

    @operation
    def batches(self) -> Operation[list[Json]]:
        """Batches, newest first."""
        return (yield from pages("/batches"))

    @operation
    def batch(self, batch_id: int) -> Operation[Json]:
        """A batch with its certificate and how far it is settled."""
        return (yield from get(f"/batches/{batch_id}"))

    # --- who am I ----------------------------------------------------------------
    @operation
    def session(self) -> Operation[Json]:
        """Who the caller is and what it may do."""
        yield from self._session()
        return (yield from get("/session"))

    @operation
    def request(self, /, method: str, path: str, body: Any = None, **params: Any) -> Operation[Any]:
        """Any other request of the API; `path` below /api/v1."""
        yield from self._session()
        return (yield from call(Request(method, path, params, body)))

    # --- orders ------------------------------------------------------------------
    @operation
    def place_order(self, /, *, template_id: str | None = None, **terms: Any) -> Operation[Json]:
        """Signs and places a bundle order; terms as in POST /orders/typed-data, the maker is the wallet."""
        yield from self._session()
        chain = yield from self._known_chain()
        return (yield from ops.place_order(self._wallet(), chain, template_id, terms))

    @operation
    def orders(self, state: str | None = None) -> Operation[list[Json]]:
        """The organisation's orders, newest first."""
        yield from self._session()
        return (yield from pages("/orders", state=state))

    @operation
    def order(self, order_hash: str) -> Operation[Json]:
        """One order and what became of it."""
        yield from self._session()
        return (yield from get(f"/orders/{order_hash}"))

    @operation
    def cancel_order(self, order_hash: str, *, on_chain: bool = False) -> Operation[Json]:
        """Takes an order out of the book; with `on_chain` also cancels its nonce for good."""
        yield from self._session()
        gone = yield from post(f"/orders/{order_hash}/cancel")
        if on_chain and gone["transaction"]:
            chain = yield from self._known_chain()
            gone["sent"] = yield from ops.send(self._wallet(), chain, gone["transaction"])
        return gone

    # --- offers ------------------------------------------------------------------
    @operation
    def place_compute_offer(self, /, **terms: Any) -> Operation[Json]:
        """Signs and places a compute offer; terms as in POST /compute-offers/typed-data."""
        yield from self._session()
        chain = yield from self._known_chain()
        return (yield from ops.place_compute_offer(self._wallet(), chain, terms))

    @operation
    def place_power_offer(self, /, **terms: Any) -> Operation[Json]:
        """Signs and places a power offer; terms as in POST /power-offers/typed-data."""
        yield from self._session()
        chain = yield from self._known_chain()
        return (yield from ops.place_power_offer(self._wallet(), chain, terms))

    @operation
    def compute_offers(self) -> Operation[list[Json]]:
        """The organisation's compute offers."""
        yield from self._session()
        return (yield from pages("/compute-offers"))

    @operation
    def power_offers(self) -> Operation[list[Json]]:
        """The organisation's power offers."""
        yield from self._session()
        return (yield from pages("/power-offers"))

    @operation
    def cancel_offer(self, offer_hash: str) -> Operation[Json]:
        """Takes an offer out of the book."""
        yield from self._session()
        return (yield from post(f"/offers/{offer_hash}/cancel"))

    # --- templates ---------------------------------------------------------------
    @operation
    def templates(self) -> Operation[list[Json]]:
        """The organisation's templates."""
        yield from self._session()
        return (yield from get("/templates"))

    @operation
    def save_template(self, /, name: str, **spec: Any) -> Operation[Json]:
        """Saves a bundle under a name."""
        yield from self._session()
        return (yield from post("/templates", {"name": name, "spec": spec}))

    @operation
    def change_template(self, /, template_id: str, name: str, **spec: Any) -> Operation[Json]:
        """Replaces a template; its revision grows."""
        yield from self._session()
        body = {"name": name, "spec": spec}
        return (yield from call(Request("PUT", f"/templates/{template_id}", body=body)))

    @operation
    def delete_template(self, template_id: str) -> Operation[None]:
        """Deletes a template."""
        yield from self._session()
        yield from call(Request("DELETE", f"/templates/{template_id}"))

    @operation
    def schedule_template(
        self, template_id: str, *, first_day: int, until: int | None = None
    ) -> Operation[Json]:
        """Schedules a template for every market day of the wallet; each order is still signed."""
        yield from self._session()
        body = {"maker": self._wallet().address, "first_day": first_day, "until": until}
        return (yield from call(Request("PUT", f"/templates/{template_id}/schedule", body=body)))

    @operation
    def unschedule_template(self, template_id: str) -> Operation[None]:
        """Ends a template's schedule."""
        yield from self._session()
        yield from call(Request("DELETE", f"/templates/{template_id}/schedule"))

    @operation
    def order_template(
        self, template_id: str, *, day: int | None = None, days: int = 1
    ) -> Operation[list[Json]]:
        """Signs and places a template for days in a row."""
        yield from self._session()
        chain = yield from self._known_chain()
        return (yield from ops.order_template(self._wallet(), chain, template_id, day, days))

    @operation
    def scheduled_orders(self) -> Operation[list[Json]]:
        """What the schedules have due, placed and missed."""
        yield from self._session()
        return (yield from get("/scheduled-orders"))

    # --- records -----------------------------------------------------------------
    @operation
    def accounts(self) -> Operation[list[Json]]:
        """Money of the organisation's accounts."""
        yield from self._session()
        return (yield from get("/accounts"))

    @operation
    def deposit(self, amount_micro: int) -> Operation[Json]:
        """Deposits tokens of the wallet into its account."""
        chain = yield from self._known_chain()
        return (yield from ops.deposit(self._wallet(), chain, amount_micro))

    @operation
    def payments(self) -> Operation[list[Json]]:
        """Every movement on the organisation's accounts."""
        yield from self._session()
        return (yield from pages("/payments"))

    @operation
    def invoice(self, month: str) -> Operation[Json]:
        """A month's statement (`YYYY-MM`)."""
        yield from self._session()
        return (yield from get(f"/invoices/{month}"))

    @operation
    def deliveries(self, side: str = "buyer") -> Operation[list[Json]]:
        """Agreements with what was ordered, delivered, paid and refunded."""
        yield from self._session()
        return (yield from pages("/deliveries", side=side))

    @operation
    def readings(self, meter_id: int, *, start: int = 0, end: int = 1 << 40) -> Operation[list[Json]]:
        """Readings of a meter that begin in [start, end), oldest first."""
        return (yield from pages("/readings", meter_id=meter_id, start=start, end=end))

    # --- certificates ------------------------------------------------------------
    @operation
    def certificates(self) -> Operation[list[Json]]:
        """What the organisation's accounts hold."""
        yield from self._session()
        return (yield from get("/certificates"))

    @operation
    def certificate_history(self, certificate_id: str | int) -> Operation[list[Json]]:
        """Every step of a certificate or credit."""
        return (yield from pages(f"/certificates/{certificate_id}/history"))

    @operation
    def retire(
        self, certificate_id: str | int, amount: int, beneficiary: str, purpose: str = ""
    ) -> Operation[Json]:
        """Retires units for a beneficiary, for good."""
        yield from self._session()
        body = {"certificate_id": str(certificate_id), "amount": amount, "beneficiary": beneficiary}
        body["purpose"] = purpose
        draft = yield from post("/certificates/retirements/transaction", body)
        chain = yield from self._known_chain()
        return (yield from ops.send(self._wallet(), chain, draft))

    @operation
    def listings(self, /, **filters: Any) -> Operation[list[Json]]:
        """The secondary market."""
        return (yield from pages("/listings", **filters))

    @operation
    def listing(self, offer_hash: str) -> Operation[Json]:
        """One listing with its signature and its fills."""
        return (yield from get(f"/listings/{offer_hash}"))

    @operation
    def cancel_listing(self, offer_hash: str, *, on_chain: bool = False) -> Operation[Json]:
        """Takes an own listing off the board; with `on_chain` also cancels its nonce for good, without which
        whoever kept its signature can still fill it.
        """
        yield from self._session()
        draft = yield from post(f"/listings/{offer_hash}/cancel")
        gone: Json = {"offer_hash": offer_hash, "state": "withdrawn"}
        if on_chain:
            chain = yield from self._known_chain()
            gone |= yield from ops.send(self._wallet(), chain, draft)
        return gone

    @operation
    def place_listing(self, /, **terms: Any) -> Operation[Json]:
        """Signs and places an offer to sell or buy certificates or credits."""
        yield from self._session()
        chain = yield from self._known_chain()
        return (yield from ops.place_listing(self._wallet(), chain, terms))

    @operation
    def approve_listings(self) -> Operation[Json]:
        """Lets the points market hand over what the wallet sells; once per wallet."""
        yield from self._session()
        draft = yield from post("/listings/approval")
        chain = yield from self._known_chain()
        return (yield from ops.send(self._wallet(), chain, draft))

    @operation
    def fill_listing(self, offer_hash: str, amount: int) -> Operation[Json]:
        """Takes `amount` units of a listing."""
        yield from self._session()
        body = {"account": self._wallet().address, "amount": amount}
        draft = yield from post(f"/listings/{offer_hash}/fill", body)
        chain = yield from self._known_chain()
        sent = yield from ops.send(self._wallet(), chain, draft["transaction"])
        return {"cost_micro": draft["cost_micro"], **sent}

    # --- what if -----------------------------------------------------------------
    @operation
    def what_if(
        self, changes: Mapping[str, Any], *, batch_id: int | None = None, wait_seconds: float = 60.0
    ) -> Operation[Json]:
        """Replays a batch under other circumstances and waits for the answer."""
        yield from self._session()
        job = yield from post("/what-ifs", {"batch_id": batch_id, "changes": dict(changes)})
        return (yield from ops.wait_for_job(job, wait_seconds))
