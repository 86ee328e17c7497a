"""What people come for: choose a window, order it, and check the proof."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browser import Visitor, picture, settled

FAKE_WALLET = """
(() => {
  const provider = { chain: '%(chain)s', async request({ method }) {
    if (method === 'eth_requestAccounts' || method === 'eth_accounts')
      return ['0x70997970C51812dc3A010C7d01b50e0d17dc79C8'];
    if (method === 'eth_chainId') return this.chain;
    if (method === 'wallet_switchEthereumChain') { this.chain = '0x7a69'; return null; }
    throw Object.assign(new Error('User rejected the request.'), { code: 4001 });
  } };
  const detail = { info: { uuid: 'fake', name: 'Fake Wallet', icon: '', rdns: 'test' }, provider };
  const say = () => dispatchEvent(new CustomEvent('eip6963:announceProvider', { detail }));
  addEventListener('eip6963:requestProvider', say);
})()
"""


def query(page: Page) -> dict[str, str]:
    return dict(page.evaluate("[...new URLSearchParams(location.search)]"))


def test_dragging_sets_the_window_and_the_quote_follows(visitor: Visitor) -> None:
    page = visitor.open("/?green=0")
    settled(page)
    box = page.locator(".cells").bounding_box()
    assert box is not None
    row = box["height"] / page.locator(".days span").count()
    slots = int(page.get_by_role("slider", name="End of the window").get_attribute("aria-valuemax") or 0)
    at = lambda slot: box["x"] + (slot + 0.5) / slots * box["width"]  # noqa: E731
    page.mouse.move(at(2), box["y"] + 1.5 * row)
    page.mouse.down()
    page.mouse.move(at(3), box["y"] + 1.5 * row)
    with page.expect_response("**/api/v1/quotes") as quoted:
        page.mouse.move(at(5), box["y"] + 1.5 * row, steps=2)
    page.mouse.up()
    assert quoted.value.ok
    assert (query(page)["from"], query(page)["to"]) == ("2", "6")
    expect(page.locator(".quote")).to_be_visible()
    page.reload()
    settled(page)
    assert page.get_by_role("slider", name="Start of the window").get_attribute("aria-valuenow") == "2"


def test_the_keyboard_moves_edges_days_and_the_whole_window(visitor: Visitor) -> None:
    page = visitor.open("/?from=2&to=5")
    settled(page)
    edge = page.get_by_role("slider", name="Start of the window")
    edge.focus()
    page.keyboard.press("ArrowRight")
    assert query(page)["from"] == "3"
    page.keyboard.press("Shift+ArrowRight")
    assert (query(page)["from"], query(page)["to"]) == ("4", "6")
    first = query(page)["day"]
    page.keyboard.press("ArrowDown")
    assert int(query(page)["day"]) > int(first)
    assert edge.get_attribute("aria-valuetext")


@pytest.mark.parametrize("metric", ["price", "gCO₂"])
def test_colours_change(visitor: Visitor, metric: str) -> None:
    page = visitor.open()
    settled(page)
    page.get_by_role("button", name=metric, exact=True).click()
    expect(page.get_by_role("button", name=metric, exact=True)).to_have_attribute("aria-pressed", "true")
    assert page.locator(".calendar.green").count() == 0


def test_the_proof_holds_until_a_number_is_changed(visitor: Visitor) -> None:
    page = visitor.open("/evidence")
    expect(page.get_by_role("heading", name="All 7 checks passed")).to_be_visible()
    quantity = page.get_by_label("Quantity")
    before = quantity.input_value()
    quantity.fill(str(int(before) + 1))
    expect(page.get_by_role("heading", name="3 checks failed")).to_be_visible()
    assert page.locator(".steps .fail").count() == 3
    picture(page, "evidence-tampered")
    page.get_by_role("button", name="Reset").click()
    expect(page.get_by_role("heading", name="All 7 checks passed")).to_be_visible()
    page.get_by_role("button", name="Check everything").click()
    expect(page.locator(".results li")).to_have_count(5)
    assert page.locator(".results .bad").count() == 0


def test_a_forged_archive_is_found_out(visitor: Visitor) -> None:
    page = visitor.open("/nowhere")

    def forge(route) -> None:  # type: ignore[no-untyped-def]
        answer = route.fetch()
        body = bytearray(answer.body())
        at = body.rindex(b"\x58\x40") + 2  # the first byte of a signature
        body[at] ^= 1
        route.fulfill(response=answer, body=bytes(body))

    page.route("**/api/v1/archive/readings/*", forge)
    page.get_by_role("link", name="Evidence").click()
    expect(page.get_by_role("heading", name="failed")).to_be_visible()
    failed = page.locator(".steps .fail").all_inner_texts()
    assert any("archive" in text for text in failed)


def test_the_node_down_leaves_the_checks_open(visitor: Visitor) -> None:
    page = visitor.open("/nowhere")
    page.route(lambda url: not url.startswith(visitor.service), lambda route: route.abort())
    page.get_by_role("link", name="Evidence").click()
    expect(page.get_by_text("The node does not answer")).to_be_visible()
    expect(page.get_by_role("heading", name="open")).to_be_visible()
    visitor.complaints.clear()


def press(page: Page, name: str) -> None:
    """Reaches a button by Tab alone and presses it."""
    button = page.get_by_role("button", name=name)
    expect(button).to_be_enabled()
    for _ in range(80):
        if button.evaluate("node => node === document.activeElement"):
            page.keyboard.press("Enter")
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not reach {name}")


def test_an_order_by_keyboard_alone_from_window_to_cancellation(visitor: Visitor) -> None:
    page = visitor.open("/?from=2&to=8&run=2&green=0&vcu=2")
    settled(page)
    last = page.get_by_label("Day").locator("option").last.get_attribute("value")
    page.get_by_label("Day").select_option(last)
    page.get_by_role("link", name="Order this bundle").focus()
    page.keyboard.press("Enter")
    press(page, "Connect a wallet")
    page.locator(".accounts button").first.focus()
    page.keyboard.press("Enter")
    press(page, "Sign in with the wallet")
    expect(page.get_by_text("Digest")).to_be_visible()
    picture(page, "composer-signed-in")
    for step in ("test BWD", "Approve", "Deposit", "Sign and place the order"):
        press(page, step)
        if "Sign" not in step:
            expect(page.get_by_role("button", name=step)).to_have_count(0)
    expect(page.locator(".stages [aria-current]")).to_have_text("Open")
    picture(page, "order-open")
    page.reload()
    expect(page.locator(".stages [aria-current]")).to_have_text("Open")
    press(page, "Cancel the order")
    expect(page.locator(".stages [aria-current]")).to_have_text("Cancelled")
    press(page, "Cancel on chain, for good")
    expect(page.get_by_role("button", name="Cancel on chain")).to_have_count(0)
    page.reload()
    page.get_by_role("button", name="Activity").click()
    expect(page.get_by_role("dialog").get_by_text("done", exact=True)).to_have_count(4)
    picture(page, "activity")
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Orders").click()
    expect(page.get_by_role("table").first.get_by_text("Cancelled").first).to_be_visible()
    visitor.complaints = [text for text in visitor.complaints if "401" not in text and "404" not in text]


def test_a_declined_signature_and_a_wrong_chain_are_said(visitor: Visitor) -> None:
    page = visitor.open("/")
    settled(page)
    page.add_init_script(FAKE_WALLET % {"chain": "0x1"})
    last = page.get_by_label("Day").locator("option").last.get_attribute("value")
    page.goto(f"{visitor.service}/orders/new?day={last}&from=2&to=8&run=2&green=0&vcu=2")
    page.get_by_role("button", name="Connect a wallet").click()
    page.get_by_role("button", name="Fake Wallet").click()
    page.get_by_role("button", name="Switch the wallet's network").click()
    page.get_by_role("button", name="Sign in with the wallet").click()
    expect(page.get_by_role("alert").filter(has_text="You declined")).to_be_visible()


def test_ordered_against_delivered(visitor: Visitor) -> None:
    page = visitor.open("/orders")
    page.get_by_role("link", name="1-0-0").click()
    expect(page.get_by_role("heading", name="Ordered against delivered")).to_be_visible()
    assert page.locator("tbody").last.locator("tr").count() >= 1
    page.get_by_role("link", name="Check the proof").click()
    expect(page.get_by_role("heading", name="All 7 checks passed")).to_be_visible()
    assert "1-0-0" in page.get_by_label("One of").locator("option:checked").inner_text()


def test_an_order_from_search_to_its_reason_and_its_invoice(visitor: Visitor) -> None:
    page = visitor.open("/orders")
    page.get_by_role("link", name="1-0-0").click()
    page.get_by_role("link", name="Its order").click()
    expect(page.locator(".stages [aria-current]")).to_contain_text("Retired")
    assert page.locator(".stages li").all_inner_texts()[0].startswith("Open")
    expect(page.get_by_role("heading", name="Why it was filled there")).to_be_visible()
    expect(page.get_by_text("of its limit")).to_be_visible()
    picture(page, "order-settled")
    order = page.url.rsplit("/", 1)[-1]
    page.get_by_role("link", name="transaction Settled").click()
    expect(page.get_by_text("SlotSettled").first).to_be_visible()
    page.keyboard.press("Control+k")
    page.get_by_role("searchbox").fill(order)
    page.get_by_role("dialog").get_by_role("link", name="Order").click()
    page.get_by_role("link", name="Invoice").click()
    expect(page.get_by_text("All slots are settled")).to_be_visible()
    with page.expect_download() as kept:
        page.get_by_role("button", name="Download CSV").click()
    rows = kept.value.path().read_text().splitlines()
    assert rows[0].startswith("agreement,seller") and rows[1].startswith("1-")
    picture(page, "invoice")


def test_a_replaced_and_a_dropped_transaction_are_told_apart(visitor: Visitor) -> None:
    page = visitor.open("/nowhere")
    page.evaluate(
        """() => localStorage.setItem('bitwatt.activity', JSON.stringify(['0xaa', '0xbb'].map(
          (head, nonce) => ({
          hash: head + '00'.repeat(31), label: 'Deposit', from: '0x70997970c51812dc3a010c7d01b50e0d17dc79c8',
          nonce: nonce ? 9e6 : -1, chainId: 31337, at: Date.now() - nonce, fate: 'pending' }))))"""
    )
    page.reload()
    page.get_by_role("button", name="Connect wallet").click()
    page.locator(".accounts button").first.click()
    page.get_by_role("button", name="Activity").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("was replaced: another one")).to_be_visible()
    expect(dialog.get_by_text("was dropped: the node")).to_be_visible()
