"""Edits of a stack file: versions of class codes, and nothing else."""

import difflib
from pathlib import Path

import pytest
import yaml

from classroom.common.errors import WrongUseError
from classroom.common.paths import REPO
from classroom.config.stack_file import raise_code_versions

EXAMPLE = (REPO / "Pulumi.example.yaml").read_text()
ODD = """\
# before
encryptionsalt: v1:abc=:v1:def
config:
    classroom:certificate_key:
        secure: v1:zzz
    classroom:classes:
    - {name: 'CM2', size: 30} # flow
    # between
    - name: "6e"
      code_versions: # codes
        pupil: 7 # often
      size: 0x19
    classroom:until: 2027-06-30
    classroom:flag: yes
    classroom:text: >-
      folded
      text
# after
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "Pulumi.academy.yaml"


def changed_lines(old: str, new: str) -> list[str]:
    return [line for line in difflib.ndiff(old.splitlines(), new.splitlines()) if line[0] in "+-"]


def test_versions_are_added_and_every_other_line_stays(file: Path) -> None:
    file.write_text(EXAMPLE)
    assert raise_code_versions(file, "CM2", ["teacher", "pupil"]) == {"teacher": 2, "pupil": 2}
    assert [line[0] for line in changed_lines(EXAMPLE, file.read_text())] == ["+", "+", "+"]
    (entry,) = yaml.safe_load(file.read_text())["config"]["classroom:classes"]
    assert entry == {"name": "CM2", "size": 30, "code_versions": {"teacher": 2, "pupil": 2}}
    once = file.read_text()
    assert raise_code_versions(file, "CM2", ["pupil"]) == {"pupil": 3}
    assert len(changed_lines(once, file.read_text())) == 2


@pytest.mark.parametrize(("name", "role", "version"), [("CM2", "pupil", 2), ("6e", "pupil", 8), ("6e", "teacher", 2)])
def test_other_layouts_are_kept(file: Path, name: str, role: str, version: int) -> None:
    file.write_text(ODD)
    file.chmod(0o600)
    assert raise_code_versions(file, name, [role]) == {role: version}
    old, new = yaml.safe_load(ODD), yaml.safe_load(file.read_text())
    changed = next(entry for entry in new["config"]["classroom:classes"] if entry["name"] == name)
    assert changed["code_versions"][role] == version
    for content in (old, new):
        for entry in content["config"]["classroom:classes"]:
            entry.pop("code_versions", None)
    assert old == new
    for comment in ("# before", "# flow", "# between", "# codes", "# often", "# after"):
        assert comment in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_a_symbolic_link_stays_one(file: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "Pulumi.academy.yaml"
    target.write_text(EXAMPLE)
    file.symlink_to(target)
    raise_code_versions(file, "CM2", ["pupil"])
    assert file.is_symlink() and "pupil: 2" in target.read_text()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (EXAMPLE, ["class: '6e'", "Pulumi.academy.yaml", "'CM2'"]),
        ("config: {}", ["classroom:classes", "Pulumi.example.yaml"]),
        ("config: {'classroom:classes': '[{}]'}", ["classroom:classes", "Pulumi.example.yaml"]),
        ("config: {'classroom:classes': [{name: 6e, code_versions: x}]}", ["Pulumi.academy.yaml"]),
        ("config: {'classroom:classes': [{name: 6e, code_versions: {pupil: x}}]}", ["Pulumi.academy.yaml"]),
        # The library cannot keep this combination of comments.
        (
            "config:\n  classroom:classes: # a\n    - {name: 6f} # b\n    # c\n    - name: 6e\n      code_versions: # d\n"
            "        pupil: 1\n",
            ["Pulumi.academy.yaml", "by hand"],
        ),
        ("[", ["Pulumi.academy.yaml"]),
        ("", ["Pulumi.academy.yaml"]),
        (None, ["Pulumi.academy.yaml", "No such file"]),
    ],
)
def test_a_file_that_cannot_be_edited_is_refused_and_not_changed(
    file: Path, text: str | None, words: list[str]
) -> None:
    if text is not None:
        file.write_text(text)
    with pytest.raises(WrongUseError) as refused:
        raise_code_versions(file, "6e", ["pupil"])
    assert [word for word in words if word not in str(refused.value)] == []
    assert text is None or file.read_text() == text
