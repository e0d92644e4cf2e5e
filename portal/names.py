"""What may be shown as a name."""

import re
import unicodedata
from typing import Any

NAME_LENGTH = 40
INVISIBLE = set("\u00ad\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Characters that count as letters, marks or signs and show nothing."""
JOINERS = "\u200c\u200d\ufe0f"
"""Needed inside words of some scripts and inside emoji."""


def clean_name(value: Any) -> str | None:
    """Return a pseudonym fit to be shown, or None: 1 to 40 characters, something visible, nothing that turns direction.

    Runs of blanks become one; control, format and private characters are refused, and so are piles of accents.
    """
    if not isinstance(value, str) or len(value) > 10 * NAME_LENGTH:
        return None
    name = re.sub(r"\s+", " ", unicodedata.normalize("NFC", value)).strip()
    kinds = [unicodedata.category(c) for c in name]
    if not 1 <= len(name) <= NAME_LENGTH or not any(kind[0] in "LNPS" for kind in kinds):
        return None
    if any(c in INVISIBLE or (kind[0] == "C" and c not in JOINERS) for c, kind in zip(name, kinds, strict=True)):
        return None
    return None if "MMM" in "".join(kind[0] for kind in kinds) else name
