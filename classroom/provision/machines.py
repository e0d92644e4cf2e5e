"""The classroom's machines: one with everything, or a front and its media machines, each with addresses of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_openstack as openstack
from pulumi import Output, ResourceOptions

from classroom.common.templates import render
from classroom.config.plan import Plan
from classroom.config.ports import named
from classroom.provision.access import Access
from classroom.provision.network import Network, tag

KEPT = ["keyPair", "imageName", "userData"]
"""What holds for new machines only. Role base brings another key to machines that are there; another image or first
boot would rebuild all of them at once, under running classes: the preflight names the command that renews them one by one."""


@dataclass(frozen=True, kw_only=True)
class MachinesArgs:
    """What every machine shares, and the plans of all."""

    stack: str
    plans: Sequence[Plan]
    image: str
    availability_zone: str | None
    external_network: str
    network: Network
    access: Access
    on_error: pulumi.ErrorHook | None = None


@dataclass(frozen=True)
class ProvisionedMachine:
    """A machine that is: its server and image, its private and public addresses (`public6` is empty without IPv6)."""

    plan: Plan
    server_id: Output[str]
    image_id: Output[str]
    private4: Output[str]
    public4: Output[str]
    public6: Output[str]
    parts: Sequence[pulumi.Resource] = field(default_factory=list)


class Machines(pulumi.ComponentResource):
    """All machines, spread over the cloud's hosts as far as it can."""

    machines: dict[str, ProvisionedMachine]

    def __init__(self, name: str, args: MachinesArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("classroom:machines:Machines", name, {}, opts)
        own = ResourceOptions(parent=self)
        spread = openstack.compute.ServerGroup(name, name=args.stack, policies="soft-anti-affinity", opts=own)
        self.machines = {plan.name: self._machine(name, plan, args, spread) for plan in args.plans}
        self.register_outputs({})

    def _machine(
        self, name: str, plan: Plan, args: MachinesArgs, spread: openstack.compute.ServerGroup
    ) -> ProvisionedMachine:
        full, label, tags = f"{args.stack}-{plan.name}", f"{name}-{plan.name}", [tag(args.stack)]
        fixed = [openstack.networking.PortFixedIpArgs(subnet_id=args.network.subnet4_id)]
        if args.network.subnet6_id is not None:
            fixed.append(openstack.networking.PortFixedIpArgs(subnet_id=args.network.subnet6_id))
        port = openstack.networking.Port(
            label,
            name=full,
            network_id=args.network.network_id,
            admin_state_up=True,
            security_group_ids=[args.access.group_ids[group] for group in ("all", *plan.groups)],
            fixed_ips=fixed,
            tags=tags,
            opts=ResourceOptions(parent=self, delete_before_replace=True),
        )
        server = openstack.compute.Instance(
            label,
            name=full,
            image_name=args.image,
            flavor_name=plan.flavor,
            key_pair=args.access.key_pair,
            availability_zone=args.availability_zone,
            user_data=render("cloud-init.yaml.j2", hostname=full),
            config_drive=True,
            networks=[openstack.compute.InstanceNetworkArgs(port=port.id)],
            scheduler_hints=[openstack.compute.InstanceSchedulerHintArgs(group=spread.id)],
            metadata={"classroom": args.stack},
            tags=tags,
            opts=ResourceOptions(
                parent=self,
                # Its first boot asks the router's way out, and finds the rules of its port there.
                depends_on=[*args.network.ready, *args.access.rules],
                ignore_changes=KEPT,
                # The new machine takes over the old one's port.
                delete_before_replace=True,
                # A machine that the cloud left in ERROR is replaced by the next `up`.
                replace_on_changes=["#initerror"],
                hooks=pulumi.ResourceHookBinding(on_error=[args.on_error]) if args.on_error else None,
            ),
        )
        floating = openstack.networking.FloatingIp(
            label, pool=args.external_network, description=full, tags=tags, opts=ResourceOptions(parent=self)
        )
        if "media" in plan.groups:
            self._relay(label, floating.address, args.access.group_ids["media"], args.stack)
        joined = openstack.networking.FloatingIpAssociate(
            label,
            floating_ip=floating.address,
            port_id=port.id,
            opts=ResourceOptions(parent=self, depends_on=[server], delete_before_replace=True),
        )
        return ProvisionedMachine(
            plan=plan,
            server_id=server.id,
            image_id=server.image_id,
            private4=port.all_fixed_ips.apply(lambda found: next(a for a in found if ":" not in a)),
            public4=floating.address,
            public6=port.all_fixed_ips.apply(lambda found: next((a for a in found if ":" in a), "")),
            parts=[server, joined],
        )

    def _relay(self, label: str, address: Output[str], group: Output[str], stack: str) -> None:
        """Let TURN's relay reach the media port of its own machine, which it knows by the public address."""
        port = named("ice-udp")
        openstack.networking.SecGroupRule(
            f"{label}-relay",
            direction="egress",
            ethertype="IPv4",
            protocol=port.protocol,
            port_range_min=port.first,
            port_range_max=port.last,
            remote_ip_prefix=address.apply(lambda found: f"{found}/32"),
            security_group_id=group,
            description=f"{stack}: TURN's relay to its own machine",
            opts=ResourceOptions(parent=self, delete_before_replace=True),
        )
