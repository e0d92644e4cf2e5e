"""The deployment under test: its inventory, and an SSH configuration with its machines' host keys."""

import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classroom.clients import ssh_options
from classroom.common.errors import WrongUseError
from classroom.common.paths import REPO
from classroom.config.declarations import Declarations, of_inventory
from classroom.config.ports import GROUPS, Group, Port, inner_ports, ports_for

ACCOUNT = "verifier"
DOCUMENTATION = [ipaddress.ip_network(n) for n in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")]
"""Documentation networks (RFC 5737): a deployment with such addresses is a rehearsal."""


@dataclass(frozen=True)
class Machine:
    """One machine: its name, its groups, its addresses (`public6` may be empty) and its SSH host keys."""

    name: str
    groups: frozenset[Group]
    public4: str
    public6: str
    private4: str
    host_keys: tuple[str, ...]


class Deployment:
    """A deployment, as described by its inventory."""

    def __init__(self, inventory: dict[str, Any]) -> None:
        self.inventory = inventory
        self.vars: dict[str, Any] = inventory["all"]["vars"]
        self.stack: str = self.vars["classroom_stack"]
        self.domain: str = self.vars["classroom_domain"]
        self.ipv6: bool = self.vars["classroom_ipv6"]
        self.declarations: Declarations = of_inventory(self.vars)
        self.machines = tuple(
            Machine(
                name=name,
                groups=frozenset(g for g in GROUPS if name in inventory[g]["hosts"]),
                public4=values["classroom_public4"],
                public6=values["classroom_public6"],
                private4=values["classroom_private4"],
                host_keys=tuple(values["classroom_host_keys"]),
            )
            for name, values in sorted(inventory["_meta"]["hostvars"].items())
        )
        self.turn_names = [
            v["classroom_turn_name"] for v in inventory["_meta"]["hostvars"].values() if "classroom_turn_name" in v
        ]

    @property
    def rehearsal(self) -> bool:
        """Whether this is a rehearsal: all machines have documentation addresses."""
        addresses = [ipaddress.ip_address(machine.public4) for machine in self.machines]
        return all(any(address in network for network in DOCUMENTATION) for address in addresses)

    @property
    def stack_file(self) -> Path:
        """The path of the stack's settings file, which may not exist."""
        return REPO / f"Pulumi.{self.stack}.yaml"

    def group(self, name: str) -> list[Machine]:
        """Return the machines of a group, `front` or `media`."""
        return [machine for machine in self.machines if name in machine.groups]

    def ports(self, machine: Machine) -> list[Port]:
        """Return the ports of the port table that are open on a machine."""
        return ports_for(sorted(machine.groups), self.vars["classroom_shape"], len(self.group("media")))

    def inner_ports(self, machine: Machine) -> list[Port]:
        """Return the ports of other machines that a machine connects to, in the order of the port table."""
        return inner_ports(machine.groups, self.vars["classroom_shape"], len(self.group("media")))

    @property
    def names(self) -> list[str]:
        """Return the DNS names of the class: its page and its TURN servers."""
        return [self.domain, *self.turn_names]

    def addresses(self, machine: Machine, *, ipv6: bool = True) -> list[str]:
        """Return a machine's public addresses, IPv4 first; only IPv4 if `ipv6` is false."""
        return [address for address in (machine.public4, machine.public6 if ipv6 else "") if address]

    @classmethod
    def read(cls, path: Path) -> "Deployment":
        """Read an inventory file; WrongUseError if it cannot be read, is empty or lacks host keys."""
        try:
            target = cls(json.loads(path.read_text()))
        except OSError as error:
            raise WrongUseError(
                f"--inventory: {path} cannot be read ({error.strerror}); create it with `classroom inventory --json`"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise WrongUseError(
                f"--inventory: {path} is not an inventory ({error!r}); create one with `classroom inventory --json`"
            ) from None
        if not target.machines:
            raise WrongUseError(f"--inventory: {path} contains no machine; run `pulumi up` to the end first")
        for group in GROUPS:
            unknown = set(target.inventory[group]["hosts"]) - {machine.name for machine in target.machines}
            if unknown or not target.group(group):
                raise WrongUseError(
                    f"--inventory: {path}: group '{group}' "
                    + (f"lists {sorted(unknown)}, without host variables" if unknown else "is empty")
                    + "; create it again with `classroom inventory --json`"
                )
        for machine in target.machines:
            if not machine.host_keys:
                raise WrongUseError(
                    f"--inventory: {path} contains no host key of '{machine.name}'; run `pulumi up` again"
                )
        return target

    def write_ssh(self, folder: Path) -> Path:
        """Write an SSH configuration for exactly these machines into `folder`, and return its path."""
        known = folder / "known_hosts"
        lines = [
            f"{address} {key}\n"
            for m in self.machines
            for key in m.host_keys
            for address in (m.public4, m.public6)
            if address
        ]
        known.write_text("".join(lines))
        common = {
            **ssh_options.known_hosts_alone(known),
            "BatchMode": "yes",
            "ConnectTimeout": "10",
            "ControlMaster": "auto",
            "ControlPath": f"{folder}/cm-%C",
            "ControlPersist": "60",
            "ServerAliveInterval": "5",
            "ServerAliveCountMax": "3",
            **ssh_options.operators_key(),
        }
        config = folder / "ssh_config"
        blocks = [f"Host {m.name}\n  HostName {m.public4}\n  HostKeyAlias {m.public4}\n" for m in self.machines]
        config.write_text("".join(blocks) + "Host *\n" + ssh_options.config_lines(common))
        return config
