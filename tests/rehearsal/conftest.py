"""The rehearsal's own tests: real clouds, real guests. They need root."""

import pytest

from tests.rehearsal.command import member, rehearsal


@pytest.fixture(scope="session")
def cloud() -> dict[str, str]:
    """A cloud that runs; the member's variables."""
    answer = rehearsal("up", "--cloud-only")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return member()
