"""Compose the inventory in the JSON format of Ansible's dynamic inventories."""

from collections.abc import Mapping
from typing import Any

from classroom.config import declarations, guest
from classroom.config.endpoints import egress_rows, host_services, rows_for
from classroom.config.guest import IMAGE_ACCOUNT
from classroom.config.plan import Plan
from classroom.config.ports import GROUPS, RELAY, port_numbers, ports_for
from classroom.config.settings import Settings

CLASSES = "classroom_classes"
"""Variable with the classes."""


def inventory(
    stack: str, settings: Settings, plans: list[Plan], addresses: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    """Return the inventory of a stack, without secrets.

    `addresses` maps each machine's name to its `server`, `private4`, `public4` and `public6`.
    """
    media = [plan.name for plan in plans if "media" in plan.groups]
    turn = dict(zip(media, settings.turn_names, strict=True))
    groups: dict[str, Any] = {group: {"hosts": [p.name for p in plans if group in p.groups]} for group in GROUPS}
    hostvars: dict[str, dict[str, Any]] = {}
    for plan in plans:
        found = addresses[plan.name]
        hostvars[plan.name] = {
            "ansible_host": found["public4"],
            # For manual use; `up` chooses an account for each machine that accepts its login.
            "ansible_user": settings.admins[0].name,
            "classroom_server_id": found["server"],
            "classroom_private4": found["private4"],
            "classroom_public4": found["public4"],
            "classroom_public6": found["public6"],
        }
        if plan.name in turn:
            hostvars[plan.name]["classroom_turn_name"] = turn[plan.name]
    ports = [
        {"name": p.name, "protocol": p.protocol, "first": p.first, "last": p.last, "group": p.group, "source": p.source}
        for p in ports_for(GROUPS, settings.shape, settings.media_count)
    ]
    variables = {
        "classroom_stack": stack,
        "classroom_guest": guest.variable(),
        "classroom_domain": settings.domain,
        "classroom_shape": settings.shape,
        "classroom_ipv6": settings.ipv6 is not None,
        "classroom_ssh_from": settings.ssh_from,
        "classroom_image_account": IMAGE_ACCOUNT,
        "classroom_admins": [a.model_dump() for a in settings.admins],
        CLASSES: [
            {
                "room": c.room,
                "name": c.name,
                "size": c.size,
                "waiting_room": settings.waiting_room,
                "versions": c.code_versions.model_dump(),
            }
            for c in settings.classes
        ],
        "classroom_certificate": settings.certificate or "",
        "classroom_acme": settings.acme.model_dump() if settings.acme else {},
        "classroom_network_cidr": settings.network_cidr,
        "classroom_ports": ports,
        "classroom_port_numbers": port_numbers(),
        "classroom_relay_ports": list(RELAY),
        "classroom_endpoints": rows_for(settings.endpoints),
        "classroom_egress": egress_rows(settings.endpoints),
        "classroom_services": host_services(settings.endpoints),
        declarations.VARIABLE: declarations.variable(settings),
    }
    return {**groups, "all": {"vars": variables}, "_meta": {"hostvars": hostvars}}


def published(inventory: Mapping[str, Any], keys: Mapping[str, list[str]]) -> dict[str, Any]:
    """Return the inventory as the stack's output: with the SSH host keys of each machine, without the classes.

    A thousand classes would be ten thousand lines of output at each `pulumi up`, and a second of its time.
    """
    hostvars = {
        name: {**values, "classroom_host_keys": keys.get(name, [])}
        for name, values in inventory["_meta"]["hostvars"].items()
    }
    variables = {name: value for name, value in inventory["all"]["vars"].items() if name != CLASSES}
    return {**inventory, "all": {"vars": variables}, "_meta": {"hostvars": hostvars}}


def with_classes(inventory: Mapping[str, Any], classes: Any) -> dict[str, Any]:
    """Return a published inventory with the classes."""
    return {**inventory, "all": {"vars": {**inventory["all"]["vars"], CLASSES: classes}}}


def dns_records(settings: Settings, inventory: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the required DNS records, for the page and the TURN servers; all have the front's addresses."""
    front = inventory["_meta"]["hostvars"][inventory["front"]["hosts"][0]]
    values = [("A", front["classroom_public4"]), ("AAAA", front["classroom_public6"])]
    names = [settings.domain, *settings.turn_names]
    return [{"name": name, "type": kind, "value": value} for name in names for kind, value in values if value]
