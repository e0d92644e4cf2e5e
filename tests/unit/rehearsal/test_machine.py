"""Tests that the rehearsal refuses unsuitable machines with a reason and a status, and how control groups are found."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from classroom.common.errors import ClassroomError
from classroom.common.paths import REPO
from rehearsal import lab

AS_ORDINARY_USER = """
import io, os, sys
from classroom.cli import app as cli
cli.add_others()
cli.Console(file=io.StringIO()).print("[bold]an ordinary user may not read the folder of this Python")
if os.geteuid() == 0:
    os.setuid(65534)
sys.argv = ["classroom", "rehearsal", "up"]
cli.main()
"""


def test_an_ordinary_user_is_refused() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", AS_ORDINARY_USER], cwd=REPO, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 1, answer.stderr
    (line,) = answer.stderr.strip().splitlines()
    assert line.startswith("error: ") and "rehearsal" in line and "run it as root" in line


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return monkeypatch


def test_too_little_memory_is_refused(root: pytest.MonkeyPatch) -> None:
    root.setattr(lab, "MEMORY_GIB", 10**6)
    with pytest.raises(ClassroomError, match=r"^memory: \d+\.\d GiB .*1000000 GiB: free "):
        lab.check_machine()


def test_too_little_disk_space_is_refused(root: pytest.MonkeyPatch) -> None:
    root.setattr(lab, "DISK_GIB", 10**9)
    with pytest.raises(ClassroomError, match=r"^disk space: \d+\.\d GiB .*1000000000 GiB: free .*CLASSROOM_CACHE"):
        lab.check_machine()


@pytest.mark.parametrize("system", ["overlay", "cgroup2", "ext4"])
def test_a_kernel_without_a_file_system_is_refused(root: pytest.MonkeyPatch, system: str) -> None:
    real = Path.read_text

    def without(path: Path, *args: object, **more: object) -> str:
        text = real(path, *args, **more)  # type: ignore[arg-type]
        return (
            "".join(line for line in text.splitlines(True) if system not in line)
            if path == Path("/proc/filesystems")
            else text
        )

    root.setattr(Path, "read_text", without)
    with pytest.raises(ClassroomError, match=f"kernel lacks the {system} file system.*: use a kernel with {system}"):
        lab.check_machine()


def test_control_groups_that_disappear_during_the_search_are_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a/going/one", "a/going/deeper/one", "b/one", "b/one/two"):
        (tmp_path / name).mkdir(parents=True)
    real = os.scandir

    def scandir(path: str | Path | int) -> object:
        if not isinstance(path, int) and Path(path).name == "going":
            Path(path).rename(tmp_path.with_suffix(".gone"))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(lab, "CGROUPS", tmp_path)
    assert lab.control_groups("one") == [tmp_path / "b/one"]
