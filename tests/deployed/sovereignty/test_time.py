"""Control `time`."""

from collections.abc import Callable

from classroom.verify.controls import collectors, time
from classroom.verify.controls.evidence import Eye, Proof
from classroom.verify.ssh import Remote


def test_time(remotes: dict[str, Remote], eye: Eye, prove: Callable[[Proof], None]) -> None:
    found = collectors.each(remotes, collectors.clock_of)
    prove(time.judge(found, eye))
