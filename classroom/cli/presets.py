"""`classroom presets`: list the presets of outside services with their verdicts, offline."""

import datetime
import json
from typing import Annotated, Any

import typer

from classroom.cli.options import day
from classroom.common.errors import WrongUseError
from classroom.sovereignty.catalogue import load_catalogue
from classroom.sovereignty.operators import Operators
from classroom.sovereignty.preset_verdicts import verdicts
from classroom.sovereignty.presets import load
from classroom.sovereignty.verdict import Judge


def rows(cloud: str | None, as_of: datetime.date) -> list[dict[str, Any]]:
    """Return the presets, or those of one cloud, in the form of `--json`; WrongUseError if the cloud does not exist."""
    wanted = load_catalogue().named(cloud) if cloud else None
    if cloud and wanted is None:
        raise WrongUseError(f"cloud: '{cloud}' is not in the catalogue; use a name from docs/catalogue.md")
    judge, operators = Judge(as_of), Operators()
    return [
        {
            **preset.model_dump(mode="json", exclude={"source", "also"}),
            "verdicts": verdicts(preset, judge, operators),
            "source": preset.sources,
            "read": preset.source.read.isoformat(),
            "says_of": str(preset.source.says_of),
            "mark": preset.source.mark,
        }
        for preset in load().presets
        if wanted is None or preset.cloud == wanted.id
    ]


def command(
    cloud: Annotated[str | None, typer.Option(metavar="NAME", help="Only the services of this cloud.")] = None,
    as_of: Annotated[str | None, typer.Option(metavar="DATE", help="Date for which to judge; default: today.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List outside services that a row of `endpoints` can name: `{use: dns, preset: NAME}`."""
    found = rows(cloud, day(as_of))
    if as_json:
        print(json.dumps(found, ensure_ascii=False, indent=2))
        return
    for row in found:
        where = ", ".join(row["addresses"]) or f"{row['name']} (add its addresses)"
        binding = ", needs an external account binding" if row["account_binding"] else ""
        print(f"{row['id']}: {row['use']}, {row['operator']}, {where}{binding}")
        print(f"  {', '.join(f'{about} {verdict}' for about, verdict in row['verdicts'].items())}: {row['fact']}")
        print(f"  source: {row['source']}, read {row['read']}, of {row['says_of']}, {row['mark']}")
    for sentence in load().missing:
        print(f"not found: {sentence}")
