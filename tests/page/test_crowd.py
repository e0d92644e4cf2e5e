"""A class of twelve, ten of them with signalling only, so that one machine can run them all."""

import pytest

from tests.page.people import wait
from tests.page.visitors import Visitors

NAMES = ["Tom", "Inès", "Mohamed", "Zoé", "Anaïs-Marie de la Très Longue Rivière", "Paul", "Lou", "Noé", "Ada", "山田"]


@pytest.mark.parametrize("size", [(1280, 800), (360, 640)])
def test_all_twelve_participants_are_shown(visitors: Visitors, own_room: str, new_user, size: tuple[int, int]) -> None:
    teacher = new_user("Mme Martin", room=own_room, viewport={"width": size[0], "height": size[1]}).enter("teacher")
    crowd = [visitor.enters() for visitor in visitors.join(own_room, "pupil", *NAMES)]
    assert wait(lambda: teacher.page.locator("[data-testid=tile]").count() == len(NAMES) + 1)
    assert crowd[1].ask("hand", raised=True) == {"ok": True}
    assert wait(lambda: "Inès lève la main" in teacher.text("notice"))
    assert teacher.overflow() <= 0
    assert teacher.accessibility_faults() == []
    for tile in teacher.page.locator("[data-testid=tile]").all():
        tile.scroll_into_view_if_needed()
        box = tile.bounding_box()
        assert box and box["x"] >= 0 and box["x"] + box["width"] <= size[0] and box["y"] >= 0
        assert box["width"] >= 140
    teacher.click("people-toggle")
    first = teacher.page.locator("[data-testid=person]").first
    assert wait(lambda: "Inès" in first.inner_text() and first.locator("[data-testid=raised]").count() == 1)
    assert teacher.accessibility_faults() == []
    teacher.click("panel-close")
    teacher.click("screen")
    assert wait(lambda: teacher.page.locator('video[data-source="screen"]').count() == 1)
    assert teacher.overflow() <= 0
    assert teacher.accessibility_faults() == []
