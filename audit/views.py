"""What the contracts themselves say at the head block, for comparison with what their events add up to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from audit.abi import Event
from audit.chain import Chain
from audit.facts import Committee, Views

Log = Mapping[tuple[str, str], tuple[Event, ...]]
BALANCE_OF = "0x70a08231"
ZERO = "0x" + "0" * 40


def read_views(chain: Chain, log: Log) -> Views:
    """Balances, supplies and settings at the head block; a view the endpoint refuses is left out."""
    accounts = sorted(_accounts(log))
    ids = sorted({number for _, _, number, _ in transfers(log)} | _ids(log))
    holders = sorted(_holders(log))
    earned = sorted(
        {(event.args["account"], event.args["key"]) for event in log.get(("Treasury", "Earned"), ())}
    )
    chunks = [
        (event.args["batchId"], event.args["chunkIndex"])
        for event in log.get(("BundleMarket", "ChunkCleared"), ())
    ]
    return Views(
        chain_id=chain.chain_id,
        code_bytes=chain.code_sizes(),
        wiring=_wiring(chain),
        committee=_committee(chain),
        ledger=_table(chain, "Treasury", "ledger", [(account,) for account in accounts]),
        total_micro=chain.view("Treasury", "totalMicro"),
        token_balance_micro=_token_balance(chain),
        minted=_table(chain, "Certificates", "mintedOf", [(number,) for number in ids]),
        retired=_table(chain, "Certificates", "retiredOf", [(number,) for number in ids]),
        supply=_table(chain, "Certificates", "totalSupply", [(number,) for number in ids]),
        holdings=_table(chain, "Certificates", "balanceOf", holders),
        credits_mg=_table(chain, "Treasury", "creditMgOf", earned),
        commitments=_table(chain, "BundleMarket", "chunkCommitment", chunks),
        feed_id=chain.view("Settlement", "feedId"),
        refund_delay=chain.view("Settlement", "refundDelay"),
        dispute_window=chain.view("DeliveryOracle", "disputeWindow"),
        policy_hash=chain.view("Registry", "policyHash"),
        registry_owner=chain.view("Registry", "owner"),
        dispute_bond_micro=chain.view("DeliveryOracle", "disputeBondMicro"),
    )


def _table(chain: Chain, contract: str, function: str, arguments: list[tuple[Any, ...]]) -> dict[Any, Any]:
    """Results by argument (the bare argument where there is only one); single results are unwrapped."""
    found: dict[Any, Any] = {}
    for values, result in zip(arguments, chain.views(contract, function, arguments), strict=True):
        if result is not None:
            found[values[0] if len(values) == 1 else values] = result[0] if len(result) == 1 else result
    return found


def _wiring(chain: Chain) -> dict[str, str]:
    """Which contract each contract says it works with: "Settlement.treasury" -> address."""
    found: dict[str, str] = {}
    names = ("token", "registry", "treasury", "oracle", "market", "certificates", "settlement")
    for contract, interface in chain.book.interfaces.items():
        for name in names:
            if interface.has(name) and not interface.arity(name):
                value = chain.view(contract, name)
                if isinstance(value, str):
                    found[f"{contract}.{name}"] = value.lower()
    return found


def _committee(chain: Chain) -> Committee | None:
    members, quorum = chain.view("DeliveryOracle", "members"), chain.view("DeliveryOracle", "quorum")
    digest = chain.view("DeliveryOracle", "configDigest")
    bond = chain.view("DeliveryOracle", "bondMicro")
    if members is None or quorum is None or digest is None:
        return None
    return Committee(tuple(str(member).lower() for member in members), quorum, digest, bond or 0)


def _token_balance(chain: Chain) -> int | None:
    token = chain.view("Treasury", "token")
    if token is None:
        return None
    data = BALANCE_OF + chain.book.addresses["Treasury"][2:].rjust(64, "0")
    answer = chain.rpc.calls(
        "eth_call", [[{"to": token, "data": data}, hex(chain.head.number)]], tolerate=True
    )[0]
    return int(answer, 16) if isinstance(answer, str) and len(answer) == 66 else None


def _accounts(log: Log) -> set[str]:
    found: set[str] = set()
    for name in ("Deposited", "Withdrawn", "WithdrawalRequested", "Posted"):
        found.update(event.args["account"].lower() for event in log.get(("Treasury", name), ()))
    return found


def transfers(log: Log) -> Iterable[tuple[str, str, int, int]]:
    """Every ERC-1155 movement as (from, to, id, amount), in chain order."""
    single = log.get(("Certificates", "TransferSingle"), ())
    batch = log.get(("Certificates", "TransferBatch"), ())
    for event in sorted((*single, *batch), key=lambda event: (event.block, event.index)):
        args = event.args
        pairs = (
            zip(args["ids"], args["values"], strict=True) if "ids" in args else ((args["id"], args["value"]),)
        )
        for number, amount in pairs:
            yield args["from"].lower(), args["to"].lower(), number, amount


def _ids(log: Log) -> set[int]:
    return {event.args["id"] for event in log.get(("Certificates", "Retired"), ())}


def _holders(log: Log) -> set[tuple[str, int]]:
    return {
        (account, number)
        for source, target, number, _ in transfers(log)
        for account in (source, target)
        if account != ZERO
    }
