"""One run of the tests of `tests/deployed`, in this process."""

import datetime
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from classroom.common.paths import REPO
from classroom.verify.deployment import Target
from classroom.verify.pytest_plugin import Silence, Verification
from classroom.verify.requirements import SECONDS

if TYPE_CHECKING:  # with it comes the library of browsers, which takes a second to load
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
"""Tests in their order: the class is held beside all that come before `sovereignty`, which then judges it. The probe of
`inside` starts beside the first ones and is removed beside the class."""


def run(
    target: Target,
    scratch: Path,
    left_out: frozenset[str],
    areas: Sequence[str],
    junit: Path | None = None,
    *,
    as_of: datetime.date | None = None,
    hold: float = SECONDS,
    observed: "Observed | None" = None,
) -> tuple[Verification, int]:
    """Run the tests of `areas` in this process, tell them as they end, and return what they found, and pytest's status.

    An area may be a file of tests too, such as `sovereignty/test_time.py`. Controls judge by the day `as_of`; the class is
    held for at least `hold` seconds, or none is where what was `observed` of an earlier one is to be judged again.
    """
    out = os.fdopen(os.dup(1), "w")  # pytest catches what is written to the usual one

    def say(line: str) -> None:
        print(line, file=out, flush=True)

    done = Verification(target, target.write_ssh(scratch), left_out, say, as_of, hold)
    done.observed = observed
    argv = [f"--rootdir={REPO}", "-c", str(TESTS / "pytest.ini"), "--tb=short", "-q"]
    # Whatever other plugins are installed here: they have no part in it, and take seconds to load.
    argv += ["--disable-plugin-autoload", "-p", "pytest_timeout"]
    argv += [f"--junitxml={junit.absolute()}"] if junit else []
    here = Path.cwd()
    try:
        plugins: list[object] = [_Named(done), Silence()]
        status = pytest.main([*argv, *(str(TESTS / area) for area in areas)], plugins=plugins)
    finally:
        os.chdir(here)
        out.close()
    return done, int(status)


class _Named:
    """Registers a verification under its name, by which the tests' fixtures find it."""

    def __init__(self, verification: Verification) -> None:
        self._verification = verification

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Register it."""
        config.pluginmanager.register(self._verification, "verification")
