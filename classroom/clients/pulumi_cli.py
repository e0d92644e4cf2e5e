"""Asks Pulumi about a stack, for the commands that look at a deployment, and names what to ask of it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from classroom.common.errors import ClassroomError
from classroom.common.paths import REPO

URN = "urn:pulumi:"


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
    return f"`pulumi up --stack {stack} --replace '{_machine_urn(stack, machine)}'`"


def _machine_urn(stack: str, machine: str) -> str:
    return _urn(stack, "classroom:machines:Machines$openstack:compute/instance:Instance", f"machines-{machine}")


def configure_urn(stack: str) -> str:
    """Return the name under which Pulumi keeps the run of the roles of a stack."""
    return _urn(stack, "classroom:index:Configure", "configure")


def _urn(stack: str, types: str, name: str) -> str:
    """Return the name of a resource within the classroom of a stack, by its type after those of what it is part of."""
    return f"{URN}{stack}::classroom::classroom:index:Classroom${types}::{name}"


def stack_of(urn: str) -> str:
    """Return the stack that a resource belongs to, by its name in Pulumi."""
    return urn.removeprefix(URN).split("::")[0]


def _fix(said: str) -> str:
    if "no stack named" in said:
        return "`pulumi stack ls` lists the stacks, and PULUMI_BACKEND_URL says where they are kept"
    if "passphrase" in said:
        return "set PULUMI_CONFIG_PASSPHRASE, or PULUMI_CONFIG_PASSPHRASE_FILE"
    return "run `pulumi up` to its end"
