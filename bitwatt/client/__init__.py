"""The Python client of a BitWatt service: `Client` (blocking) and `AsyncClient`, with one set of operations.

    from bitwatt.client import Client, Wallet

    wallet = Wallet.load("wallets/lab.json", password)
    with Client("https://market.example.org", wallet=wallet) as market:
        quote = market.quote(class_id=0, lanes=8, duration_slots=12, start=..., deadline=...)
        order = market.place_order(class_id=0, lanes=8, duration_slots=12, start=..., deadline=..., ...)

The client checks what it signs: the message must say exactly what was asked for, on the chain it knows.
"""

from bitwatt.client.client import AsyncClient, Client
from bitwatt.client.protocol import ApiError, SignatureRefused
from bitwatt.client.wallet import Wallet, WalletError

__all__ = ["ApiError", "AsyncClient", "Client", "SignatureRefused", "Wallet", "WalletError"]
