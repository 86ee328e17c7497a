"""A wallet of a party of the day (EIP-6963, EIP-1193): its key signs here, outside the page."""

from __future__ import annotations

import json
from typing import Any

from eth_account import Account
from eth_account.messages import encode_defunct, encode_typed_data
from eth_utils import to_checksum_address
from playwright.sync_api import Page, expect

from backend.chain.rpc import Rpc

_ANNOUNCE = """
(() => {
  const provider = { async request(call) {
    const answer = JSON.parse(await window.__wallet(JSON.stringify(call)));
    if (answer.error) throw Object.assign(new Error(answer.error.message), answer.error);
    return answer.result;
  } };
  const info = { uuid: 'party', name: 'Party wallet', icon: '', rdns: 'org.bitwatt.test' };
  const detail = { info, provider };
  const say = () => dispatchEvent(new CustomEvent('eip6963:announceProvider', { detail }));
  addEventListener('eip6963:requestProvider', say);
})()
"""


class PartyWallet:
    """Signs whatever the page asks for, or declines it."""

    def __init__(self, rpc_url: str, secret: str) -> None:
        self.account = Account.from_key(secret)
        self.declines = False
        self._rpc_url = rpc_url

    def offer_to(self, page: Page) -> None:
        """Announces itself to the pages that are opened from now on."""
        page.expose_function("__wallet", self._answer)
        page.add_init_script(_ANNOUNCE)

    def _answer(self, text: str) -> str:
        call = json.loads(text)
        if self.declines and call["method"] in (
            "eth_sendTransaction",
            "personal_sign",
            "eth_signTypedData_v4",
        ):
            return json.dumps({"error": {"code": 4001, "message": "User rejected the request."}})
        with Rpc(self._rpc_url) as rpc:
            return json.dumps({"result": self._result(rpc, call["method"], call.get("params") or [])})

    def _result(self, rpc: Rpc, method: str, params: list[Any]) -> Any:
        if method in ("eth_requestAccounts", "eth_accounts"):
            return [self.account.address]
        if method == "personal_sign":
            return "0x" + self.account.sign_message(encode_defunct(hexstr=params[0])).signature.hex()
        if method == "eth_signTypedData_v4":
            message = encode_typed_data(full_message=json.loads(params[1]))
            return "0x" + self.account.sign_message(message).signature.hex()
        if method == "eth_sendTransaction":
            return self._send(rpc, params[0])
        return rpc.call(method, *params)

    def _send(self, rpc: Rpc, tx: dict[str, str]) -> Any:
        filled = {
            "to": to_checksum_address(tx["to"]),
            "data": tx.get("data", "0x"),
            "value": 0,
            "gas": 3_000_000,
            "gasPrice": 2_000_000_000,
            "nonce": int(rpc.call("eth_getTransactionCount", self.account.address, "pending"), 16),
            "chainId": int(rpc.call("eth_chainId"), 16),
        }
        rpc.call("anvil_setBalance", self.account.address, hex(10**18))
        return rpc.call(
            "eth_sendRawTransaction", "0x" + self.account.sign_transaction(filled).raw_transaction.hex()
        )


def sign_in(page: Page, connect: str = "Connect wallet", action: str = "Sign in with the wallet") -> None:
    """Connects the announced wallet and signs in, from a page that offers it."""
    page.get_by_role("button", name=connect).first.click()
    page.get_by_role("button", name="Party wallet").click()
    page.get_by_role("button", name=action).first.click()
    expect(page.locator("button.signed")).to_be_visible()
