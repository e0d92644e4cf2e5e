"""Renders templates of the roles as Ansible does, for the inventory of given settings, without a host."""

import functools
import ipaddress
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import filter_loader, init_plugin_loader
from ansible.template import Templar, trust_as_template
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

from classroom.config.plan import plans_for
from classroom.config.settings import Settings
from classroom.configure.inventory import inventory
from classroom.configure.provider.ansible_worker import static
from tests.roles.play import ANSIBLE

init_plugin_loader()
filter_loader.add_directory(str(ANSIBLE / "filter_plugins"))


class Rendered(NamedTuple):
    """A rendered template of a role, for one machine."""

    machine: str
    template: str
    text: str


MARK = "----- 8< -----\n"
"""Between templates that are rendered together, which is faster than one by one: variables are evaluated once."""


def render(settings: Settings, templates: Mapping[str, tuple[str, str]], folder: Path) -> Iterator[Rendered]:
    """Yield `templates` (their name: the role, and the group of machines) for the machines of a classroom.

    Of the media hosts only the first counts, as the others differ in addresses only.
    """
    plans = plans_for(settings.shape, settings.media_count, settings.flavor_front, settings.flavor_media)
    network = ipaddress.ip_network(settings.network_cidr)
    addresses = {
        plan.name: {
            "server": plan.name,
            "private4": str(network[number % 14]),
            "public4": f"203.0.113.{number}",
            "public6": f"2001:db8:30::{number}" if settings.ipv6 else "",
        }
        for number, plan in enumerate(plans, 10)
    }
    dynamic = inventory("academy", settings, plans, addresses)
    dynamic["all"]["vars"] |= {"classroom_secret_livekit": "a" * 43, "ansible_user": "ada"}
    file = folder / "inventory.json"
    file.write_text(json.dumps(static(dynamic)))
    loader = DataLoader()
    loader.set_basedir(str(ANSIBLE))
    hosts = InventoryManager(loader=loader, sources=[str(file)])
    manager = VariableManager(loader=loader, inventory=hosts)
    for host in [hosts.get_host(plan.name) for plan in plans[:2]]:
        groups = {"all", *(group.name for group in host.get_groups())}
        wanted = {name: role for name, (role, group) in templates.items() if group in groups}
        values = manager.get_vars(host=host) | {"hostvars": HostVars(hosts, manager, loader)}
        for role in set(wanted.values()):
            values = _of_role(role, "defaults") | values | _of_role(role, "vars")
        source = MARK.join((ANSIBLE / "roles" / role / "templates" / name).read_text() for name, role in wanted.items())
        texts = Templar(loader=loader, variables=values).template(trust_as_template(source)).split(MARK)
        yield from (Rendered(host.name, name, text) for name, text in zip(wanted, texts, strict=True))


@functools.cache
def _of_role(role: str, kind: str) -> dict[str, Any]:
    return (
        DataLoader().load_from_file(str(ANSIBLE / "roles" / role / kind / "main.yml"), trusted_as_template=True) or {}
    )
