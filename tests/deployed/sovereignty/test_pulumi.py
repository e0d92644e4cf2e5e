"""Control `pulumi`."""

from collections.abc import Callable

import pytest

from classroom.verify.controls import collectors, pulumi
from classroom.verify.controls.evidence import Evaluator, Proof
from classroom.verify.deployment import Deployment
from classroom.verify.pytest_plugin import Verification


@pytest.mark.part("pulumi")
def test_pulumi(
    verification: Verification, target: Deployment, own: list[str], evaluator: Evaluator, prove: Callable[[Proof], None]
) -> None:
    captured = None if "up" in verification.without else collectors.captured_up(target.stack)
    engine = collectors.engine(target.stack)
    cloud = collectors.cloud_addresses(target, engine, asked="cloud" not in verification.without)
    prove(pulumi.judge(engine, captured, own, cloud, collectors.operators_resolvers(), evaluator))
