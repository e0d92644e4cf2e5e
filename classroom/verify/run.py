"""Runs the tests of `tests/deployed` with pytest in this process."""

import datetime
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from classroom.common.paths import REPO
from classroom.verify.deployment import Deployment
from classroom.verify.pytest_plugin import ReplaceReporter, Verification
from classroom.verify.requirements import SECONDS

if TYPE_CHECKING:  # it imports the browser library, which takes a second to load
    from classroom.verify.browsers.background_class import Observed

TESTS = REPO / "tests" / "deployed"
AREAS = (
    "every",
    "front",
    "media",
    "outside",
    "inside/test_firewall.py",
    "class/test_class.py",
    "inside/test_removed.py",
    "sovereignty",
    "class/test_networks.py",
    "class/test_traces.py",
)
"""Tests in order: the background class runs during all areas before `sovereignty`, which evaluates it. The probe of
`inside` boots during the first areas and is removed during the class."""


def run(
    target: Deployment,
    scratch: Path,
    left_out: frozenset[str],
    areas: Sequence[str],
    junit: Path | None = None,
    *,
    as_of: datetime.date | None = None,
    hold: float = SECONDS,
    observed: "Observed | None" = None,
) -> tuple[Verification, int]:
    """Run the tests of `areas`, print results as they end, and return the plugin with the results, and pytest's exit status.

    An area may also be a test file, such as `sovereignty/test_time.py`. Controls evaluate as of the day `as_of`. The
    background class runs for at least `hold` seconds, or not at all if `observed` passes the observations of an earlier one.
    """
    out = os.fdopen(os.dup(1), "w")  # pytest captures the usual one

    def say(line: str) -> None:
        print(line, file=out, flush=True)

    done = Verification(target, target.write_ssh(scratch), left_out, say, as_of, hold)
    done.observed = observed
    argv = [f"--rootdir={REPO}", "-c", str(TESTS / "pytest.ini"), "--tb=short", "-q"]
    # Other installed plugins are not needed and take seconds to load.
    argv += ["--disable-plugin-autoload", "-p", "pytest_timeout"]
    argv += [f"--junitxml={junit.absolute()}"] if junit else []
    here = Path.cwd()
    try:
        plugins: list[object] = [_RegisterPlugin(done), ReplaceReporter()]
        status = pytest.main([*argv, *(str(TESTS / area) for area in areas)], plugins=plugins)
    finally:
        os.chdir(here)
        out.close()
    return done, int(status)


class _RegisterPlugin:
    """Registers a verification under the plugin name that the tests' fixtures look up."""

    def __init__(self, verification: Verification) -> None:
        self._verification = verification

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Register the plugin."""
        config.pluginmanager.register(self._verification, "verification")
