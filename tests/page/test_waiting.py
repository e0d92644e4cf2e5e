"""Waiting for the teacher and in the waiting room, and the place that a reloaded tab takes back."""

import json
import re
from typing import Any

import pytest

from tests.page.people import PageUser, isolated, wait
from tests.page.visitors import Visitors

ARRIVALS = 30


def members(user: PageUser, test_id: str = "person") -> list[str]:
    rows = user.page.locator(f"[data-testid={test_id}] bdi")
    return rows.all_inner_texts()


def kept(user: PageUser) -> dict[str, Any]:
    """Return the place that the tab keeps."""
    found: dict[str, Any] = json.loads(user.page.evaluate("sessionStorage.getItem('place')"))
    return found


def switch_on(teacher: PageUser) -> None:
    teacher.click("people-toggle")
    teacher.page.check("[data-testid=waiting-switch]")
    assert wait(lambda: "attend votre accord" in teacher.page.locator("#waiting-hint").inner_text())


@pytest.mark.parametrize("size", [(1100, 720), (320, 568)])
def test_a_pupil_waits_for_the_teacher_and_enters_unaided(new_user, own_room: str, size: tuple[int, int]) -> None:
    pupil = new_user("Léa", room=own_room, viewport={"width": size[0], "height": size[1]})
    signalling: list[str] = []
    pupil.page.on("websocket", lambda socket: signalling.append(socket.url))
    pupil.knock("pupil")
    assert pupil.waits("teacher")
    assert "L\u2019enseignant n\u2019est pas encore là" in pupil.page.get_by_role("heading").inner_text()
    assert pupil.page.title().startswith("L\u2019enseignant")
    assert pupil.accessibility_faults() == [] and pupil.overflow() <= 0
    pupil.page.keyboard.press("Tab")
    assert pupil.focused() == "stop-waiting"
    # Who waits has no connection to the media server.
    assert [url for url in signalling if "/rtc" in url] == []
    teacher = new_user("Mme Martin", room=own_room).enter("teacher")
    pupil.inside()
    assert wait(lambda: pupil.sees("Mme Martin") and teacher.sees("Léa"), 20)
    assert wait(lambda: pupil.page.title() == "Classe virtuelle")


def test_thirty_arrivals_are_one_notice_and_are_admitted_and_refused(
    new_user, visitors: Visitors, own_room: str
) -> None:
    teacher = new_user("Mme Martin", room=own_room).enter("teacher")
    switch_on(teacher)
    teacher.click("panel-close")
    names = [f"Élève {number:02}" for number in range(1, ARRIVALS + 1)]
    arrivals = dict(zip(names, visitors.join(own_room, "pupil", *names), strict=True))
    assert [visitor.gets("waiting")["why"] for visitor in arrivals.values()] == ["admission"] * ARRIVALS
    assert wait(lambda: f"et {ARRIVALS - 2} autres attendent d\u2019entrer" in teacher.text("guests"))
    assert teacher.page.locator("[data-testid=guests]").count() == 1
    assert teacher.text("guests-count").startswith(str(ARRIVALS))
    assert teacher.page.title().startswith(f"({ARRIVALS}) ")
    # Nothing of them is in the class.
    assert teacher.text("count") == "1 personne"
    assert teacher.accessibility_faults() == []
    teacher.click("notice-see")
    assert wait(lambda: len(members(teacher, "guest")) == ARRIVALS)
    # The list replaces the notice.
    assert wait(lambda: not teacher.is_shown("notice-see"))
    assert teacher.accessibility_faults() == [] and teacher.overflow() <= 0
    teacher.page.get_by_role("button", name=f"Admettre {isolated(names[4])}").click()
    arrivals[names[4]].enters()
    teacher.page.get_by_role("button", name=f"Refuser {isolated(names[7])}").click()
    assert arrivals[names[7]].over() == "refused"
    assert wait(lambda: len(members(teacher, "guest")) == ARRIVALS - 2)
    assert wait(lambda: names[4] in members(teacher))
    teacher.click("admit-all")
    for name in set(names) - {names[4], names[7]}:
        arrivals[name].gets("enter")
    assert wait(lambda: not teacher.is_shown("guest") and not teacher.is_shown("guests-count"))


