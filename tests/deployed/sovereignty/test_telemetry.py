"""Control `telemetry`."""

from collections.abc import Callable

from classroom.sovereignty.proof import telemetry
from classroom.sovereignty.proof.evidence import Proof
from classroom.verify import observe
from classroom.verify.remote import Remote


def test_telemetry(remotes: dict[str, Remote], prove: Callable[[Proof], None]) -> None:
    found = observe.each(remotes, observe.reporting)
    prove(telemetry.judge(found))
