"""Read a stack's outputs with the Pulumi command line, and compose its commands and URNs."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from classroom.common.errors import ClassroomError
from classroom.common.paths import REPO

URN = "urn:pulumi:"

STACK = "pulumi:pulumi:Stack"
"""Type of the resource that has the stack's outputs."""
CONFIGURE = "classroom:index:Configure"
"""Type of the resource that runs Ansible."""


def output(stack: str, name: str, *, secret: bool = False) -> Any:
    """Return one output of a stack; ClassroomError if stack or output do not exist, or a secret's passphrase is missing.

    Outputs without secrets come from the state as it is kept, for which no passphrase is needed.
    """
    thing = f"the output '{name}'"
    if secret:
        return _read(stack, thing, "output", "--stack", stack, "--json", name, "--show-secrets")
    outputs = _resource(STACK, _read(stack, thing, "export", "--stack", stack)).get("outputs") or {}
    if name not in outputs:
        raise ClassroomError(f"stack '{stack}': {thing} is not available (the stack has no such output); {_fix('')}")
    return outputs[name]


def applied_inventory(stack: str) -> Any:
    """Return the inventory that the last `pulumi up` gave to Ansible, from the stack's state; ClassroomError if there is none."""
    return json.loads(_configure_inputs(stack, "the state")["inventory"])


def configure_secrets(stack: str) -> dict[str, Any]:
    """Return the secret variables of a stack's last Ansible run, decrypted; ClassroomError if stack or passphrase are missing."""
    found = _configure_inputs(stack, "the state with its secrets", "--show-secrets")["secrets"]
    # The engine marks a decrypted secret and keeps its value as JSON.
    values = json.loads(found["plaintext"]) if isinstance(found, dict) and "plaintext" in found else found
    return {name: value for name, value in values.items() if isinstance(value, str)}


def _configure_inputs(stack: str, thing: str, *flags: str) -> Any:
    """Return what the last Ansible run was given, from the stack's state; ClassroomError, which names the thing, if there is none."""
    found = _resource(CONFIGURE, _read(stack, thing, "export", "--stack", stack, *flags))
    if not found:
        raise ClassroomError(f"stack '{stack}': Ansible has not run yet; complete a `pulumi up`")
    return found["inputs"]


def _resource(kind: str, state: Any) -> Any:
    """Return the first resource of a type in a state; an empty one if there is none."""
    resources = state["deployment"].get("resources") or []
    return next((resource for resource in resources if resource["type"] == kind), {})


def _read(stack: str, thing: str, *words: str) -> Any:
    """Return the JSON that a `pulumi stack` command prints; ClassroomError, which names the thing, if it fails."""
    answer = subprocess.run(
        pulumi("stack", *words),
        cwd=REPO,
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if answer.returncode:
        errors = [line for line in answer.stderr.splitlines() if line.startswith("error: ")] or [answer.stderr.strip()]
        reason = errors[0].removeprefix("error: ")
        raise ClassroomError(f"stack '{stack}': {thing} is not available ({reason}); {_fix(errors[0])}")
    return json.loads(answer.stdout)


def pulumi(*words: str) -> list[str]:
    """Return a non-interactive Pulumi command line."""
    return ["pulumi", "--non-interactive", *words]


def environment() -> dict[str, str]:
    """Return the environment for Pulumi, with this virtual environment first in PATH, even if it is not activated."""
    own = str(Path(sys.executable).parent)
    return {**os.environ, "PATH": os.pathsep.join([own, os.environ.get("PATH", os.defpath)])}


def replace_command(stack: str, machine: str) -> str:
    """Return the command, in backticks, that replaces one machine of a stack."""
    return f"`pulumi up --stack {stack} --replace '{_machine_urn(stack, machine)}'`"


def _machine_urn(stack: str, machine: str) -> str:
    return _urn(stack, "classroom:machines:Machines$openstack:compute/instance:Instance", f"machines-{machine}")


def configure_urn(stack: str) -> str:
    """Return the URN of a stack's Configure resource, which runs Ansible."""
    return _urn(stack, CONFIGURE, "configure")


def _urn(stack: str, types: str, name: str) -> str:
    """Return the URN of a resource in a stack's classroom; `types` are the types of its parents and its own, joined by `$`."""
    return f"{URN}{stack}::classroom::classroom:index:Classroom${types}::{name}"


def stack_of(urn: str) -> str:
    """Return the stack name in a URN."""
    return urn.removeprefix(URN).split("::")[0]


def _fix(error: str) -> str:
    if "no stack named" in error:
        return "list the stacks with `pulumi stack ls`, and check PULUMI_BACKEND_URL"
    if "passphrase" in error:
        return "set PULUMI_CONFIG_PASSPHRASE, or PULUMI_CONFIG_PASSPHRASE_FILE"
    return "complete a `pulumi up`"
