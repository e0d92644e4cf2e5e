"""`classroom data`: update the address data after a list of the verdicts that would change; write the page of all facts."""

import datetime
import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from classroom.cli.options import day
from classroom.common.errors import UnknownError, WrongUseError
from classroom.common.paths import REPO
from classroom.sovereignty import addresses, data_update
from classroom.sovereignty.catalogue_page import page
from classroom.sovereignty.verdict import declared_by

app = typer.Typer(no_args_is_help=True, help="Update the address data for verdicts, and the page docs/catalogue.md.")


def _check(today: datetime.date) -> None:
    """Print the age of each table; UnknownError (status 4) if one is too old."""
    found = data_update.ages(addresses.tables(), today)
    for title, age in found.items():
        print(f"{title}: {age} days old on {today}")
    if old := [title for title, age in found.items() if age > addresses.OLD_DAYS]:
        raise UnknownError(
            f"address data older than {addresses.OLD_DAYS} days: {', '.join(old)}: run `classroom data update`"
        )


@app.command("update")
def command(
    given: Annotated[
        list[Path] | None,
        typer.Option("--from", metavar="FILE", help="Use this file (MMDB or CSV) instead of the published package."),
    ] = None,
    of: Annotated[str | None, typer.Option(metavar="DATE", help="Day of the data in CSV files.")] = None,
    sha256: Annotated[
        list[str] | None, typer.Option(metavar="HASH", help="SHA-256 of each file, in the order of --from.")
    ] = None,
    stack: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Also compare the verdicts on this stack's endpoints.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only print the age of the data; exit status 4 if too old.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Replace the data without asking.")] = False,
    as_of: Annotated[str | None, typer.Option(metavar="DATE", help="Date for which to judge; default: today.")] = None,
) -> None:
    """Replace the address data by newer data, after a list of the verdicts that would change."""
    today = day(as_of)
    if check:
        return _check(today)
    if os.environ.get(addresses.FOLDER):
        raise WrongUseError(f"{addresses.FOLDER} is set, so its files are used; unset it to update the pinned data")
    if not given and (alone := "of" if of else "sha256" if sha256 else None):
        raise WrongUseError(f"{alone}: it describes files, and none is given: add --from FILE")
    declared = {name: declared_by(name) for name in stack or ()}
    old = addresses.tables()
    with tempfile.TemporaryDirectory() as scratch:
        folder, described = Path(scratch), day(of) if of else None
        pins = data_update.given(given, described, sha256 or (), folder) if given else data_update.newest(folder)
        new = addresses.Tables(addresses.ensure(pins))
        data_update.refuse_older(old, new, today)
        if {one.sha256 for one in old.about.values()} == {one.sha256 for one in new.about.values()}:
            print("the address data is already the newest; nothing was replaced")
            return None
        found = data_update.changes(old, new, today, declared)
        for change in found:
            print(change)
        tables = ", ".join(f"{table.title} of {table.date}" for table in new.about.values())
        print(f"{len(found)} verdicts would change with {tables}")
        if not yes and not (sys.stdin.isatty() and typer.confirm("use these data?")):
            print("nothing was replaced; --yes replaces the data without asking")
            return None
        data_update.take(pins, addresses.PINS)
    print(f"the address data was replaced; commit the files in {addresses.PINS}")
    print("run `classroom data docs` as well: docs/catalogue.md shows verdicts on presets")
    return None


@app.command("docs")
def docs() -> None:
    """Write docs/catalogue.md from the data files."""
    path = REPO / "docs" / "catalogue.md"
    path.write_text(page(), encoding="utf-8")
    print(path)
