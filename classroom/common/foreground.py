"""Commands that run on this terminal in this one's stead."""

import os
import signal
import subprocess
from collections.abc import Callable


def wait(process: "subprocess.Popen[bytes]", tell: Callable[[int], object]) -> int:
    """Wait for a command and return its status: 128 + n if signal n ended it.

    Signals that are sent to this process meanwhile reach the command by `tell`.
    """

    def pass_on(number: int, _: object) -> None:
        # The terminal itself sends an interrupt to the command too: only wait for what it makes of it.
        if number != signal.SIGINT or not os.isatty(0):
            tell(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        status = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return status if status >= 0 else 128 - status
