"""The visitor that the journeys send, and what they wait for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect

ROOT = Path(__file__).resolve().parents[2]
expect.set_options(timeout=20_000)  # a transaction waits for the node and the indexer
SCREENSHOTS = ROOT / ".build" / "screenshots"


class Visitor:
    """Opens pages with chosen preferences; what the console complains about is kept in `complaints`."""

    def __init__(self, browser: Browser, service: str) -> None:
        self.browser = browser
        self.service = service
        self.complaints: list[str] = []
        self._contexts: list[Any] = []

    def open(self, path: str = "/", language: str = "en", theme: str = "light", width: int = 1280) -> Page:
        """A fresh visit to `path`."""
        context = self.browser.new_context(viewport={"width": width, "height": 900}, reduced_motion="reduce")
        self._contexts.append(context)
        chosen = f'{{"language":"{language}","theme":"{theme}","clock":"market"}}'
        context.add_init_script(
            f"if (!localStorage.getItem('bitwatt.preferences')) "
            f"localStorage.setItem('bitwatt.preferences', '{chosen}')"
        )
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "console",
            lambda message: self.complaints.append(message.text) if message.type == "error" else None,
        )
        page.goto(self.service + path)
        return page

    def close(self) -> None:
        """Ends every visit."""
        for context in self._contexts:
            context.close()


def settled(page: Page) -> None:
    """Waits until nothing is loading."""
    page.locator("h1").wait_for()
    expect(page.locator(".skeleton")).to_have_count(0, timeout=15_000)


def picture(page: Page, name: str) -> None:
    """Keeps a screenshot."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
