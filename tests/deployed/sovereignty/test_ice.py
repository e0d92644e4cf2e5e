"""Control `ice`."""

from collections.abc import Callable

from classroom.verify.browsers.background_class import Observed
from classroom.verify.controls import collectors, ice
from classroom.verify.controls.evidence import Evaluator, Proof
from classroom.verify.deployment import Deployment
from classroom.verify.ssh import RemoteHost


def test_ice(
    observed: Observed,
    target: Deployment,
    remotes: dict[str, RemoteHost],
    own: list[str],
    evaluator: Evaluator,
    prove: Callable[[Proof], None],
) -> None:
    """After the class, request a TURN relay to this machine, an unknown host, with a participant's credentials."""
    relays = collectors.relays(target, remotes, observed.credentials)
    prove(ice.judge(observed.connections, target.names, own, relays or None, evaluator))
