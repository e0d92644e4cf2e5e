"""The classroom's own network: private IPv4, routed IPv6 where there is one, and a router to the outside."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_openstack as openstack
from pulumi import Input, Output, ResourceOptions


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """`stack` names everything; `external_network_id` is the network behind the router; `ipv6` a routed /64 or None.

    `dns` are the addresses that new machines are given to ask for names.
    """

    stack: str
    external_network_id: str
    cidr: str
    ipv6: str | None
    dns: Sequence[str] = ()


class Network(pulumi.ComponentResource):
    """Network, router, and one subnet for each family; `ready` holds what a machine has to wait for."""

    network_id: Output[str]
    subnet4_id: Output[str]
    subnet6_id: Output[str] | None
    ready: list[pulumi.Resource]

    def __init__(self, name: str, args: NetworkArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("classroom:network:Network", name, {}, opts)
        own = ResourceOptions(parent=self)
        # Two subnets of the same range, or two ways from a router into one, cannot stand side by side.
        apart = ResourceOptions(parent=self, delete_before_replace=True)
        tags: Input[list[Input[str]]] = [tag(args.stack)]
        net = openstack.networking.Network(name, name=args.stack, admin_state_up=True, tags=tags, opts=own)
        router = openstack.networking.Router(
            name,
            name=args.stack,
            external_network_id=args.external_network_id,
            admin_state_up=True,
            tags=tags,
            opts=own,
        )
        subnet4 = openstack.networking.Subnet(
            f"{name}-ipv4",
            name=f"{args.stack}-ipv4",
            network_id=net.id,
            cidr=args.cidr,
            ip_version=4,
            dns_nameservers=[address for address in args.dns if ":" not in address],
            tags=tags,
            opts=apart,
        )
        self.ready = [
            openstack.networking.RouterInterface(f"{name}-ipv4", router_id=router.id, subnet_id=subnet4.id, opts=apart)
        ]
        self.subnet6_id = None
        if args.ipv6:
            subnet6 = openstack.networking.Subnet(
                f"{name}-ipv6",
                name=f"{args.stack}-ipv6",
                network_id=net.id,
                cidr=args.ipv6,
                ip_version=6,
                dns_nameservers=[address for address in args.dns if ":" in address],
                ipv6_address_mode="slaac",
                ipv6_ra_mode="slaac",
                tags=tags,
                opts=apart,
            )
            self.ready.append(
                openstack.networking.RouterInterface(
                    f"{name}-ipv6", router_id=router.id, subnet_id=subnet6.id, opts=apart
                )
            )
            self.subnet6_id = subnet6.id
        self.network_id, self.subnet4_id = net.id, subnet4.id
        self.register_outputs({"network_id": self.network_id})


def tag(stack: str) -> str:
    """Return the tag that everything of a stack carries on the cloud."""
    return f"classroom-{stack}"
