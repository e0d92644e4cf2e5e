"""`classroom configure`: another run of the roles."""

import subprocess
from typing import Annotated

import typer

from classroom.cli.options import Stack
from classroom.clients.pulumi_cli import configure_urn, environment, output, pulumi
from classroom.common.errors import ClassroomError
from classroom.common.paths import REPO


def command(
    stack: Stack,
    force: Annotated[bool, typer.Option("--force", help="Also if nothing changed or a class is live.")] = False,
) -> None:
    """Run Ansible on the machines as they are: what `pulumi up` does after provisioning."""
    output(stack, "class_url")  # there is such a stack, and an `up` has ended
    forced = {"CLASSROOM_FORCE": "1"} if force else {}
    argv = pulumi(
        "up", "--yes", "--skip-preview", "--suppress-outputs", "--stack", stack, "--target", configure_urn(stack)
    )
    if subprocess.run(argv, cwd=REPO, env=environment() | forced, check=False).returncode:
        raise ClassroomError(
            f"the machines of '{stack}' are not configured: the message above tells why; if it speaks of other changes, run"
            f" `pulumi up --stack {stack}`"
        )
