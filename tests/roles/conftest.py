"""Fixtures that start hosts for the role tests: each fleet has its own network and is removed after its tests."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import testinfra

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.roles.fleet import Fleet


@pytest.fixture(scope="module")
def fleet_of(request: pytest.FixtureRequest) -> Iterator[Callable[..., Fleet]]:
    """Return a function that starts a fleet of named hosts and moves the module's tests into its network."""
    with ExitStack() as stack:

        def start(*names: str) -> Fleet:
            fleet = Fleet(request.module.__name__.rpartition(".")[2].replace("_", "-"))
            stack.callback(fleet.stop)
            fleet.start(names)
            stack.enter_context(fleet.network())
            return fleet

        yield start


@pytest.fixture(scope="session")
def login() -> Callable[..., Any]:
    """Return a function that gives a Testinfra host for a host of a fleet, as root unless a `user` is given."""

    def host(fleet: Fleet, name: str, user: str = "") -> Any:
        found = testinfra.get_host(
            f"ssh://{user or fleet.account(name)}@{name}", ssh_config=str(fleet.ssh_config), sudo=not user
        )
        assert found.check_output("hostname") == name
        return found

    return host
