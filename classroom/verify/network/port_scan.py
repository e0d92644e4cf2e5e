"""Port scans from outside, and the ports that are expected to answer."""

import ipaddress
import socket
import subprocess
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from classroom.common.errors import ClassroomError
from classroom.config.ports import Port, port_number
from classroom.verify.deployment import Deployment, Machine

RATE = 10000
"""Packets per second of one scan."""
NO_SECOND_SYN = 0.9
"""Maximum seconds for a connection during a scan: after one second the kernel retransmits the SYN."""
ALL_PORTS = 65535


def _nmap(address: str, *options: str) -> ET.Element:
    family = ["-6"] if ":" in address else []
    argv = ["nmap", *family, "-sS", "-Pn", "-n", *options, "-oX", "-", address]
    answer = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=150)
    root = ET.fromstring(answer.stdout) if answer.stdout else ET.Element("nothing")  # noqa: S314 - output of nmap
    finished = root.find("runstats/finished")
    if answer.returncode or finished is None or finished.get("exit") != "success":
        raise ClassroomError(f"`{' '.join(argv)}` failed: {answer.stderr.strip()[-300:]}")
    return root


def _answers(root: ET.Element) -> dict[int, str]:
    found = {}
    for port in root.iter("port"):
        state = port.find("state")
        if state is not None and state.get("state") != "filtered":
            found[int(port.get("portid") or 0)] = state.get("state") or ""
    return found


def scan(address: str, declared: Iterable[int]) -> dict[int, str]:
    """Scan all TCP ports of `address` and return those that answered as port → `open` or `closed`.

    Packet loss is measured during the scan at one of the `declared` ports; if packets are lost, all ports are scanned
    again. Unexpected results are then rescanned slowly. ClassroomError if nmap fails or does not scan every port.
    """
    wanted = set(declared)
    answers, lost = _all_ports(address, max(wanted & {port_number("https")} or wanted, default=0))
    if lost:
        answers |= _all_ports(address, 0)[0]
    doubtful = sorted(set(answers) ^ wanted | {port for port, state in answers.items() if state != "open"})
    if doubtful and len(doubtful) < 200:
        again = _answers(_nmap(address, "-p", ",".join(map(str, doubtful)), "--max-retries", "5", "--max-rate", "200"))
        answers = {port: state for port, state in answers.items() if port not in doubtful} | again
    return answers


def _all_ports(address: str, known: int) -> tuple[dict[int, str], bool]:
    """Scan every TCP port once; return the answers, and whether packets to the open port `known` were lost meanwhile."""
    end = threading.Event()
    with ThreadPoolExecutor(1) as beside:
        lost = beside.submit(_loses, address, known, end) if known else None
        try:
            root = _nmap(address, "-p-", "-T4", "--min-rate", str(RATE), "--max-retries", "0")
        finally:
            end.set()
    information = root.find("scaninfo")
    if information is None or int(information.get("numservices") or 0) != ALL_PORTS:
        raise ClassroomError(f"nmap did not scan all {ALL_PORTS} TCP ports of {address}; run the verification again")
    return _answers(root), lost is None or lost.result()


def _loses(address: str, port: int, end: threading.Event) -> bool:
    """Return whether a connection to an open port fails or is late before `end` is set."""
    while not end.wait(0.05):
        try:
            socket.create_connection((address, port), NO_SECOND_SYN).close()
        except OSError:
            return True
    return False


def declared_tcp(target: Deployment, machine: Machine, source: str) -> set[int]:
    """Return the TCP ports that a machine opens to the address `source` (IPv4 or IPv6)."""
    return {
        number
        for port in target.ports(machine)
        if port.protocol == "tcp" and _open_to(port, target.vars["classroom_ssh_from"], source)
        for number in range(port.first, port.last + 1)
    }


def declared_udp(target: Deployment, machine: Machine) -> list[Port]:
    """Return the UDP ports that a machine opens to all addresses."""
    ports = target.ports(machine)
    return [port for port in ports if port.protocol == "udp" and port.source == "world"]


def _open_to(port: Port, ssh_from: Iterable[str], source: str) -> bool:
    if port.source == "ssh_from":
        address = ipaddress.ip_address(source)
        return any(address in ipaddress.ip_network(network) for network in ssh_from)
    return port.source == "world"


def own_address(towards: str) -> str:
    """Return the source address of this machine's packets to `towards` (before any address translation)."""
    family = socket.AF_INET6 if ":" in towards else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.connect((towards, 9))
        return str(asking.getsockname()[0])


def send_datagrams(address: str, ports: Iterable[int], times: int = 3) -> None:
    """Send `times` datagrams to each port."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as sending:
        for _ in range(times):
            for port in ports:
                sending.sendto(b"classroom verify: is this port open?", (address, port))
            time.sleep(0.05)
