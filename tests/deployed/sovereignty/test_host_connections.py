"""Control `host-connections`."""

from collections.abc import Callable

from classroom.verify.browsers.background_class import Observed
from classroom.verify.controls import host_connections
from classroom.verify.controls.evidence import Evaluator, Proof


def test_host_connections(
    observed: Observed, own: list[str], evaluator: Evaluator, prove: Callable[[Proof], None]
) -> None:
    prove(host_connections.judge(observed.windows, own, observed.participants, evaluator))
