"""Compares what should be with what is, and shows the difference."""

import difflib
from collections.abc import Sequence


def same(wanted: Sequence[str], found: Sequence[str], what: str) -> None:
    """Raise AssertionError with the difference, line by line, unless both are the same."""
    if list(wanted) != list(found):
        lines = difflib.unified_diff(wanted, found, "as it should be", "as it is", n=0, lineterm="")
        raise AssertionError(f"{what} is not what it should be:\n" + "\n".join(lines))
