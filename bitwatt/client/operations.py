"""Everything a user does, as operations that either client runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from backend.chain.abi import Abi
from backend.chain.eip712 import Domain, order_digest
from backend.chain.keccak import checksum_address
from backend.chain.orders import FIELDS, BundleOrder, ComputeOffer, Order, PowerOffer
from backend.chain.points import PointsOffer, digest, domain
from bitwatt.client.protocol import ApiError, Operation, Pause, SignatureRefused, get, pages, post, rpc
from bitwatt.client.wallet import Wallet

RECEIPT_SECONDS = 120.0
_PAUSE_SECONDS = 0.5


def siwe_text(address: str, nonce: Mapping[str, Any], now: datetime | None = None) -> str:
    """The EIP-4361 message for a nonce of the service."""
    issued = now or datetime.now(UTC)
    return "\n".join(
        [
            f"{nonce['domain']} wants you to sign in with your Ethereum account:",
            checksum_address(address),
            "",
            str(nonce["statement"]),
            "",
            f"URI: {nonce['uri']}",
            "Version: 1",
            f"Chain ID: {nonce['chain_id']}",
            f"Nonce: {nonce['nonce']}",
            f"Issued At: {issued.strftime('%Y-%m-%dT%H:%M:%SZ')}",
            f"Expiration Time: {(issued + timedelta(hours=12)).strftime('%Y-%m-%dT%H:%M:%SZ')}",
        ]
    )


def sign_in(wallet: Wallet) -> Operation[dict[str, Any]]:
    """Opens a session of the wallet."""
    nonce = yield from post("/session/nonce")
    text = siwe_text(wallet.address, nonce)
    session: dict[str, Any] = yield from post(
        "/session", {"message": text, "signature": wallet.sign_text(text)}
    )
    return session


# --- orders and offers -----------------------------------------------------------
def _signed(
    wallet: Wallet, kind: type[Order], path: str, terms: Mapping[str, Any], chain: Mapping[str, Any]
) -> Operation[tuple[dict[str, Any], str, dict[str, Any]]]:
    """(message, signature, draft): asks what to sign, checks that it says what was asked for, and signs."""
    draft = yield from post(f"{path}/typed-data", {"maker": wallet.address, **terms})
    message = dict(draft["message"])
    for name, wanted in terms.items():
        if name in message and wanted is not None and not _same(message[name], wanted):
            raise SignatureRefused(f"{name} is {message[name]}, not {wanted}: nothing was signed")
    if not _same(message["maker"], wallet.address):
        raise SignatureRefused(f"the maker is {message['maker']}: nothing was signed")
    fields = _fields(kind, message)
    where = Domain(chain["chain_id"], chain["contracts"]["BundleMarket"]["address"])
    found = order_digest(kind(**fields), where)
    if "0x" + found.hex() != draft["digest"]:
        raise SignatureRefused("the digest is of another message, chain or contract: nothing was signed")
    return message, wallet.sign_digest(found), draft


def _fields(kind: type[Order], message: Mapping[str, Any]) -> dict[str, Any]:
    """A message's values in the types of the order class."""
    fields: dict[str, Any] = {}
    for solidity, _, attribute in FIELDS[kind]:
        value = message[attribute]
        if solidity.startswith("uint"):
            fields[attribute] = int(value)
        elif solidity == "bytes32":
            fields[attribute] = bytes.fromhex(value[2:])
        else:
            fields[attribute] = checksum_address(value)
    return fields


def _same(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, str) and wanted.startswith("0x"):
        return str(found).lower() == wanted.lower()
    return str(found) == str(wanted)


def place_order(
    wallet: Wallet, chain: Mapping[str, Any], template_id: str | None, terms: Mapping[str, Any]
) -> Operation[dict[str, Any]]:
    """Signs and places a bundle order."""
    given = {name: value for name, value in terms.items() if value is not None}
    message, signature, _ = yield from _signed(wallet, BundleOrder, "/orders", given, chain)
    zones = terms.get("zones")
    if zones is not None and int(message["zone_mask"]) != sum(1 << zone for zone in set(zones)):
        raise SignatureRefused("the zones are not those asked for")
    body: dict[str, Any] = {"order": message, "signature": signature}
    if template_id is not None:
        body["template_id"] = template_id
    order: dict[str, Any] = yield from post("/orders", body)
    return order


