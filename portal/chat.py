"""What may be written in the chat, and the message that the pages show."""

import json
import re
import secrets
import time
import unicodedata
from typing import Any

TOPIC = "chat"
TEXT_LENGTH = 1000
DIRECTIONS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""They turn the direction of what follows, beyond the text itself where it ends too early."""


def clean_text(value: Any) -> str | None:
    """Return a text fit to be shown, or None: 1 to 1000 characters, something visible among them.

    Control characters but line breaks and tabs, halves of characters, and what turns the direction are left out.
    """
    if not isinstance(value, str):
        return None
    text = unicodedata.normalize("NFC", re.sub(r"\r\n?", "\n", value))
    text = "".join(c for c in text if c in "\n\t" or _is_text(c)).strip()
    visible = any(unicodedata.category(c)[0] in "LNPS" for c in text)
    return text if visible and len(text) <= TEXT_LENGTH else None


def message(person: Any, text: str) -> bytes:
    """Return what is delivered to the pages: the text, and who wrote it as the media server knows them."""
    return json.dumps(
        {
            "id": secrets.token_hex(8),
            "identity": person.identity,
            "name": person.name,
            "role": "teacher" if person.attributes.get("role") == "teacher" else "pupil",
            "at": int(time.time() * 1000),
            "text": text,
        },
        ensure_ascii=False,
    ).encode()


def _is_text(character: str) -> bool:
    return unicodedata.category(character) not in {"Cc", "Cs"} and character not in DIRECTIONS
