"""Runs against any deployment: the inventory names the machines; none, or one too few, is a failure and never a pass."""

import contextlib
import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from classroom.verify.browsers.background_class import BackgroundClass
from classroom.verify.browsers.browser import Meeting
from classroom.verify.deployment import Target
from classroom.verify.network.port_scan import declared_tcp, own_address, scan
from classroom.verify.network.private_network_probe import Probe, ProbeAnswers
from classroom.verify.pytest_plugin import Verification
from classroom.verify.ssh import Remote


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


# What takes long and disturbs nobody runs beside the tests.
_pool = ThreadPoolExecutor(16)
_scans: dict[str, Future[dict[int, str]]] = {}
_begin: Future[None] = Future()
_tried: Future[ProbeAnswers] = Future()
_left: Future[list[str]] | None = None


def _wanted(session: pytest.Session) -> set[str]:
    return {name for item in session.items for name in item.fixturenames}


def pytest_collection_finish(session: pytest.Session) -> None:
    """Let the probe's machine start before the first test; who only collects starts nothing."""
    global _left
    verification = _verification(session.config)
    possible = verification.target.rehearsal and not {"inside", "ipv6"} & verification.without
    if possible and {"tried", "left"} & _wanted(session) and not session.config.getoption("collectonly"):
        _left = _pool.submit(_try_from_inside, verification)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Leave nothing that was started for tests which then did not run."""
    _begin.cancel()
    if _left:
        _left.exception()


def _try_from_inside(verification: Verification) -> list[str]:
    """Start a probe, let it try everything once `tried` asks for it, and return what is left after its removal."""
    try:
        with Probe(verification.target, verification.remotes) as probe:
            _begin.result()
            _tried.set_result(probe.try_all())
    except BaseException as error:
        if not _tried.done():
            _tried.set_exception(error)
        raise
    return probe.left


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
    return {address: future.result() for address, future in _scans.items()}


@pytest.fixture(scope="session")
def tried() -> ProbeAnswers:
    """What a probe got from inside; its removal goes on beside the tests after."""
    if not _begin.done():
        _begin.set_result(None)
    return _tried.result()


@pytest.fixture(scope="session")
def left() -> list[str]:
    """What is left of the probe after its removal."""
    assert _left
    return _left.result()


@pytest.fixture(scope="session")
def codes(target: Target, remotes: dict[str, Remote]) -> dict[str, str]:
    """Short-lived codes for a room of their own: `teacher_code` and `pupil_code`."""
    remote = remotes[target.group("front")[0].name]
    found: dict[str, str] = json.loads(remote.listed("/usr/local/bin/classroom-verification-codes", user="portal"))
    return found


@pytest.fixture(scope="session", autouse=True)
def early(request: pytest.FixtureRequest, verification: Verification) -> None:
    """Let the class begin before the first test, where one needs it; then the scans, which slow its browsers' start."""
    wanted, target = _wanted(request.session), verification.target
    if "held" in wanted or ("observed" in wanted and verification.observed is None):
        # Who needs it gets the error itself.
        with contextlib.suppress(Exception):
            request.getfixturevalue("held")
    for machine in target.machines if "scans" in wanted else ():
        for address in target.addresses(machine, ipv6="ipv6" not in verification.without):
            _scans[address] = _pool.submit(scan, address, declared_tcp(target, machine, own_address(address)))


@pytest.fixture(scope="session")
def held(
    verification: Verification,
    target: Target,
    remotes: dict[str, Remote],
    meeting: Meeting,
    codes: dict[str, str],
    with_ipv6: bool,
) -> Iterator[BackgroundClass]:
    """A class of a teacher and two pupils, all of whose traffic is watched unless that was left out."""
    verification.step("a teacher's and two pupils' browsers start and join")
    watched = "capture" not in verification.without
    with BackgroundClass(target, remotes, meeting, codes, ipv6=with_ipv6, watched=watched) as held:
        yield held


@pytest.fixture(scope="session")
def meeting(target: Target) -> Iterator[Meeting]:
    """A class in which browsers meet, over in the end."""
    with Meeting(f"https://{target.domain}") as meeting:
        yield meeting
