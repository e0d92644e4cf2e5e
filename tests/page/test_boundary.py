"""Parts of the class page that fail: a message replaces the part, and the class continues."""

import pytest

from tests.page.people import PageUser, wait

Pair = tuple[PageUser, PageUser]

BREAK = {
    "chat": "Intl.DateTimeFormat = new Proxy(Intl.DateTimeFormat, {construct() { throw new Error('broken'); }})",
    "people": "String.prototype.localeCompare = () => { throw new Error('broken'); }",
    "settings": "delete MediaDevices.prototype.enumerateDevices",
}
"""Scripts that remove what a single panel needs."""


@pytest.mark.parametrize("panel", BREAK)
def test_a_failing_panel_stops_nothing_else(new_user, pair: Pair, panel: str) -> None:
    user = new_user("Zoé", locale="en-GB").enter("pupil")
    assert wait(lambda: user.sees("Léa"), 20)
    user.page.evaluate(f"{{ {BREAK[panel]} }}; 0")  # Playwright calls a function that is the result
    user.click(f"{panel}-toggle")
    assert wait(lambda: user.is_shown("broken")), user.errors
    assert user.page.locator(f"#panel-{panel}").inner_text().count("The class goes on") == 1
    assert user.accessibility_faults() == []
    assert user.is_shown("leave")
    assert wait(lambda: user.sees("Léa") and pair[0].sees("Zoé"))
    user.click("retry")
    assert wait(lambda: user.is_shown("broken"))  # the cause persists
    user.click("panel-close")
    assert wait(lambda: not user.is_shown("broken") and user.focused() == f"{panel}-toggle")
    other = "people-toggle" if panel != "people" else "settings-toggle"
    user.click(other)
    assert wait(lambda: user.is_shown("panel-close") and not user.is_shown("broken"))


def test_a_failing_video_tile_stops_no_other_and_recovers(new_user, pair: Pair) -> None:
    teacher = pair[0]
    user = new_user("Zoé", locale="en-GB").enter("pupil")
    assert wait(lambda: user.sees("Mme Martin"), 20)
    user.page.evaluate(
        "Object.defineProperty(document, 'fullscreenEnabled', {configurable: true, get() { throw new Error('broken'); }})"
    )
    teacher.click("screen")
    assert wait(lambda: user.is_shown("broken"), 20)
    assert user.page.locator(".tile").get_by_text("The class goes on").count() == 1
    assert user.accessibility_faults() == []
    assert wait(lambda: user.sees("Mme Martin") and user.sees("Léa"))
    user.page.evaluate("delete document.fullscreenEnabled")
    user.click("retry")
    assert wait(lambda: user.sees("Mme Martin", "screen"), 20)
    teacher.click("screen")
    assert wait(lambda: user.page.locator('video[data-source="screen"]').count() == 0)
