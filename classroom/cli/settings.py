"""`classroom settings`: list the keys of a stack file with their descriptions."""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from classroom.config.settings import Settings


def command(
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of all settings.")] = False,
) -> None:
    """List the settings of a stack file, with description and default."""
    if schema:
        print(json.dumps(Settings.model_json_schema(), indent=2))
        return
    table = Table("key", "description", "default")
    for name, field in Settings.model_fields.items():
        table.add_row(name, field.description, "(required)" if field.is_required() else str(field.default))
    Console().print(table)
