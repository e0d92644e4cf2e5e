"""Artifacts: the list from which the roles' variables and the digest that triggers Ansible are derived."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from classroom.common.errors import ClassroomError
from classroom.common.paths import REPO, source_files
from classroom.configure import artifacts
from classroom.configure.artifacts import SHIPPED, Artifact, roles_digest, shipped

OPERATORS = {".ansible-lint", "ansible.cfg", "inventory"}
"""Files in the folder `ansible` that only concern the operator's machine."""


def test_roles_get_exactly_the_shipped_artifacts() -> None:
    text = (REPO / "ansible" / "group_vars" / "all.yml").read_text()
    assert set(re.findall(r"\bclassroom_\w+_(?:binary|dir)\b", text)) == set(SHIPPED)


def test_everything_that_is_deployed_to_hosts_is_in_the_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of any tracked file of Ansible, or of any shipped artifact, triggers an Ansible run."""
    listed = subprocess.run(["git", "ls-files", "ansible"], cwd=REPO, capture_output=True, text=True, check=True)
    trees = {Path(line).parts[1] for line in listed.stdout.splitlines()} - OPERATORS
    sources = [REPO / "ansible" / tree for tree in trees]
    sources += [source for artifact in SHIPPED.values() for source in artifact.sources]
    seen: list[Path] = []
    monkeypatch.setattr(artifacts, "digest", lambda roots: seen.extend(roots) or "")
    roles_digest()
    assert sorted(set(sources) - set(seen)) == []
    assert len(set(seen)) == len(seen)
    assert [root for root in seen if not source_files(root)] == []


def test_a_shipped_tree_changes_the_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one").write_text("a")
    before = roles_digest()
    monkeypatch.setattr(artifacts, "SHIPPED", {**SHIPPED, "classroom_new_dir": Artifact("new", "new", (tmp_path,))})
    first = roles_digest()
    (tmp_path / "one").write_text("b")
    assert len({before, first, roles_digest()}) == 3


def test_an_artifact_that_is_not_built_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "CACHE", tmp_path)
    for artifact in SHIPPED.values():
        artifact.path.parent.mkdir(parents=True, exist_ok=True)
        artifact.path.mkdir(exist_ok=True)
    assert shipped() == {variable: str(artifact.path) for variable, artifact in SHIPPED.items()}
    shutil.rmtree(SHIPPED["classroom_page_dir"].path)
    with pytest.raises(ClassroomError, match=r"the class page is not built yet .*`make install`"):
        shipped()
