"""Creates accounts, image, flavours, networks and the member project, inside the lab: `seed.py accounts|cloud`; idempotent."""

import json
import os
import pathlib
import sys

import openstack

API, REGION = os.environ["LAB_API"], os.environ["OS_REGION_NAME"]
SECRETS = json.loads(pathlib.Path("/lab/etc/secrets.json").read_text())
cloud = openstack.connect()
identity = cloud.identity


def accounts() -> None:
    """Create the accounts of the services and the endpoints of the service catalogue."""
    project = identity.find_project("service") or identity.create_project(name="service", domain_id="default")
    admin = identity.find_role("admin")
    service_role = identity.find_role("service") or identity.create_role(name="service")
    for name in ("glance", "placement", "nova", "neutron"):
        user = identity.find_user(name) or identity.create_user(
            name=name, password=SECRETS["service"], domain_id="default", default_project_id=project.id
        )
        identity.assign_project_role_to_user(project, user, admin)
        identity.assign_project_role_to_user(project, user, service_role)
    for name, kind, url in (
        ("glance", "image", f"http://{API}:9292"),
        ("placement", "placement", f"http://{API}:8778"),
        ("nova", "compute", f"http://{API}:8774/v2.1"),
        ("neutron", "network", f"http://{API}:9696"),
    ):
        service = identity.find_service(name) or identity.create_service(name=name, type=kind)
        existing = {e.interface for e in identity.endpoints(service_id=service.id)}
        for interface in ("public", "internal", "admin"):
            if interface not in existing:
                identity.create_endpoint(service_id=service.id, interface=interface, region_id=REGION, url=url)


def member() -> None:
    """Create the project and the ordinary member that runs `pulumi up`."""
    project = identity.find_project("rehearsal") or identity.create_project(name="rehearsal", domain_id="default")
    user = identity.find_user("deployer") or identity.create_user(
        name="deployer", password=SECRETS["deployer"], domain_id="default", default_project_id=project.id
    )
    identity.assign_project_role_to_user(project, user, identity.find_role("member"))
    cloud.set_compute_quotas("rehearsal", cores=64, instances=32, ram=65536)


def flavours_and_network() -> None:
    """Create the flavours and the external network with its IPv4 and IPv6 ranges."""
    for name, cpus, memory, disk in (("tiny", 1, 512, 3), ("small", 2, 1024, 4), ("medium", 2, 2048, 8)):
        if not cloud.compute.find_flavor(name):
            cloud.compute.create_flavor(name=name, vcpus=cpus, ram=memory, disk=disk)
    if cloud.network.find_network("public"):
        return
    public = cloud.network.create_network(
        name="public", is_router_external=True, provider_network_type="flat", provider_physical_network="physnet1"
    )
    cloud.network.create_subnet(
        network_id=public.id,
        name="public4",
        ip_version=4,
        cidr="203.0.113.0/24",
        gateway_ip="203.0.113.1",
        is_dhcp_enabled=False,
        allocation_pools=[{"start": "203.0.113.100", "end": "203.0.113.199"}],
    )
    cloud.network.create_subnet(
        network_id=public.id,
        name="public6",
        ip_version=6,
        cidr="2001:db8:f::/64",
        gateway_ip="2001:db8:f::1",
        is_dhcp_enabled=False,
        allocation_pools=[{"start": "2001:db8:f::100", "end": "2001:db8:f::199"}],
    )


def image() -> None:
    """Upload the guest image as `debian-13`; replace it only if its build inputs have changed."""
    wanted = os.environ["LAB_IMAGE"]
    existing = cloud.image.find_image("debian-13")
    if existing and existing.properties.get("made_from") == wanted:
        return
    if existing:
        cloud.image.delete_image(existing)
    cloud.create_image(
        "debian-13",
        filename="/lab/guest.qcow2",
        disk_format="qcow2",
        container_format="bare",
        visibility="public",
        wait=True,
        use_tasks=False,
        md5="",
        sha256="",
        meta=None,
        os_distro="debian",
        os_require_quiesce="no",
        made_from=wanted,
    )


if __name__ == "__main__":
    if sys.argv[1] == "accounts":
        accounts()
    else:
        member()
        flavours_and_network()
        image()
