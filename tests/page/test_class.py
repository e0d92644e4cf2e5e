"""One class from joining to removal, in real browsers with a real media server; the tests build on each other."""

import json
import urllib.request

import pytest

from tests.page.people import PageUser, isolated, wait
from tests.page.server import codes_of

Pair = tuple[PageUser, PageUser]


def close_panel(person: PageUser) -> None:
    if person.is_shown("panel-close"):
        person.click("panel-close")


def test_teacher_and_pupil_see_and_hear_each_other(pair: Pair) -> None:
    teacher, pupil = pair
    assert wait(lambda: teacher.sees("Léa"), 20), teacher.errors
    assert wait(lambda: pupil.sees("Mme Martin"), 20), pupil.errors
    assert wait(lambda: teacher.hears("Léa"))
    assert wait(lambda: pupil.hears("Mme Martin"))
    assert teacher.text("count") == "2 personnes"
    assert pupil.text("count") == "2 people"


def test_camera_and_microphone_turn_off_and_on(pair: Pair) -> None:
    teacher, pupil = pair
    pupil.click("camera")
    pupil.click("mic")
    assert wait(lambda: not pupil.pressed("camera") and not pupil.pressed("mic"))
    assert wait(lambda: not teacher.sees("Léa"))
    assert wait(lambda: teacher.page.get_by_role("img", name=f"{isolated('Léa')}, caméra éteinte").count() == 1)
    assert wait(lambda: not teacher.hears("Léa", 1))
    pupil.click("camera")
    pupil.click("mic")
    assert wait(lambda: teacher.sees("Léa"))
    assert wait(lambda: teacher.hears("Léa"))


def test_a_message_is_announced_while_the_chat_is_closed(pair: Pair) -> None:
    teacher, pupil = pair
    pupil.click("chat-toggle")
    pupil.page.fill("[data-testid=chat-input]", "Bonjour <b>Madame</b>")
    pupil.click("chat-send")
    assert wait(lambda: "Léa écrit\u00a0: Bonjour <b>Madame</b>" in teacher.text("notice"))
    assert wait(lambda: "1 nouveau message" in teacher.text("chat-toggle"))
    assert pupil.accessibility_faults() == []
    teacher.click("chat-toggle")
    assert teacher.text("chat-message").endswith("Bonjour <b>Madame</b>")
    assert wait(lambda: not teacher.is_shown("unread"))
    assert teacher.accessibility_faults() == []
    teacher.page.keyboard.type("Bonjour Léa")
    teacher.page.keyboard.press("Enter")
    assert wait(lambda: pupil.page.get_by_text("Bonjour Léa").count() == 1)
    close_panel(teacher)
    close_panel(pupil)


def test_a_raised_hand_is_seen_and_lowered_by_the_teacher(pair: Pair) -> None:
    teacher, pupil = pair
    pupil.click("hand")
    assert wait(lambda: pupil.pressed("hand"))
    assert wait(lambda: "Léa lève la main" in teacher.text("notice"))
    teacher.click("people-toggle")
    people = teacher.page.locator("[data-testid=person]")
    assert wait(lambda: people.count() == 2 and "main levée" in people.first.inner_text())
    assert "Léa" in people.first.inner_text()
    assert teacher.accessibility_faults() == []
    teacher.click("lower-hand")
    assert wait(lambda: not pupil.pressed("hand"))
    close_panel(teacher)


def test_only_the_teacher_shares_a_screen_and_pupils_see_it(pair: Pair) -> None:
    teacher, pupil = pair
    assert not pupil.is_shown("screen") and not pupil.is_shown("mute-all") and not pupil.is_shown("lock")
    teacher.click("screen")
    assert wait(lambda: teacher.pressed("screen"))
    assert wait(lambda: pupil.sees("Mme Martin", "screen"), 20)
    assert pupil.overflow() <= 0 and pupil.accessibility_faults() == []
    teacher.click("screen")
    assert wait(lambda: pupil.page.locator('video[data-source="screen"]').count() == 0)


def test_pupils_are_muted_with_a_notice(pair: Pair) -> None:
    teacher, pupil = pair
    assert pupil.pressed("mic") and teacher.pressed("mic")
    teacher.click("mute-all")
    assert wait(lambda: not pupil.pressed("mic"))
    assert wait(lambda: "Your microphone was muted" in pupil.text("notice"))
    assert teacher.pressed("mic")
    assert wait(lambda: not teacher.hears("Léa", 1))
    pupil.click("mic")
    assert wait(lambda: teacher.hears("Léa"))


def test_the_language_changes_without_leaving_the_class(pair: Pair) -> None:
    teacher, pupil = pair
    for language, leave in (("fr", "Quitter"), ("en", "Leave")):
        pupil.click("language")
        assert wait(lambda wanted=language: pupil.page.locator("html").get_attribute("lang") == wanted)
        assert pupil.text("leave") == leave
        assert wait(lambda: pupil.focused() == "language")
    assert teacher.text("count") == "2 personnes" and teacher.sees("Léa")


