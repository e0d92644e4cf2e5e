"""Control `pulumi`."""

from collections.abc import Callable

import pytest

from classroom.sovereignty.proof import pulumi
from classroom.sovereignty.proof.evidence import Eye, Proof
from classroom.verify import observe
from classroom.verify.plugin import Verification
from classroom.verify.target import Target


@pytest.mark.part("pulumi")
def test_pulumi(
    verification: Verification, target: Target, own: list[str], eye: Eye, prove: Callable[[Proof], None]
) -> None:
    captured = None if "up" in verification.without else observe.captured_up(target.stack)
    engine = observe.engine(target.stack)
    cloud = observe.cloud_addresses(target, engine, asked="cloud" not in verification.without)
    prove(pulumi.judge(engine, captured, own, cloud, observe.operators_resolvers(), eye))
