"""Names in the settings: of classes as schools write them, of the rooms on the media server, and of administrators' accounts."""

import re
import unicodedata

import anyascii

from classroom.common import hosts
from classroom.common.errors import WrongUseError
from classroom.common.shorten import shortened
from classroom.config import guest

LENGTH = 40
"""Maximum number of characters of a class's name."""
STACK_LENGTH = 50
"""Maximum number of characters of a stack's name: Neutron's tags have 60, of which the project's prefix takes ten."""
REFUSED = set("{}[]<>\\`")
"""Signs that templates and terminals give a meaning of their own."""
ACCOUNT = re.compile(r"[a-z][a-z0-9-]{0,30}")


def class_name(text: str) -> str:
    """Return the one spelling of a class's display name; ValueError says which sign is not allowed."""
    name = " ".join(unicodedata.normalize("NFC", text).split())
    if not name:
        raise ValueError("the name is empty; write the name of the class, such as 6ème B")
    for sign in name:
        if sign in REFUSED or unicodedata.category(sign)[0] == "C":
            shown = f"'{sign}'" if sign in REFUSED else f"the invisible character U+{ord(sign):04X}"
            raise ValueError(
                f"{_visible(name)} contains {shown}; use letters, digits, spaces and signs other than {' '.join(sorted(REFUSED))}"
            )
    if len(name) > LENGTH:
        raise ValueError(
            f"'{name}' has {len(name)} characters; shorten it to {LENGTH}, such as '{name[:LENGTH].strip()}'"
        )
    if not room_name(name):
        raise ValueError(
            f"'{name}' contains no letter and no digit, from which the name of its room is made; add one, such as 'A {name}'"
        )
    return name


def room_name(name: str) -> str:
    """Return the name of a class's room on the media server: small letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", anyascii.anyascii(name).lower()).strip("-")


def domain(text: str) -> str:
    """Return the one spelling of the page's host name; ValueError says what is wrong with it."""
    name = hosts.host_name(text)
    if "." not in name:
        raise ValueError(f"'{text}' is a name without a domain; write the whole one, such as {name}.academy.example")
    longest = hosts.NAME_LENGTH - len("turn9.")
    if len(name) > longest:
        raise ValueError(
            f"'{text}' has {len(name)} characters; {longest} at most are possible, as TURN servers have names such as turn1.{name}"
        )
    return name


def stack(name: str) -> None:
    """Raise WrongUseError if the name of a stack is too long for the names and tags that are made from it."""
    if len(name) > STACK_LENGTH:
        raise WrongUseError(
            f"the stack name '{name}' has {len(name)} characters, but the cloud allows {STACK_LENGTH} at most, as names of machines and"
            " tags begin with it; rename the stack with `pulumi stack rename NAME`"
        )


def account(text: str, reserved: set[str]) -> str:
    """Return the name of an administrator's account; ValueError if it is invalid, `reserved`, or taken on the guest system."""
    if not ACCOUNT.fullmatch(text):
        near = re.sub(r"[^a-z0-9]+", "-", anyascii.anyascii(text).lower()).strip("-0123456789")[:31].strip("-")
        raise ValueError(
            f"'{shortened(text)}' is not a valid account name; use a small letter, then small letters, digits and hyphens, 31 at most,"
            f" such as '{near or 'ada'}'"
        )
    if text in reserved or text in guest.TAKEN_NAMES:
        whose = "this project" if text in reserved else guest.NAME
        raise ValueError(f"'{text}' is an account or group of {whose}; choose another name, such as 'admin-{text}'")
    return text


def _visible(name: str) -> str:
    return ascii(name) if not name.isprintable() else f"'{name}'"
