"""The Python client and the user's commands against a running service on a real chain."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backend.chain.addressbook import save_book
from backend.chain.anvil import give_gas_money
from bitwatt.client import ApiError, AsyncClient, Client, SignatureRefused, Wallet
from bitwatt.client import operations as ops
from bitwatt.client.protocol import Answer
from tests.integration.service.test_api_serving import BITWATT, Service
from tests.unit.api.callers import Key
from tests.unit.api.market_chain import BUYERS, SLOT, SLOTS, START, MarketChain, account, full_market

DAY = SLOT * SLOTS
CERTIFICATE = (1 << 248) | (201710 << 224) | (1 << 200) | 0xABC


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MarketChain]:
    """A market with a cleared batch."""
    made = full_market(tmp_path_factory.mktemp("client"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def service(chain: MarketChain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service on that market."""
    folder = tmp_path_factory.mktemp("client-service")
    save_book(chain.book, folder / "book.json")
    os.environ["BITWATT_SLOTS"] = str(SLOTS)
    made = Service(
        folder, "--rpc", chain.url, "--book", str(folder / "book.json"), "--database-url",
        f"sqlite:///{folder}/s.db",
    )  # fmt: skip
    del os.environ["BITWATT_SLOTS"]
    yield made
    if made.process.poll() is None:
        made.end()


def wallet(name: str) -> Wallet:
    """The wallet of a name of the market."""
    return Wallet(Key.of(name).private.secret)


def terms(**changes: Any) -> dict[str, Any]:
    """Terms of an order."""
    return {
        "class_id": 0, "lanes": 2, "duration_slots": 3, "start": START + 2 * DAY,
        "deadline": START + 3 * DAY, "limit_price": 50_000, "min_green_bps": 5_000,
    } | changes  # fmt: skip


def test_the_client_trades_end_to_end(service: Service, chain: MarketChain) -> None:
    with Client(service.url, wallet=wallet(BUYERS[0])) as market:
        assert market.session()["address"] == account(BUYERS[0]).lower()
        assert market.quote(**terms())["basis"] in ("cleared", "forecast")
        placed = market.place_order(**terms(zones=[0]))
        assert placed["state"] == "open" and market.order(placed["order_hash"]) == placed
        assert placed["order_hash"] in [row["order_hash"] for row in market.orders()]
        gone = market.cancel_order(placed["order_hash"], on_chain=True)
        assert gone["state"] == "cancelled" and gone["sent"]["block_number"] > 0
        template = market.save_template(
            "daily", class_id=0, lanes=1, duration_slots=2, window_seconds=DAY, limit_price=40_000
        )
        assert len(market.order_template(template["id"], days=2)) == 2
        assert market.accounts()[0]["address"] == account(BUYERS[0]).lower()
        assert market.invoice("2017-10")["month"] == "2017-10" and market.deliveries()
        with pytest.raises(ApiError) as refused:
            market.place_order(**terms(limit_price=10**12))
        assert refused.value.field == "limit_price" and refused.value.mend
    with Client(service.url, wallet=wallet("provider")) as market:
        end = START + 3 * DAY
        offer = market.place_compute_offer(
            site_id=1, class_id=0, capacity=5, energy_wh_per_vcu_slot=110, ask_price=4_000,
            start=START + 2 * DAY, end=end,
        )  # fmt: skip
        assert offer["offer_hash"] in [row["offer_hash"] for row in market.compute_offers()]
        market.cancel_offer(offer["offer_hash"])
    with Client(service.url, wallet=wallet("supplier")) as market:
        rows = [[{"wh": 1000, "ask": -5}, {"wh": 5, "ask": 7}] for _ in range(3)]
        offer = market.place_power_offer(plant_id=7, start=START + 2 * DAY, profile=rows)
        assert offer["wh"] == [[1000, 5]] * 3
        assert market.certificates() == [] and market.listings() == []
        with pytest.raises(ApiError, match="refused eth_estimateGas"):  # it holds none: the chain says so
            market.retire(1 << 248, 1, account("supplier"), "a claim")


