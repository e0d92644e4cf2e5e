"""Print progress during long tests, so that the terminal is not silent for minutes."""

import os
import threading
import time

import pytest

TICK = 10.0
"""Seconds between two lines of progress of one test."""


class Ticker:
    """Prints the running test and its duration every TICK seconds."""

    def __init__(self) -> None:
        self._out = -1
        self._test, self._since, self._printed = "", 0.0, 0.0
        threading.Thread(target=self._tick, daemon=True).start()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        if self._out < 0:
            self._out = os.dup(1)  # outside of tests, pytest does not capture it
        self._test, self._since = nodeid, time.monotonic()
        self._printed = self._since

    def pytest_runtest_logfinish(self) -> None:
        self._test = ""

    def _tick(self) -> None:
        while True:
            time.sleep(1)
            test, now = self._test, time.monotonic()
            if test and now - self._printed > TICK:
                self._printed = now
                os.write(self._out, f"\n  … {test.rpartition('::')[2]}: {now - self._since:.0f} s\n".encode())


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("capture") != "no":
        config.pluginmanager.register(Ticker(), "ticker")
