"""Define the `classroom` command line: each command is a module, registered here."""

import functools
import io
import sys
from importlib.metadata import distribution

import typer
from rich.console import Console
from rich.markup import escape

from classroom.cli import (
    capture,
    classes,
    cloud,
    codes,
    configure,
    controls,
    data,
    dns,
    init,
    inventory,
    ports,
    presets,
    report,
    settings,
    status,
    verdict,
    verify,
)
from classroom.common.errors import ClassroomError

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)


@app.callback()
def root() -> None:
    """Deploy virtual classes on European clouds, and verify where they run and who operates them."""


# `--help` lists them in this order.
app.command("init")(init.command)
app.command("settings")(settings.command)
app.command("inventory")(inventory.command)
app.command("configure")(configure.command)
app.command("classes")(classes.command)
app.add_typer(codes.app, name="codes")
app.command("status")(status.command)
app.add_typer(dns.app, name="dns")
app.command("verify")(verify.command)
app.command("capture", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(capture.command)
app.add_typer(cloud.app, name="cloud")
app.command("verdict")(verdict.command)
app.command("presets")(presets.command)
app.add_typer(data.app, name="data")
app.command("controls")(controls.command)
app.command("ports")(ports.command)
app.command("report")(report.command)


@functools.cache
def add_others() -> None:
    """Add the commands that other packages register as entry points in the group `classroom.commands`."""
    for entry in distribution("sovereign-classroom").entry_points.select(group="classroom.commands"):
        app.add_typer(entry.load(), name=entry.name)


def main() -> None:
    """Run the command line; print a ClassroomError's message on standard error and exit with its status."""
    add_others()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal may lack a character, such as the arrow or the ellipsis
    try:
        app()
    except ClassroomError as error:
        Console(stderr=True, soft_wrap=True, highlight=False).print(f"[bold red]error:[/] {escape(str(error))}")
        sys.exit(error.status)
