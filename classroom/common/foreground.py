"""Run a child command in the foreground and forward signals to it."""

import os
import signal
import subprocess
from collections.abc import Callable


def wait(process: "subprocess.Popen[bytes]", forward: Callable[[int], object]) -> int:
    """Wait for a command and return its exit status, or 128 + n if signal n ended it.

    `forward(number)` is called for each SIGINT, SIGTERM and SIGHUP that this process receives in the meantime.
    """

    def pass_on(number: int, _: object) -> None:
        # The terminal sends SIGINT to the whole foreground process group, and so to the command too.
        if number != signal.SIGINT or not os.isatty(0):
            forward(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        status = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return status if status >= 0 else 128 - status
