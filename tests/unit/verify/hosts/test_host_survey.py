"""A survey is read only as a whole; its program lists files as they are."""

import gzip
import json
import os
import py_compile
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classroom.common.errors import ClassroomError
from classroom.verify.hosts.accounting import SOURCE
from classroom.verify.hosts.host_survey import read_survey
from tests.roles.test_plugins import load
from tests.unit.verify.hosts.world import survey_of

_prefix = sys.pycache_prefix
program = load(SOURCE)
sys.pycache_prefix = _prefix  # the program turns bytecode off for itself
GOOD = gzip.compress(json.dumps(survey_of().model_dump(mode="json")).encode())


def test_a_survey_is_read_back() -> None:
    assert read_survey(GOOD, "class") == survey_of()


@given(st.integers(0, len(GOOD) - 1))
@settings(deadline=None, max_examples=50)
def test_a_survey_that_is_cut_off_is_refused(length: int) -> None:
    with pytest.raises(ClassroomError, match="class: its survey"):
        read_survey(GOOD[:length], "class")


@pytest.mark.parametrize(
    "values",
    [[], {}, {"format": 2}, {"format": 1, "files": 3}, {"format": 1, "files": [["/x"]]}, {"format": 1, "more": 1}],
)
def test_another_form_is_refused(values: object) -> None:
    with pytest.raises(ClassroomError, match="class: its survey"):
        read_survey(gzip.compress(json.dumps(values).encode()), "class")


def rows(top: Path) -> dict[str, list[object]]:
    walk = program.Walk()
    walk.go(str(top))
    assert walk.errors == []
    return {str(row[0]).removeprefix(str(top)): row for row in walk.files}


def test_files_are_listed_with_kind_mode_and_digest(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "file").chmod(0o4750)
    (tmp_path / "same").hardlink_to(tmp_path / "file")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to("../file")
    (tmp_path / "gone").symlink_to("/nowhere")
    os.mkfifo(tmp_path / "pipe")
    found = rows(tmp_path)
    digest = "982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1"
    assert (found["/file"][1:3], found["/file"][6]) == (["f", 0o4750], digest)
    assert found["/same"][6] == digest
    assert (found["/folder/link"][1], found["/folder/link"][6]) == ("l", "../file")
    assert found["/pipe"][1] == "p"
    assert found.keys() == {"/file", "/same", "/folder", "/folder/link", "/gone", "/pipe"}


def test_a_file_that_is_too_large_has_no_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "LARGEST", 10)
    (tmp_path / "file").write_text("more than ten bytes")
    row = rows(tmp_path)["/file"]
    assert (row[6], row[7]) == ("", {"note": "large"})


def test_a_file_that_changes_while_it_is_read_is_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("text")
    read = os.read

    def grows(descriptor: int, count: int) -> bytes:
        data = read(descriptor, count)
        if not data:
            with (tmp_path / "file").open("a") as file:
                file.write("more")
        return data

    monkeypatch.setattr(program.os, "read", grows)
    assert rows(tmp_path)["/file"][7] == {"note": "changed while it was read"}


def test_bytecode_is_that_of_its_source_or_not(tmp_path: Path) -> None:
    source = tmp_path / "module.py"
    source.write_text("def f(x):\n    return [x, (1, 2), 'text']\n")
    compiled = Path(py_compile.compile(str(source), doraise=True))
    assert rows(tmp_path)[f"/__pycache__/{compiled.name}"][7] == {"source": str(source)}
    other = tmp_path / "other.py"
    other.write_text("def f(x):\n    return [x, (1, 3), 'text']\n")
    compiled.write_bytes(Path(py_compile.compile(str(other), doraise=True)).read_bytes())
    found = rows(tmp_path)
    assert found[f"/__pycache__/{compiled.name}"][7] == {"source": ""}
    compiled.write_bytes(b"\0" * 20)
    assert rows(tmp_path)[f"/__pycache__/{compiled.name}"][7] == {"source": ""}


def test_certificates_are_listed_one_by_one() -> None:
    end = b"-----END CERTIFICATE-----\n"
    assert len(program.certificates(b"a" + end + b"b" + end)) == 2
    assert len(program.certificates(b"a" + end + b"rest")) == 2
    assert program.certificates(b"a" + end)[0] != program.certificates(b"b" + end)[0]


def test_names_that_a_stored_object_loads_are_listed() -> None:
    import collections
    import pickle

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, ("true",)

    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert "posix.system" in program.names_in(pickle.dumps(Evil(), protocol))
        assert program.names_in(pickle.dumps(collections.OrderedDict(a=1), protocol)) == ["collections.OrderedDict"]
    assert "?" in program.names_in(b"\x80\x04garbage")


def test_password_hashes_are_not_listed(tmp_path: Path) -> None:
    (tmp_path / "shadow").write_text("root:$y$secret:1::\nada:!:2::\n")
    assert program.masked(str(tmp_path / "shadow")) == "root:$:1::\nada:!:2::"
