"""The join form: languages, devices, refusals, and use by keyboard."""

from collections.abc import Iterator

import pytest

from tests.page.people import wait
from tests.page.server import CODES, ROOM, Settings
from tests.page.visitors import Visitors


@pytest.fixture(scope="module")
def room(at: Settings, site) -> Iterator[str]:
    """The class of these tests, in which a teacher is present."""
    with Visitors(at) as visitors:
        visitors.join(ROOM, "teacher", "Mme Martin")[0].enters()
        yield ROOM


@pytest.mark.parametrize(
    ("locale", "title"),
    [("fr-CA", "Rejoindre la classe"), ("en-US", "Join the class"), ("de-DE", "Rejoindre la classe")],
)
def test_the_browsers_locale_sets_the_language(new_user, locale: str, title: str) -> None:
    page = new_user("Ada", locale=locale).open().page
    assert page.get_by_role("heading").first.inner_text() == title
    page.click("[data-testid=language]")
    assert wait(lambda: page.get_by_role("heading").first.inner_text() != title)
    other = "en" if title.startswith("Rejoindre") else "fr"
    assert wait(lambda: page.locator("html").get_attribute("lang") == other)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1100])
def test_the_form_is_accessible(new_user, scheme: str, width: int) -> None:
    person = new_user("Ada", color_scheme=scheme, viewport={"width": width, "height": 740}).open(CODES["pupil"])
    person.page.wait_for_selector("video")  # permission is already granted, so the preview starts at once
    assert person.accessibility_faults() == []
    assert person.overflow() <= 0


def test_the_preview_shows_the_camera_and_the_devices(new_user) -> None:
    person = new_user("Ada").open(CODES["pupil"])
    assert wait(lambda: person.page.evaluate("document.querySelector('video')?.videoWidth > 0"))
    assert wait(lambda: person.page.evaluate("document.querySelector('meter')?.value > 0"))
    assert wait(lambda: person.page.locator("select").count() == 2)
    person.page.uncheck("[data-testid=with-camera]")
    assert wait(lambda: person.page.locator("video").count() == 0)
    person.page.fill("#name", "Ada")
    person.page.click("#join")
    person.page.wait_for_selector("[data-testid=leave]")
    assert wait(lambda: person.pressed("mic"))
    assert not person.pressed("camera")


def test_a_user_without_device_permission_gets_help_and_can_join(new_user) -> None:
    person = new_user("Ada", allowed=False)
    refuse = "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('no', 'NotAllowedError'); }"
    person.page.add_init_script(refuse)
    person.open(CODES["pupil"])
    assert person.page.locator("video").count() == 0  # the page asks for permission only on request
    person.click("try")
    assert wait(lambda: person.page.get_by_text("a refusé la caméra").count() > 0)
    person.page.fill("#name", "Ada")
    person.page.click("#join")
    assert wait(lambda: person.is_shown("urgent") and "a refusé le micro" in person.text("urgent"))
    person.click("camera")
    assert wait(lambda: "a refusé la caméra" in person.text("urgent"))
    assert person.accessibility_faults() == []


@pytest.mark.parametrize(
    ("code", "name", "message", "field"),
    [
        ("NOSUCHCODE", "Ada", "Ce code ne correspond à aucune classe", "code"),
        (CODES["pupil"], "\u3164", "Choisissez un pseudonyme", "name"),
    ],
)
def test_a_refusal_names_the_fix_and_focuses_the_field(
    new_user, code: str, name: str, message: str, field: str
) -> None:
    person = new_user("Ada").open(code)
    person.page.fill("#name", name)
    person.page.click("#join")
    assert wait(lambda: message in person.text("problem"))
    assert wait(lambda: person.focused() == field)
    assert person.page.locator(f"#{field}").get_attribute("aria-invalid") == "true"
    assert person.accessibility_faults() == []


def test_an_unreachable_class_is_reported(new_user, site) -> None:
    person = new_user("Ada").open(CODES["pupil"])
    person.page.fill("#name", "Ada")
    site.reachable = False
    person.page.click("#join")
    assert wait(lambda: "ne répond pas" in person.text("problem"))
    site.reachable = True
    person.page.click("#join")
    person.page.wait_for_selector("[data-testid=leave]")


def test_the_page_is_usable_by_keyboard(new_user) -> None:
    """Join, use and leave the class with Tab, Space, Enter and Escape; the focus is always visible."""
    person = new_user("Zoé", locale="en-GB").open(CODES["teacher"])
    page, keys = person.page, person.page.keyboard

    def focus() -> str:
        shown = page.evaluate(
            """() => { const e = document.activeElement;  // headings take the focus from the page, never from a key
              return e === document.body || e.tabIndex < 0 || getComputedStyle(e).outlineStyle !== 'none'; }"""
        )
        assert shown, "the focus is not visible"
        return person.focused()

    def reach(test_id: str) -> None:
        for _ in range(40):
            if focus() == test_id:
                return
            keys.press("Tab")
        raise AssertionError(f"Tab does not reach {test_id}")

    assert wait(lambda: focus() == "name")
    keys.type("Zoé")
    reach("with-camera")
    keys.press("Space")
    reach("join")
    keys.press("Enter")
    page.wait_for_selector("[data-testid=leave]")
    assert wait(lambda: person.pressed("mic"))
    assert not person.pressed("camera")
    reach("camera")
    keys.press("Enter")
    assert wait(lambda: person.pressed("camera"))
    reach("chat-toggle")
    keys.press("Enter")
    assert wait(lambda: focus() == "chat-input")
    keys.type("hello")
    keys.press("Enter")
    assert wait(lambda: person.is_shown("chat-message"))
    keys.press("Escape")
    assert wait(lambda: focus() == "chat-toggle")
    for test_id in ("people-toggle", "settings-toggle", "mute-all", "lock"):
        reach(test_id)
    keys.press("Space")
    assert wait(lambda: person.is_shown("locked"))
    keys.press("Space")
    assert wait(lambda: not person.is_shown("locked"))
    reach("raid")
    keys.press("Enter")
    assert wait(lambda: person.is_shown("raid-dialog"))
    reach("raid-cancel")
    keys.press("Escape")
    assert wait(lambda: focus() == "raid" and not person.is_shown("raid-dialog"))
    reach("leave")
    keys.press("Enter")
    page.wait_for_selector("[data-testid=goodbye][data-why=bye]")
    assert wait(lambda: focus() == "again")
    keys.press("Enter")
    page.wait_for_selector("#join")
    assert page.input_value("#name") == "Zoé"
