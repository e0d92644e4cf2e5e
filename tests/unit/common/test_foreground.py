"""A child command in the foreground gets the signals of its parent, which exits with the child's status."""

import signal
import subprocess
import sys

import pytest

from classroom.common.foreground import wait
from classroom.common.paths import REPO

# A background job ignores SIGINT, and its children inherit that. The handler is restored in the program, not between fork and
# exec, as Python would then run gRPC's fork handlers, loaded by other tests, which can end the child.
FOREGROUND = """
import signal, subprocess, sys
from classroom.common.foreground import wait
signal.signal(signal.SIGINT, signal.default_int_handler)
command = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
sys.exit(wait(command, command.send_signal))
"""
PATIENT = "import time; print('begun', flush=True); time.sleep(20)"
STUBBORN = f"import signal; signal.signal({signal.SIGTERM:d}, lambda *_: exit(7)); {PATIENT}"


@pytest.mark.parametrize(("program", "status"), [("exit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 137)])
def test_the_exit_status_is_the_command_s(program: str, status: int) -> None:
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
        [sys.executable, "-c", FOREGROUND, program],
        cwd=REPO,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"begun\n"
        process.send_signal(number)
        assert process.wait(10) == status
