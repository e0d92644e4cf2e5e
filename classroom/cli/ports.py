"""`classroom ports`: list the open ports of the hosts with their allowed sources."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from classroom.config.ports import PORTS
from classroom.configure.host_tables import DOCS, SOURCES, page, port_range, port_when


def command(
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
    docs: Annotated[bool, typer.Option("--docs", help="Update the generated tables in docs/architecture.md.")] = False,
) -> None:
    """List the open ports of the hosts, with the sources that may connect to them."""
    if docs:
        DOCS.write_text(page(DOCS.read_text(encoding="utf-8")), encoding="utf-8")
        print(DOCS)
        return
    if as_json:
        print(json.dumps([asdict(port) for port in PORTS], indent=2))
        return
    table = Table("hosts", "port", "protocol", "open to", "purpose", "only in")
    for port in PORTS:
        numbers = port_range(port.first, port.last)
        source = SOURCES[port.source].replace("`", "")
        table.add_row(port.group, numbers, port.protocol, source, port.why, port_when(port))
    Console().print(table)
