"""`classroom inventory`: list the machines of a stack."""

import json

from rich.console import Console
from rich.table import Table

from classroom.cli.options import Json, Stack
from classroom.clients.pulumi_cli import output
from classroom.config.ports import GROUPS


def command(stack: Stack, as_json: Json = False) -> None:
    """List the machines; with --json, print an Ansible inventory with host keys and without secrets."""
    found = output(stack, "inventory")
    if as_json:
        print(json.dumps(found, indent=2))
        return
    table = Table("machine", "groups", "IPv4", "IPv6", "private", "SSH host key", title=f"stack {stack}")
    for name, values in found["_meta"]["hostvars"].items():
        groups = ", ".join(g for g in GROUPS if name in found[g]["hosts"])
        keys = "\n".join(" ".join((k[:24] + "…").split()) for k in values["classroom_host_keys"])
        table.add_row(
            name,
            groups,
            values["classroom_public4"],
            values["classroom_public6"] or "-",
            values["classroom_private4"],
            keys,
        )
    Console().print(table)
