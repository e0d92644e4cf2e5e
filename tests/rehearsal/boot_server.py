"""Boots a server as an ordinary project member, logs in from the outside network, and prints the findings as JSON.

Host keys come from the server's console through the cloud's API; the first login already checks them.
"""

import contextlib
import json
import os
import re
import secrets
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import openstack

from classroom.clients import ssh_options
from classroom.config.guest import IMAGE_ACCOUNT
from classroom.config.ports import port_number

KEY = os.environ["CLASSROOM_SSH_KEY"]
OPEN_WITHOUT_LISTENER, CLOSED = 8099, 8098


def probe_port(address: str, port: int, seconds: float = 4) -> str:
    """Return the state of a TCP port: open, refused or silent."""
    try:
        socket.create_connection((address, port), seconds).close()
    except ConnectionRefusedError:
        return "refused"
    except OSError:
        return "silent"
    return "open"


def login(address: str, known_hosts: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command on the server over SSH with a strict check of the host key."""
    options = ssh_options.known_hosts_alone(known_hosts) | {"IdentitiesOnly": "yes", "IdentityFile": KEY}
    words = ["ssh", "-F", "none", *ssh_options.arguments(options | {"BatchMode": "yes", "ConnectTimeout": "10"})]
    return subprocess.run([*words, f"{IMAGE_ACCOUNT}@{address}", command], capture_output=True, text=True, check=False)


def boot(cloud: openstack.connection.Connection, name: str, undo: contextlib.ExitStack) -> dict[str, Any]:
    """Boot a server on a new network and test it from outside; register the deletion of all resources in `undo`."""
    net, compute = cloud.network, cloud.compute
    begin = time.monotonic()
    public = net.find_network("public")
    network = net.create_network(name=name)
    undo.callback(net.delete_network, network)
    four = net.create_subnet(name=f"{name}-4", network_id=network.id, ip_version=4, cidr="10.31.0.0/24")
    six = net.create_subnet(
        name=f"{name}-6",
        network_id=network.id,
        ip_version=6,
        cidr="2001:db8:31::/64",
        ipv6_ra_mode="slaac",
        ipv6_address_mode="slaac",
    )
    router = net.create_router(name=name, external_gateway_info={"network_id": public.id})
    undo.callback(net.delete_router, router)
    for subnet in (four, six):
        net.add_interface_to_router(router, subnet_id=subnet.id)
        undo.callback(net.remove_interface_from_router, router, subnet_id=subnet.id)
    group = net.create_security_group(name=name)
    undo.callback(net.delete_security_group, group)
    for family in ("IPv4", "IPv6"):
        for port in (port_number("ssh"), OPEN_WITHOUT_LISTENER):
            net.create_security_group_rule(
                security_group_id=group.id,
                direction="ingress",
                ethertype=family,
                protocol="tcp",
                port_range_min=port,
                port_range_max=port,
            )
    compute.create_keypair(name=name, public_key=Path(f"{KEY}.pub").read_text())
    undo.callback(compute.delete_keypair, name)
    server = compute.create_server(
        name=name,
        image_id=cloud.image.find_image("debian-13").id,
        flavor_id=compute.find_flavor("small").id,
        networks=[{"uuid": network.id}],
        security_groups=[{"name": name}],
        key_name=name,
    )
    undo.callback(compute.wait_for_delete, server, interval=1, wait=90)
    undo.callback(compute.delete_server, server)
    compute.wait_for_server(server, wait=120, interval=1)
    port = next(net.ports(device_id=server.id))
    floating = net.create_ip(floating_network_id=public.id, port_id=port.id)
    undo.callback(net.delete_ip, floating)
    address4 = floating.floating_ip_address
    address6 = next(f["ip_address"] for f in port.fixed_ips if ":" in f["ip_address"])

    keys: list[str] = []
    while not keys and time.monotonic() - begin < 120:
        console = compute.get_server_console_output(server)["output"]
        shown = re.search(r"BEGIN SSH HOST KEY KEYS-----\r?\n(.*?)-----END SSH HOST KEY KEYS", console, re.S)
        keys = re.findall(r"ssh-ed25519 \S+", shown.group(1)) if shown else []
        time.sleep(0.5)
    with tempfile.TemporaryDirectory() as folder:
        known, wrong = Path(folder) / "known_hosts", Path(folder) / "wrong"
        known.write_text("".join(f"{address} {key}\n" for address in (address4, address6) for key in keys))
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/other"], check=True)
        wrong.write_text(f"{address4} {Path(f'{folder}/other.pub').read_text()}")
        first = login(address4, known, "hostname")
        seconds = time.monotonic() - begin
        over6 = login(address6, known, "hostname")
        refused = login(address4, wrong, "true")
        state = login(address4, known, "systemctl is-system-running --wait; sudo -n id -u")
        packages = login(address4, known, "sudo apt-get update -qq && apt-cache policy nginx | sed -n 3p")
        release = login(address4, known, ". /etc/os-release; echo $ID $VERSION_ID")
    return {
        "status": compute.get_server(server.id).status,
        "keys": len(keys),
        "hostname": first.stdout.strip(),
        "hostname_over_ipv6": over6.stdout.strip(),
        "ssh_error": first.stderr + over6.stderr,
        "wrong_key": (refused.returncode, "verification failed" in refused.stderr),
        "system": state.stdout.split(),
        "apt": (packages.returncode, packages.stdout.strip(), packages.stderr[-300:]),
        "release": release.stdout.strip(),
        "ports": {
            family: [probe_port(address, port) for port in (port_number("ssh"), OPEN_WITHOUT_LISTENER, CLOSED)]
            for family, address in (("ipv4", address4), ("ipv6", address6))
        },
        "seconds_to_login": round(seconds, 1),
    }


def main() -> None:
    """Boot, test and delete a server; print the findings."""
    cloud = openstack.connect()
    name = f"test-{secrets.token_hex(4)}"
    roles = sorted(cloud.session.auth.get_access(cloud.session).role_names)
    with contextlib.ExitStack() as undo:
        found = boot(cloud, name, undo)
    found["name"], found["roles"] = name, roles
    found["left"] = [s.name for s in cloud.compute.servers() if s.name == name]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
