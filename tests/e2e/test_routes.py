"""Every route in both languages and themes: accessible, within its width, without complaints."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tests.e2e.browser import ROOT, Visitor, picture, settled

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
ROUTES = {
    "market": "/",
    "orders": "/orders",
    "composer": "/orders/new?day=1508198400",
    "agreement": "/agreements/1-0-0",
    "evidence": "/evidence",
    "certificates": "/certificates",
    "points-market": "/certificates?view=market",
    "statement": "/certificates?view=statement",
    "retirements": "/certificates?view=ledger",
    "provider": "/provider",
    "supplier": "/supplier",
    "grid": "/grid",
    "missing": "/nowhere",
}
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def violations(page: Page) -> list[str]:
    # evaluated by the debugger, so the page's strict policy stays as it is
    page.evaluate(AXE.read_text())
    found = page.evaluate("(tags) => axe.run(document, { runOnly: tags })", TAGS)["violations"]
    return [f"{item['id']}: {node['html'][:160]}" for item in found for node in item["nodes"]]


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_route_is_accessible(visitor: Visitor, theme: str, language: str) -> None:
    faults = {}
    page = visitor.open("/", language, theme)
    for name, path in ROUTES.items():
        page.goto(visitor.service + path)
        settled(page)
        assert page.locator("h1").count() == 1
        assert page.evaluate("document.documentElement.lang") == ("zh-CN" if language == "zh" else "en")
        picture(page, f"{name}-{theme}-{language}")
        faults[name] = violations(page)
    assert {name: found for name, found in faults.items() if found} == {}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_phone_never_scrolls_sideways(visitor: Visitor, language: str) -> None:
    page = visitor.open("/", language, width=390)
    for name, path in ROUTES.items():
        page.goto(visitor.service + path)
        settled(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
    page.goto(visitor.service)
    settled(page)
    picture(page, f"phone-{language}")


def test_nothing_inline_and_nothing_from_elsewhere(visitor: Visitor) -> None:
    seen: list[str] = []
    page = visitor.open()
    page.on("request", lambda request: seen.append(request.url))
    answer = page.goto(visitor.service)
    assert answer is not None
    policy = answer.headers["content-security-policy"]
    assert "unsafe-inline" not in policy and "script-src 'self'" in policy
    settled(page)
    assert seen and all(url.startswith(visitor.service) for url in seen)
    assert page.locator("[style*=expression], script:not([src])").count() == 0


def test_the_first_load_is_quick_and_stands_still(visitor: Visitor) -> None:
    page = visitor.open()
    settled(page)
    shift = page.evaluate(
        "new Promise((done) => { let sum = 0; new PerformanceObserver((list) => {"
        " for (const entry of list.getEntries()) if (!entry.hadRecentInput) sum += entry.value;"
        "}).observe({ type: 'layout-shift', buffered: true }); setTimeout(() => done(sum), 300); })"
    )
    assert shift <= 0.05


def test_hostile_names_stay_text(visitor: Visitor) -> None:
    page = visitor.open("/grid")
    name = "<img src=x onerror=\"document.title='owned'\"> & ' \" 区"
    page.route("**/api/v1/zones", lambda route: route.fulfill(json=[{"zone_id": 0, "name": name}]))
    page.goto(visitor.service + "/")
    settled(page)
    assert name in page.get_by_label("Zone", exact=True).inner_text()
    assert page.locator("img").count() == 0 and page.title() == "BitWatt"


def test_the_service_down_is_said_with_a_way_on(visitor: Visitor) -> None:
    page = visitor.open("/nowhere")
    page.route("**/api/v1/calendar*", lambda route: route.abort())
    page.get_by_role("link", name="Market").click()
    page.get_by_role("alert").wait_for()
    assert "does not answer" in page.get_by_role("alert").inner_text()
    page.unroute("**/api/v1/calendar*")
    page.get_by_role("button", name="Try again").click()
    page.get_by_role("slider", name="Start of the window").wait_for()
    visitor.complaints.clear()


def test_offline_is_said(visitor: Visitor) -> None:
    page = visitor.open()
    settled(page)
    page.context.set_offline(True)
    page.get_by_text("You are offline").wait_for()
    page.context.set_offline(False)
    page.get_by_text("You are offline").wait_for(state="detached")
    visitor.complaints.clear()
