"""Fixtures of the controls: observations of the finished background class, and the function that records a proof."""

from collections.abc import Callable

import pytest

from classroom.verify.browsers.background_class import BackgroundClass, Observed
from classroom.verify.controls.evidence import Evaluator, Proof
from classroom.verify.deployment import Deployment
from classroom.verify.pytest_plugin import Verification


@pytest.fixture(scope="session")
def observed(request: pytest.FixtureRequest, verification: Verification) -> Observed:
    """End the background class and return its observations; later traffic is not in their time window."""
    if verification.observed is None:
        background_class: BackgroundClass = request.getfixturevalue("background_class")
        verification.step("the background class runs")
        verification.observed = background_class.close(verification.hold)
    verification.class_seconds = verification.observed.seconds
    return verification.observed


@pytest.fixture(scope="session")
def evaluator(verification: Verification) -> Evaluator:
    return verification.evaluator


@pytest.fixture
def prove(verification: Verification) -> Callable[[Proof], None]:
    return verification.prove


@pytest.fixture(scope="session")
def own(target: Deployment) -> list[str]:
    """Return every address of the stack's machines."""
    return [a for m in target.machines for a in (m.public4, m.public6, m.private4) if a]
