"""Browsers that cannot run the page show why, in French and English: without JavaScript, or too old."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.page.people import wait
from tests.page.site import Site

NOTICES = {"no script": "JavaScript", "too old": "trop ancien"}
SCREEN = {"width": 360, "height": 740}
LACKS = {
    "no WebRTC": "delete window.RTCPeerConnection",
    "no transceivers": "delete RTCPeerConnection.prototype.addTransceiver",
    "before 2022": "delete Object.hasOwn",
}


@pytest.fixture
def new_page(browser: Browser) -> Iterator[Any]:
    """Return a function that opens a page of a browser with these options."""
    contexts = []

    def create(**options: Any) -> Page:
        contexts.append(browser.new_context(**options))
        return contexts[-1].new_page()

    yield create
    for context in contexts:
        context.close()


def shown(page: Page) -> str:
    return " ".join(page.locator("body").inner_text().split())


def assert_explained(page: Page, what: str) -> None:
    """Assert that the page shows one French and one English text, and no form."""
    assert wait(lambda: NOTICES[what] in shown(page)), shown(page)
    sections = [section for section in page.locator("section").all() if section.is_visible()]
    assert [section.get_attribute("lang") for section in sections] == ["fr", "en"]
    for section in sections:
        box = section.bounding_box()
        assert box and 0 <= box["y"] <= SCREEN["height"] - box["height"], "one has to scroll"
    assert page.locator("#join").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_without_javascript_the_page_says_so(new_page: Any, site: Site) -> None:
    page = new_page(java_script_enabled=False, viewport=SCREEN)
    page.goto(site.base)
    assert_explained(page, "no script")
    assert "reload the page" in shown(page)


@pytest.mark.parametrize("lack", LACKS)
def test_a_browser_without_what_the_page_needs_says_so(new_page: Any, site: Site, lack: str) -> None:
    page = new_page(viewport=SCREEN)
    page.add_init_script(LACKS[lack])
    page.goto(site.base)
    assert_explained(page, "too old")
    assert "JavaScript" not in shown(page)


def test_a_browser_that_cannot_read_the_page_s_scripts_says_so(new_page: Any, site: Site) -> None:
    page = new_page(viewport=SCREEN)
    page.route("**/assets/*.js", lambda route: route.fulfill(content_type="text/javascript", body="class { static"))
    page.goto(site.base)
    assert_explained(page, "too old")


def test_a_current_browser_shows_neither_text(new_page: Any, site: Site) -> None:
    page = new_page()
    page.clock.install()
    page.goto(site.base)
    page.wait_for_selector("#join")
    page.clock.fast_forward(10000)
    assert page.locator("section").count() == 0
    assert not [text for text in NOTICES.values() if text in shown(page)]