def place_compute_offer(
    wallet: Wallet, chain: Mapping[str, Any], terms: Mapping[str, Any]
) -> Operation[dict[str, Any]]:
    """Signs and places a compute offer."""
    message, signature, _ = yield from _signed(wallet, ComputeOffer, "/compute-offers", terms, chain)
    offer: dict[str, Any] = yield from post("/compute-offers", {"offer": message, "signature": signature})
    return offer


def place_power_offer(
    wallet: Wallet, chain: Mapping[str, Any], terms: Mapping[str, Any]
) -> Operation[dict[str, Any]]:
    """Signs and places a power offer; `profile` is [slot][tranche] of {wh, ask}."""
    message, signature, draft = yield from _signed(wallet, PowerOffer, "/power-offers", terms, chain)
    packed = b"".join(
        step["wh"].to_bytes(4) + step["ask"].to_bytes(4, signed=True)
        for row in terms["profile"]
        for step in row
    )
    if draft["profile"] != "0x" + packed.hex():
        raise SignatureRefused("the profile is not the one asked for: nothing was sent")
    body = {"offer": message, "profile": draft["profile"], "signature": signature}
    offer: dict[str, Any] = yield from post("/power-offers", body)
    return offer


def order_template(
    wallet: Wallet, chain: Mapping[str, Any], template_id: str, day: int | None, days: int
) -> Operation[list[dict[str, Any]]]:
    """Signs and places a template's orders for days in a row."""
    template = yield from get(f"/templates/{template_id}")
    body = {"maker": wallet.address, "days": days} | ({"day": day} if day is not None else {})
    drafts = yield from post(f"/templates/{template_id}/typed-data", body)
    spec = template["spec"]
    placed = []
    for draft in drafts:
        message = draft["message"]
        for name in ("class_id", "lanes", "duration_slots", "limit_price", "min_green_bps", "max_carbon"):
            if not _same(message[name], spec[name]):
                raise SignatureRefused(f"{name} is not the template's: nothing was signed")
        fields = _fields(BundleOrder, message)
        where = Domain(chain["chain_id"], chain["contracts"]["BundleMarket"]["address"])
        found = order_digest(BundleOrder(**fields), where)
        if "0x" + found.hex() != draft["digest"]:
            raise SignatureRefused("the digest is of another message, chain or contract: nothing was signed")
        signed = {"order": message, "signature": wallet.sign_digest(found), "template_id": template_id}
        placed.append((yield from post("/orders", signed)))
    return placed


# --- the secondary market ----------------------------------------------------------
def place_listing(
    wallet: Wallet, chain: Mapping[str, Any], terms: Mapping[str, Any]
) -> Operation[dict[str, Any]]:
    """Signs and places an offer of certificates or credits."""
    draft = yield from post("/listings/typed-data", {"maker": wallet.address, **terms})
    message = draft["message"]
    offer = PointsOffer(
        checksum_address(message["maker"]), bool(message["sell"]), checksum_address(message["asset"]),
        int(message["token_id"]), int(message["amount"]), int(message["price_micro_per_thousand"]),
        checksum_address(message["taker"]), int(message["nonce"]), int(message["epoch"]),
        int(message["expiry"]),
    )  # fmt: skip
    wanted = (
        wallet.address.lower(), terms["side"] == "sell", int(terms["certificate_id"]), int(terms["amount"]),
        int(terms["price_micro_per_thousand"]), int(terms["expiry"]),
    )  # fmt: skip
    said = (
        offer.maker.lower(), offer.sell, offer.token_id, offer.amount, offer.price_micro_per_thousand,
        offer.expiry,
    )  # fmt: skip
    found = digest(offer, domain(chain["chain_id"], chain["contracts"]["PointsMarket"]["address"]))
    if said != wanted or "0x" + found.hex() != draft["digest"]:
        raise SignatureRefused("the offer is not the one asked for: nothing was signed")
    body = {"offer": message, "signature": wallet.sign_digest(found)}
    listing: dict[str, Any] = yield from post("/listings", body)
    return listing


