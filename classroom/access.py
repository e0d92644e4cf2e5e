"""Who may reach what: security groups made from the one port table, and the key that opens new machines."""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_openstack as openstack
from pulumi import Output, ResourceOptions

from classroom.endpoints import METADATA4, METADATA6, Egress
from classroom.network import tag
from classroom.ports import GROUPS, Group, Port, Protocol, Shape, inner_ports, ports_for

EVERYWHERE = {"IPv4": "0.0.0.0/0", "IPv6": "::/0"}


@dataclass(frozen=True, kw_only=True)
class AccessArgs:
    """`machines` maps each kind of machine to its groups of the port table; `egress` are the ways out of all of them.

    `public_key` is the first administrator's.
    """

    stack: str
    shape: Shape
    media_count: int
    machines: Mapping[str, Sequence[Group]]
    ssh_from: Sequence[str]
    ipv6: bool
    egress: Sequence[Egress]
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
            opened = ports_for(members, args.shape, args.media_count)
            inner = inner_ports(members, args.shape, args.media_count)
            rules = rules_for(opened, args.ssh_from, ipv6=args.ipv6) + rules_out(args.egress, inner, ipv6=args.ipv6)
            for rule in rules:
                self.rules.append(
                    openstack.networking.SecGroupRule(
                        f"{name}-{kind}-{rule.name}",
                        direction=rule.direction,
                        ethertype=rule.ethertype,
                        protocol=rule.protocol,
                        port_range_min=rule.first,
                        port_range_max=rule.last,
                        remote_ip_prefix=rule.prefix,
                        remote_group_id=self.group_ids[rule.peer] if rule.peer else None,
                        security_group_id=self.group_ids[kind],
                        description=f"{args.stack}: {rule.why}",
                        # Neutron holds no rule that it could change: a new one has to wait until the old one is gone.
                        # The rules of a group go with it: each alone takes five seconds.
                        opts=ResourceOptions(parent=self, delete_before_replace=True, deleted_with=groups[kind]),
                    )
                )
        self.register_outputs({"key_pair": self.key_pair})


@dataclass(frozen=True)
class Rule:
    """A security group rule in Neutron's terms: for a network (`prefix`) or for the machines of another group (`peer`)."""

    name: str
    direction: str
    ethertype: str
    protocol: str | None = None
    first: int | None = None
    last: int | None = None
    prefix: str | None = None
    peer: Group | None = None
    why: str = ""


def rules_for(ports: Sequence[Port], ssh_from: Sequence[str], *, ipv6: bool) -> list[Rule]:
    """Return the rules that open exactly `ports` and let ping in, for IPv4 and, if asked, IPv6."""
    families = ["IPv4", "IPv6"] if ipv6 else ["IPv4"]
    rules = []
    for family in families:
        short, icmp = family[-2:], "icmp" if family == "IPv4" else "ipv6-icmp"
        rules.append(Rule(f"ping-{short}", "ingress", family, icmp, prefix=EVERYWHERE[family], why="ping and path MTU"))
        for port in ports:
            base = (f"{port.name}-{short}", "ingress", family, port.protocol, port.first, port.last)
            if port.source in GROUPS:
                # Front and media speak IPv4 with each other.
                rules += [Rule(*base, peer=port.source, why=port.why)] if family == "IPv4" else []
            elif port.source == "ssh_from":
                wanted = [n for n in ssh_from if f"IPv{ipaddress.ip_network(n).version}" == family]
                rules += [Rule(f"{base[0]}-{n}", *base[1:], prefix=n, why=port.why) for n in wanted]
            else:
                rules.append(Rule(*base, prefix=EVERYWHERE[family], why=port.why))
    return rules


def rules_out(egress: Sequence[Egress], inner: Sequence[Port], *, ipv6: bool) -> list[Rule]:
    """Return the rules that let out exactly `egress`, questions to the metadata service, and what goes to `inner` ports.

    Answers need no rule: the groups keep track of connections, and so of what goes to participants. The machine's own
    firewall says which of its accounts may use a way.
    """
    rules = []
    for family, number in (("IPv4", 4), ("IPv6", 6)) if ipv6 else (("IPv4", 4),):
        for way in egress:
            base = (f"out-{way.use}-{way.protocol}-{way.port}", "egress", family, way.protocol, way.port, way.port)
            for text in way.networks(number):
                prefix = str(ipaddress.ip_network(text))
                rules.append(Rule(f"{base[0]}-{prefix}", *base[1:], prefix=prefix, why=f"{way.use}, of the table"))
        metadata = f"{METADATA4}/32" if number == 4 else f"{METADATA6}/128"
        name = f"out-metadata-{family[-2:]}"
        rules.append(Rule(name, "egress", family, "tcp", 80, 80, prefix=metadata, why="metadata service, for root"))
    for port in inner:
        assert port.group != "all"
        # Front and media speak IPv4 with each other.
        first: tuple[str, str, str, Protocol] = (f"out-{port.name}", "egress", "IPv4", port.protocol)
        rules.append(Rule(*first, port.first, port.last, peer=port.group, why=port.why))
    return rules
