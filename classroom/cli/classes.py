"""`classroom classes`: list the classes of a stack with their codes."""

import json

from rich.console import Console
from rich.table import Table

from classroom.cli.options import Json, Stack
from classroom.clients.pulumi_cli import output


def command(stack: Stack, as_json: Json = False) -> None:
    """List the classes with their URL and class codes; treat the codes like passwords."""
    found = output(stack, "classes", secret=True)
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    table = Table("class", "address", "teacher's code", "pupils' code", title=f"stack {stack}")
    for entry in found:
        table.add_row(entry["name"], entry["url"], entry["teacher_code"], entry["pupil_code"])
    Console().print(table)
