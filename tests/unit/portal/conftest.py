from collections.abc import Iterator

import pytest

from tests.page.server import Settings, livekit, portal, settings


@pytest.fixture(scope="session")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    here = settings(tmp_path_factory.mktemp("portal"))
    with livekit(here), portal(here):
        yield here