def test_the_asynchronous_client_does_the_same(service: Service) -> None:
    async def trade() -> tuple[dict[str, Any], list[Any]]:
        async with AsyncClient(service.url, wallet=wallet(BUYERS[1])) as market:
            placed = await market.place_order(**terms())
            return placed, await asyncio.gather(market.orders(), market.zones(), market.products())

    placed, (orders, zones, products) = asyncio.run(trade())
    assert placed["order_hash"] in [row["order_hash"] for row in orders] and zones and products


def test_the_client_signs_only_what_was_asked_for(service: Service) -> None:
    with Client(service.url, wallet=wallet(BUYERS[2])) as market:
        chain = market.chain()
        honest = ops.place_order(wallet(BUYERS[2]), chain, None, terms())
        request = next(honest)
        draft = market.request("POST", request.path, request.body)  # type: ignore[union-attr]
        for forged in (
            {**draft, "message": {**draft["message"], "limit_price": 60_000}},
            {**draft, "message": {**draft["message"], "maker": account("owner").lower()}},
            {**draft, "digest": "0x" + "11" * 32},
            {**draft, "message": {**draft["message"], "expiry": 1}},
        ):
            lying = ops.place_order(wallet(BUYERS[2]), chain, None, terms())
            next(lying)
            with pytest.raises(SignatureRefused):
                lying.send(Answer(200, forged))
        stolen = {"to": "0x" + "66" * 20, "data": "0x", "chain_id": chain["chain_id"]}
        with pytest.raises(SignatureRefused):
            next(ops.send(wallet(BUYERS[2]), chain, stolen))


def mint(chain: MarketChain, name: str, amount: int) -> None:
    """Units of a certificate for an account, by the settlement contract itself."""
    settlement, certificates = chain.book["Settlement"].address, chain.book["Certificates"]
    data = certificates.abi.encode_call("mint", (CERTIFICATE, (account(name),), (amount,)))
    chain.rpc.call("anvil_impersonateAccount", settlement)
    chain.rpc.call("anvil_setBalance", settlement, hex(10**18))
    sent = {"from": settlement, "to": certificates.address, "data": "0x" + data.hex()}
    tx_hash = chain.rpc.call("eth_sendTransaction", sent)
    chain.rpc.call("evm_mine")
    assert int(chain.rpc.call("eth_getTransactionReceipt", tx_hash)["status"], 16) == 1
    chain.rpc.call("anvil_stopImpersonatingAccount", settlement)


