"""A class of twelve: ten of them by signalling alone, so that one machine can hold them all."""

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
    """Ten pupils in the room; yields their tokens."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def do(work):
        return asyncio.run_coroutine_threadsafe(work, loop).result(20)

    tokens = [post(at, "join", {"code": CODES["pupil"], "name": name})[1]["token"] for name in NAMES]
    people = [Person(at.livekit, token) for token in tokens]
    for person in people:
        do(person.__aenter__())
    yield tokens
    for person in people:
        do(person.__aexit__(None, None, None))
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)


@pytest.mark.parametrize("size", [(1280, 800), (360, 640)])
def test_twelve_fit_and_nobody_is_hidden(crowd, someone, at: Settings, size: tuple[int, int]) -> None:
    teacher = someone("Mme Martin", viewport={"width": size[0], "height": size[1]}).enter("teacher")
    assert wait(lambda: teacher.page.locator("[data-testid=tile]").count() == len(NAMES) + 1)
    post(at, "hand", {"raised": True}, crowd[1])
    assert wait(lambda: "Inès lève la main" in teacher.text("notice"))
    assert teacher.too_wide() <= 0
    assert teacher.barriers() == []
    for tile in teacher.page.locator("[data-testid=tile]").all():
        tile.scroll_into_view_if_needed()
        box = tile.bounding_box()
        assert box and box["x"] >= 0 and box["x"] + box["width"] <= size[0] and box["y"] >= 0
        assert box["width"] >= 140
    teacher.click("people-toggle")
    first = teacher.page.locator("[data-testid=person]").first
    assert wait(lambda: "Inès" in first.inner_text() and first.locator("[data-testid=raised]").count() == 1)
    assert teacher.barriers() == []
    teacher.click("panel-close")
    teacher.click("screen")
    assert wait(lambda: teacher.page.locator('video[data-source="screen"]').count() == 1)
    assert teacher.too_wide() <= 0
    assert teacher.barriers() == []
