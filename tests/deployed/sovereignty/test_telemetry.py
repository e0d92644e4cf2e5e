"""Control `telemetry`."""

from collections.abc import Callable

from classroom.verify.controls import collectors, telemetry
from classroom.verify.controls.evidence import Proof
from classroom.verify.ssh import RemoteHost


def test_telemetry(remotes: dict[str, RemoteHost], prove: Callable[[Proof], None]) -> None:
    found = collectors.each(remotes, collectors.reporting)
    prove(telemetry.judge(found))
