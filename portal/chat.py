"""Clean chat texts, and compose the chat messages for the pages."""

import json
import re
import secrets
import time
import unicodedata
from typing import Any

from portal.live_class import Person

TOPIC = "chat"
MESSAGE_ID = re.compile(r"[0-9a-f]{16}")
TEXT_LENGTH = 1000
DIRECTIONS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Bidirectional formatting characters, which could affect the text after the message."""


def clean_text(value: Any) -> str | None:
    """Return the cleaned text, or None unless it has 1 to TEXT_LENGTH characters with a visible one among them.

    Removes control characters except line breaks and tabs, surrogates, and bidirectional formatting.
    """
    if not isinstance(value, str):
        return None
    text = unicodedata.normalize("NFC", re.sub(r"\r\n?", "\n", value))
    text = "".join(c for c in text if c in "\n\t" or _is_text(c)).strip()
    visible = any(unicodedata.category(c)[0] in "LNPS" for c in text)
    return text if visible and len(text) <= TEXT_LENGTH else None


def message(person: Person, text: str) -> bytes:
    """Return the chat message as JSON; identity, name and role of the sender are those of the class."""
    return json.dumps(
        {
            "id": secrets.token_hex(8),
            "identity": person.identity,
            "name": person.name,
            "role": person.role,
            "at": int(time.time() * 1000),
            "text": text,
        },
        ensure_ascii=False,
    ).encode()


def deletion(message: str) -> bytes:
    """Return the order to delete a message on every page, as JSON."""
    return json.dumps({"delete": message}).encode()


def _is_text(character: str) -> bool:
    return unicodedata.category(character) not in {"Cc", "Cs"} and character not in DIRECTIONS
