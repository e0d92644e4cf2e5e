"""Control `packages`."""

from collections.abc import Callable

from classroom.sovereignty.proof import packages
from classroom.sovereignty.proof.evidence import Eye, Proof
from classroom.verify import observe
from classroom.verify.remote import Remote


def test_packages(remotes: dict[str, Remote], eye: Eye, prove: Callable[[Proof], None]) -> None:
    found = observe.each(remotes, observe.archives)
    prove(packages.judge(found, eye))
