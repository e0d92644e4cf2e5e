"""Tests the guests' package proxy without a network: it continues with cached package lists."""

import socket
from pathlib import Path

import pytest

from rehearsal import outside_network


def test_a_mirror_is_reachable_only_while_it_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        mirror = f"http://127.0.0.1:{listening.getsockname()[1]}/debian"
        assert outside_network._is_reachable(mirror)
    assert not outside_network._is_reachable(mirror)
    assert not outside_network._is_reachable("http://mirror.invalid/debian")


def test_the_newest_renamed_package_list_is_restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside_network, "PACKAGES", tmp_path)
    missing, present = (tmp_path / "archive" / "dists" / suite for suite in ("trixie", "trixie-updates"))
    for folder in (missing, present):
        folder.mkdir(parents=True)
        for name in ("InRelease.1795546724", "InRelease.1795556184", "InRelease.head"):
            (folder / name).write_text(name)
    (present / "InRelease").write_text("of today")
    outside_network._restore_package_lists()
    assert (missing / "InRelease").read_text() == "InRelease.1795556184"
    assert (present / "InRelease").read_text() == "of today"
