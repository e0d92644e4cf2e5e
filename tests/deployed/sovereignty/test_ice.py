"""Control `ice`."""

from collections.abc import Callable

from classroom.sovereignty.proof import ice
from classroom.sovereignty.proof.evidence import Eye, Proof
from classroom.verify.held import Observed
from classroom.verify.target import Target


def test_ice(observed: Observed, target: Target, own: list[str], eye: Eye, prove: Callable[[Proof], None]) -> None:
    prove(ice.judge(observed.connections, target.names, own, None, eye))
