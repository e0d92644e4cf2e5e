"""Check and clean the pseudonyms of participants."""

import re
import unicodedata
from typing import Any

NAME_LENGTH = 40
INVISIBLE = set("\u00ad\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\U0001d159")
"""Invisible characters in the Unicode categories of letters, marks or symbols."""
JOINERS = "\u180e\u200c\u200d\ufe0f"
"""Joiners, separators and variation selectors, needed in some scripts and in emoji."""
REGION_FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f")
"""The flag of a region, such as Wales: a black flag and its code in invisible characters."""
MARKS, MARKS_ON_ONE_SIDE = 5, 2
ABOVE, BELOW = 230, 220
"""Canonical combining classes of marks above and below a letter."""


def clean_name(value: Any) -> str | None:
    """Return the cleaned pseudonym, or None unless it has 1 to NAME_LENGTH characters with a visible one among them.

    Whitespace is collapsed; control, format and private-use characters are refused, and more marks on one letter than any script has.
    """
    if not isinstance(value, str) or len(value) > 10 * NAME_LENGTH:
        return None
    name = re.sub(r"\s+", " ", unicodedata.normalize("NFC", value)).strip()
    rest = REGION_FLAG.sub("\U0001f3f4", name)
    kinds = [unicodedata.category(c) for c in rest]
    if not 1 <= len(name) <= NAME_LENGTH or not any(kind[0] in "LNPS" for kind in kinds):
        return None
    if any(c in INVISIBLE or (kind[0] == "C" and c not in JOINERS) for c, kind in zip(rest, kinds, strict=True)):
        return None
    return None if _has_a_pile_of_marks(name) else name


def _has_a_pile_of_marks(name: str) -> bool:
    """Return whether marks are piled up on a letter: more than MARKS, the same twice, or more than two above or below."""
    pile: list[str] = []
    for c in [*unicodedata.normalize("NFD", name), " "]:
        kind = unicodedata.category(c)
        if kind in {"Mn", "Me"}:
            pile.append(c)
        elif c not in JOINERS:
            sides = [unicodedata.combining(mark) for mark in pile]
            if len(pile) > MARKS or len(set(pile)) < len(pile):
                return True
            if max(sides.count(ABOVE), sides.count(BELOW)) > MARKS_ON_ONE_SIDE:
                return True
            pile = []
    return False
