"""The folders of clients: each is its process's, and goes with it."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from classroom.verify import namespaces

HOLD = "import time; from classroom.verify.namespaces import Folder; print(Folder().path, flush=True); time.sleep(60)"


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


def test_the_folder_of_a_killed_process_is_swept_and_no_other(tmp_path: Path) -> None:
    strange = tmp_path / "classroom-client.txt"
    strange.mkdir()
    mine = namespaces.Folder()
    argv = [sys.executable, "-c", HOLD]
    processes = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True) for _ in range(2)]
    try:
        folders = []
        for process in processes:
            assert process.stdout
            folders.append(Path(process.stdout.readline().strip()))
        assert all((folder / "..").samefile(tmp_path) for folder in [*folders, mine.path])
        os.kill(processes[0].pid, signal.SIGKILL)
        processes[0].wait()
        assert folders[0].exists()
        (folders[0] / "hosts").write_text("left")
        namespaces.sweep_folders()
        assert not folders[0].exists()
        assert folders[1].exists() and mine.path.exists() and strange.exists()
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    namespaces.sweep_folders()
    assert not folders[1].exists()
    mine.remove()
    assert [one.name for one in tmp_path.iterdir()] == [strange.name]


def test_what_a_client_leaves_is_swept_with_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namespaces, "_run", lambda *_: "")
    left = tmp_path / "classroom-client-left"
    left.mkdir()
    namespaces.sweep()
    assert not left.exists()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (tmp_path / "classroom-client-link").symlink_to(target)
    namespaces.sweep_folders()
    assert target.exists()
