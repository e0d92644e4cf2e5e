from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from classroom.configure import artifacts
from tests.page.people import FLAGS, Someone
from tests.page.server import Settings, free_port, livekit, portal, settings
from tests.page.site import Site, serve


@pytest.fixture(scope="session")
def at(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return settings(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="session")
def site(at: Settings) -> Iterator[Site]:
    """The built page, the real join service and a real LiveKit server."""
    port = free_port()
    with (
        livekit(at),
        portal(at, f"ws://127.0.0.1:{port}"),
        serve(Site(artifacts.PAGE.built(), at, port)) as served,
    ):
        yield served


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def someone(browser: Browser, site: Site) -> Iterator[Callable[..., Someone]]:
    """Makes people, and lets them leave at the end: a browser that is just ended stays in the room for a while."""
    made: list[Someone] = []

    def make(name: str, **options: Any) -> Someone:
        made.append(Someone(browser, site, name, **options))
        return made[-1]

    yield make
    site.reachable = True
    for one in made:
        one.leave()


@pytest.fixture(scope="module")
def pair(browser: Browser, site: Site) -> Iterator[tuple[Someone, Someone]]:
    """A teacher at a desk and a pupil with a telephone, in class together."""
    teacher = Someone(browser, site, "Mme Martin").enter("teacher")
    pupil = Someone(browser, site, "Léa", locale="en-GB", viewport={"width": 360, "height": 720}).enter("pupil")
    yield teacher, pupil
    for one in (pupil, teacher):
        one.leave()
