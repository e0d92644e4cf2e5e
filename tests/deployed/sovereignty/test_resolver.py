"""Control `resolver`."""

from collections.abc import Callable

from classroom.sovereignty.proof import resolver
from classroom.sovereignty.proof.evidence import Eye, Proof
from classroom.verify import observe
from classroom.verify.held import Observed
from classroom.verify.remote import Remote
from classroom.verify.target import Target


def test_resolver(
    observed: Observed, target: Target, remotes: dict[str, Remote], eye: Eye, prove: Callable[[Proof], None]
) -> None:
    """After the class: what is tried here stands in no window."""
    found = observe.each(remotes, lambda remote: observe.resolver(remote, target))
    prove(resolver.judge(found, eye))
