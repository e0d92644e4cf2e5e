"""Declare the machines of a classroom with their ports and floating IPs."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_openstack as openstack
from pulumi import Output, ResourceOptions

from classroom.common.templates import render
from classroom.config.plan import Plan
from classroom.config.ports import named
from classroom.config.settings import Volume
from classroom.provision.access import Access
from classroom.provision.network import Network, tag

KEPT = ["keyPair", "imageName", "userData", "blockDevices"]
"""Properties ignored on existing machines. The role base updates keys on them; a change of image or user data would rebuild
all machines at once, during classes: the preflight names the command that replaces one machine at a time."""


@dataclass(frozen=True, kw_only=True)
class MachinesArgs:
    """What all machines share, and the plan of each. With a `volume`, machines start from it, copied from the image `image_id`."""

    stack: str
    plans: Sequence[Plan]
    image: str
    image_id: str = ""
    volume: Volume | None = None
    availability_zone: str | None
    external_network: str
    network: Network
    access: Access
    on_error: pulumi.ErrorHook | None = None


@dataclass(frozen=True)
class ProvisionedMachine:
    """A provisioned machine: the IDs of its server and image, its private and public addresses (`public6`: "" without IPv6)."""

    plan: Plan
    server_id: Output[str]
    image_id: Output[str]
    private4: Output[str]
    public4: Output[str]
    public6: Output[str]
    parts: Sequence[pulumi.Resource] = field(default_factory=list)


class Machines(pulumi.ComponentResource):
    """All machines, in a server group with soft anti-affinity, which spreads them over compute hosts where possible."""

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
            image_name=None if args.volume else args.image,
            block_devices=_root_volume(args.volume, args.image_id) if args.volume else None,
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
                # First boot needs the router and the security group rules.
                depends_on=[*args.network.ready, *args.access.rules],
                ignore_changes=KEPT,
                # The new machine reuses the Neutron port.
                delete_before_replace=True,
                # The next `up` replaces a machine in status ERROR.
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
            image_id=server.block_devices.apply(lambda devices: _image_of(devices)) if args.volume else server.image_id,
            private4=port.all_fixed_ips.apply(lambda found: next(a for a in found if ":" not in a)),
            public4=floating.address,
            public6=port.all_fixed_ips.apply(lambda found: next((a for a in found if ":" in a), "")),
            parts=[server, joined],
        )

    def _relay(self, label: str, address: Output[str], group: Output[str], stack: str) -> None:
        """Allow TURN's relay to connect to the media port of its own machine by its public address."""
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


def _root_volume(volume: Volume, image_id: str) -> list[openstack.compute.InstanceBlockDeviceArgs]:
    """Return the root disk: a new volume with the content of an image, deleted with the machine."""
    return [
        openstack.compute.InstanceBlockDeviceArgs(
            uuid=image_id,
            source_type="image",
            destination_type="volume",
            boot_index=0,
            volume_size=volume.size,
            volume_type=volume.type,
            delete_on_termination=True,
        )
    ]


def _image_of(devices: Sequence[openstack.compute.outputs.InstanceBlockDevice] | None) -> str:
    """Return the ID of the image from which a machine's root volume was made."""
    return next((str(device.uuid) for device in devices or [] if device.uuid), "")
