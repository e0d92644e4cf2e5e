"""The hosts' own firewall, tested from their private network, where the security groups are open to the probe."""

import pytest

from classroom.verify.deployment import Deployment
from classroom.verify.network.port_scan import declared_tcp, declared_udp
from classroom.verify.network.private_network_probe import ProbeAnswers
from classroom.verify.ssh import RemoteHost

# The probe is reached over IPv6.
pytestmark = [pytest.mark.rehearsal, pytest.mark.part("inside"), pytest.mark.part("ipv6")]


@pytest.mark.parametrize("family", [4, 6])
def test_the_host_firewall_opens_only_declared_ports(
    every: RemoteHost, target: Deployment, probe_results: ProbeAnswers, family: int
) -> None:
    """Of all TCP ports, only the public ones and those for administrators answer the probe."""
    machine = every.machine
    address, source = (
        (machine.private4, probe_results.source4) if family == 4 else (machine.public6, probe_results.source6)
    )
    assert probe_results.answers[address] == dict.fromkeys(declared_tcp(target, machine, source), "open")


def test_the_host_firewall_drops_all_other_packets(
    every: RemoteHost, target: Deployment, probe_results: ProbeAnswers
) -> None:
    """Packets to undeclared ports reached the host, and its own firewall dropped them."""
    name = every.machine.name
    grown = {
        key: probe_results.after[name][key] - probe_results.before[name][key] for key in probe_results.before[name]
    }
    attempts = 2 * 65535 - 2 * len(declared_tcp(target, every.machine, "192.0.2.1"))
    assert grown["dropped"] >= 0.98 * attempts, grown
    for port in declared_udp(target, every.machine):
        assert grown[port.name.replace("-", "_")] >= 2, f"UDP port {port.first}: {grown}"
