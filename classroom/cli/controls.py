"""`classroom controls`: list the sovereignty controls, with the laws they rest on and the remediation if one fails."""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from classroom.verify.controls.control_catalogue import DOCS, load_controls, page


def command(
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole catalogue as JSON.")] = False,
    docs: Annotated[bool, typer.Option("--docs", help="Regenerate docs/controls.md.")] = False,
) -> None:
    """List the sovereignty controls that `classroom verify` runs."""
    controls = load_controls()
    if docs:
        DOCS.parent.mkdir(exist_ok=True)
        DOCS.write_text(page(), encoding="utf-8")
        print(DOCS)
        return
    if as_json:
        print(json.dumps([one.as_json() for one in controls], ensure_ascii=False, indent=2))
        return
    table = Table("", "id", "claim", "clauses")
    for one in controls:
        clauses = "\n".join(clause.title.en for clause in one.clauses) or "unknown"
        table.add_row(str(one.number), one.id, one.claim.en, clauses)
    Console().print(table)
