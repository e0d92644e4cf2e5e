"""Parts of the class page that fail: the fault is said in its place, and the class goes on."""

import pytest

from tests.page.people import Someone, wait

Pair = tuple[Someone, Someone]

BREAK = {
    "chat": "Intl.DateTimeFormat = new Proxy(Intl.DateTimeFormat, {construct() { throw new Error('broken'); }})",
    "people": "String.prototype.localeCompare = () => { throw new Error('broken'); }",
    "settings": "delete MediaDevices.prototype.enumerateDevices",
}
"""Scripts that take away what a single panel needs."""


@pytest.mark.parametrize("panel", BREAK)
def test_a_panel_that_fails_ends_nothing_else(someone, pair: Pair, panel: str) -> None:
    broken = someone("Zoé", locale="en-GB").enter("pupil")
    assert wait(lambda: broken.sees("Léa"), 20)
    broken.page.evaluate(f"{{ {BREAK[panel]} }}; 0")  # a function as result would be called
    broken.click(f"{panel}-toggle")
    assert wait(lambda: broken.there("broken")), broken.faults
    assert broken.page.locator(f"#panel-{panel}").inner_text().count("The class goes on") == 1
    assert broken.barriers() == []
    assert broken.there("leave")
    assert wait(lambda: broken.sees("Léa") and pair[0].sees("Zoé"))
    broken.click("retry")
    assert wait(lambda: broken.there("broken"))  # what is broken stays so
    broken.click("panel-close")
    assert wait(lambda: not broken.there("broken") and broken.focused() == f"{panel}-toggle")
    other = "people-toggle" if panel != "people" else "settings-toggle"
    broken.click(other)
    assert wait(lambda: broken.there("panel-close") and not broken.there("broken"))


def test_a_picture_that_fails_ends_no_other_and_comes_back(someone, pair: Pair) -> None:
    teacher = pair[0]
    broken = someone("Zoé", locale="en-GB").enter("pupil")
    assert wait(lambda: broken.sees("Mme Martin"), 20)
    broken.page.evaluate(
        "Object.defineProperty(document, 'fullscreenEnabled', {configurable: true, get() { throw new Error('broken'); }})"
    )
    teacher.click("screen")
    assert wait(lambda: broken.there("broken"), 20)
    assert broken.page.locator(".tile").get_by_text("The class goes on").count() == 1
    assert broken.barriers() == []
    assert wait(lambda: broken.sees("Mme Martin") and broken.sees("Léa"))
    broken.page.evaluate("delete document.fullscreenEnabled")
    broken.click("retry")
    assert wait(lambda: broken.sees("Mme Martin", "screen"), 20)
    teacher.click("screen")
    assert wait(lambda: broken.page.locator('video[data-source="screen"]').count() == 0)
