"""The hosts' own firewall, tried from their private network while the cloud's is open to the probe there."""

from dataclasses import dataclass

import pytest

from classroom.verify.outside import declared_tcp, declared_udp
from classroom.verify.probe import Probe
from classroom.verify.remote import Remote
from classroom.verify.target import Machine, Target

# The probe is reached over IPv6.
pytestmark = [pytest.mark.rehearsal, pytest.mark.part("inside"), pytest.mark.part("ipv6")]
UNDECLARED_UDP = (53, 123, 5000, 40000)


@dataclass
class Tried:
    """What the probe got: TCP answers by address; counters of each host's firewall before and after; what is left of it."""

    answers: dict[str, dict[int, str]]
    before: dict[str, dict[str, int]]
    after: dict[str, dict[str, int]]
    left: list[str]


@pytest.fixture(scope="session")
def tried(probe: Probe, target: Target, remotes: dict[str, Remote]) -> Tried:
    """The probe tries every TCP port of every machine, and some of UDP; then it is removed."""

    def arrived(machine: Machine) -> bool:
        before = remotes[machine.name].counters()["dropped"]
        probe.run(send={address: UNDECLARED_UDP for address in (machine.private4, machine.public6) if address})
        return remotes[machine.name].counters()["dropped"] >= before + 2 * len(UNDECLARED_UDP)

    try:
        probe.open(arrived)
        before = {name: remote.counters() for name, remote in remotes.items()}
        addresses = [a for m in target.machines for a in (m.private4, m.public6) if a]
        send = {
            a: [p.first for p in declared_udp(target, m)]
            for m in target.machines
            for a in (m.private4, m.public6)
            if a and declared_udp(target, m)
        }
        answers = probe.run(send=send, scan=addresses)
        after = {name: remote.counters() for name, remote in remotes.items()}
    finally:
        probe.remove()
    return Tried(answers, before, after, probe.left())


@pytest.mark.parametrize("family", [4, 6])
def test_the_host_itself_opens_what_is_declared(
    every: Remote, target: Target, probe: Probe, tried: Tried, family: int
) -> None:
    """Of all TCP ports only those that are open to the world, and to administrators, answer the probe."""
    machine = every.machine
    address, source = (machine.private4, probe.address4) if family == 4 else (machine.public6, probe.address6)
    assert tried.answers[address] == dict.fromkeys(declared_tcp(target, machine, source), "open")


def test_the_host_itself_dropped_the_rest(every: Remote, target: Target, tried: Tried) -> None:
    """All that was not declared did come to the host, and its own firewall dropped it."""
    name = every.machine.name
    grown = {key: tried.after[name][key] - tried.before[name][key] for key in tried.before[name]}
    tries = 2 * 65535 - 2 * len(declared_tcp(target, every.machine, "192.0.2.1"))
    assert grown["dropped"] >= 0.98 * tries, grown
    for port in declared_udp(target, every.machine):
        assert grown[port.name.replace("-", "_")] >= 2, f"UDP port {port.first}: {grown}"


def test_nothing_is_left_of_the_probe(tried: Tried) -> None:
    assert tried.left == []
