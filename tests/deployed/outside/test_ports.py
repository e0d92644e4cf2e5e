"""Ports as seen from outside: all TCP ports, STUN, and the other UDP ports."""

import pytest

from classroom.verify.deployment import Deployment
from classroom.verify.network.port_scan import declared_tcp, declared_udp, own_address, send_datagrams
from classroom.verify.network.stun import stun_binding
from classroom.verify.ssh import RemoteHost


@pytest.mark.parametrize("family", [4, pytest.param(6, marks=pytest.mark.part("ipv6"))])
def test_all_tcp_ports_answer_as_declared(
    every: RemoteHost, target: Deployment, scans: dict[str, dict[int, str]], family: int
) -> None:
    """Of 65,535 TCP ports, the declared ones are open and all others stay silent, without even a reset."""
    address = every.machine.public6 if family == 6 else every.machine.public4
    wanted = dict.fromkeys(declared_tcp(target, every.machine, own_address(address)), "open")
    answers = scans[address]
    wrong = [
        f"{port} is {answers.get(port, 'silent')}, expected {wanted.get(port, 'silent')}"
        for port in sorted(answers.keys() | wanted.keys())
        if answers.get(port) != wanted.get(port)
    ]
    assert not wrong, f"{every.machine.name}, {address}: TCP port " + "; ".join(wrong)


@pytest.mark.parametrize("family", [4, pytest.param(6, marks=pytest.mark.part("ipv6"))])
def test_stun_answers_by_udp(media: RemoteHost, family: int) -> None:
    address = media.machine.public6 if family == 6 else media.machine.public4
    mapped, port = stun_binding(address)
    assert (":" in mapped) == (family == 6)
    assert port > 0


@pytest.mark.parametrize("family", [4, pytest.param(6, marks=pytest.mark.part("ipv6"))])
def test_declared_udp_ports_reach_the_host(media: RemoteHost, target: Deployment, family: int) -> None:
    """A datagram to each declared UDP port increments the host's counter of that port."""
    address = media.machine.public6 if family == 6 else media.machine.public4
    ports = declared_udp(target, media.machine)
    assert ports
    before = media.counters()
    send_datagrams(address, [number for port in ports for number in (port.first, port.last)])
    after = media.counters()
    for port in ports:
        name = port.name.replace("-", "_")
        assert after[name] > before[name], f"{address} UDP port {port.first}: no datagram reached the host"