def until(what: Callable[[], bool], seconds: float = 30) -> None:
    """Waits until the service has taken in what the chain says."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_certificate_is_sold_on_the_points_market(service: Service, chain: MarketChain) -> None:
    mint(chain, BUYERS[0], 5_000)
    expiry = chain.rpc.timestamp() + 7 * 86_400
    offered: dict[str, Any] = {"certificate_id": str(CERTIFICATE), "price_micro_per_thousand": 1_001}
    with (
        Client(service.url, wallet=wallet(BUYERS[0])) as seller,
        Client(service.url, wallet=wallet(BUYERS[1])) as buyer,
    ):
        until(lambda: bool(seller.certificates()))
        seller.approve_listings()
        listing = seller.place_listing(side="sell", amount=4_000, expiry=expiry, **offered)
        name = listing["offer_hash"]
        assert [row["offer_hash"] for row in buyer.listings(state="open", side="sell")] == [name]
        bought = buyer.fill_listing(name, 1_500)
        assert bought["cost_micro"] == 1_502
        until(lambda: buyer.listing(name)["left"] == 2_500)
        fill = buyer.listing(name)["fills"][0]
        assert fill["taker"] == account(BUYERS[1]).lower() and fill["cost_micro"] == 1_502
        assert fill["tx_hash"] == bought["tx_hash"]
        assert [int(row["amount"]) for row in buyer.certificates()] == [1_500]
        steps = buyer.certificate_history(CERTIFICATE)
        assert [row["event"] for row in steps] == ["minted", "transferred"]
        money = [row for row in seller.payments() if row["tx_hash"] == bought["tx_hash"]]
        assert [row["available_micro"] for row in money] == [1_502]
        seller.cancel_listing(name, on_chain=True)
        until(lambda: buyer.listing(name)["state"] == "cancelled")
        with pytest.raises(ApiError) as refused:
            buyer.fill_listing(name, 1)
        assert refused.value.status == 409


def test_the_commands_save_schedule_and_order_a_bundle(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from bitwatt.client import cli_listings, cli_templates

    key = Wallet(Key.of(BUYERS[2]).private.secret)
    monkeypatch.setenv("BITWATT_URL", service.url)
    monkeypatch.setattr("bitwatt.client.cli_base.open_wallet", lambda name: key)

    def say(*arguments: str) -> Any:
        done = CliRunner().invoke(cli_templates.template, [*arguments, "--wallet", "w", "--json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    saved = say("save", "nightly", "--quantity", "6", "--limit", "0.05", "--hours", "2", "--green", "50%")
    assert saved["spec"]["lanes"] * saved["spec"]["duration_slots"] == 6 and saved["revision"] == 1
    name = saved["id"]
    again = say("save", "nightly", "--quantity", "8", "--limit", "0.04", "--hours", "2", "--replace", name)
    assert again["revision"] == 2 and say("show", name)["spec"]["limit_price"] == 40_000
    assert say("schedule", name, "--from", "now")["maker"] == account(BUYERS[2]).lower()
    assert name in {row["template_id"] for row in say("due")}
    assert say("order", name)[0]["template_id"] == name
    assert say("unschedule", name)["state"] == "not scheduled" and say("due") == []
    say("delete", name)
    assert say("list") == []
    refused = CliRunner().invoke(cli_listings.listing, ["cancel", "0x" + "11" * 32, "--wallet", "w"])
    assert refused.exit_code == 1 and "bitwatt:" in refused.output


def run(service: Service, folder: Path, *arguments: str, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    """A user's command."""
    environment = os.environ | {
        "BITWATT_URL": service.url, "XDG_CONFIG_HOME": str(folder), "BITWATT_WALLET_PASSWORD": "secret words",
    }  # fmt: skip
    return subprocess.run(
        [BITWATT, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=False,
        **kwargs,
    )


def test_the_commands_quote_sign_and_place(service: Service, chain: MarketChain, tmp_path: Path) -> None:
    made = run(service, tmp_path, "wallet", "new", "lab", "--json")
    assert made.returncode == 0, made.stderr
    address = json.loads(made.stdout)["address"]
    give_gas_money(chain.rpc, [address])
    from backend.chain.clients import Token, Treasury

    chain.send("owner", Token(chain.book).mint(address, 10**9), Treasury(chain.book).deposit(address, 10**9))
    command = (
        "order", "place", "--class", "gpu-training", "--quantity", "8", "--by", "+24h", "--green", "80%",
        "--limit", "1.20", "--wallet", "lab",
    )  # fmt: skip
    declined = run(service, tmp_path, *command, input="n\n")
    assert declined.returncode == 1 and "expected cost" in declined.stdout, declined.stderr
    assert run(service, tmp_path, "order", "list", "--wallet", "lab", "--json").stdout.strip() == "[]"
    placed = run(service, tmp_path, *command, "--json")
    assert placed.returncode == 0, placed.stderr
    order = json.loads(placed.stdout)["order"]
    assert order["min_green_bps"] == 8_000 and order["limit_price"] == 1_200_000
    assert order["lanes"] * order["duration_slots"] == 8
    shown = run(service, tmp_path, "order", "show", order["order_hash"], "--wallet", "lab")
    assert shown.returncode == 0 and "open" in shown.stdout
    gone = run(service, tmp_path, "order", "cancel", order["order_hash"], "--wallet", "lab", "--json")
    assert json.loads(gone.stdout)["state"] == "cancelled"
    deposited = run(service, tmp_path, "account", "deposit", "5000", "--wallet", "lab")
    assert deposited.returncode == 1 and deposited.stderr.startswith("bitwatt:")
    for wrong, word in (
        ((*command[:-1], "nobody"), "wallet"),
        ((*command[:3], "quantum", *command[4:]), "known are"),
        ((*command[:7], "sometime", *command[8:]), "write"),
    ):
        refused = run(service, tmp_path, *wrong, "--yes")
        assert refused.returncode == 1 and word in refused.stderr, (wrong, refused.stderr)
