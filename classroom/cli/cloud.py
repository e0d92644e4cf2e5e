"""`classroom cloud check`: check offline, against the catalogue, whether the policy allows a cloud and region."""

import json
from typing import Annotated

import typer

from classroom.cli.options import day
from classroom.common.errors import RefusedError, UnknownError, WrongUseError
from classroom.sovereignty.policy import LEVELS, CheckResult, Level, Policy, check

app = typer.Typer(no_args_is_help=True, help="Check clouds against the policy before anything is created on them.")
app.callback()(lambda: None)  # without a callback, Typer drops the name of a single command
STATUS = {"allowed": 0, "refused": RefusedError.status, "unknown": UnknownError.status}


def level(text: str) -> Level:
    """Return the level that `--policy` names; WrongUseError if it is not one of LEVELS."""
    found = next((name for name in LEVELS if name == text), None)
    if found is None:
        raise WrongUseError(f"policy: '{text}' is not a policy level; choose one of {', '.join(LEVELS)}")
    return found


def report(result: CheckResult, as_json: bool) -> str:
    """Return the result as the command prints it: as JSON, or as text."""
    return json.dumps(result.as_json(), ensure_ascii=False, indent=2) if as_json else result.message


@app.command("check")
def command(
    auth_url: Annotated[str, typer.Option(help="URL of the cloud's Keystone (OS_AUTH_URL).")],
    region: Annotated[str, typer.Option(help="The cloud's region, as named in its service catalogue.")],
    policy: Annotated[
        str, typer.Option(metavar="eu|eea|adequate", help="Policy level for soil, operator and parent.")
    ] = "eu",
    as_of: Annotated[str | None, typer.Option(metavar="DATE", help="Date for which to check; default: today.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Check a cloud and region offline; exit status 0: allowed, 3: refused, 4: unknown."""
    result = check(auth_url, region, Policy.of(level(policy)), as_of=day(as_of))
    print(report(result, as_json))
    raise typer.Exit(STATUS[result.verdict])
