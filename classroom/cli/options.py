"""Options that several commands share, and their parsing."""

import datetime
from typing import Annotated

import typer

from classroom.common.errors import WrongUseError

Stack = Annotated[str, typer.Option("--stack", envvar="CLASSROOM_STACK", help="Name of the stack.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def day(text: str | None) -> datetime.date:
    """Return the date given by `--as-of`, today if None; WrongUseError if it is not a date."""
    if text is None:
        return datetime.date.today()
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise WrongUseError(f"as-of: '{text}' is not a date; use YYYY-MM-DD, such as 2026-11-24") from None
