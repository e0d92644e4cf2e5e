"""Where the rehearsal cannot run it says why, and with what status it ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from classroom.common.errors import ClassroomError
from classroom.common.paths import REPO
from rehearsal import lab

AS_NOBODY = """
import io, os, sys
from classroom.cli import app as cli
cli.add_others()
cli.Console(file=io.StringIO()).print("[bold]an ordinary user may not look where this Python stands")
if os.geteuid() == 0:
    os.setuid(65534)
sys.argv = ["classroom", "rehearsal", "up"]
cli.main()
"""


def test_root_alone_may_start_it() -> None:
    answer = subprocess.run([sys.executable, "-c", AS_NOBODY], cwd=REPO, capture_output=True, text=True, check=False)
    assert answer.returncode == 1, answer.stderr
    assert answer.stderr.strip() == "error: the rehearsal makes namespaces and mounts: run it as root"


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return monkeypatch


def test_too_little_memory(root: pytest.MonkeyPatch) -> None:
    root.setattr(lab, "MEMORY_GIB", 10**6)
    with pytest.raises(
        ClassroomError, match=r"^\d+\.\d GiB of memory are available, and the rehearsal needs 1000000: free some$"
    ):
        lab.check_machine()


def test_too_little_disk(root: pytest.MonkeyPatch) -> None:
    root.setattr(lab, "DISK_GIB", 10**9)
    with pytest.raises(
        ClassroomError, match=r"GiB are free under .*, and the rehearsal needs 1000000000: free some, or set"
    ):
        lab.check_machine()


@pytest.mark.parametrize("system", ["overlay", "cgroup2", "ext4"])
def test_a_kernel_that_lacks_something(root: pytest.MonkeyPatch, system: str) -> None:
    real = Path.read_text

    def without(path: Path, *args: object, **more: object) -> str:
        text = real(path, *args, **more)  # type: ignore[arg-type]
        return (
            "".join(line for line in text.splitlines(True) if system not in line)
            if path == Path("/proc/filesystems")
            else text
        )

    root.setattr(Path, "read_text", without)
    with pytest.raises(
        ClassroomError, match=f"this kernel has no {system} file system, which the rehearsal needs: use a kernel"
    ):
        lab.check_machine()


def test_control_groups_may_go_while_one_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
