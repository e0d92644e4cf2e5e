"""Control `egress-drop`."""

from collections.abc import Callable

from classroom.verify.browsers.background_class import Observed
from classroom.verify.controls import collectors, egress_drop
from classroom.verify.controls.evidence import Evaluator, Proof
from classroom.verify.deployment import Deployment
from classroom.verify.pytest_plugin import Verification
from classroom.verify.ssh import RemoteHost


def test_egress_drop(
    observed: Observed,
    verification: Verification,
    target: Deployment,
    remotes: dict[str, RemoteHost],
    own: list[str],
    evaluator: Evaluator,
    prove: Callable[[Proof], None],
) -> None:
    """Run after the class, so that its attempts are not in the class's time window."""
    found = collectors.each(remotes, lambda remote: collectors.barrier(remote, evaluator, ipv6=target.ipv6))
    groups = None if "cloud" in verification.without else collectors.security_groups(target)
    prove(egress_drop.judge(found, groups, own, evaluator))