def test_a_mobile_screen_needs_no_horizontal_scrolling(pair: Pair) -> None:
    pupil = pair[1]
    for panel in ("chat-toggle", "people-toggle", "settings-toggle"):
        pupil.click(panel)
        assert pupil.overflow() <= 0, panel
        assert pupil.accessibility_faults() == [], panel
        pupil.page.keyboard.press("Escape")
        assert wait(lambda wanted=panel: pupil.focused() == wanted), panel
    for button in pupil.page.locator(".control").all():
        box = button.bounding_box()
        assert box and box["x"] >= 0 and box["x"] + box["width"] <= 360 and box["y"] + box["height"] <= 720
        assert min(box["width"], box["height"]) >= 24


def test_a_locked_class_admits_no_one(pair: Pair, new_user) -> None:
    teacher, pupil = pair
    teacher.click("lock")
    assert wait(lambda: teacher.is_shown("locked") and pupil.is_shown("locked"))
    late = new_user("Tom").knock("pupil")
    assert wait(lambda: "La classe est fermée" in late.text("problem"))
    teacher.click("lock")
    assert wait(lambda: not pupil.is_shown("locked"))
    late.page.click("#join")
    late.page.wait_for_selector("[data-testid=leave]")
    assert wait(lambda: "Tom rejoint la classe" in teacher.text("notice"))


def test_a_lost_connection_is_announced_and_restored(pair: Pair, site) -> None:
    teacher, pupil = pair
    site.reachable = False
    try:
        assert wait(lambda: "Connexion perdue" in teacher.text("notice"), 20)
    finally:
        site.reachable = True
    assert wait(lambda: "Connexion perdue" not in teacher.text("notice"), 30)
    assert wait(lambda: teacher.sees("Léa") and pupil.sees("Mme Martin"), 20)


def test_a_removed_pupil_is_informed_and_comes_back_to_the_waiting_room_only(pair: Pair) -> None:
    teacher, pupil = pair
    teacher.click("people-toggle")
    assert not teacher.page.is_checked("[data-testid=waiting-switch]")
    teacher.page.get_by_role("button", name=f"Exclure {isolated('Léa')}").click()
    pupil.page.wait_for_selector("[data-testid=goodbye][data-why=removed]")
    assert wait(lambda: teacher.text("count") == "1 personne")
    assert pupil.accessibility_faults() == []
    assert "passent par la salle d\u2019attente" in teacher.text("notice")
    assert wait(lambda: teacher.page.is_checked("[data-testid=waiting-switch]"))
    assert wait(lambda: teacher.focused() == "panel-close")
    pupil.click("again")
    assert wait(lambda: pupil.page.locator("#name").input_value() == "Léa")
    pupil.page.click("#join")
    assert pupil.waits("admission")
    assert wait(lambda: teacher.page.locator("[data-testid=guest]").count() == 1)
    teacher.click("refuse")
    pupil.page.wait_for_selector("[data-testid=goodbye][data-why=refused]")
    assert pupil.accessibility_faults() == []
    teacher.page.uncheck("[data-testid=waiting-switch]")
    assert wait(lambda: not teacher.page.is_checked("[data-testid=waiting-switch]"))
    close_panel(teacher)


def test_the_page_requests_only_its_own_host(pair: Pair, site) -> None:
    host = site.base.removeprefix("http://")
    for person in pair:
        assert person.requested_hosts == {host}
        # The console may report the interruption of an earlier test, but no policy violation.
        assert not [error for error in person.errors if "Content Security Policy" in error], person.errors


def test_the_browser_stores_only_the_place_in_the_class_and_only_in_its_tab(pair: Pair, room: str) -> None:
    teacher, pupil = pair
    stored = json.loads(
        teacher.page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
    )
    assert set(stored[1]) == {"place"} and stored[2] == ""
    for text in (teacher.name, *codes_of(room).values()):
        assert text not in json.dumps(stored[0], ensure_ascii=False)
    # The place is given up with the class.
    assert pupil.page.evaluate("[sessionStorage.length, document.cookie.length]") == [0, 0]
    assert pupil.name not in pupil.page.evaluate("JSON.stringify(localStorage)")


@pytest.mark.parametrize("path", ["/", "/icon.svg"])
def test_the_page_contains_no_inline_script_or_style(site, path: str) -> None:
    with urllib.request.urlopen(site.base + path) as answer:
        text = answer.read().decode()
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert (
        "<style" not in text and " style=" not in text and "://" not in text.replace("http://www.w3.org/2000/svg", "")
    )
    assert "<script>" not in text and json.dumps("javascript:") not in text
