"""Writing settings into a stack file: what is said changes, every other line stays."""

import copy
import difflib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from classroom.common.errors import WrongUseError
from classroom.common.paths import REPO
from classroom.config.settings import Settings
from classroom.config.stack_file import read_settings, write_settings

EXAMPLE = (REPO / "Pulumi.example.yaml").read_text()
COMMENTS = {name: field.description or "" for name, field in Settings.model_fields.items()}
OWN = """\
encryptionsalt: v1:abc=:v1:def # Pulumi's own
config:
  # Where it runs.
  classroom:region: GRA11 # chosen by the board

  classroom:certificate_key:
    secure: v1:zzz
  # The classes of this year
  classroom:classes:
    - name: CM2 # Mme Dupont
      size: 30
      code_versions: {pupil: 7}
    # the big one
    - name: "6e"
      size: 40
  # What follows is for administrators.
  classroom:admins:
    - {name: ada, public_key: ssh-ed25519 AAAA}
  other:key: 1
  classroom:certificate: |
    # not a comment
    text

# the end
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "Pulumi.academy.yaml"


def lines(old: str, new: str) -> list[str]:
    return [line for line in difflib.ndiff(old.splitlines(), new.splitlines()) if line[0] in "+-"]


def test_a_new_file_has_a_comment_above_each_key_in_the_order_of_the_settings(file: Path) -> None:
    values = {"classes": [{"name": "6e1", "size": 30}], "region": "NO", "certificate": "a\nb", "media_count": 2}
    assert write_settings(file, values, COMMENTS)
    assert read_settings(file) == values
    text = file.read_text()
    assert [line.split(":")[1] for line in text.splitlines() if line.startswith("  classroom:")] == [
        "region",
        "media_count",
        "certificate",
        "classes",
    ]
    assert "'6e1'" in text and '"NO"' in text and f"  # {COMMENTS['region']}" in text
    assert file.stat().st_mode & 0o777 == 0o600
    assert not write_settings(file, values, COMMENTS)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, []),
        ({"region": "GRA11", "ipv6": None}, []),
        ({"region": "SBG5"}, ["-   classroom:region: GRA11 # chosen by the board", "+   classroom:region: SBG5  # chosen by the board"]),
        (
            {"classes": [{"name": "CM2", "size": 31, "code_versions": {"pupil": 7}}, {"name": "6e", "size": 40}]},
            ["-       size: 30", "+       size: 31"],
        ),
        (
            {
                "classes": [
                    {"name": "CM2", "size": 30, "code_versions": {"pupil": 7}},
                    {"name": "6e", "size": 40},
                    {"name": "CE1", "size": 20},
                ]
            },
            ["+     - name: CE1", "+       size: 20"],
        ),
        (
            {"admins": [{"name": "ada", "public_key": "ssh-ed25519 AAAA"}, {"name": "bob", "public_key": "ssh-rsa BBBB"}]},
            ["+     - name: bob", "+       public_key: ssh-rsa BBBB"],
        ),
        ({"certificate": None}, ["-   classroom:certificate: |", "-     # not a comment", "-     text"]),
        (
            {"domain": "class.example"},
            [f"+   # {COMMENTS['domain']}", "+   classroom:domain: class.example"],
        ),
    ],
)  # fmt: skip
def test_only_what_is_said_changes(file: Path, changes: dict[str, Any], wanted: list[str]) -> None:
    file.write_text(OWN)
    file.chmod(0o640)
    assert write_settings(file, changes, COMMENTS) == bool(wanted)
    assert lines(OWN, file.read_text()) == wanted
    assert file.stat().st_mode & 0o777 == 0o640


def test_a_key_that_is_removed_takes_its_own_comment_along(file: Path) -> None:
    file.write_text(OWN)
    write_settings(file, {"classes": None}, COMMENTS)
    gone = [line[2:] for line in lines(OWN, file.read_text())]
    assert gone[0] == "  # The classes of this year" and gone[-1] == "      size: 40"
    assert "What follows is for administrators" in file.read_text()


@pytest.mark.parametrize("text", ["", "config:\n", "config: {}\n", "encryptionsalt: v1:x\n", "# mine\nencryptionsalt: v1:x\nconfig:\n"])  # fmt: skip
def test_files_without_settings(file: Path, text: str) -> None:
    file.write_text(text)
    write_settings(file, {"region": "r", "classes": [{"name": "a", "size": 2}]}, COMMENTS)
    assert read_settings(file) == {"region": "r", "classes": [{"name": "a", "size": 2}]}
    assert [line for line in text.splitlines() if "config" not in line and line not in file.read_text()] == []


@pytest.mark.parametrize("text", ["[", "config: {classroom:region: x}\n", "config: text\n", "- a\n"])
def test_a_file_that_cannot_be_edited_is_refused_and_not_changed(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(WrongUseError, match=r"Pulumi\.academy\.yaml"):
        write_settings(file, {"region": "r"}, COMMENTS)
    assert file.read_text() == text


TEXTS = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=12) | st.sampled_from(
    [
        "NO",
        "yes",
        "6e1",
        "0x1f",
        "1_000",
        "12:30:00",
        "null",
        "~",
        "2026-01-01",
        "#",
        "a: b",
        "- a",
        "",
        "0o7",
        "=",
        "<<",
    ]
)
VALUES = st.recursive(
    TEXTS | st.integers(0, 9) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS.filter(bool), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(
    st.dictionaries(st.sampled_from(sorted(COMMENTS)), VALUES, min_size=1, max_size=4),
    st.sampled_from([OWN, EXAMPLE, ""]),
)
def test_any_values_are_written_as_they_are_or_refused(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, Any], before: str
) -> None:
    file = tmp_path_factory.mktemp("stack") / "Pulumi.t.yaml"
    file.write_text(before)
    old = read_settings(file)
    try:
        write_settings(file, values, COMMENTS)
    except WrongUseError:
        assert file.read_text() == before
        return
    assert read_settings(file) == old | copy.deepcopy(values)
    comments = [line for line in before.splitlines() if line.startswith(("  # ", "# "))]
    assert [line for line in comments if line not in file.read_text()] == []
    yaml.safe_load(file.read_text())
