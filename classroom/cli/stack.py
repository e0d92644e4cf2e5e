"""Commands about a stack: its settings, inventory, classes, and another run of the roles."""

import json
import subprocess
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from classroom.clients.pulumi_cli import environment, output, pulumi
from classroom.common.errors import ClassroomError
from classroom.common.paths import REPO
from classroom.config.ports import GROUPS
from classroom.config.settings import Settings

Stack = Annotated[str, typer.Option("--stack", envvar="CLASSROOM_STACK", help="Name of the stack.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    for command in (settings, inventory, configure, classes, status):
        app.command()(command)


def settings(
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of all settings.")] = False,
) -> None:
    """Explain the settings of a stack's file."""
    if schema:
        print(json.dumps(Settings.model_json_schema(), indent=2))
        return
    table = Table("key", "what it is", "default")
    for name, field in Settings.model_fields.items():
        table.add_row(name, field.description, "(needed)" if field.is_required() else str(field.default))
    Console().print(table)


def inventory(stack: Stack, as_json: Json = False) -> None:
    """Show the machines; with --json in the form of an Ansible inventory, host keys included, secrets not."""
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


def configure(
    stack: Stack,
    force: Annotated[bool, typer.Option("--force", help="Also if nothing changed or a class is live.")] = False,
) -> None:
    """Run Ansible on the machines as they are: what `pulumi up` does after provisioning."""
    output(stack, "class_url")  # there is such a stack, and an `up` has ended
    forced = {"CLASSROOM_FORCE": "1"} if force else {}
    argv = pulumi(
        "up", "--yes", "--skip-preview", "--suppress-outputs", "--stack", stack, "--target", _configure_urn(stack)
    )
    if subprocess.run(argv, cwd=REPO, env=environment() | forced, check=False).returncode:
        raise ClassroomError(
            f"the machines of '{stack}' are not configured: the message above tells why; if it speaks of other changes, run"
            f" `pulumi up --stack {stack}`"
        )


def _configure_urn(stack: str) -> str:
    return f"urn:pulumi:{stack}::classroom::classroom:index:Classroom$classroom:index:Configure::configure"


def classes(stack: Stack, as_json: Json = False) -> None:
    """Show the classes with their address and codes; keep them like passwords."""
    found = output(stack, "classes", secret=True)
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    table = Table("class", "address", "teacher's code", "pupils' code", title=f"stack {stack}")
    for entry in found:
        table.add_row(entry["name"], entry["url"], entry["teacher_code"], entry["pupil_code"])
    Console().print(table)


def status(stack: Stack) -> None:
    """Say what there is: the class's address, its machines and DNS records, what to do next."""
    console = Console()
    console.print(f"class page   {output(stack, 'class_url')}")
    for name, machine in output(stack, "machines").items():
        console.print(f"machine      {name}: {machine['public4']} {machine['public6']} (server {machine['server']})")
    for record in output(stack, "dns_records"):
        console.print(f"DNS          {record['name']} {record['type']} {record['value']}")
    for step in output(stack, "next_steps"):
        console.print(f"next         {step}")
