"""Declare the network of a classroom: private IPv4, optional routed IPv6, and a router to the external network."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_openstack as openstack
from pulumi import Input, Output, ResourceOptions


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """`stack` is the prefix of all names; `external_network_id` is the router's gateway; `ipv6` is a routed /64 or None.

    `dns` are the resolvers that DHCP and router advertisements announce.
    """

    stack: str
    external_network_id: str
    cidr: str
    ipv6: str | None
    dns: Sequence[str] = ()


class Network(pulumi.ComponentResource):
    """Network, router, and a subnet for each IP version; machines depend on the resources in `ready`."""

    network_id: Output[str]
    subnet4_id: Output[str]
    subnet6_id: Output[str] | None
    ready: list[pulumi.Resource]

    def __init__(self, name: str, args: NetworkArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("classroom:network:Network", name, {}, opts)
        own = ResourceOptions(parent=self)
        # Subnets with overlapping ranges, or two interfaces of a router in one subnet, cannot coexist.
        replaced = ResourceOptions(parent=self, delete_before_replace=True)
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
            opts=replaced,
        )
        self.ready = [
            openstack.networking.RouterInterface(
                f"{name}-ipv4", router_id=router.id, subnet_id=subnet4.id, opts=replaced
            )
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
                opts=replaced,
            )
            self.ready.append(
                openstack.networking.RouterInterface(
                    f"{name}-ipv6", router_id=router.id, subnet_id=subnet6.id, opts=replaced
                )
            )
            self.subnet6_id = subnet6.id
        self.network_id, self.subnet4_id = net.id, subnet4.id
        self.register_outputs({"network_id": self.network_id})


def tag(stack: str) -> str:
    """Return the tag of all resources of a stack."""
    return f"classroom-{stack}"
