"""Commands of sovereignty: `cloud check`, `verdict`, `controls` and `report`."""

import importlib
import importlib.util

import typer

from classroom.sovereignty import cloud_check

OTHERS = (
    "classroom.sovereignty.verdict_command",
    "classroom.sovereignty.controls_command",
    "classroom.sovereignty.report_command",
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
