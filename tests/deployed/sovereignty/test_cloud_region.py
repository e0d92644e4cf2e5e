"""Control `cloud-region`."""

from collections.abc import Callable

import pytest

from classroom.sovereignty.proof import cloud_region
from classroom.sovereignty.proof.evidence import Eye, Proof
from classroom.verify import observe
from classroom.verify.target import Target


@pytest.mark.part("cloud")
def test_cloud_region(target: Target, eye: Eye, prove: Callable[[Proof], None]) -> None:
    prove(cloud_region.judge(observe.cloud_view(target), eye))
