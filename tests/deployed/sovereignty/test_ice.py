"""Control `ice`."""

from collections.abc import Callable

from classroom.sovereignty.proof import ice
from classroom.sovereignty.proof.evidence import Eye, Proof
from classroom.verify import observe
from classroom.verify.held import Observed
from classroom.verify.remote import Remote
from classroom.verify.target import Target


def test_ice(
    observed: Observed,
    target: Target,
    remotes: dict[str, Remote],
    own: list[str],
    eye: Eye,
    prove: Callable[[Proof], None],
) -> None:
    """After the class TURN is asked, with a participant's credentials, to relay to this machine: that is a stranger."""
    relays = observe.relays(target, remotes, observed.credentials)
    prove(ice.judge(observed.connections, target.names, own, relays or None, eye))
