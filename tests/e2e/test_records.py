"""Certificates anyone can check, a past day cleared again, a whole interval checked off the page's thread."""

from __future__ import annotations

import json
from pathlib import Path

from playwright.sync_api import expect

from tests.e2e.browser import Visitor, picture, settled


def test_a_retirement_has_a_sheet_that_the_chain_confirms(visitor: Visitor) -> None:
    page = visitor.open("/certificates?view=ledger")
    page.get_by_role("link", name="Certificate sheet").first.click()
    expect(page.get_by_text("The transaction on chain holds exactly this retirement")).to_be_visible()
    expect(page.get_by_text("Minted − retired = in circulation")).to_be_visible()
    expect(page.get_by_role("img", name="Scan to verify on chain")).to_be_visible()
    with page.expect_download() as kept:
        page.get_by_role("button", name="EnergyTag JSON").click()
    bundles = json.loads(kept.value.path().read_text())["granular_certificate_bundles"]
    assert bundles and all(bundle["bundle_quantity"] > 0 for bundle in bundles)
    picture(page, "certificate-sheet")


def test_a_retirement_that_never_was_is_found_out(visitor: Visitor) -> None:
    page = visitor.open("/certificates?view=ledger")
    sheet = page.get_by_role("link", name="Certificate sheet").first.get_attribute("href")
    assert sheet is not None
    page.goto(f"{visitor.service}{sheet.rsplit('=', 1)[0]}=0x{'ee' * 20}")
    expect(page.get_by_text("The transaction on chain does not hold this retirement")).to_be_visible()


def test_a_past_day_is_cleared_again_under_other_circumstances(visitor: Visitor) -> None:
    page = visitor.open("/grid")
    settled(page)
    page.locator("main").get_by_role("button", name="Connect wallet").click()
    page.locator(".accounts button").first.click()
    page.get_by_role("button", name="Sign in with the wallet").click()
    page.get_by_label("Solar").fill("0")
    page.get_by_role("button", name="Clear again").click()
    row = page.get_by_role("row", name="Green share")
    expect(row).to_be_visible(timeout=60_000)
    assert "-" in row.get_by_role("cell").last.inner_text()
    picture(page, "what-if")


def test_a_whole_interval_is_checked_in_a_worker(visitor: Visitor) -> None:
    page = visitor.open("/evidence")
    with page.expect_worker() as started:
        page.get_by_role("button", name="Check everything").click()
    assert "/assets/worker-" in started.value.url
    expect(page.locator(".results li")).to_have_count(5)
    assert page.locator(".results .bad").count() == 0


def test_the_evidence_of_an_agreement_is_opened_from_a_file_without_a_network(visitor: Visitor) -> None:
    page = visitor.open("/evidence")
    settled(page)
    page.context.set_offline(True)
    pack = (Path(__file__).parents[1] / "vectors" / "pack.json").read_text()
    chosen = page.get_by_label("Open a file")
    chosen.set_input_files({"name": "pack.json", "mimeType": "application/json", "buffer": pack.encode()})
    expect(page.get_by_text("checks passed (pack.json)")).to_be_visible()
    other = json.loads(pack)
    other["slots"][0]["plants"][0]["sold_wh"] += 1000
    altered = json.dumps(other).encode()
    chosen.set_input_files({"name": "altered.json", "mimeType": "application/json", "buffer": altered})
    expect(page.get_by_text("check failed (altered.json)")).to_be_visible()
    chosen.set_input_files({"name": "none.json", "mimeType": "application/json", "buffer": b"{"})
    expect(page.get_by_text("pack: this is no JSON")).to_be_visible()
    page.context.set_offline(False)


def test_an_account_is_searched_and_its_agreements_are_listed(visitor: Visitor) -> None:
    page = visitor.open("/orders")
    account = page.locator("button.hex").first.get_attribute("title")
    assert account is not None
    page.keyboard.press("Control+k")
    page.get_by_role("searchbox").fill(account)
    page.get_by_role("dialog").get_by_role("link", name="Account").click()
    listed = page.locator(".card", has=page.get_by_role("heading", name="Agreements of 0x"))
    expect(listed.locator("button.hex").first).to_be_visible()
    titles = listed.locator("button.hex").evaluate_all("(all) => all.map((one) => one.title)")
    assert set(titles) == {account}
