"""What the controls look at: the held class once it is over, and the way in which they tell what they found."""

from collections.abc import Callable

import pytest

from classroom.verify.browsers.background_class import BackgroundClass, Observed
from classroom.verify.controls.evidence import Eye, Proof
from classroom.verify.deployment import Target
from classroom.verify.pytest_plugin import Verification


@pytest.fixture(scope="session")
def observed(request: pytest.FixtureRequest, verification: Verification) -> Observed:
    """What was seen of the held class; what is tried after it stands in no window."""
    if verification.observed is None:
        held: BackgroundClass = request.getfixturevalue("held")
        verification.step("the class is held")
        verification.observed = held.close(verification.hold)
    verification.held_for = verification.observed.seconds
    return verification.observed


@pytest.fixture(scope="session")
def eye(verification: Verification) -> Eye:
    return verification.eye


@pytest.fixture
def prove(verification: Verification) -> Callable[[Proof], None]:
    return verification.prove


@pytest.fixture(scope="session")
def own(target: Target) -> list[str]:
    """Every address of the stack's machines."""
    return [a for m in target.machines for a in (m.public4, m.public6, m.private4) if a]