# --- transactions ------------------------------------------------------------------
def send(
    wallet: Wallet, chain: Mapping[str, Any], transaction: Mapping[str, Any]
) -> Operation[dict[str, Any]]:
    """Signs a transaction that the service drafted, sends it to the node and waits until it is mined.

    Only calls of the deployment's own contracts on its own chain are signed.
    """
    known = {contract["address"].lower() for contract in chain["contracts"].values()}
    if transaction["to"].lower() not in known or transaction["chain_id"] != chain["chain_id"]:
        raise SignatureRefused("the transaction calls no contract of this market: nothing was signed")
    url = chain["rpc_url"]
    request = {"from": wallet.address, "to": transaction["to"], "data": transaction["data"]}
    gas = int((yield from rpc(url, "eth_estimateGas", request)), 16)
    nonce = int((yield from rpc(url, "eth_getTransactionCount", wallet.address, "pending")), 16)
    block = yield from rpc(url, "eth_getBlockByNumber", "latest", False)
    tip = 1_000_000_000
    raw = wallet.sign_transaction(
        {
            "type": 2,
            "chainId": chain["chain_id"],
            "nonce": nonce,
            "to": checksum_address(transaction["to"]),
            "data": transaction["data"],
            "value": 0,
            "gas": gas * 12 // 10,
            "maxPriorityFeePerGas": tip,
            "maxFeePerGas": 2 * int(block.get("baseFeePerGas") or "0x0", 16) + tip,
        }
    )
    tx_hash = yield from rpc(url, "eth_sendRawTransaction", raw)
    waited = 0.0
    while waited < RECEIPT_SECONDS:
        receipt = yield from rpc(url, "eth_getTransactionReceipt", tx_hash)
        if receipt is not None:
            if int(receipt["status"], 16) != 1:
                raise ApiError(502, {"detail": f"the transaction {tx_hash} was reverted"})
            return {"tx_hash": tx_hash, "block_number": int(receipt["blockNumber"], 16)}
        yield Pause(_PAUSE_SECONDS)
        waited += _PAUSE_SECONDS
    raise ApiError(504, {"detail": f"{tx_hash} was not mined in {RECEIPT_SECONDS:.0f} s; it may still be"})


def deposit(wallet: Wallet, chain: Mapping[str, Any], amount_micro: int) -> Operation[dict[str, Any]]:
    """Approves and deposits tokens of the wallet into its account."""
    treasury = chain["contracts"]["Treasury"]
    token = chain["contracts"].get("DevToken")
    if token is None:
        raise ApiError(
            409, {"detail": "this deployment's token is not in its book: approve it in your wallet"}
        )
    approve = Abi(token["abi"]).encode_call("approve", (checksum_address(treasury["address"]), amount_micro))
    draft = {"to": token["address"], "data": "0x" + approve.hex(), "chain_id": chain["chain_id"]}
    yield from send(wallet, chain, draft)
    data = Abi(treasury["abi"]).encode_call("deposit", (wallet.address, amount_micro))
    draft = {"to": treasury["address"], "data": "0x" + data.hex(), "chain_id": chain["chain_id"]}
    return (yield from send(wallet, chain, draft))


def wait_for_job(job: Mapping[str, Any], seconds: float) -> Operation[dict[str, Any]]:
    """The job when it has ended, or as it is after `seconds`."""
    found = dict(job)
    waited = 0.0
    while found["state"] in ("waiting", "running") and waited < seconds:
        yield Pause(_PAUSE_SECONDS)
        waited += _PAUSE_SECONDS
        found = yield from get(f"/jobs/{found['id']}")
    return found


def all_pages(path: str, params: Mapping[str, Any]) -> Operation[Sequence[Any]]:
    """All items of a listing."""
    return (yield from pages(path, **params))
