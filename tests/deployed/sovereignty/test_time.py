"""Control `time`."""

from collections.abc import Callable

from classroom.verify.controls import collectors, time
from classroom.verify.controls.evidence import Evaluator, Proof
from classroom.verify.ssh import RemoteHost


def test_time(remotes: dict[str, RemoteHost], evaluator: Evaluator, prove: Callable[[Proof], None]) -> None:
    found = collectors.each(remotes, collectors.clock_of)
    prove(time.judge(found, evaluator))
