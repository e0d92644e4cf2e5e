"""`classroom cloud check`: may a classroom stand on this cloud, in this region? Decided offline, from the catalogue."""

import json
from typing import Annotated

import typer

from classroom.cli.options import day
from classroom.common.errors import RefusedError, UnknownError, WrongUseError
from classroom.sovereignty.policy import LEVELS, CheckResult, Level, Policy, check

app = typer.Typer(no_args_is_help=True, help="Judge clouds before anything is created on them.")
app.callback()(lambda: None)  # without it a single command would swallow its own name
STATUS = {"allowed": 0, "refused": RefusedError.status, "unknown": UnknownError.status}


def level(text: str) -> Level:
    """Return the level that `--policy` names; WrongUseError naming it if there is none such."""
    found = next((name for name in LEVELS if name == text), None)
    if found is None:
        raise WrongUseError(f"policy: '{text}' is no policy; choose one of {', '.join(LEVELS)}")
    return found


def report(result: CheckResult, as_json: bool) -> str:
    """Return what the command prints: the judgement as JSON, or for people."""
    return json.dumps(result.as_json(), ensure_ascii=False, indent=2) if as_json else result.message


@app.command("check")
def command(
    auth_url: Annotated[str, typer.Option(help="Address of the cloud's Keystone.")],
    region: Annotated[str, typer.Option(help="The cloud's region, as its own catalogue names it.")],
    policy: Annotated[
        str, typer.Option(metavar="eu|eea|adequate", help="One level for soil, operator and parent.")
    ] = "eu",
    as_of: Annotated[str | None, typer.Option(metavar="DATE", help="The day to judge by; today if left out.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the judgement as JSON.")] = False,
) -> None:
    """Judge a cloud and region, offline: status 0 allowed, 3 refused, 4 unknown."""
    result = check(auth_url, region, Policy.of(level(policy)), as_of=day(as_of))
    print(report(result, as_json))
    raise typer.Exit(STATUS[result.verdict])
