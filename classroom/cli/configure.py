"""`classroom configure`: run the Ansible roles again."""

import subprocess
from typing import Annotated

import typer

from classroom.cli.options import Stack
from classroom.clients.pulumi_cli import configure_urn, environment, output, pulumi
from classroom.common.errors import ClassroomError
from classroom.common.paths import REPO


def command(
    stack: Stack,
    force: Annotated[
        bool, typer.Option("--force", help="Run even if nothing has changed or a class is in session.")
    ] = False,
) -> None:
    """Run the Ansible roles on the existing machines, as `pulumi up` does after provisioning."""
    output(stack, "class_url")  # fails unless the stack exists and an `up` has completed
    forced = {"CLASSROOM_FORCE": "1"} if force else {}
    argv = pulumi(
        "up", "--yes", "--skip-preview", "--suppress-outputs", "--stack", stack, "--target", configure_urn(stack)
    )
    if subprocess.run(argv, cwd=REPO, env=environment() | forced, check=False).returncode:
        raise ClassroomError(
            f"the machines of stack '{stack}' are not configured; the reason is above. If it mentions other changes, run"
            f" `pulumi up --stack {stack}`"
        )
