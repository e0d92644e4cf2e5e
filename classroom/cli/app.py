"""The `classroom` command: one module registers the commands of each area."""

import importlib
import importlib.util
import sys

import typer
from rich.console import Console
from rich.markup import escape

from classroom.common.errors import ClassroomError

AREAS = ("classroom.cli.stack", "classroom.cli.verify", "classroom.cli.sovereignty", "rehearsal.commands")

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__, add_completion=False)


@app.callback()
def root() -> None:
    """Opens virtual classes on European clouds, and proves where they run and in whose hands."""


def main() -> None:
    """Run the command line; a ClassroomError becomes its sentence on standard error and its exit status."""
    for area in AREAS:
        if importlib.util.find_spec(area.rpartition(".")[0]) and importlib.util.find_spec(area):
            importlib.import_module(area).register(app)
    try:
        app()
    except ClassroomError as error:
        Console(stderr=True, soft_wrap=True, highlight=False).print(f"[bold red]error:[/] {escape(str(error))}")
        sys.exit(error.status)
