"""The guests' package proxy without a network: it goes on with the lists that it has."""

import socket
from pathlib import Path

import pytest

from rehearsal import outside_network


def test_a_mirror_answers_or_does_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        mirror = f"http://127.0.0.1:{listening.getsockname()[1]}/debian"
        assert outside_network._answers(mirror)
    assert not outside_network._answers(mirror)
    assert not outside_network._answers("http://mirror.invalid/debian")


def test_the_newest_list_that_was_laid_aside_is_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside_network, "PACKAGES", tmp_path)
    lost, there = (tmp_path / "archive" / "dists" / suite for suite in ("trixie", "trixie-updates"))
    for folder in (lost, there):
        folder.mkdir(parents=True)
        for name in ("InRelease.1795546724", "InRelease.1795556184", "InRelease.head"):
            (folder / name).write_text(name)
    (there / "InRelease").write_text("of today")
    outside_network._take_up_lists()
    assert (lost / "InRelease").read_text() == "InRelease.1795556184"
    assert (there / "InRelease").read_text() == "of today"
