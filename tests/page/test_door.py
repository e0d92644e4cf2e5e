"""The form before the class: languages, devices, refusals, and the keyboard alone."""

import pytest

from tests.page.people import wait
from tests.page.server import CODES


@pytest.mark.parametrize(
    ("locale", "title"),
    [("fr-CA", "Rejoindre la classe"), ("en-US", "Join the class"), ("de-DE", "Rejoindre la classe")],
)
def test_the_browser_chooses_the_language(someone, locale: str, title: str) -> None:
    page = someone("Ada", locale=locale).open().page
    assert page.get_by_role("heading").first.inner_text() == title
    page.click("[data-testid=language]")
    assert wait(lambda: page.get_by_role("heading").first.inner_text() != title)
    other = "en" if title.startswith("Rejoindre") else "fr"
    assert wait(lambda: page.locator("html").get_attribute("lang") == other)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1100])
def test_the_form_shuts_nobody_out(someone, scheme: str, width: int) -> None:
    person = someone("Ada", color_scheme=scheme, viewport={"width": width, "height": 740}).open(CODES["pupil"])
    person.page.wait_for_selector("video")  # allowed before, so the preview shows at once
    assert person.barriers() == []
    assert person.too_wide() <= 0


def test_the_preview_shows_the_camera_and_the_devices(someone) -> None:
    person = someone("Ada").open(CODES["pupil"])
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


def test_one_who_allows_no_device_is_told_how_and_follows_all_the_same(someone) -> None:
    person = someone("Ada", allowed=False)
    refuse = "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('no', 'NotAllowedError'); }"
    person.page.add_init_script(refuse)
    person.open(CODES["pupil"])
    assert person.page.locator("video").count() == 0  # nobody is asked before they ask
    person.click("try")
    assert wait(lambda: person.page.get_by_text("Caméra refusée par le navigateur.").count() > 0)
    person.page.fill("#name", "Ada")
    person.page.click("#join")
    assert wait(lambda: person.there("urgent") and "Micro refusé" in person.text("urgent"))
    person.click("camera")
    assert wait(lambda: person.text("urgent").startswith("Caméra refusée"))
    assert person.barriers() == []


@pytest.mark.parametrize(
    ("code", "name", "said", "field"),
    [
        ("NOSUCHCODE", "Ada", "Ce code n\u2019ouvre aucune classe", "code"),
        (CODES["pupil"], "\u3164", "Choisissez un pseudonyme", "name"),
    ],
)
def test_a_refusal_says_what_to_do(someone, code: str, name: str, said: str, field: str) -> None:
    person = someone("Ada").open(code)
    person.page.fill("#name", name)
    person.page.click("#join")
    assert wait(lambda: said in person.text("problem"))
    assert wait(lambda: person.focused() == field)
    assert person.page.locator(f"#{field}").get_attribute("aria-invalid") == "true"
    assert person.barriers() == []


def test_a_class_that_does_not_answer_is_said(someone, site) -> None:
    person = someone("Ada").open(CODES["pupil"])
    person.page.fill("#name", "Ada")
    site.reachable = False
    person.page.click("#join")
    assert wait(lambda: "ne répond pas" in person.text("problem"))
    site.reachable = True
    person.page.click("#join")
    person.page.wait_for_selector("[data-testid=leave]")


def test_the_keyboard_alone_suffices(someone) -> None:
    """From the form to leaving, with Tab, Space, Enter and Escape; wherever the focus is, it shows."""
    person = someone("Zoé", locale="en-GB").open(CODES["teacher"])
    page, keys = person.page, person.page.keyboard

    def focus() -> str:
        shown = page.evaluate(
            """() => { const e = document.activeElement;  // headings take the focus from the page, never from a key
              return e === document.body || e.tabIndex < 0 || getComputedStyle(e).outlineStyle !== 'none'; }"""
        )
        assert shown, "the focus does not show"
        return person.focused()

    def reach(hook: str) -> None:
        for _ in range(40):
            if focus() == hook:
                return
            keys.press("Tab")
        raise AssertionError(f"{hook} is not reached by Tab")

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
    assert wait(lambda: person.there("chat-message"))
    keys.press("Escape")
    assert wait(lambda: focus() == "chat-toggle")
    for hook in ("people-toggle", "settings-toggle", "mute-all", "lock"):
        reach(hook)
    keys.press("Space")
    assert wait(lambda: person.there("locked"))
    keys.press("Space")
    assert wait(lambda: not person.there("locked"))
    reach("leave")
    keys.press("Enter")
    page.wait_for_selector("[data-testid=goodbye][data-why=bye]")
    assert wait(lambda: focus() == "again")
    keys.press("Enter")
    page.wait_for_selector("#join")
    assert page.input_value("#name") == "Zoé"
