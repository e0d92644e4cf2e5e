"""Control `time`."""

from collections.abc import Callable

from classroom.sovereignty.proof import time
from classroom.sovereignty.proof.evidence import Eye, Proof
from classroom.verify import observe
from classroom.verify.remote import Remote


def test_time(remotes: dict[str, Remote], eye: Eye, prove: Callable[[Proof], None]) -> None:
    found = observe.each(remotes, observe.clock_of)
    prove(time.judge(found, eye))
