"""Runs against any deployment: the inventory names the machines; none, or one too few, is a failure and never a pass."""

import contextlib
import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from classroom.verify.browser import Meeting
from classroom.verify.held import Held
from classroom.verify.outside import declared_tcp, own_address, scan
from classroom.verify.plugin import Verification
from classroom.verify.probe import Probe
from classroom.verify.remote import Remote
from classroom.verify.target import Target


def _verification(config: pytest.Config) -> Verification:
    found = config.pluginmanager.get_plugin("verification")
    if not isinstance(found, Verification):
        raise pytest.UsageError("these tests need a deployment: run them with `classroom verify`")
    return found


def pytest_configure(config: pytest.Config) -> None:
    _verification(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on every machine, or on every one of a group, by the name of its fixture."""
    target = _verification(metafunc.config).target
    for fixture, group in (("every", None), ("front", "front"), ("media", "media")):
        if fixture in metafunc.fixturenames:
            names = [m.name for m in (target.group(group) if group else target.machines)]
            metafunc.parametrize(fixture, names, indirect=True)


# What takes long and disturbs nobody runs beside the first tests.
_background: dict[str, Future] = {}
_pool = ThreadPoolExecutor(16)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start scans, and the probe's machine, before the first test; who only collects starts nothing."""
    if session.config.getoption("collectonly"):
        return
    verification = _verification(session.config)
    target, wanted = verification.target, {name for item in session.items for name in item.fixturenames}
    if "scans" in wanted:
        for machine in target.machines:
            for address in target.addresses(machine, ipv6="ipv6" not in verification.without):
                declared = declared_tcp(target, machine, own_address(address))
                _background[address] = _pool.submit(scan, address, declared)
    if "probe" in wanted and target.rehearsal and not {"inside", "ipv6"} & verification.without:
        _background["probe"] = _pool.submit(_start_probe, target)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Leave nothing that was started for tests which then did not run."""
    future = _background.get("probe")
    if future and not future.exception():
        future.result().remove()
        future.result().close()


def _start_probe(target: Target) -> Probe:
    probe = Probe(target)
    try:
        probe.start()
    except BaseException:
        probe.remove()
        probe.close()
        raise
    return probe


@pytest.fixture(scope="session")
def verification(request: pytest.FixtureRequest) -> Verification:
    return _verification(request.config)


@pytest.fixture(scope="session")
def target(verification: Verification) -> Target:
    return verification.target


@pytest.fixture(scope="session")
def with_ipv6(verification: Verification) -> bool:
    return verification.target.ipv6 and "ipv6" not in verification.without


@pytest.fixture(scope="session")
def remotes(verification: Verification) -> dict[str, Remote]:
    return verification.remotes


@pytest.fixture
def every(request: pytest.FixtureRequest, remotes: dict[str, Remote]) -> Remote:
    return remotes[request.param]


@pytest.fixture
def front(request: pytest.FixtureRequest, remotes: dict[str, Remote]) -> Remote:
    return remotes[request.param]


@pytest.fixture
def media(request: pytest.FixtureRequest, remotes: dict[str, Remote]) -> Remote:
    return remotes[request.param]


@pytest.fixture(scope="session")
def scans() -> dict[str, dict[int, str]]:
    """What answered, by address: all scans run at once, beside the tests before."""
    return {address: future.result() for address, future in _background.items() if address != "probe"}


@pytest.fixture(scope="session")
def probe() -> Probe:
    found: Probe = _background["probe"].result()
    return found


@pytest.fixture(scope="session")
def codes(target: Target, remotes: dict[str, Remote]) -> dict[str, str]:
    """Short-lived codes for a room of their own: `teacher_code` and `pupil_code`."""
    remote = remotes[target.group("front")[0].name]
    found: dict[str, str] = json.loads(remote.listed("/usr/local/bin/classroom-verification-codes", user="portal"))
    return found


@pytest.fixture(scope="session", autouse=True)
def early(request: pytest.FixtureRequest, verification: Verification) -> None:
    """Let the class begin before the first test, where one needs it: it is held beside the tests that need no browser."""
    wanted = {name for item in request.session.items for name in item.fixturenames}
    if "held" in wanted or ("observed" in wanted and verification.observed is None):
        # Who needs it gets the error itself.
        with contextlib.suppress(Exception):
            request.getfixturevalue("held")


@pytest.fixture(scope="session")
def held(
    verification: Verification, target: Target, remotes: dict[str, Remote], meeting: Meeting, codes: dict[str, str]
) -> Iterator[Held]:
    """A class of a teacher and two pupils, all of whose traffic is watched unless that was left out."""
    verification.step("a teacher's and two pupils' browsers start and join")
    with Held(target, remotes, meeting, codes, watched="capture" not in verification.without) as held:
        yield held


@pytest.fixture(scope="session")
def meeting(target: Target) -> Iterator[Meeting]:
    """A class in which browsers meet, over in the end."""
    with Meeting(f"https://{target.domain}") as meeting:
        yield meeting
