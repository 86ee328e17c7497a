"""The key that signs the service's transactions: an encrypted keystore file, or a worthless one for dev."""

from __future__ import annotations

import json

from backend.chain.errors import FieldError
from backend.chain.keccak import keccak
from backend.settings import Settings


def dev_secret(name: str) -> bytes:
    """A development key; worthless by design, since anyone can derive it."""
    return keccak(f"bitwatt/dev/{name}".encode())


def load_secret(settings: Settings) -> bytes | None:
    """The solver's key: from the keystore, derived on a dev chain that says so, None when there is none.

    Raises FieldError naming what is wrong with the keystore or its password.
    """
    if settings.keystore is None:
        return dev_secret("operator") if settings.dev_keys else None
    if settings.keystore_password is None:
        raise FieldError("keystore_password", None, "set BITWATT_KEYSTORE_PASSWORD")
    from eth_account import Account  # slow to load

    try:
        document = json.loads(settings.keystore.read_text(encoding="utf-8"))
        return bytes(Account.decrypt(document, settings.keystore_password.get_secret_value()))
    except OSError as error:
        raise FieldError("keystore", str(settings.keystore), f"it cannot be read: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise FieldError(
            "keystore", str(settings.keystore), "it is no keystore file, or the password is wrong"
        ) from error
