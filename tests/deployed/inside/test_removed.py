"""After the tests from the private network: the probe and the rules that opened the machines to it are removed."""

import pytest

pytestmark = [pytest.mark.rehearsal, pytest.mark.part("inside"), pytest.mark.part("ipv6")]


def test_the_probe_is_removed_completely(probe_leftovers: list[str]) -> None:
    assert probe_leftovers == []
