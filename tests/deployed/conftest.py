"""Fixtures of the tests on a deployment. The inventory names the machines; a missing machine is a failure."""

import contextlib
import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from classroom.verify.browsers.background_class import BackgroundClass
from classroom.verify.browsers.browser import Meeting
from classroom.verify.deployment import Deployment
from classroom.verify.hosts.accounting import Accounting
from classroom.verify.network.port_scan import declared_tcp, own_address, scan
from classroom.verify.network.private_network_probe import Probe, ProbeAnswers
from classroom.verify.pytest_plugin import Verification
from classroom.verify.ssh import RemoteHost


def _verification(config: pytest.Config) -> Verification:
    found = config.pluginmanager.get_plugin("verification")
    if not isinstance(found, Verification):
        raise pytest.UsageError("tests/deployed needs a deployment: run it with `classroom verify`")
    return found


def pytest_configure(config: pytest.Config) -> None:
    _verification(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrise `every` with all machines, and `front` and `media` with those of the group."""
    target = _verification(metafunc.config).target
    for fixture, group in (("every", None), ("front", "front"), ("media", "media")):
        if fixture in metafunc.fixturenames:
            names = [m.name for m in (target.group(group) if group else target.machines)]
            metafunc.parametrize(fixture, names, indirect=True)


# Slow work without side effects runs in parallel to the tests.
_pool = ThreadPoolExecutor(16)
_scans: dict[str, Future[dict[int, str]]] = {}
_probe_may_start: Future[None] = Future()
_probe_results: Future[ProbeAnswers] = Future()
_probe_leftovers: Future[list[str]] | None = None


def _wanted(session: pytest.Session) -> set[str]:
    return {name for item in session.items for name in item.fixturenames}


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the probe's machine before the first test, unless tests are only collected."""
    global _probe_leftovers
    verification = _verification(session.config)
    possible = verification.target.rehearsal and not {"inside", "ipv6"} & verification.without
    if (
        possible
        and {"probe_results", "probe_leftovers"} & _wanted(session)
        and not session.config.getoption("collectonly")
    ):
        _probe_leftovers = _pool.submit(_run_probe, verification)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Remove the probe if the tests that need it did not run."""
    _probe_may_start.cancel()
    if _probe_leftovers:
        _probe_leftovers.exception()


def _run_probe(verification: Verification) -> list[str]:
    """Start a probe, run its scans once `probe_results` is requested, and return what is left after its removal."""
    try:
        with Probe(verification.target, verification.remotes) as probe:
            _probe_may_start.result()
            _probe_results.set_result(probe.try_all())
    except BaseException as error:
        if not _probe_results.done():
            _probe_results.set_exception(error)
        raise
    return probe.left


@pytest.fixture(scope="session")
def verification(request: pytest.FixtureRequest) -> Verification:
    return _verification(request.config)


@pytest.fixture(scope="session")
def target(verification: Verification) -> Deployment:
    return verification.target


@pytest.fixture(scope="session")
def with_ipv6(verification: Verification) -> bool:
    return verification.target.ipv6 and "ipv6" not in verification.without


@pytest.fixture(scope="session")
def remotes(verification: Verification) -> dict[str, RemoteHost]:
    return verification.remotes


@pytest.fixture
def every(request: pytest.FixtureRequest, remotes: dict[str, RemoteHost]) -> RemoteHost:
    return remotes[request.param]


@pytest.fixture
def front(request: pytest.FixtureRequest, remotes: dict[str, RemoteHost]) -> RemoteHost:
    return remotes[request.param]


@pytest.fixture
def media(request: pytest.FixtureRequest, remotes: dict[str, RemoteHost]) -> RemoteHost:
    return remotes[request.param]


@pytest.fixture(scope="session")
def accounting(verification: Verification) -> Accounting:
    """Return the account of all machines, which is collected in parallel to the earlier tests."""
    return _accounting(verification)


_accounts: Accounting | None = None


def _accounting(verification: Verification) -> Accounting:
    """Start to account for the machines, once."""
    global _accounts
    if _accounts is None:
        _accounts = Accounting(verification.target, verification.remotes)
        _accounts.start(_pool)
    return _accounts


@pytest.fixture(scope="session")
def scans() -> dict[str, dict[int, str]]:
    """Return the answering TCP ports and their states by address; the scans run in parallel to the earlier tests."""
    return {address: future.result() for address, future in _scans.items()}


@pytest.fixture(scope="session")
def probe_results() -> ProbeAnswers:
    """Return the results of the probe in the private network; its removal runs in parallel to the following tests."""
    if not _probe_may_start.done():
        _probe_may_start.set_result(None)
    return _probe_results.result()


@pytest.fixture(scope="session")
def probe_leftovers() -> list[str]:
    """Return the resources of the probe that still exist after its removal."""
    assert _probe_leftovers
    return _probe_leftovers.result()


@pytest.fixture(scope="session")
def codes(target: Deployment, remotes: dict[str, RemoteHost]) -> dict[str, str]:
    """Return short-lived codes for a separate room: `teacher_code` and `pupil_code`."""
    remote = remotes[target.group("front")[0].name]
    found: dict[str, str] = json.loads(remote.listed("/usr/local/bin/classroom-verification-codes", user="portal"))
    return found


@pytest.fixture(scope="session", autouse=True)
def start_early(request: pytest.FixtureRequest, verification: Verification) -> None:
    """Start the background class before the first test, if a test needs it; then the scans, which would slow its start."""
    wanted, target = _wanted(request.session), verification.target
    if "accounting" in wanted:
        _accounting(verification)
    if "background_class" in wanted or ("observed" in wanted and verification.observed is None):
        # The tests that use the fixture report the error.
        with contextlib.suppress(Exception):
            request.getfixturevalue("background_class")
    for machine in target.machines if "scans" in wanted else ():
        for address in target.addresses(machine, ipv6="ipv6" not in verification.without):
            _scans[address] = _pool.submit(scan, address, declared_tcp(target, machine, own_address(address)))


@pytest.fixture(scope="session")
def background_class(
    verification: Verification,
    target: Deployment,
    remotes: dict[str, RemoteHost],
    meeting: Meeting,
    codes: dict[str, str],
    with_ipv6: bool,
) -> Iterator[BackgroundClass]:
    """Run a class of a teacher and two pupils, and capture its traffic unless `--without capture` is given."""
    verification.step("a teacher's and two pupils' browsers start and join")
    watched = "capture" not in verification.without
    with BackgroundClass(target, remotes, meeting, codes, ipv6=with_ipv6, watched=watched) as running:
        yield running


@pytest.fixture(scope="session")
def meeting(target: Deployment) -> Iterator[Meeting]:
    """Run the browsers of the class, and close them in the end."""
    with Meeting(f"https://{target.domain}") as meeting:
        yield meeting
