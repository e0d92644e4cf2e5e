import contextlib
import itertools
import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.page.server import GUARDED, ROOMS, SMALL, Settings, livekit, portal, settings

SHORT = {
    "poll": 0.2,
    "poll_opening": 0.1,
    "pause": 2.0,
    "end": 5.0,
    "recover": 3.0,
    "grace": 2.0,
    "hello": 1.0,
    "coalesce": 0.3,
}
"""Durations of a class for tests that wait for them."""
_rooms, _small, _guarded = itertools.cycle(ROOMS[1:]), itertools.cycle(SMALL), itertools.cycle(GUARDED)


@pytest.fixture(scope="session")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    here = settings(tmp_path_factory.mktemp("portal"))
    with livekit(here), portal(here):
        yield here


@pytest.fixture(scope="session")
def short(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A media server of its own, and a join service with the durations `SHORT`."""
    here = settings(tmp_path_factory.mktemp("short"))
    with livekit(here), portal(here, times=json.dumps(SHORT)):
        yield here


@pytest.fixture
def room() -> str:
    """A class that no other test uses."""
    return next(_rooms)


@pytest.fixture
def small() -> str:
    """The same, of three people."""
    return next(_small)


@pytest.fixture
def guarded() -> str:
    """The same, whose pupils wait for admission."""
    return next(_guarded)


class Servers:
    """A media server and a join service that a test can stop and start again."""

    def __init__(self, at: Settings) -> None:
        self.at = at
        self._stack = {"livekit": contextlib.ExitStack(), "portal": contextlib.ExitStack()}
        self._processes: dict[str, subprocess.Popen] = {}

    def start(self, what: str) -> None:
        run = livekit(self.at) if what == "livekit" else portal(self.at, times=json.dumps(SHORT))
        self._processes[what] = self._stack[what].enter_context(run)

    def stop(self, what: str) -> None:
        if what == "livekit":
            self._processes[what].kill()  # else it waits until everybody has left
        self._stack[what].close()


@pytest.fixture(scope="module")
def _servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    servers = Servers(settings(tmp_path_factory.mktemp("restart")))
    servers.start("livekit")
    servers.start("portal")
    yield servers
    servers.stop("portal")
    servers.stop("livekit")


@pytest.fixture
def servers(_servers: Servers) -> Servers:
    return _servers
