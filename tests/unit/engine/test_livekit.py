"""The media server is built with the TURN library in which a repeated TCP connection request does not block the listener."""

import re
import subprocess

from classroom.common.paths import CACHE
from classroom.configure.artifacts import ENGINE, LIVEKIT

TURN = "github.com/pion/turn/v5"
FIXED = (5, 0, 13)
"""From this version on the lock is released when a second Connect to the same peer is refused (pion/turn #587)."""


def versions(text: str, pattern: str) -> list[tuple[int, ...]]:
    """Return the versions of the TURN library that `text` names, at the place of VERSION in `pattern`."""
    found = re.findall(pattern.replace("VERSION", rf"{re.escape(TURN)}\s+v(\d+)\.(\d+)\.(\d+)"), text, re.M)
    return [tuple(map(int, version)) for version in found]


def test_the_pinned_turn_library_is_fixed() -> None:
    required = versions((ENGINE / "livekit" / "go.mod").read_text(), r"^\s*(?:require\s+)?VERSION\b")
    assert len(required) == 1 and required[0] >= FIXED, required
    # Go builds only modules whose hash is here.
    assert versions((ENGINE / "livekit" / "go.sum").read_text(), r"^VERSION\s+h1:") == required


def test_the_built_media_server_has_the_pinned_turn_library() -> None:
    required = versions((ENGINE / "livekit" / "go.mod").read_text(), r"^\s*(?:require\s+)?VERSION\b")
    command = [CACHE / "toolchain" / "bin" / "go", "version", "-m", LIVEKIT.built()]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert versions(listed, r"^\tdep\tVERSION\b") == required
