"""Control `cloud-region`."""

from collections.abc import Callable

import pytest

from classroom.verify.controls import cloud_region, collectors
from classroom.verify.controls.evidence import Evaluator, Proof
from classroom.verify.deployment import Deployment


@pytest.mark.part("cloud")
def test_cloud_region(target: Deployment, evaluator: Evaluator, prove: Callable[[Proof], None]) -> None:
    prove(cloud_region.judge(collectors.cloud_view(target), evaluator))
