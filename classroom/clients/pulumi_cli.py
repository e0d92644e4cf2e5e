"""Asks Pulumi about a stack, for the commands that look at a deployment, and names what to ask of it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from classroom.common.errors import ClassroomError
from classroom.common.paths import REPO


def output(stack: str, name: str, *, secret: bool = False) -> Any:
    """Return one output of a stack; ClassroomError if there is no such stack or output, or the passphrase is missing."""
    argv = ["stack", "output", "--stack", stack, "--json", name, *(["--show-secrets"] if secret else [])]
    answer = subprocess.run(
        pulumi(*argv),
        cwd=REPO,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if answer.returncode:
        said = [line for line in answer.stderr.splitlines() if line.startswith("error: ")] or [answer.stderr.strip()]
        raise ClassroomError(f"stack '{stack}' gives no '{name}' ({said[0].removeprefix('error: ')}): {_fix(said[0])}")
    return json.loads(answer.stdout)


def pulumi(*words: str) -> list[str]:
    """Return a Pulumi command line that asks nothing of the terminal."""
    return ["pulumi", "--non-interactive", *words]


def environment() -> dict[str, str]:
    """Return the environment for Pulumi: this Python's own programs come first, whether or not a shell has activated it."""
    own = str(Path(sys.executable).parent)
    return {**os.environ, "PATH": os.pathsep.join([own, os.environ.get("PATH", os.defpath)])}


def replace_command(stack: str, machine: str) -> str:
    """Return the command that replaces one machine of a stack by a new one."""
    return f"`pulumi up --stack {stack} --replace '{urn(stack, machine)}'`"


def urn(stack: str, machine: str) -> str:
    """Return the name under which Pulumi keeps a machine of a stack."""
    path = "classroom:index:Classroom$classroom:machines:Machines$openstack:compute/instance:Instance"
    return f"urn:pulumi:{stack}::classroom::{path}::machines-{machine}"


def _fix(said: str) -> str:
    if "no stack named" in said:
        return "`pulumi stack ls` lists the stacks, and PULUMI_BACKEND_URL says where they are kept"
    if "passphrase" in said:
        return "set PULUMI_CONFIG_PASSPHRASE, or PULUMI_CONFIG_PASSPHRASE_FILE"
    return "run `pulumi up` to its end"
