"""Commands of sovereignty: `cloud check`, `verdict`, `controls` and `report`."""

import importlib
import importlib.util

import typer

from classroom.cli import cloud as cloud_check

OTHERS = (
    "classroom.cli.verdict",
    "classroom.cli.controls",
    "classroom.cli.report",
)


def register(app: typer.Typer) -> None:
    """Add the commands of this area to the command line."""
    cloud = typer.Typer(no_args_is_help=True, help="Judge clouds before anything is created on them.")
    cloud.callback()(lambda: None)  # without it a single command would swallow its own name
    cloud.command("check")(cloud_check.command)
    app.add_typer(cloud, name="cloud")
    for name in OTHERS:
        if importlib.util.find_spec(name):
            importlib.import_module(name).register(app)
