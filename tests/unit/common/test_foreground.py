"""A command that runs in this one's stead gets the signals that this one is sent, and its status is this one's."""

import signal
import subprocess
import sys

import pytest

from classroom.common.foreground import wait
from classroom.common.paths import REPO

# A background job ignores interrupts, and so would all below it. Restored here and not between fork and exec: Python runs the
# fork handlers of gRPC then, which other tests load, and these can end the child.
IN_STEAD = """
import signal, subprocess, sys
from classroom.common.foreground import wait
signal.signal(signal.SIGINT, signal.default_int_handler)
command = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
sys.exit(wait(command, command.send_signal))
"""
PATIENT = "import time; print('begun', flush=True); time.sleep(20)"
STUBBORN = f"import signal; signal.signal({signal.SIGTERM:d}, lambda *_: exit(7)); {PATIENT}"


@pytest.mark.parametrize(("program", "status"), [("exit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 137)])
def test_the_status_is_the_commands(program: str, status: int) -> None:
    command = subprocess.Popen([sys.executable, "-c", program])
    assert wait(command, command.send_signal) == status


@pytest.mark.parametrize(
    ("number", "program", "status"),
    [
        (signal.SIGTERM, PATIENT, 143),
        (signal.SIGHUP, PATIENT, 129),
        (signal.SIGTERM, STUBBORN, 7),
        (signal.SIGINT, PATIENT, 130),
    ],
)
def test_a_signal_reaches_the_command(number: int, program: str, status: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", IN_STEAD, program],
        cwd=REPO,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"begun\n"
        process.send_signal(number)
        assert process.wait(10) == status
