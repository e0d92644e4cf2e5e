"""Generate the documentation of hosts, services and ports from the port tables and the roles."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classroom.common.paths import REPO
from classroom.config.endpoints import EGRESS_USES
from classroom.config.ports import LOCAL_PORTS, PORTS, RELAY, Port
from classroom.sovereignty.facts import read_yaml

ANSIBLE = REPO / "ansible"
DOCS = REPO / "docs" / "architecture.md"
BEGIN, END = "<!-- begin: classroom ports --docs -->", "<!-- end: classroom ports --docs -->"
SOURCES = {"world": "everywhere", "ssh_from": "`ssh_from`", "front": "front", "media": "media"}


@dataclass(frozen=True)
class PlaybookRole:
    """A role of the playbook, its group of hosts, and the services that it manages."""

    name: str
    group: str
    services: tuple[str, ...]


def roles(ansible: Path = ANSIBLE) -> list[PlaybookRole]:
    """Return the roles in the order of the playbook, each once."""
    (play,) = read_yaml(ansible / "site.yml")
    entries = [*_imported(play.get("pre_tasks", [])), *play["roles"], *_imported(play.get("post_tasks", []))]
    found = {entry["role"]: _group(str(entry.get("when", ""))) for entry in entries}
    return [PlaybookRole(name, group, tuple(_services(ansible / "roles" / name))) for name, group in found.items()]


def port_when(port: Port) -> str:
    """Return the condition under which a port is open, or "" if it is always open."""
    if port.media_count > 1:
        return f"from {port.media_count} media machines on"
    return "" if len(port.shapes) > 1 else f"shape {port.shapes[0]}"


def port_range(first: int, last: int) -> str:
    """Return a port range as text, such as `80` or `30000-30999`."""
    return str(first) if first == last else f"{first}-{last}"


def tables() -> str:
    """Return the generated part of docs/architecture.md, in Markdown."""
    hosts = [(role.group, role.name, ", ".join(f"`{name}`" for name in role.services) or "-") for role in roles()]
    ports = [
        (
            port.group,
            port_range(port.first, port.last),
            port.protocol,
            SOURCES[port.source],
            port.why,
            port_when(port),
        )
        for port in PORTS
    ]
    local = [(port.group, str(port.number), ", ".join(port.protocols), port.why) for port in LOCAL_PORTS]
    outgoing = [
        (
            f"`{use}`",
            f"`{egress.account}`",
            ", ".join(f"{protocol} {port or 'of its url'}" for protocol, port in egress.ports),
        )
        for use, egress in EGRESS_USES.items()
    ]
    return "\n".join(
        [
            *_table(("hosts", "role", "services"), sorted(hosts, key=lambda row: row[0])),
            "",
            "Ports that are open to other machines:",
            "",
            *_table(("hosts", "port", "protocol", "open to", "purpose", "only in"), ports),
            "",
            f"TURN relays media through UDP ports {port_range(*RELAY)} of its own host; they are open to no other machine.",
            "",
            "Ports on the loopback address, which no firewall opens:",
            "",
            *_table(("hosts", "port", "protocol", "purpose"), local),
            "",
            "Outgoing connections, each to the addresses of the `endpoints` with that use:",
            "",
            *_table(("use", "account", "ports"), outgoing),
        ]
    )


def page(text: str) -> str:
    """Return `text` with its generated part replaced; ValueError if the markers of that part are missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks the lines '{BEGIN}' and '{END}'")
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"


def _imported(tasks: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the roles that tasks import or include, in the form of the playbook's list of roles."""
    for task in _flat(tasks):
        for module in ("ansible.builtin.import_role", "ansible.builtin.include_role"):
            if module in task:
                yield {"role": task[module]["name"], "when": task.get("when", "")}


def _group(condition: str) -> str:
    found = re.search(r"'(\w+)' in group_names", condition)
    return found[1] if found else "all"


def _services(role: Path) -> Iterator[str]:
    """Yield the units that a role starts, enables or restarts, without systemd's own."""
    seen: set[str] = set()
    for task in _tasks(role):
        unit = task.get("ansible.builtin.systemd_service", {})
        name = str(unit.get("name", "{{")).removesuffix(".timer")  # which starts the service of its name
        if "{{" in name or name.startswith("systemd-") or name in seen:
            continue
        if unit.get("state") != "stopped" and unit.get("enabled") is not False:
            seen.add(name)
            yield name


def _tasks(role: Path) -> Iterator[dict[str, Any]]:
    for folder in ("tasks", "handlers"):
        for path in sorted((role / folder).glob("*.yml")):
            yield from _flat(read_yaml(path) or [])


def _flat(tasks: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for task in tasks:
        yield task
        for part in ("block", "rescue", "always"):
            yield from _flat(task.get(part, []))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [head, ("---",) * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]
