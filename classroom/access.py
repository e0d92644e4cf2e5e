"""Who may reach what: security groups made from the one port table, and the key that opens new machines."""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_openstack as openstack
from pulumi import Output, ResourceOptions

from classroom.network import tag
from classroom.ports import Group, Port, Shape, ports_for

EVERYWHERE = {"IPv4": "0.0.0.0/0", "IPv6": "::/0"}


@dataclass(frozen=True, kw_only=True)
class AccessArgs:
    """`machines` maps each kind of machine to its groups of the port table; `public_key` is the first administrator's."""

    stack: str
    shape: Shape
    media_count: int
    machines: Mapping[str, Sequence[Group]]
    ssh_from: Sequence[str]
    ipv6: bool
    public_key: str


class Access(pulumi.ComponentResource):
    """One security group for each kind of machine, and the stack's one Nova key pair."""

    group_ids: dict[str, Output[str]]
    key_pair: Output[str]
    rules: list[pulumi.Resource]

    def __init__(self, name: str, args: AccessArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("classroom:access:Access", name, {}, opts)
        own = ResourceOptions(parent=self)
        # The cloud knows a key pair by its name alone, so that a new one has to wait until the old one is gone.
        apart = ResourceOptions(parent=self, delete_before_replace=True)
        self.key_pair = openstack.compute.Keypair(name, name=args.stack, public_key=args.public_key, opts=apart).name
        groups = {
            kind: openstack.networking.SecGroup(
                f"{name}-{kind}",
                name=f"{args.stack}-{kind}",
                description=f"Classroom {args.stack}: {kind}",
                delete_default_rules=True,
                tags=[tag(args.stack)],
                opts=own,
            )
            for kind in args.machines
        }
        self.group_ids = {kind: group.id for kind, group in groups.items()}
        self.rules = []
        for kind, members in args.machines.items():
            for rule in rules_for(ports_for(members, args.shape, args.media_count), args.ssh_from, ipv6=args.ipv6):
                self.rules.append(
                    openstack.networking.SecGroupRule(
                        f"{name}-{kind}-{rule.name}",
                        direction=rule.direction,
                        ethertype=rule.ethertype,
                        protocol=rule.protocol,
                        port_range_min=rule.first,
                        port_range_max=rule.last,
                        remote_ip_prefix=rule.prefix,
                        remote_group_id=self.group_ids[rule.source] if rule.source else None,
                        security_group_id=self.group_ids[kind],
                        description=f"{args.stack}: {rule.why}",
                        # Neutron holds no rule that it could change: a new one has to wait until the old one is gone.
                        opts=ResourceOptions(parent=self, delete_before_replace=True),
                    )
                )
        self.register_outputs({"key_pair": self.key_pair})


@dataclass(frozen=True)
class Rule:
    """A security group rule in Neutron's terms: for a network (`prefix`) or for the machines of another group (`source`)."""

    name: str
    direction: str
    ethertype: str
    protocol: str | None = None
    first: int | None = None
    last: int | None = None
    prefix: str | None = None
    source: Group | None = None
    why: str = ""


def rules_for(ports: Sequence[Port], ssh_from: Sequence[str], *, ipv6: bool) -> list[Rule]:
    """Return the rules that open exactly `ports`, let ping in and everything out, for IPv4 and, if asked, IPv6."""
    families = ["IPv4", "IPv6"] if ipv6 else ["IPv4"]
    rules = []
    for family in families:
        short, icmp = family[-2:], "icmp" if family == "IPv4" else "ipv6-icmp"
        rules.append(Rule(f"out-{short}", "egress", family, why="the way out"))
        rules.append(Rule(f"ping-{short}", "ingress", family, icmp, prefix=EVERYWHERE[family], why="ping and path MTU"))
        for port in ports:
            base = (f"{port.name}-{short}", "ingress", family, port.protocol, port.first, port.last)
            if port.source in {"front", "media"}:
                # Front and media speak IPv4 with each other.
                rules += [Rule(*base, source=port.source, why=port.why)] if family == "IPv4" else []
            elif port.source == "ssh_from":
                wanted = [n for n in ssh_from if f"IPv{ipaddress.ip_network(n).version}" == family]
                rules += [Rule(f"{base[0]}-{n}", *base[1:], prefix=n, why=port.why) for n in wanted]
            else:
                rules.append(Rule(*base, prefix=EVERYWHERE[family], why=port.why))
    return rules
