"""Asks Pulumi about a stack, for the commands that look at a deployment."""

import json
import subprocess
from typing import Any

from classroom.errors import ClassroomError
from classroom.paths import REPO


def output(stack: str, name: str, *, secret: bool = False) -> Any:
    """Return one output of a stack; ClassroomError if there is no such stack or output, or the passphrase is missing."""
    argv = ["pulumi", "stack", "output", "--stack", stack, "--json", name]
    answer = subprocess.run(
        [*argv, "--show-secrets"] if secret else argv, cwd=REPO, capture_output=True, text=True, check=False
    )
    if answer.returncode:
        said = answer.stderr.strip().splitlines() or ["no reason given"]
        raise ClassroomError(
            f"stack '{stack}' gives no '{name}' ({said[-1].removeprefix('error: ')}): has `pulumi up` ended?"
        )
    return json.loads(answer.stdout)
