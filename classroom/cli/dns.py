"""`classroom dns check`: compare the DNS records of a classroom with what the name servers of its domain answer."""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

import typer

from classroom.cli.options import Json, Stack
from classroom.clients import name_servers
from classroom.clients.name_servers import NameServer
from classroom.clients.pulumi_cli import output
from classroom.common import hosts
from classroom.common.errors import ClassroomError, WrongUseError

app = typer.Typer(no_args_is_help=True, help="Check the DNS records of a classroom.")
app.callback()(lambda: None)  # without a callback, Typer drops the name of a single command
RecordState = Literal["right", "missing", "wrong", "leftover"]


@dataclass(frozen=True)
class RecordCheck:
    """The record of a name at a server: `wanted` and `found` are addresses; `leftover` is one of an IP version without any."""

    name: str
    type: str
    server: str
    state: RecordState
    wanted: tuple[str, ...]
    found: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The result with its fix."""
        record = f"{self.name} {self.type}"
        there, right = ", ".join(self.found), ", ".join(self.wanted)
        return {
            "right": f"{record}: {right}",
            "missing": f"{record}: missing; add {right} to the DNS zone",
            "wrong": f"{record}: is {there}, must be {right}; correct it in the DNS zone",
            "leftover": f"{record}: is {there}, but the classroom has no such address, and browsers would try it; remove it",
        }[self.state] + f" (at {self.server})"


def compare(name: str, kind: str, server: str, wanted: Sequence[str], found: set[str]) -> RecordCheck:
    """Return how the addresses that a server answers compare with those that the classroom has."""
    state: RecordState
    if found == set(wanted):
        state = "right"
    elif not found:
        state = "missing"
    else:
        state = "wrong" if wanted else "leftover"
    return RecordCheck(name, kind, server, state, tuple(wanted), tuple(sorted(found)))


def checks(records: Sequence[Mapping[str, str]], servers: Sequence[NameServer]) -> list[RecordCheck]:
    """Return the check of each name in both families at each server; of those that are right, only one for all servers."""
    wanted: dict[tuple[str, str], list[str]] = {}
    for record in records:
        for kind in ("A", "AAAA"):
            wanted.setdefault((record["name"], kind), [])
        wanted[record["name"], record["type"]].append(record["value"])
    jobs = [(name, kind, server) for name, kind in wanted for server in servers]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda job: name_servers.ask(job[2], job[0], job[1]), jobs))
    found = [
        compare(name, kind, f"{server.name} {server.address}", wanted[name, kind], answer)
        for (name, kind, server), answer in zip(jobs, answers, strict=True)
    ]
    return [one for one in found if one.wanted or one.found]


@app.command("check")
def command(
    stack: Stack,
    server: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS[:PORT]", help="Ask only this name server; default: those of the zone."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare the records of a stack with DNS; exit status 0: all are right, 1: one is not, 4: no name server was found."""
    records = output(stack, "dns_records")
    if not records:
        raise ClassroomError(f"stack '{stack}': has no dns_records; complete a `pulumi up`")
    servers = [named(server)] if server else name_servers.reachable(name_servers.of_zone(records[0]["name"]))
    found = checks(records, servers)
    if as_json:
        print(json.dumps([asdict(one) for one in found], indent=2))
    else:
        shown = [one for one in found if one.state != "right"] or found
        for sentence in dict.fromkeys(one.sentence for one in shown):
            print(sentence)
    if any(one.state != "right" for one in found):
        raise typer.Exit(ClassroomError.status)


def named(text: str) -> NameServer:
    """Return the server in `--server`; WrongUseError if it is not an address with an optional port."""
    address, _, port = (text, "", "") if hosts.is_address(text) else text.rpartition(":")
    address = address.strip("[]")
    if not hosts.is_address(address) or (port and not port.isdigit()):
        raise WrongUseError(f"--server: '{text}' is not an address; write one such as 192.0.2.53 or [2001:db8::53]:53")
    return NameServer(text, address, int(port)) if port else NameServer(text, address)
