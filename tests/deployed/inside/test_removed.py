"""After all was tried from inside: the probe is gone, and with it the rules that opened the machines to it."""

import pytest

pytestmark = [pytest.mark.rehearsal, pytest.mark.part("inside"), pytest.mark.part("ipv6")]


def test_nothing_is_left_of_the_probe(left: list[str]) -> None:
    assert left == []
