"""Control `addresses`."""

from collections.abc import Callable

from classroom.verify.controls import addresses, collectors
from classroom.verify.controls.evidence import Evaluator, Proof
from classroom.verify.deployment import Deployment
from classroom.verify.ssh import RemoteHost


def test_addresses(
    target: Deployment,
    remotes: dict[str, RemoteHost],
    with_ipv6: bool,
    evaluator: Evaluator,
    prove: Callable[[Proof], None],
) -> None:
    """Judge the machines' own addresses, their floating IPs, and those in DNS."""
    machines = {
        m.name: sorted({*collectors.own_addresses(remotes[m.name]), *target.addresses(m), m.private4})
        for m in target.machines
    }
    names = {name: collectors.resolve(name, ipv6=with_ipv6) for name in target.names}
    prove(addresses.judge(machines, target.vars["classroom_network_cidr"], names, evaluator, ipv6=target.ipv6))
