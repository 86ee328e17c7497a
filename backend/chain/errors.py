"""Errors of the chain client; each names what is wrong and how to mend it."""

from __future__ import annotations


class ChainError(Exception):
    """Base of every error of the chain client."""


class FieldError(ChainError):
    """A value does not fit the field it is meant for."""

    def __init__(self, field: str, value: object, mend: str) -> None:
        self.field = field
        self.value = value
        self.mend = mend
        super().__init__(f"{field} = {value!r}: {mend}")


class RpcError(ChainError):
    """The node answered a JSON-RPC request with an error.

    `code` is the JSON-RPC code, `data` the revert data where the node sent some.
    """

    def __init__(self, method: str, code: int, message: str, data: bytes = b"") -> None:
        self.method = method
        self.code = code
        self.message = message
        self.data = data
        super().__init__(f"{method}: {message} (code {code})")


class RpcUnavailable(ChainError):
    """Nothing answers at the RPC address."""

    def __init__(self, url: str, cause: object) -> None:
        self.url = url
        super().__init__(f"no answer from {url} ({cause}): start the node or correct --rpc")


class Reverted(ChainError):
    """A transaction or call was refused by a contract.

    `error` is the custom error's name ("" where unknown), `arguments` its named arguments.
    """

    def __init__(
        self, label: str, sentence: str, error: str = "", arguments: dict[str, object] | None = None
    ):
        self.label = label
        self.sentence = sentence
        self.error = error
        self.arguments = arguments or {}
        super().__init__(f"{label}: {sentence}")


class PlanMismatch(ChainError):
    """The account's transactions on chain are not the ones of this plan."""

    def __init__(self, account: str, position: int, label: str) -> None:
        self.account = account
        self.position = position
        super().__init__(
            f"account {account} already sent another transaction as number {position}, where this run "
            f"has {label}: the account was used elsewhere or the inputs changed; start with a new --out"
        )


class WrongChain(ChainError):
    """An operation is refused on this chain."""

    def __init__(self, chain_id: int, what: str, mend: str) -> None:
        self.chain_id = chain_id
        super().__init__(f"chain id {chain_id}: {what}; {mend}")
