"""Find a folder in memory for secrets, so that they are never written to a disk."""

import os
from pathlib import Path

from classroom.common.errors import ClassroomError


def memory_folder() -> Path:
    """Return a writable folder on a tmpfs or ramfs; ClassroomError if neither candidate is one."""
    candidates = ("/dev/shm", os.environ.get("XDG_RUNTIME_DIR", ""))  # noqa: S108 -- used only if it is in memory
    for folder in map(Path, filter(None, candidates)):
        if os.access(folder, os.W_OK | os.X_OK) and in_memory(folder):
            return folder
    raise ClassroomError(
        "no tmpfs for secrets: neither /dev/shm nor XDG_RUNTIME_DIR is a writable tmpfs; mount one, and set XDG_RUNTIME_DIR to it"
    )


def in_memory(folder: Path) -> bool:
    """Return whether a folder is on a tmpfs or ramfs, as /proc/self/mountinfo says."""
    found: tuple[int, str] = (-1, "")
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        point = Path(before.split()[4].encode().decode("unicode_escape"))
        # The last mount on a mount point hides the earlier ones.
        if folder.resolve().is_relative_to(point) and len(point.parts) >= found[0]:
            found = (len(point.parts), after.split()[0])
    return found[1] in {"tmpfs", "ramfs"}
