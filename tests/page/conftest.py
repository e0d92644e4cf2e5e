import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

from classroom.configure import artifacts
from tests.page.people import FLAGS, PageUser
from tests.page.server import ROOMS, Settings, free_port, livekit, portal, settings
from tests.page.site import Site, serve
from tests.page.visitors import Visitors

PAUSE_SECONDS = 4.0
"""From the teacher's departure until the class is paused, shorter than in the product."""
_rooms = itertools.cycle(ROOMS)


@pytest.fixture(scope="session")
def at(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return settings(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="session")
def site(at: Settings) -> Iterator[Site]:
    """Serve the built page with the real join service and a real LiveKit server."""
    port = free_port()
    with (
        livekit(at),
        portal(at, f"ws://127.0.0.1:{port}", json.dumps({"pause": PAUSE_SECONDS})),
        serve(Site(artifacts.PAGE.built(), at, port)) as served,
    ):
        yield served


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    launched = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
    yield launched
    launched.close()


@pytest.fixture(scope="module")
def room() -> str:
    """A class that no other module uses."""
    return next(_rooms)


@pytest.fixture
def own_room() -> str:
    """A class that no other test uses."""
    return next(_rooms)


@pytest.fixture
def visitors(at: Settings, site: Site) -> Iterator[Visitors]:
    with Visitors(at) as visitors:
        yield visitors


@pytest.fixture
def new_user(browser: Browser, site: Site, room: str) -> Iterator[Callable[..., PageUser]]:
    """Return a function that creates users; they leave at the end, as LiveKit keeps a closed browser in the room for a while."""
    users: list[PageUser] = []

    def create(name: str, **options: Any) -> PageUser:
        users.append(PageUser(browser, site, name, **{"room": room} | options))
        return users[-1]

    yield create
    site.reachable = True
    for user in users:
        user.leave()


@pytest.fixture(scope="module")
def pair(browser: Browser, site: Site, room: str) -> Iterator[tuple[PageUser, PageUser]]:
    """Bring a teacher with a desktop browser and a pupil with a mobile browser into a class."""
    teacher = PageUser(browser, site, "Mme Martin", room=room).enter("teacher")
    pupil = PageUser(browser, site, "Léa", room=room, locale="en-GB", viewport={"width": 360, "height": 720}).enter(
        "pupil"
    )
    yield teacher, pupil
    for user in (pupil, teacher):
        user.leave()
