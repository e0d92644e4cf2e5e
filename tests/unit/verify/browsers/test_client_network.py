"""Folders and network namespaces of clients: cleanup after killed processes, and stability."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from classroom.verify.browsers import client_network

HOLD = "import time; from classroom.verify.browsers.client_network import Folder; print(Folder().path, flush=True); time.sleep(60)"


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


def test_only_the_folder_of_a_killed_process_is_removed(tmp_path: Path) -> None:
    unrelated = tmp_path / "classroom-client.txt"
    unrelated.mkdir()
    mine = client_network.Folder()
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
        client_network.sweep_folders()
        assert not folders[0].exists()
        assert folders[1].exists() and mine.path.exists() and unrelated.exists()
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    client_network.sweep_folders()
    assert not folders[1].exists()
    mine.remove()
    assert [one.name for one in tmp_path.iterdir()] == [unrelated.name]


def test_sweep_removes_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_network, "_run", lambda *_: "")
    left = tmp_path / "classroom-client-left"
    left.mkdir()
    client_network.sweep()
    assert not left.exists()


def test_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (tmp_path / "classroom-client-link").symlink_to(target)
    client_network.sweep_folders()
    assert target.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
@pytest.mark.parametrize(("v4", "v6"), [(True, False), (True, True)])
def test_client_network_does_not_change_after_creation(v4: bool, v6: bool) -> None:
    """With duplicate address detection, the kernel would add an address one or two seconds later at either end of the link."""
    with client_network.Client(v4=v4, v6=v6) as client:
        watch = ["ip", "-o", "monitor", "address", "route", "link"]
        inside = subprocess.Popen(["ip", "netns", "exec", client.name, *watch], stdout=subprocess.PIPE, text=True)
        outside = subprocess.Popen(watch, stdout=subprocess.PIPE, text=True)
        with inside, outside:
            with pytest.raises(subprocess.TimeoutExpired):
                inside.wait(3)
            inside.kill()
            outside.kill()
            assert inside.communicate()[0] == ""
            assert client.link not in outside.communicate()[0]
        shown = subprocess.run(["ip", "-n", client.name, "-6", "-o", "address"], capture_output=True, text=True)
        assert ("eth0" in shown.stdout) is v6
