"""Wallets from encrypted keystore files (the Web3 Secret Storage format that other wallets use)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from coincurve import PrivateKey

from backend.chain.eip712 import address_of, sign_digest
from backend.chain.keccak import keccak


class WalletError(Exception):
    """A keystore that cannot be read, or a wrong password."""


class Wallet:
    """A key and its address; the secret stays inside."""

    def __init__(self, secret: bytes) -> None:
        self._key = PrivateKey(secret)
        self._secret = secret
        self.address: str = address_of(self._key.public_key)

    @classmethod
    def create(cls, path: Path | str, password: str) -> Wallet:
        """A new key, encrypted into a file that must not exist yet; readable by its owner only."""
        from eth_account import Account

        wallet = cls(os.urandom(32))
        document = Account.encrypt(wallet._secret, password)
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as error:
            raise WalletError(f"{path} is there already: choose another name") from error
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(document, stream)
        return wallet

    @classmethod
    def load(cls, path: Path | str, password: str) -> Wallet:
        """The key in a keystore file; WalletError when the file or the password is wrong."""
        from eth_account import Account

        try:
            document = json.loads(Path(path).read_text(encoding="utf-8"))
            return cls(bytes(Account.decrypt(document, password)))
        except OSError as error:
            raise WalletError(f"{path} cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise WalletError(f"{path} is no keystore file, or the password is wrong") from error

    @staticmethod
    def address_in(path: Path | str) -> str:
        """The address in a keystore file, without its password."""
        try:
            return "0x" + str(json.loads(Path(path).read_text(encoding="utf-8"))["address"]).removeprefix(
                "0x"
            )
        except (OSError, ValueError, KeyError) as error:
            raise WalletError(f"{path} is no keystore file") from error

    def sign_digest(self, digest: bytes) -> str:
        """Signature of a 32-byte digest, hex."""
        return "0x" + sign_digest(digest, self._key).hex()

    def sign_text(self, text: str) -> str:
        """EIP-191 signature of a text, hex."""
        raw = text.encode()
        return self.sign_digest(keccak(b"\x19Ethereum Signed Message:\n" + str(len(raw)).encode() + raw))

    def sign_transaction(self, fields: dict[str, Any]) -> str:
        """A signed transaction, hex."""
        from eth_account import Account

        return "0x" + bytes(Account.sign_transaction(fields, self._secret).raw_transaction).hex()
