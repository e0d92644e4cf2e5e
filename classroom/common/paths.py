"""Paths of the source tree and of the cache outside it, and digests of source files."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
"""Root of the repository."""

CACHE = Path(os.environ.get("CLASSROOM_CACHE") or Path.home() / ".cache" / "sovereign-classroom").expanduser().resolve()
"""Folder of built and downloaded files and of the rehearsal's state; set CLASSROOM_CACHE to move it."""

SYSTEM_PROGRAMS = "/usr/sbin:/usr/bin:/sbin:/bin"
"""PATH of an administrator on a Debian system."""
IGNORED = {"__pycache__", "node_modules", "dist", ".mypy_cache", ".ruff_cache", ".pytest_cache"}


def find_administrators_programs() -> None:
    """Add the `sbin` folders to this process's PATH, where ordinary accounts lack them."""
    os.environ["PATH"] += f"{os.pathsep}{SYSTEM_PROGRAMS}"


def source_files(root: Path) -> list[Path]:
    """Return the files below `root` (or `root` itself if it is a file), sorted, without caches and built folders."""
    if root.is_file():
        return [root]
    found: list[Path] = []
    for folder, inner, files in os.walk(root):
        inner[:] = [name for name in inner if name not in IGNORED]  # skipped unread: they can be large
        found += [Path(folder, name) for name in files if not name.endswith(".pyc")]
    return sorted(path for path in found if path.is_file())


def digest(roots: Iterable[Path], *words: str) -> str:
    """Return a digest (16 hex digits) of the names and contents of all source files below `roots`, and of `words`.

    Names are relative to each root, so that the digest is the same in every clone and on every machine.
    """
    seen = hashlib.sha256()
    for word in words:
        seen.update(word.encode() + b"\0")
    for root in roots:
        for path in source_files(root):
            name = path.name if root.is_file() else path.relative_to(root).as_posix()
            seen.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return seen.hexdigest()[:16]
