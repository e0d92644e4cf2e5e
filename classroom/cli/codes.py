"""`classroom codes renew`: replace the codes of a class."""

from enum import StrEnum
from typing import Annotated

import typer

from classroom.cli.options import Stack
from classroom.common.paths import REPO
from classroom.config.stack_file import raise_code_versions

app = typer.Typer(no_args_is_help=True, help="Replace class codes.")


class CodeRole(StrEnum):
    """The role that a code gives."""

    teacher = "teacher"
    pupil = "pupil"


@app.callback()
def root() -> None:
    """Replace class codes."""


@app.command("renew")
def command(
    stack: Stack,
    name: Annotated[str, typer.Option("--class", help="Name of the class.")],
    role: Annotated[CodeRole | None, typer.Option("--role", help="Whose code is replaced; both if not set.")] = None,
) -> None:
    """Replace the codes of a class: raise their versions in the stack file, which the next `pulumi up` applies."""
    path = REPO / f"Pulumi.{stack}.yaml"
    raised = raise_code_versions(path, name, [role.value] if role else [one.value for one in CodeRole])
    for one, version in raised.items():
        print(f"{path.name}: class '{name}': the {one} code has version {version}")
    print(
        f"Next: run `pulumi up --stack {stack}`; until then the old code is valid, and no one in the class is removed."
    )
    print(f"Then give out the new code, which `classroom classes --stack {stack}` shows.")
