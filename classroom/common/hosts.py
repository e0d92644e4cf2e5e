"""The one spelling of host names and URLs: small letters, international names in their ASCII form, no final dot."""

import ipaddress
import re
from urllib.parse import urlsplit, urlunsplit

LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
NAME_LENGTH = 253
"""Maximum length of a host name."""
DEFAULT_PORTS = {"http": 80, "https": 443}


def host_name(text: str) -> str:
    """Return the one spelling of a host name; ValueError says what is wrong with `text`, and what to write instead."""
    bare = text.strip()
    if "@" in bare:
        raise ValueError("it contains '@', as a URL with a user name or password does; write the host name alone")
    if "://" in bare or "/" in bare:
        inner = bare.rpartition("://")[2].partition("/")[0].partition(":")[0]
        raise ValueError(
            f"'{bare}' is not a host name but a URL; write the host name alone: {inner or 'class.academy.example'}"
        )
    if is_address(bare):
        raise ValueError(f"'{bare}' is not a host name, but an IP address; write a name such as class.academy.example")
    if not bare:
        raise ValueError("the name is empty; write one such as class.academy.example")
    name = _ascii(bare)
    labels = name.split(".")
    for label in labels:
        if not LABEL.fullmatch(label):
            raise ValueError(f"'{bare}' is not a host name, {_why(label)}; write one such as class.academy.example")
    if len(name) > NAME_LENGTH:
        raise ValueError(
            f"'{bare}' has {len(name)} characters, a host name at most {NAME_LENGTH}; choose a shorter one"
        )
    if labels[-1].isdigit():
        raise ValueError(f"'{bare}' ends in a number, which no host name does; write one such as class.academy.example")
    return name


def url(text: str) -> str:
    """Return the one spelling of a URL without user, password and fragment; ValueError as in `host_name`."""
    bare = text.strip()
    try:
        parts = urlsplit(bare)
        port = parts.port
    except ValueError:
        raise ValueError("it is not a URL; write one such as https://mirror.academy.example/debian") from None
    if parts.username is not None or parts.password is not None:
        raise ValueError(
            "the URL contains a user name or password, which would be stored in clear; write the URL without them"
        )
    host = parts.hostname or ""
    if parts.scheme not in DEFAULT_PORTS or not host or re.search(r"[\s\x00-\x1f\x7f]", bare):
        raise ValueError(f"'{bare}' is not a URL; write one such as https://mirror.academy.example/debian")
    host = str(ipaddress.ip_address(host)) if is_address(host) else host_name(host)
    shown = f"[{host}]" if ":" in host else host
    place = shown if port in {None, DEFAULT_PORTS[parts.scheme]} else f"{shown}:{port}"
    return urlunsplit((parts.scheme, place, parts.path.rstrip("/"), parts.query, ""))


def has_path(text: str) -> bool:
    """Return whether a URL has a path."""
    return urlsplit(text).path.strip("/") != ""


def host_of_url(text: str) -> str:
    """Return the host of a URL that `url` returned."""
    return urlsplit(text).hostname or ""


def is_address(host: str) -> bool:
    """Return whether a host is written as an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _ascii(text: str) -> str:
    """Return a name in small letters without its final dot, international labels in the form `xn--…`."""
    if text.isascii() and "xn--" not in text.lower():
        return text.lower().removesuffix(".")
    import idna  # its tables take a while to load, and few names need them

    try:
        return idna.encode(text, uts46=True, transitional=False).decode().lower().removesuffix(".")
    except UnicodeError as error:
        raise ValueError(f"'{text}' is not a host name ({error}); write one such as class.academy.example") from None


def _why(label: str) -> str:
    if not label:
        return "as it begins with a dot, or two dots follow each other"
    if len(label) > 63:
        return f"as '{label[:20]}…' has {len(label)} characters, and at most 63 are allowed between two dots"
    if label.startswith("-") or label.endswith("-"):
        return f"as '{label}' begins or ends with a hyphen"
    sign = next(sign for sign in label if not re.match("[a-z0-9-]", sign))
    return f"as '{sign}' is not allowed in it"


def is_local(host: str) -> bool:
    """Return whether a host is this machine itself: `localhost` or a loopback address."""
    return host == "localhost" or (is_address(host) and ipaddress.ip_address(host).is_loopback)


def in_clear(url: str) -> bool:
    """Return whether what is sent to a URL crosses a network in clear; to this machine itself it crosses none."""
    parts = urlsplit(url)
    return parts.scheme == "http" and not is_local(parts.hostname or "")
