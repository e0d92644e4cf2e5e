"""Compare commands, options, exit codes and the keys of JSON outputs with the golden files, as scripts rely on them.

Wording may change freely; a changed golden file is a changed contract, to be listed in the changelog. GOLDEN=write rewrites
the golden files.
"""

import importlib.metadata
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import typer

from tests.unit.command import classroom
from tests.unit.verify.report.test_report import record

GOLDEN = Path(__file__).parent / "golden"
DAY = ("--as-of", "2026-11-24")

RUNS: dict[str, tuple[str, ...]] = {
    "no words": (),
    "an unknown command": ("nonsense",),
    "an unknown option": ("settings", "--nonsense"),
    "settings": ("settings",),
    "settings as a schema": ("settings", "--schema"),
    "controls": ("controls",),
    "controls as JSON": ("controls", "--json"),
    "a verdict": ("verdict", *DAY, "80.158.10.1"),
    "verdicts as JSON": ("verdict", *DAY, "--json", "80.158.10.1", "3.120.10.1", "192.0.2.1", "2001:4860:4860::8888"),
    "a verdict on no address": ("verdict", "nonsense"),
    "a verdict on no day": ("verdict", "--as-of", "nonsense", "80.158.10.1"),
    "an allowed cloud": ("cloud", "check", *DAY, "--auth-url", "https://iam.eu-de.otc.t-systems.com/v3", "--region", "eu-de"),
    "an allowed cloud as JSON": (
        "cloud", "check", *DAY, "--json", "--auth-url", "https://auth.cloud.ovh.net/v3", "--region", "GRA11"
    ),
    "a refused region": ("cloud", "check", *DAY, "--auth-url", "https://auth.cloud.ovh.net/v3", "--region", "eu-west-eri"),
    "a refused region as JSON": (
        "cloud", "check", *DAY, "--json", "--auth-url", "https://auth.cloud.ovh.net/v3", "--region", "eu-west-eri"
    ),
    "an unknown cloud": ("cloud", "check", *DAY, "--auth-url", "https://keystone.invalid/v3", "--region", "x"),
    "no policy": ("cloud", "check", "--auth-url", "https://keystone.invalid/v3", "--region", "x", "--policy", "mars"),
    "presets": ("presets", *DAY),
    "presets as JSON": ("presets", *DAY, "--json"),
    "presets of a cloud": ("presets", *DAY, "--cloud", "ovhcloud"),
    "presets of no cloud": ("presets", "--cloud", "nonsense"),
    "young address data": ("data", "update", "--check", "--as-of", "2026-06-20"),
    "old address data": ("data", "update", "--check", "--as-of", "2036-06-20"),
    "address data from no file": ("data", "update", "--from", "/nonexistent/asn.mmdb"),
    "address data from a file of no table": ("data", "update", "--from", "/nonexistent/nonsense.csv"),
    "status without a stack": ("status",),
    "status of no stack": ("status", "--stack", "nonsense"),
    "classes of no stack": ("classes", "--stack", "nonsense", "--json"),
    "inventory of no stack": ("inventory", "--stack", "nonsense", "--json"),
    "configure of no stack": ("configure", "--stack", "nonsense"),
    "verify of nothing": ("verify",),
    "verify of no file": ("verify", "--inventory", "/nonexistent"),
    "verify without a part that does not exist": ("verify", "--inventory", "/nonexistent", "--without", "udp"),
    "capture of nothing": ("capture", "--stack", "nonsense"),
    "report on no verification": ("report", "--stack", "nonsense"),
    "report in no language": ("report", "--stack", "nonsense", "--lang", "de"),
    "rehearsal without words": ("rehearsal",),
    "rehearsal of no shape": ("rehearsal", "up", "--shape", "round"),
    "rehearsal's log of nothing": ("rehearsal", "logs", "nonsense"),
}  # fmt: skip


def shape(value: Any) -> Any:
    """Return a JSON value with scalars replaced by their types, and list elements of the same shape merged."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in sorted(value.items())}
    if isinstance(value, list):
        shapes = {json.dumps(shape(inner), sort_keys=True) for inner in value}
        return [json.loads(text) for text in sorted(shapes)]
    return {str: "text", bool: "yes or no", int: "number", float: "number", type(None): "null"}[type(value)]


def compare(name: str, found: Any) -> None:
    """Compare with a golden file; write it first if GOLDEN=write."""
    path = GOLDEN / f"{name}.json"
    if os.environ.get("GOLDEN") == "write":
        path.write_text(json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    assert found == json.loads(path.read_text())


def surface(command: Any) -> dict[str, Any]:
    """Return the options and subcommands of a command, recursively."""
    options = {
        "/".join(sorted(parameter.opts + parameter.secondary_opts)): {
            "switch": isinstance(parameter.default, bool),
            "required": parameter.required,
            "default": parameter.default,
            "variable": parameter.envvar,
            "words": parameter.nargs,
        }
        for parameter in command.params
    }
    below = getattr(command, "commands", {})
    return {"options": options} | ({"commands": {name: surface(one) for name, one in below.items()}} if below else {})


@pytest.fixture(autouse=True)
def _no_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Isolate the runs from the caller's stacks and clouds."""
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path}")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "")
    for name in [name for name in os.environ if name.startswith(("OS_", "CLASSROOM_STACK"))]:
        monkeypatch.delenv(name)


def test_commands_and_options() -> None:
    (entry,) = importlib.metadata.entry_points(group="console_scripts", name="classroom")
    entry.load()
    classroom("settings")  # registers every command
    compare("commands", surface(typer.main.get_command(sys.modules[entry.module].app)))


def test_every_command_and_every_option_is_explained() -> None:
    def look(path: list[str], command: click.Command) -> Iterator[str]:
        assert command.help, path
        for parameter in command.params:
            if parameter.name != "help" and not getattr(parameter, "help", ""):
                yield f"{' '.join(path)} {parameter.opts[0]}"
        for name, below in getattr(command, "commands", {}).items():
            yield from look([*path, name], below)

    purpose = " ".join(classroom("--help").stdout.split())
    (entry,) = importlib.metadata.entry_points(group="console_scripts", name="classroom")
    assert list(look(["classroom"], typer.main.get_command(sys.modules[entry.module].app))) == []
    assert "Deploy virtual classes on European clouds" in purpose, "the help begins with what the program is for"


def test_help_of_every_command() -> None:
    """Every command has a help text with all its options."""

    def look(path: list[str], node: dict[str, Any]) -> None:
        answer = classroom(*path, "--help")
        assert answer.returncode == 0, path
        assert all(option.split("/")[0] in answer.stdout for option in node["options"] if option.startswith("--")), path
        for name, below in node.get("commands", {}).items():
            look([*path, name], below)

    look([], json.loads((GOLDEN / "commands.json").read_text()))


def test_exit_codes_and_json() -> None:
    codes: dict[str, int] = {}
    outputs: dict[str, Any] = {}
    for name, words in RUNS.items():
        answer = classroom(*words)
        codes[name] = answer.returncode
        if "--json" in words or "--schema" in words:
            found = json.loads(answer.stdout) if answer.stdout.startswith(("{", "[")) else None
            outputs[name] = sorted(found["properties"]) if "--schema" in words else shape(found)
    compare("exit_codes", codes)
    compare("outputs", outputs)


def test_json_of_the_report(tmp_path: Path) -> None:
    """The saved record of a verification and its report in JSON, with a failed control."""
    compare("record", shape(record(tmp_path, bad=True)))