def test_a_reloaded_tab_is_listed_once_and_admitted(new_user, own_room: str) -> None:
    teacher = new_user("Mme Martin", room=own_room).enter("teacher")
    switch_on(teacher)
    pupil = new_user("Léa", room=own_room).knock("pupil")
    assert pupil.waits("admission")
    assert pupil.accessibility_faults() == []
    for _ in range(3):
        pupil.page.reload()
        assert pupil.waits("admission")
        assert wait(lambda: members(teacher, "guest") == ["Léa"])
    teacher.click("admit")
    pupil.inside()
    assert wait(lambda: members(teacher, "guest") == [] and "Léa" in members(teacher))


def test_the_pupil_who_stops_waiting_disappears_from_the_list(new_user, own_room: str) -> None:
    teacher = new_user("Mme Martin", room=own_room).enter("teacher")
    switch_on(teacher)
    pupil = new_user("Léa", room=own_room).knock("pupil")
    assert wait(lambda: members(teacher, "guest") == ["Léa"])
    pupil.click("stop-waiting")
    pupil.page.wait_for_selector("[data-testid=goodbye][data-why=bye]")
    assert wait(lambda: members(teacher, "guest") == [])
    assert pupil.page.evaluate("sessionStorage.length") == 0


def test_a_reload_in_class_takes_the_own_place_back(new_user, own_room: str) -> None:
    """Also in a locked class; microphone and camera are as they were."""
    teacher = new_user("Mme Martin", room=own_room).enter("teacher")
    pupil = new_user("Léa", room=own_room).enter("pupil")
    assert wait(lambda: pupil.pressed("mic") and pupil.pressed("camera"))
    ticket = kept(pupil)["ticket"]
    pupil.click("mic")
    assert wait(lambda: not pupil.pressed("mic"))
    teacher.click("lock")
    assert wait(lambda: pupil.is_shown("locked"))
    teacher.click("people-toggle")
    pupil.page.reload()
    pupil.inside()
    assert wait(lambda: teacher.sees("Léa"), 20)
    assert wait(lambda: members(teacher) == ["Mme Martin", "Léa"])
    assert kept(pupil)["ticket"] == ticket
    assert not pupil.pressed("mic")
    teacher.page.reload()
    teacher.inside()
    assert wait(lambda: pupil.sees("Mme Martin"), 20)
    assert wait(lambda: teacher.is_shown("locked") and teacher.is_shown("raid"))
    assert wait(lambda: re.match("2 ", teacher.text("count")) is not None)


def test_a_second_tab_with_the_same_place_replaces_the_first(new_user, own_room: str) -> None:
    teacher = new_user("Mme Martin", room=own_room).enter("teacher")
    place = teacher.page.evaluate("sessionStorage.getItem('place')")
    second = teacher.context.new_page()
    second.goto(teacher.site.base)
    second.evaluate("place => sessionStorage.setItem('place', place)", place)
    second.goto(f"{teacher.site.base}/?#{teacher.codes['teacher']}")
    second.wait_for_selector("[data-testid=leave]")
    teacher.page.wait_for_selector("[data-testid=goodbye][data-why=elsewhere]")
    assert teacher.page.evaluate("sessionStorage.length") == 0
    second.click("[data-testid=leave]")
    second.wait_for_selector("[data-testid=goodbye]")


def test_another_link_in_the_same_tab_shows_the_form(new_user, own_room: str, room: str) -> None:
    teacher = new_user("Mme Martin", room=own_room).enter("teacher")
    assert kept(teacher)["link"] == f"#{teacher.codes['teacher']}"
    teacher.page.goto("about:blank")
    other = new_user("Mme Martin", room=room)
    teacher.open(other.codes["teacher"])
    assert teacher.page.evaluate("sessionStorage.length") == 0
