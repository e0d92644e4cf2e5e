"""Control `host-connections`."""

from collections.abc import Callable

from classroom.sovereignty.proof import host_connections
from classroom.sovereignty.proof.evidence import Eye, Proof
from classroom.verify.held import Observed


def test_host_connections(observed: Observed, own: list[str], eye: Eye, prove: Callable[[Proof], None]) -> None:
    prove(host_connections.judge(observed.windows, own, observed.participants, eye))
