"""A class of twelve, ten of them with signalling only, so that one machine can run them all."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from tests.page.people import wait
from tests.page.server import CODES, Settings, post
from tests.unit.portal.person import Person

NAMES = ["Tom", "Inès", "Mohamed", "Zoé", "Anaïs-Marie de la Très Longue Rivière", "Paul", "Lou", "Noé", "Ada", "山田"]


@pytest.fixture
def crowd(at: Settings, site) -> Iterator[list[str]]:
    """Connect ten pupils to the room; yield their tokens."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def run(work):
        return asyncio.run_coroutine_threadsafe(work, loop).result(20)

    tokens = [post(at, "join", {"code": CODES["pupil"], "name": name})[1]["token"] for name in NAMES]
    people = [Person(at.livekit, token) for token in tokens]
    for person in people:
        run(person.__aenter__())
    yield tokens
    for person in people:
        run(person.__aexit__(None, None, None))
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)


@pytest.mark.parametrize("size", [(1280, 800), (360, 640)])
def test_all_twelve_participants_are_shown(crowd, new_user, at: Settings, size: tuple[int, int]) -> None:
    teacher = new_user("Mme Martin", viewport={"width": size[0], "height": size[1]}).enter("teacher")
    assert wait(lambda: teacher.page.locator("[data-testid=tile]").count() == len(NAMES) + 1)
    post(at, "hand", {"raised": True}, crowd[1])
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
