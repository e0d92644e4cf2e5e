"""Write a file in one step, so that an interruption or a full disk leaves the former file or the new one."""

import os
import shutil
import tempfile
from pathlib import Path

from classroom.common.errors import ClassroomError


def write_whole(path: Path, data: str | bytes, *, private: bool = False) -> None:
    """Replace a file, or create it for this account alone; ClassroomError if that is not possible.

    The new file has the rights and times of the former one; if it is `private`, it is for this account alone in any case.
    """
    new = data.encode() if isinstance(data, str) else data
    temporary = None
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "wb") as file:
            file.write(new)
        if not private and path.exists():
            shutil.copystat(path, temporary)
        Path(temporary).replace(path)
    except BaseException as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise ClassroomError(
                f"{path} cannot be written ({error.strerror}): free space in its folder, or give this account the right to write there"
            ) from None
        raise
