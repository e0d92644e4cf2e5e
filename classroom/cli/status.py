"""`classroom status`: show what a stack has deployed."""

from rich.console import Console

from classroom.cli.options import Stack
from classroom.clients.pulumi_cli import output


def command(stack: Stack) -> None:
    """Show the URL of the class page, the machines, the DNS records and the next steps."""
    console = Console()
    console.print(f"class page   {output(stack, 'class_url')}")
    for name, machine in output(stack, "machines").items():
        console.print(f"machine      {name}: {machine['public4']} {machine['public6']} (server {machine['server']})")
    for record in output(stack, "dns_records"):
        console.print(f"DNS          {record['name']} {record['type']} {record['value']}")
    for step in output(stack, "next_steps"):
        console.print(f"next         {step}")
