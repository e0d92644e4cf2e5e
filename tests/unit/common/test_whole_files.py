"""A file is replaced as a whole, or stays as it was; a full disk is named."""

import subprocess
import sys
from pathlib import Path

import pytest

from classroom.common.errors import ClassroomError
from classroom.common.paths import REPO
from classroom.common.whole_files import write_whole

FULL = """
import sys
from pathlib import Path
from classroom.common.errors import ClassroomError
from classroom.common.whole_files import write_whole
path = Path(sys.argv[1], "file")
write_whole(path, "former")
try:
    write_whole(path, "x" * 1024 * 1024)
except ClassroomError as error:
    print(error)
print(path.read_text(), [one.name for one in path.parent.iterdir()])
"""


def test_rights_are_kept_and_new_files_are_private(tmp_path: Path) -> None:
    write_whole(tmp_path / "new", "text")
    assert (tmp_path / "new").read_text() == "text"
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600
    (tmp_path / "new").chmod(0o644)
    write_whole(tmp_path / "new", b"\xff")
    assert (tmp_path / "new").read_bytes() == b"\xff"
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o644
    write_whole(tmp_path / "new", "text", private=True)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600


def test_a_full_disk_is_named_and_the_former_file_remains(tmp_path: Path) -> None:
    script = f'mount -t tmpfs -o size=64k none "{tmp_path}" && exec "$0" -c "$1" "{tmp_path}"'
    words = ["unshare", "--mount", "--user", "--map-root-user", "sh", "-c", script, sys.executable, FULL]
    done = subprocess.run(words, cwd=REPO, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        f"{tmp_path}/file cannot be written (No space left on device): free space in its folder, or give this account the right to"
        " write there",
        "former ['file']",
    ]


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ClassroomError, match="missing/file cannot be written \\(No such file"):
        write_whole(tmp_path / "missing" / "file", "text")
