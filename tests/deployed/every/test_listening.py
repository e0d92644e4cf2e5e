"""Exactly the declared programs listen on each machine."""

import re

from classroom.config.ports import local_tls, port_number
from classroom.verify.deployment import Deployment
from classroom.verify.ssh import Listener, RemoteHost
from classroom.verify.text_diff import assert_same_lines


def test_exactly_these_ports_listen(every: RemoteHost, target: Deployment) -> None:
    """Compare address, port and program; ports of the TURN relay are ignored, as they are open only during classes."""
    first, last = relay_ports(every) if "media" in every.machine.groups else (1, 0)
    found = {
        listener
        for listener in every.listening()
        if not (listener[0] == "udp" and listener[3] == "livekit-server" and first <= listener[2] <= last)
        # The DHCP client listens while it waits for an answer.
        and not (listener[0] == "udp" and listener[3] == "systemd-network" and listener[2] in {68, 546})
    }
    assert_same_lines(_lines(wanted(every, target)), _lines(found), f"listening ports of {every.machine.name}")


def relay_ports(every: RemoteHost) -> tuple[int, int]:
    settings = every.host.file("/etc/classroom/livekit.yaml").content_string
    found = dict(re.findall(r"^  relay_range_(start|end): (\d+)$", settings, re.M))
    return int(found["start"]), int(found["end"])


def wanted(every: RemoteHost, target: Deployment) -> set[Listener]:
    machine, single = every.machine, target.vars["classroom_shape"] == "single"
    found: set[Listener] = {("tcp", "*", port_number("ssh"), "sshd")}
    found |= {(p, "127.0.0.1", port_number("resolver"), "unbound") for p in ("tcp", "udp")}
    if "front" in machine.groups:
        found |= {("tcp", "*", port_number(name), "nginx") for name in ("http", "https")}
        # The page, and TURN over TLS of each media machine, which share the port of HTTPS.
        found |= {("tcp", "127.0.0.1", port, "nginx") for port in local_tls(len(target.turn_names))}
        found.add(("tcp", "127.0.0.1", port_number("portal"), "python3"))
        if len(target.group("media")) > 1:
            found.add(("tcp", machine.private4, port_number("valkey"), "valkey-server"))
    if "media" in machine.groups:
        found |= {("tcp", "*", port_number("ice-tcp"), "livekit-server")}
        found.add(("tcp", "127.0.0.1" if single else machine.private4, port_number("signal"), "livekit-server"))
        for address in filter(None, (machine.private4, machine.public6)):
            found |= {("udp", address, port_number(name), "livekit-server") for name in ("turn-udp", "ice-udp")}
            found.add(("tcp", address, port_number("turn-tls"), "livekit-server"))
    return found


def _lines(listeners: set[Listener]) -> list[str]:
    return [f"{protocol} {address} port {port}: {program}" for protocol, address, port, program in sorted(listeners)]
