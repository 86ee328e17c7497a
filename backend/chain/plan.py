"""One account's transactions as a deterministic list whose position is the account's nonce.

A transaction's nonce, gas limit and fees are fixed by the plan, so its hash is too (signatures follow
RFC 6979). A run that starts again builds the same list, finds how far the chain is by the account's nonce,
looks up the receipts of what is done and sends the rest: nothing is sent twice and nothing is skipped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hexbytes import HexBytes

from backend.chain.abi import Entry, explain_revert
from backend.chain.errors import ChainError, PlanMismatch, Reverted, RpcError
from backend.chain.keccak import hex0x, unhex
from backend.chain.rpc import Rpc

MAX_TRANSACTION_GAS = 16_777_216
"""EIP-7825: no transaction may ask for more gas."""
DEV_CHAIN_ID = 31337
WINDOW_TRANSACTIONS = 48
WINDOW_BYTES = 600_000
_POLL_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
_PATIENCE_SECONDS = 120.0
_NUDGE_SECONDS = 0.5
_RECEIPT_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Call:
    """One transaction: `to` None creates a contract, `gas` is its limit, `label` names it in errors."""

    to: str | None
    data: bytes
    gas: int
    label: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a transaction."""

    label: str
    transaction_hash: str
    block_number: int
    gas_used: int
    contract_address: str | None
    logs: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Fees:
    """Fee caps per gas in wei; fixed, so that a transaction's hash is reproducible."""

    max_fee: int = 100_000_000_000
    priority_fee: int = 0


@dataclass(frozen=True, slots=True)
class _Signed:
    call: Call
    sender: Sender
    nonce: int
    raw: bytes
    hash: str


class Sender:
    """One account's plan. `base_nonce` is the account's nonce when the plan began."""

    def __init__(
        self,
        rpc: Rpc,
        key: bytes,
        chain_id: int,
        base_nonce: int,
        errors: dict[bytes, Entry] | None = None,
        fees: Fees | None = None,
    ) -> None:
        from eth_account import Account  # slow to load, and only senders need it

        self._rpc = rpc
        self._account = Account.from_key(key)
        self._chain_id = chain_id
        self._fees = fees or Fees()
        self.errors = errors or {}
        self.address: str = self._account.address
        self.position = base_nonce

    def send(self, calls: Iterable[Call], progress: Callable[[int], None] | None = None) -> list[Receipt]:
        """Receipts of `calls`, the next ones of the plan, in order; sends what is not yet on chain.

        Raises Reverted with the decoded reason, or PlanMismatch when the account did something else.
        """
        return send_all(self._rpc, self._chain_id, ((self, call) for call in calls), progress)

    def sign(self, call: Call) -> _Signed:
        """`call` as the next transaction of the plan."""
        if call.gas > MAX_TRANSACTION_GAS:
            raise ChainError(f"{call.label}: {call.gas} gas exceeds {MAX_TRANSACTION_GAS}; split it")
        nonce, self.position = self.position, self.position + 1
        fields: dict[str, Any] = {
            "type": 2,
            "chainId": self._chain_id,
            "nonce": nonce,
            "gas": call.gas,
            "maxFeePerGas": self._fees.max_fee,
            "maxPriorityFeePerGas": self._fees.priority_fee,
            "value": 0,
            "data": HexBytes(call.data),
        }
        if call.to:
            fields["to"] = call.to
        signed = self._account.sign_transaction(fields)
        return _Signed(call, self, nonce, bytes(signed.raw_transaction), hex0x(bytes(signed.hash)))


def send_all(
    rpc: Rpc,
    chain_id: int,
    items: Iterable[tuple[Sender, Call]],
    progress: Callable[[int], None] | None = None,
) -> list[Receipt]:
    """Receipts of calls of several senders, in order; each is the next one of its sender's plan.

    Raises Reverted with the decoded reason, or PlanMismatch when an account did something else.
    """
    receipts: list[Receipt] = []
    for window in _windows(sender.sign(call) for sender, call in items):
        mined = _mined(rpc, window)
        _broadcast(rpc, [item for item in window if item.nonce >= mined[item.sender.address]])
        receipts += _collect(rpc, chain_id, window, mined)
        if progress:
            progress(len(window))
    return receipts


def _mined(rpc: Rpc, items: Sequence[_Signed]) -> dict[str, int]:
    """How many transactions each sender has on chain."""
    accounts = sorted({item.sender.address for item in items})
    answers = rpc.batch([("eth_getTransactionCount", [account, "latest"]) for account in accounts])
    return {account: int(_value(answer), 16) for account, answer in zip(accounts, answers, strict=True)}


def _value(answer: Any) -> Any:
    if isinstance(answer, RpcError):
        raise answer
    return answer


