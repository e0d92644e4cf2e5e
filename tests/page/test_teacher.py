"""What the teacher decides for the whole class: chat, messages, intrusions, and what happens while the teacher is away."""

import time
from collections.abc import Iterator

import pytest

from tests.page.conftest import PAUSE_SECONDS
from tests.page.people import PageUser, wait
from tests.page.test_chat import texts, write
from tests.page.visitors import Visitors

Pair = tuple[PageUser, PageUser]


@pytest.fixture
def opened(pair: Pair) -> Iterator[Pair]:
    """Open the chat of both."""
    for person in pair:
        person.click("chat-toggle")
    yield pair
    for person in pair:
        if person.is_shown("panel-close"):
            person.click("panel-close")


def test_the_teacher_sets_who_can_write(opened: Pair) -> None:
    teacher, pupil = opened
    teacher.page.check("[data-testid=chat-mode-teacher]")
    assert wait(lambda: "Only the teacher can write" in pupil.text("chat-closed"))
    assert not pupil.is_shown("chat-input")
    assert not pupil.is_shown("chat-mode-all")
    assert pupil.accessibility_faults() == [] and teacher.accessibility_faults() == []
    write(teacher, "Écoutez bien")
    assert wait(lambda: "Écoutez bien" in texts(pupil))
    teacher.page.check("[data-testid=chat-mode-off]")
    assert wait(lambda: "The chat is closed" in pupil.text("chat-closed"))
    assert wait(lambda: not teacher.is_shown("chat-input"))
    teacher.page.check("[data-testid=chat-mode-all]")
    assert wait(lambda: pupil.is_shown("chat-input") and teacher.is_shown("chat-input"))
    write(pupil, "Oui Madame")
    assert wait(lambda: "Oui Madame" in texts(teacher))


def test_a_deleted_message_disappears_from_every_screen(opened: Pair, new_user) -> None:
    teacher, pupil = opened
    other = new_user("Tom").enter("pupil")
    assert wait(lambda: "Tom rejoint" in teacher.text("notice"))
    teacher.click("panel-close")
    write(pupil, "An insult")
    assert wait(lambda: "An insult" in teacher.text("notice") and "An insult" in other.text("notice"))
    teacher.click("chat-toggle")
    other.click("chat-toggle")
    assert not pupil.is_shown("delete-message") and not other.is_shown("delete-message")
    row = teacher.page.locator("[data-testid=chat-message]", has_text="An insult")
    row.locator("[data-testid=delete-message]").click()
    for person in (teacher, pupil, other):
        assert wait(lambda person=person: "An insult" not in texts(person)), person.name
        assert wait(lambda person=person: "An insult" not in person.page.inner_text("body")), person.name
    # The button that had the focus is gone: the focus is still in the panel.
    assert teacher.page.evaluate("document.activeElement.className") == "log"
    assert wait(lambda: "supprimé" in teacher.text("notice"))


def test_the_class_pauses_while_the_teacher_is_away(new_user, own_room: str) -> None:
    teacher = new_user("Mme Martin", room=own_room).enter("teacher")
    pupil = new_user("Léa", room=own_room, locale="en-GB").enter("pupil")
    other = new_user("Tom", room=own_room).enter("pupil")
    assert wait(lambda: other.sees("Léa") and other.hears("Léa"), 20)
    pupil.click("chat-toggle")
    left = time.monotonic()
    teacher.leave()
    assert wait(lambda: "Your teacher is away" in pupil.text("paused"), PAUSE_SECONDS + 8)
    assert time.monotonic() - left > PAUSE_SECONDS - 1
    assert wait(lambda: not pupil.pressed("mic") and not pupil.pressed("camera"))
    assert pupil.page.is_disabled("[data-testid=mic]") and pupil.page.is_disabled("[data-testid=camera]")
    assert wait(lambda: not other.sees("Léa") and not other.hears("Léa", 1))
    assert "Your teacher is away" in pupil.text("chat-closed")
    assert pupil.accessibility_faults() == [] and pupil.overflow() <= 0
    # A reload in the pause stays in the class, and asks for no device.
    other.page.reload()
    other.inside()
    assert wait(lambda: "s\u2019est absenté" in other.text("paused"))
    assert other.text("urgent") == ""
    new_user("Mme Martin", room=own_room).enter("teacher")
    assert wait(lambda: pupil.text("paused") == "" and "Your microphone stays off" in pupil.text("notice"))
    assert wait(lambda: pupil.pressed("camera") and other.sees("Léa"), 20)
    assert not pupil.pressed("mic") and not pupil.page.is_disabled("[data-testid=mic]")
    assert pupil.is_shown("chat-input")
    assert wait(lambda: other.pressed("camera") and not other.pressed("mic"))
    pupil.click("mic")
    assert wait(lambda: other.hears("Léa"))


def test_a_short_absence_of_the_teacher_changes_nothing(new_user, own_room: str) -> None:
    teacher = new_user("Mme Martin", room=own_room).enter("teacher")
    pupil = new_user("Léa", room=own_room).enter("pupil")
    assert wait(lambda: pupil.pressed("mic") and pupil.sees("Mme Martin"), 20)
    teacher.page.reload()
    teacher.inside()
    assert wait(lambda: pupil.sees("Mme Martin"), 20)
    assert pupil.text("paused") == "" and pupil.pressed("mic") and pupil.pressed("camera")


def test_one_button_ends_an_intrusion(new_user, visitors: Visitors, own_room: str) -> None:
    teacher = new_user("Mme Martin", room=own_room).enter("teacher")
    known = new_user("Léa", room=own_room).enter("pupil")
    moved = new_user("Tom", room=own_room, viewport={"width": 360, "height": 740}).enter("pupil")
    raiders = [visitor.enters() for visitor in visitors.join(own_room, "pupil", *(f"Intrus {n}" for n in range(5)))]
    assert wait(lambda: teacher.text("count") == "8 personnes")
    teacher.click("raid")
    assert wait(lambda: teacher.page.locator("[data-testid=keep]").count() == 7)
    assert teacher.accessibility_faults() == []
    teacher.page.get_by_role("checkbox", name="Léa").check()
    assert teacher.text("raid-confirm") == "Faire sortir 6 participants"
    teacher.click("raid-confirm")
    assert moved.waits("admission")
    assert [raider.gets("waiting")["why"] for raider in raiders] == ["admission"] * 5
    assert wait(lambda: teacher.text("count") == "2 personnes" and known.text("count") == "2 personnes")
    assert teacher.is_shown("locked") and known.is_shown("locked")
    known.click("chat-toggle")
    assert wait(lambda: "fermée" in known.text("chat-closed"))
    # Who was moved neither sees nor hears the class.
    assert moved.page.locator("video, audio").count() == 0
    assert raiders[0].ask("token") == {"error": "not_admitted"}
    assert wait(lambda: teacher.focused() == "raid")
    teacher.click("people-toggle")
    row = teacher.page.locator("[data-testid=guest]", has_text="Tom")
    row.locator("[data-testid=admit]").click()
    moved.inside()
    assert wait(lambda: teacher.sees("Tom") and moved.sees("Mme Martin"), 20)
