"""Control `resolver`."""

from collections.abc import Callable

from classroom.verify.browsers.background_class import Observed
from classroom.verify.controls import collectors, resolver
from classroom.verify.controls.evidence import Evaluator, Proof
from classroom.verify.deployment import Deployment
from classroom.verify.ssh import RemoteHost


def test_resolver(
    observed: Observed,
    target: Deployment,
    remotes: dict[str, RemoteHost],
    evaluator: Evaluator,
    prove: Callable[[Proof], None],
) -> None:
    """Run after the class, so that its queries are not in the class's time window."""
    found = collectors.each(remotes, lambda remote: collectors.resolver(remote, target))
    prove(resolver.judge(found, evaluator))