def _broadcast(rpc: Rpc, items: Sequence[_Signed]) -> None:
    answers = rpc.batch([("eth_sendRawTransaction", [hex0x(item.raw)]) for item in items])
    for item, answer in zip(items, answers, strict=True):
        if not isinstance(answer, RpcError):
            continue
        text = answer.message.lower()
        if "already known" in text or "already imported" in text or "nonce too low" in text:
            continue  # this very transaction is there; the receipt by its hash settles it
        if answer.data:
            raise Reverted(item.call.label, *explain_revert(answer.data, item.sender.errors))
        raise ChainError(f"{item.call.label}: the node refused the transaction: {answer.message}")


def _collect(rpc: Rpc, chain_id: int, window: Sequence[_Signed], mined: dict[str, int]) -> list[Receipt]:
    found: dict[str, dict[str, Any]] = {}
    waiting = list(window)
    started = nudged = seen = time.monotonic()
    attempt = 0
    while True:
        answers = rpc.batch([("eth_getTransactionReceipt", [item.hash]) for item in waiting])
        found |= {item.hash: _value(answer) for item, answer in zip(waiting, answers, strict=True) if answer}
        waiting = [item for item in waiting if item.hash not in found]
        if not waiting:
            return [_receipt(rpc, item, found[item.hash]) for item in window]
        first = waiting[0]
        now = time.monotonic()
        if first.nonce >= mined[first.sender.address]:
            seen = now  # not mined when last asked; a node may count it before it shows the receipt
        elif now - seen > _RECEIPT_SECONDS:
            raise PlanMismatch(first.sender.address, first.nonce, first.call.label)
        if now - started > _PATIENCE_SECONDS:
            raise ChainError(
                f"{first.call.label}: not mined in {_PATIENCE_SECONDS:.0f} s; is the node mining?"
            )
        if chain_id == DEV_CHAIN_ID and now - nudged > _NUDGE_SECONDS:
            if now - started > _RECEIPT_SECONDS:
                _broadcast(rpc, waiting)  # a busy Anvil has been seen to lose one from its pool
            rpc.call("evm_mine")  # a full block leaves transactions behind in Anvil's pool
            nudged = now
        mined = _mined(rpc, waiting)
        time.sleep(_POLL_SECONDS[min(attempt, len(_POLL_SECONDS) - 1)])
        attempt += 1


def _receipt(rpc: Rpc, item: _Signed, answer: dict[str, Any]) -> Receipt:
    if int(answer["status"], 16) != 1:
        raise _reverted(rpc, item, int(answer["blockNumber"], 16), int(answer["gasUsed"], 16))
    return Receipt(
        item.call.label,
        item.hash,
        int(answer["blockNumber"], 16),
        int(answer["gasUsed"], 16),
        answer.get("contractAddress"),
        tuple(answer["logs"]),
    )


def _reverted(rpc: Rpc, item: _Signed, block: int, gas_used: int) -> Reverted:
    """The reason of a mined revert: from the node's trace, else by repeating the call on the state before."""
    request = {"from": item.sender.address, "data": hex0x(item.call.data), "gas": hex(item.call.gas)}
    if item.call.to:
        request["to"] = item.call.to
    traced, repeated = rpc.batch(
        [
            ("debug_traceTransaction", [item.hash, {"tracer": "callTracer"}]),
            ("eth_call", [request, hex(block - 1)]),
        ]
    )
    reason = unhex(traced.get("output") or "0x") if isinstance(traced, dict) else b""
    if not reason and isinstance(repeated, RpcError):
        reason = repeated.data
    if reason:
        return Reverted(item.call.label, *explain_revert(reason, item.sender.errors))
    why = "ran out of gas" if gas_used >= item.call.gas * 63 // 64 else "reverted without a reason"
    return Reverted(item.call.label, f"{why} ({gas_used} of {item.call.gas} gas used)")


def _windows(items: Iterable[_Signed]) -> Iterator[list[_Signed]]:
    """`items` in runs that are in flight together, bounded in number and bytes."""
    window: list[_Signed] = []
    size = 0
    for item in items:
        if window and (size + len(item.raw) > WINDOW_BYTES or len(window) == WINDOW_TRANSACTIONS):
            yield window
            window, size = [], 0
        window.append(item)
        size += len(item.raw)
    if window:
        yield window


def read_contract(
    rpc: Rpc, contract: Any, function: str, *arguments: object, errors: dict[bytes, Entry] | None = None
) -> Any:
    """Result of a view function; raises Reverted with the decoded reason."""
    data = contract.abi.encode_call(function, arguments)
    try:
        return contract.abi.decode_result(function, rpc.eth_call(contract.address, data))
    except RpcError as error:
        if error.data:
            known = errors if errors is not None else contract.abi.errors
            raise Reverted(f"{contract.name}.{function}", *explain_revert(error.data, known)) from error
        raise


def key_bytes(text: str) -> bytes:
    """A private key given as hex."""
    return unhex(text.strip())
