"""The hosts' own firewall, tried from their private network while the cloud's is open to the probe there."""

import pytest

from classroom.verify.deployment import Target
from classroom.verify.network.port_scan import declared_tcp, declared_udp
from classroom.verify.network.private_network_probe import ProbeAnswers
from classroom.verify.ssh import Remote

# The probe is reached over IPv6.
pytestmark = [pytest.mark.rehearsal, pytest.mark.part("inside"), pytest.mark.part("ipv6")]


@pytest.mark.parametrize("family", [4, 6])
def test_the_host_itself_opens_what_is_declared(
    every: Remote, target: Target, tried: ProbeAnswers, family: int
) -> None:
    """Of all TCP ports only those that are open to the world, and to administrators, answer the probe."""
    machine = every.machine
    address, source = (machine.private4, tried.source4) if family == 4 else (machine.public6, tried.source6)
    assert tried.answers[address] == dict.fromkeys(declared_tcp(target, machine, source), "open")


def test_the_host_itself_dropped_the_rest(every: Remote, target: Target, tried: ProbeAnswers) -> None:
    """All that was not declared did come to the host, and its own firewall dropped it."""
    name = every.machine.name
    grown = {key: tried.after[name][key] - tried.before[name][key] for key in tried.before[name]}
    tries = 2 * 65535 - 2 * len(declared_tcp(target, every.machine, "192.0.2.1"))
    assert grown["dropped"] >= 0.98 * tries, grown
    for port in declared_udp(target, every.machine):
        assert grown[port.name.replace("-", "_")] >= 2, f"UDP port {port.first}: {grown}"
