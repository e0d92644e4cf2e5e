"""The guest system is defined in one place, and its apt configuration in one file of the role base."""

import re
import tomllib

import yaml

from classroom.common.paths import REPO, source_files
from classroom.config import guest

VARS = REPO / "ansible" / "roles" / "base" / "vars"
FACTS = re.compile(
    rf"\b{guest.CODENAME}\b|\b{guest.IMAGE_ACCOUNT}@|[\"']{guest.IMAGE_ACCOUNT}[\"']|[\"']{re.escape(guest.PYTHON)}[\"']|\b{guest.NAME}\b"
)
ROOTS = ("ansible", "classroom", "engine", "portal", "templates", "tests/deployed", "tests/planted", "tests/roles")
ALLOWED = {
    "classroom/config/guest.py": "here it is",
    "tests/roles/packages.py": "a folder of the mirror",
}


def test_the_guest_system_is_defined_once() -> None:
    found = {
        path.relative_to(REPO).as_posix()
        for root in ROOTS
        for path in source_files(REPO / root)
        if path.suffix in {"", ".j2", ".py", ".sh", ".yml"} and FACTS.search(path.read_text())
    }
    assert found - {"ansible/roles/base/vars/Debian_13.yml"} == set(ALLOWED), "take it from classroom.config.guest"


def test_the_role_base_supports_the_guest_system() -> None:
    given = guest.variable()
    files = {path.name: set(yaml.safe_load(path.read_text())) for path in VARS.glob("*_*.yml")}
    assert f"{given['distribution']}_{given['version']}.yml" in files
    assert len(set(map(frozenset, files.values()))) == 1, "each system has to say the same of itself"


def test_the_rehearsal_boots_the_guest_system() -> None:
    folder = REPO / "rehearsal" / "guest"
    assert tomllib.loads((folder / "manifest.toml").read_text())["suite"] == guest.CODENAME
    suites = re.findall(r"^Suites: (.*)$", (folder / "debian.sources").read_text(), re.M)
    assert {word.partition("-")[0] for line in suites for word in line.split()} == {guest.CODENAME}
