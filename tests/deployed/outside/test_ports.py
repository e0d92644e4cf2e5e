"""What answers from outside: every TCP port, STUN, and the other UDP ports."""

import os
import secrets
import socket
import struct
import subprocess
import time
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor

import pytest

from classroom.ports import ports_for
from classroom.verify.target import Machine, Target

RATE = 6000
"""Packets a second of one scan; a port that drops takes a second try."""


def scan(address: str) -> dict[int, str]:
    """Return the TCP ports that answered, with `open` or `closed`; all others of the 65,535 dropped what was sent."""
    six = ["-6"] if ":" in address else []
    argv = [
        "nmap",
        *six,
        "-sS",
        "-Pn",
        "-n",
        "-p-",
        "--min-rate",
        str(RATE),
        "--max-retries",
        "1",
        "-T4",
        "-oX",
        "-",
        address,
    ]
    answer = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120)
    root = ET.fromstring(answer.stdout)
    assert root.find("runstats/finished").get("exit") == "success"
    scanned = int(root.find("scaninfo").get("numservices"))
    assert scanned == 65535
    return {
        int(p.get("portid")): p.find("state").get("state")
        for p in root.iter("port")
        if p.find("state").get("state") != "filtered"
    }


@pytest.fixture(scope="session")
def scans(target: Target, without: set[str]) -> dict[str, dict[int, str]]:
    """All scans, at once."""
    addresses = [m.public4 for m in target.machines]
    if target.ipv6 and "ipv6" not in without:
        addresses += [m.public6 for m in target.machines]
    with ThreadPoolExecutor(len(addresses)) as pool:
        return dict(zip(addresses, pool.map(scan, addresses), strict=True))


def _expected(target: Target, machine: Machine) -> set[int]:
    ports = ports_for(sorted(machine.groups), target.vars["classroom_shape"])
    return {
        p
        for port in ports
        if port.protocol == "tcp" and port.source in {"world", "ssh_from"}
        for p in range(port.first, port.last + 1)
    }


def test_every_tcp_port_answers_as_declared(target: Target, scans: dict[str, dict[int, str]]) -> None:
    wrong = []
    for machine in target.machines:
        expected = dict.fromkeys(_expected(target, machine), "open")
        for address in filter(None, (machine.public4, machine.public6)):
            if address in scans and scans[address] != expected:
                wrong.append(f"{machine.name} {address}: {scans[address]} answered, and {expected} are declared")
    assert not wrong, "\n".join(wrong)


def stun_binding(address: str) -> tuple[str, int]:
    """Ask a STUN server for our own address (RFC 8489) and return it."""
    transaction = secrets.token_bytes(12)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.settimeout(3)
        asking.sendto(struct.pack("!HHI", 1, 0, 0x2112A442) + transaction, (address, 3478))
        answer, _ = asking.recvfrom(1500)
    kind, length, cookie = struct.unpack("!HHI", answer[:8])
    assert (kind, cookie, answer[8:20]) == (0x0101, 0x2112A442, transaction)
    position = 20
    while position < 20 + length:
        attribute, size = struct.unpack("!HH", answer[position : position + 4])
        value = answer[position + 4 : position + 4 + size]
        if attribute == 0x0020:
            port = struct.unpack("!H", value[2:4])[0] ^ 0x2112
            mask = struct.pack("!I", 0x2112A442) + (transaction if family == socket.AF_INET6 else b"")
            return socket.inet_ntop(family, bytes(a ^ b for a, b in zip(value[4:], mask, strict=True))), port
        position += 4 + size + (-size % 4)
    raise AssertionError("the answer names no address")


def test_stun_answers(target: Target, without: set[str]) -> None:
    for machine in target.machines:
        if "media" not in machine.groups:
            continue
        assert stun_binding(machine.public4)[1] > 0
        if machine.public6 and "ipv6" not in without:
            assert stun_binding(machine.public6)[1] > 0


def test_udp_reaches_the_hosts_on_declared_ports(target: Target, remotes: dict, without: set[str]) -> None:
    """A datagram to each declared UDP port raises the host's own counter of that port; one to another port raises none."""
    for machine in target.machines:
        ports = [p for p in ports_for(sorted(machine.groups), target.vars["classroom_shape"]) if p.protocol == "udp"]
        for address in filter(None, (machine.public4, machine.public6)):
            if ":" in address and "ipv6" in without:
                continue
            before = remotes[machine.name].counters()
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM) as sending:
                for port in ports:
                    sending.sendto(os.urandom(20), (address, port.first))
            time.sleep(0.5)
            after = remotes[machine.name].counters()
            for port in ports:
                name = port.name.replace("-", "_")
                assert after[name] > before[name], f"nothing sent to {address} udp/{port.first} arrived"
