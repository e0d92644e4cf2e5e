"""Check and clean the pseudonyms of participants."""

import re
import unicodedata
from typing import Any

NAME_LENGTH = 40
INVISIBLE = set("\u00ad\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Invisible characters in the Unicode categories of letters, marks or symbols."""
JOINERS = "\u200c\u200d\ufe0f"
"""Joiners and variation selectors, needed in some scripts and in emoji."""


def clean_name(value: Any) -> str | None:
    """Return the cleaned pseudonym, or None unless it has 1 to NAME_LENGTH characters with a visible one among them.

    Whitespace is collapsed; control, format and private-use characters and three combining marks in a row are refused.
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
