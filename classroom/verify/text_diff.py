"""Compares expected with actual lines and shows the difference."""

import difflib
from collections.abc import Sequence


def assert_same_lines(wanted: Sequence[str], found: Sequence[str], what: str) -> None:
    """Raise AssertionError with a unified diff unless both are equal; `what` names the compared thing."""
    if list(wanted) != list(found):
        lines = difflib.unified_diff(wanted, found, "expected", "actual", n=0, lineterm="")
        raise AssertionError(f"{what} differs from what is expected:\n" + "\n".join(lines))
