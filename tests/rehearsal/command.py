"""The command as its users call it."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
CLASSROOM = Path(sys.prefix) / "bin" / "classroom"


def rehearsal(*words: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `classroom rehearsal …`, and return its status and what it wrote."""
    argv = [str(CLASSROOM), "rehearsal", *map(str, words)]
    return subprocess.run(
        argv, capture_output=True, text=True, cwd=REPO, env={**os.environ, **(env or {})}, check=False
    )


def member() -> dict[str, str]:
    """Return what `classroom rehearsal env` says, as a dictionary."""
    answer = rehearsal("env")
    assert answer.returncode == 0, answer.stderr
    lines = [shlex.split(line) for line in answer.stdout.splitlines()]
    assert all(word == "export" for word, _ in lines)
    return dict(assignment.split("=", 1) for _, assignment in lines)
