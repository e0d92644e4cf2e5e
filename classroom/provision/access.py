"""Declare the security groups of the port table, and the key pair of new machines."""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_openstack as openstack
from pulumi import Output, ResourceOptions

from classroom.config.endpoints import METADATA4, METADATA6, EgressRule, egress_for
from classroom.config.ports import GROUPS, Group, Port, Shape, ports_for
from classroom.config.settings import Settings
from classroom.provision.network import tag

Direction = Literal["ingress", "egress"]
EVERYWHERE = {4: "0.0.0.0/0", 6: "::/0"}


@dataclass(frozen=True)
class Rule:
    """A Neutron security group rule, for a network (`prefix`) or for the machines of another group (`peer`)."""

    name: str
    direction: Direction
    ethertype: str
    protocol: str | None = None
    first: int | None = None
    last: int | None = None
    prefix: str | None = None
    peer: Group | None = None
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class AccessArgs:
    """`groups` are the rules of each security group; `public_key` is the first administrator's, which new machines accept."""

    stack: str
    groups: Mapping[Group, Sequence[Rule]]
    public_key: str


class Access(pulumi.ComponentResource):
    """The security groups of the port table, and the stack's Nova key pair."""

    group_ids: dict[Group, Output[str]]
    key_pair: Output[str]
    rules: list[pulumi.Resource]

    def __init__(self, name: str, args: AccessArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("classroom:access:Access", name, {}, opts)
        own = ResourceOptions(parent=self)
        # Key pairs are identified by name, so the old one has to be deleted before a new one is created.
        replaced = ResourceOptions(parent=self, delete_before_replace=True)
        self.key_pair = openstack.compute.Keypair(name, name=args.stack, public_key=args.public_key, opts=replaced).name
        groups = {
            group: openstack.networking.SecGroup(
                f"{name}-{group}",
                name=f"{args.stack}-{group}",
                description=f"Classroom {args.stack}: {group}",
                delete_default_rules=True,
                tags=[tag(args.stack)],
                opts=own,
            )
            for group in args.groups
        }
        self.group_ids = {group: made.id for group, made in groups.items()}
        self.rules = [
            openstack.networking.SecGroupRule(
                f"{name}-{group}-{rule.name}",
                direction=rule.direction,
                ethertype=rule.ethertype,
                protocol=rule.protocol,
                port_range_min=rule.first,
                port_range_max=rule.last,
                remote_ip_prefix=rule.prefix,
                remote_group_id=self.group_ids[rule.peer] if rule.peer else None,
                security_group_id=self.group_ids[group],
                description=f"{args.stack}: {rule.why}",
                # Neutron cannot update a rule, and refuses a duplicate: delete the old one first.
                # Deleting a group deletes its rules; deleting each alone takes five seconds.
                opts=ResourceOptions(parent=self, delete_before_replace=True, deleted_with=groups[group]),
            )
            for group, rules in args.groups.items()
            for rule in rules
        ]
        self.register_outputs({"key_pair": self.key_pair})


def groups_of(settings: Settings) -> dict[Group, list[Rule]]:
    """Return the rules of each security group of a classroom."""
    return security_groups(
        settings.shape,
        settings.media_count,
        ssh_from=settings.ssh_from,
        egress=egress_for(settings.endpoints),
        ipv6=settings.ipv6 is not None,
    )


def security_groups(
    shape: Shape, media_count: int, *, ssh_from: Sequence[str], egress: Sequence[EgressRule], ipv6: bool
) -> dict[Group, list[Rule]]:
    """Return the rules of each group of the port table; every machine is in `all` and in its own groups.

    Ingress: exactly the ports of the table, and ping. Egress: exactly `egress`, the metadata service, and the inner ports
    of other machines. Replies, such as media to participants, need no rule, as security groups are stateful. The machine's
    own firewall restricts egress further to accounts.
    """
    families = [4, 6] if ipv6 else [4]
    groups: dict[Group, list[Rule]] = {group: [] for group in ("all", *GROUPS)}
    groups["all"] += [rule for family in families for rule in _for_all(egress, family)]
    for port in ports_for(GROUPS, shape, media_count):
        if port.source == "front" or port.source == "media":
            groups[port.source].append(_between(port, port.group, "egress"))
            groups[port.group].append(_between(port, port.source, "ingress"))
        else:
            sources = ssh_from if port.source == "ssh_from" else EVERYWHERE.values()
            groups[port.group] += [_from(port, text) for text in sources if _family(text) in families]
    return groups


def _family(network: str) -> int:
    return ipaddress.ip_network(network).version


def _for_all(egress: Sequence[EgressRule], family: int) -> Iterator[Rule]:
    """Yield the rules of every machine in one IP version: ICMP ingress, egress to endpoints and to the metadata service."""
    ethertype = f"IPv{family}"
    icmp, metadata = {4: ("icmp", f"{METADATA4}/32"), 6: ("ipv6-icmp", f"{METADATA6}/128")}[family]
    yield Rule(f"ping-v{family}", "ingress", ethertype, icmp, prefix=EVERYWHERE[family], why="ping and path MTU")
    for allowed in egress:
        for prefix in map(str, map(ipaddress.ip_network, allowed.networks(family))):
            name = f"out-{allowed.use}-{allowed.protocol}-{allowed.port}-{prefix}"
            why = f"{allowed.use}, of the table"
            yield Rule(name, "egress", ethertype, allowed.protocol, allowed.port, allowed.port, prefix=prefix, why=why)
    name, why = f"out-metadata-v{family}", "metadata service, for root"
    yield Rule(name, "egress", ethertype, "tcp", 80, 80, prefix=metadata, why=why)


def _from(port: Port, network: str) -> Rule:
    """Return the rule that opens a port for a network."""
    ethertype = f"IPv{_family(network)}"
    of = f"-{network}" if port.source == "ssh_from" else ""
    name = f"{port.name}-{ethertype[-2:]}{of}"
    return Rule(name, "ingress", ethertype, port.protocol, port.first, port.last, prefix=network, why=port.why)


def _between(port: Port, peer: Group, direction: Direction) -> Rule:
    """Return the rule of a port between front and media machines, which connect over IPv4."""
    name = f"out-{port.name}" if direction == "egress" else f"{port.name}-v4"
    return Rule(name, direction, "IPv4", port.protocol, port.first, port.last, peer=peer, why=port.why)
