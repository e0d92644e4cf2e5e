"""A sign of life in long tests, so that nobody waits before a silent screen."""

import os
import threading
import time

import pytest

TICK = 10.0
"""Seconds of one test between two signs of life."""


class Ticker:
    """Says which test runs, and for how long, every TICK seconds."""

    def __init__(self) -> None:
        self._out = -1
        self._test, self._since, self._told = "", 0.0, 0.0
        threading.Thread(target=self._tick, daemon=True).start()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        if self._out < 0:
            self._out = os.dup(1)  # while no test runs it is the real one
        self._test, self._since = nodeid, time.monotonic()
        self._told = self._since

    def pytest_runtest_logfinish(self) -> None:
        self._test = ""

    def _tick(self) -> None:
        while True:
            time.sleep(1)
            test, now = self._test, time.monotonic()
            if test and now - self._told > TICK:
                self._told = now
                os.write(self._out, f"\n  … {test.rpartition('::')[2]}: {now - self._since:.0f} s\n".encode())


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("capture") != "no":
        config.pluginmanager.register(Ticker(), "ticker")
