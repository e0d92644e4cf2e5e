"""Control `egress-drop`."""

from collections.abc import Callable

from classroom.sovereignty.proof import egress_drop
from classroom.sovereignty.proof.evidence import Eye, Proof
from classroom.verify import observe
from classroom.verify.held import Observed
from classroom.verify.plugin import Verification
from classroom.verify.remote import Remote
from classroom.verify.target import Target


def test_egress_drop(
    observed: Observed,
    verification: Verification,
    target: Target,
    remotes: dict[str, Remote],
    own: list[str],
    eye: Eye,
    prove: Callable[[Proof], None],
) -> None:
    """After the class: what is tried here stands in no window."""
    found = observe.each(remotes, lambda remote: observe.barrier(remote, eye, ipv6=target.ipv6))
    groups = None if "cloud" in verification.without else observe.security_groups(target)
    prove(egress_drop.judge(found, groups, own, eye))
