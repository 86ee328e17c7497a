"""Whether an account made a signature: its key, or its contract (EIP-1271)."""

from __future__ import annotations

from eth_abi.abi import encode

from backend.chain.eip712 import recover
from backend.chain.errors import ChainError, FieldError
from backend.chain.keccak import keccak, unhex
from backend.chain.rpc import Rpc
from backend.service.errors import Invalid

_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
_MAGIC = bytes.fromhex("1626ba7e")


def personal_digest(text: str) -> bytes:
    """EIP-191 digest of a text that a wallet shows and signs."""
    raw = text.encode()
    return keccak(b"\x19Ethereum Signed Message:\n" + str(len(raw)).encode() + raw)


def signature_bytes(text: str) -> bytes:
    """The bytes of a signature given as hex; Invalid when it is not hex."""
    try:
        return unhex(text)
    except ValueError as error:
        raise Invalid("the signature is not hex", field="signature", mend="give 0x and hex digits") from error


def is_low_s(signature: bytes) -> bool:
    """Whether s is in the lower half, the only form the contracts take."""
    return int.from_bytes(signature[32:64]) <= _HALF_ORDER


def require_signed_by(address: str, digest: bytes, signature: bytes, rpc: Rpc | None = None) -> None:
    """Raises Invalid unless `address` signed `digest` (65 bytes, low s; or EIP-1271 when it is a
    contract).
    """
    try:
        signer = recover(digest, signature)
    except FieldError as error:
        if rpc is not None and _contract_accepts(rpc, address, digest, signature):
            return
        raise Invalid(str(error), field="signature", mend=error.mend) from error
    if signer.lower() == address.lower():
        if is_low_s(signature):
            return
        raise Invalid(
            "the signature has a high s", field="signature", mend="sign again; give s in the lower half"
        )
    if rpc is None or not _contract_accepts(rpc, address, digest, signature):
        raise Invalid(
            f"the signature is {signer.lower()}'s, not {address.lower()}'s",
            field="signature",
            mend="sign exactly the given typed data with the maker's key, on the right chain",
        )


def _contract_accepts(rpc: Rpc, address: str, digest: bytes, signature: bytes) -> bool:
    """EIP-1271 `isValidSignature`; False for an account without code or a contract that refuses."""
    try:
        if not rpc.code(address):
            return False
        answer = rpc.eth_call(address, _MAGIC + encode(("bytes32", "bytes"), (digest, signature)))
    except ChainError:
        return False
    return answer[:4] == _MAGIC and len(answer) == 32
