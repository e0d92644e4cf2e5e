"""Control `packages`."""

from collections.abc import Callable

from classroom.verify.controls import collectors, packages
from classroom.verify.controls.evidence import Evaluator, Proof
from classroom.verify.ssh import RemoteHost


def test_packages(remotes: dict[str, RemoteHost], evaluator: Evaluator, prove: Callable[[Proof], None]) -> None:
    found = collectors.each(remotes, collectors.archives)
    prove(packages.judge(found, evaluator))
