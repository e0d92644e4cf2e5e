"""Options that several commands share, and how their words are read."""

import datetime
from typing import Annotated

import typer

from classroom.common.errors import WrongUseError

Stack = Annotated[str, typer.Option("--stack", envvar="CLASSROOM_STACK", help="Name of the stack.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def day(text: str | None) -> datetime.date:
    """Return the day that `--as-of` names, today if None; WrongUseError naming it if it is none."""
    if text is None:
        return datetime.date.today()
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise WrongUseError(f"as-of: '{text}' is no date; write one as YYYY-MM-DD, such as 2026-11-24") from None
