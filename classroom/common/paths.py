"""Where things stand: the project's own tree, and the caches outside of it."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
"""Root of the clone."""

CACHE = Path(os.environ.get("CLASSROOM_CACHE") or Path.home() / ".cache" / "sovereign-classroom").expanduser().resolve()
"""Everything that is built or fetched, and the rehearsal's state; set CLASSROOM_CACHE to move it."""

SYSTEM_PROGRAMS = "/usr/sbin:/usr/bin:/sbin:/bin"
"""PATH of an administrator on a Debian system."""
IGNORED = {"__pycache__", "node_modules", "dist", ".mypy_cache", ".ruff_cache", ".pytest_cache"}


def find_administrators_programs() -> None:
    """Add to this process's PATH the folders that only administrators have on theirs."""
    os.environ["PATH"] += f"{os.pathsep}{SYSTEM_PROGRAMS}"


def source_files(root: Path) -> list[Path]:
    """Return the files below `root` (or `root` itself if it is a file), sorted, without caches and built folders."""
    if root.is_file():
        return [root]
    found: list[Path] = []
    for folder, inner, files in os.walk(root):
        inner[:] = [name for name in inner if name not in IGNORED]  # they may hold more than all the rest
        found += [Path(folder, name) for name in files if not name.endswith(".pyc")]
    return sorted(path for path in found if path.is_file())


def digest(roots: Iterable[Path], *words: str) -> str:
    """Return 16 hex digits made of the names and contents of all source files below `roots`, and of `words`.

    Names are taken relative to each root, so that the digest is the same in every clone and on every machine.
    """
    seen = hashlib.sha256()
    for word in words:
        seen.update(word.encode() + b"\0")
    for root in roots:
        for path in source_files(root):
            name = path.name if root.is_file() else path.relative_to(root).as_posix()
            seen.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return seen.hexdigest()[:16]
