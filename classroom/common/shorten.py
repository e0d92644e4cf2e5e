"""Shorten what messages show of a value."""


def shortened(text: str, length: int = 40) -> str:
    """Return a text, or its first `length` characters and an ellipsis if it is longer."""
    return text if len(text) <= length else f"{text[:length]}…"
