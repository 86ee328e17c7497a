"""Random secrets and their keyed hashes; a leaked database opens nothing."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets as stdlib

from cryptography.fernet import Fernet

from backend.settings import Settings


class Vault:
    """Keyed hashing and sealing under the service's secret."""

    def __init__(self, settings: Settings) -> None:
        self._key = settings.secret.get_secret_value().encode()
        self._fernet = Fernet(base64.urlsafe_b64encode(self._mac(b"seal", b"")))

    def _mac(self, purpose: bytes, data: bytes) -> bytes:
        return hmac.new(self._key, purpose + b"\0" + data, hashlib.sha256).digest()

    def hash(self, secret: str) -> str:
        """Keyed hash of a secret as `0x...`, which is what the tables hold."""
        return "0x" + self._mac(b"hash", secret.encode()).hex()

    def csrf(self, session_token: str) -> str:
        """The token that must come in a header beside the session cookie."""
        return self._mac(b"csrf", session_token.encode()).hex()[:40]

    def seal(self, data: bytes) -> bytes:
        """Encrypts what is stored for replay."""
        return self._fernet.encrypt(data)

    def unseal(self, data: bytes) -> bytes:
        """Decrypts what `seal` made."""
        return self._fernet.decrypt(data)


def random_token(prefix: str) -> str:
    """A secret of 256 random bits, with a prefix that tells its kind (`bwk_` key, `bwt_` token, `bws_`
    session).
    """
    return prefix + stdlib.token_urlsafe(32)
