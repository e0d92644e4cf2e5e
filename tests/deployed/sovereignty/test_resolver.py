"""Control `resolver`."""

from collections.abc import Callable

from classroom.verify.browsers.background_class import Observed
from classroom.verify.controls import collectors, resolver
from classroom.verify.controls.evidence import Eye, Proof
from classroom.verify.deployment import Target
from classroom.verify.ssh import Remote


def test_resolver(
    observed: Observed, target: Target, remotes: dict[str, Remote], eye: Eye, prove: Callable[[Proof], None]
) -> None:
    """After the class: what is tried here stands in no window."""
    found = collectors.each(remotes, lambda remote: collectors.resolver(remote, target))
    prove(resolver.judge(found, eye))
