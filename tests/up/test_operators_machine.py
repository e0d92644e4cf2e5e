"""`pulumi` on machines as operators have them: proxies, locales, folders, permissions, other programs on PATH."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.unit.keystone import serving
from tests.up.gate_project import GateProject
from tests.up.project import Project

PULUMI = str(Path(sys.executable).parent / "pulumi")
CLOSED = "http://127.0.0.1:9"
"""A proxy at which no program listens: connections that use it fail."""
PROXIES = {
    name: CLOSED for kind in ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy") for name in (kind, kind.upper())
}
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && cd "$0" && ! touch x 2> /dev/null && exec "$@"'
Variables = dict[str, str | None]


class Place(NamedTuple):
    """A folder for the machine's own files, and the folder of the clone."""

    own: Path
    clone: Path


def folder(place: Place, name: str) -> str:
    path = place.own / name
    path.mkdir(parents=True, exist_ok=True)
    return str(path)


def another_python(place: Place) -> str:
    """Return a PATH on which programs named python and python3 come first that lack all packages of this project."""
    programs = Path(folder(place, "shims"))
    for name in ("python", "python3"):
        (programs / name).write_text('#!/bin/sh\nexec /usr/bin/python3 -I "$@"\n')
        (programs / name).chmod(0o755)
    return f"{programs}:/usr/local/bin:/usr/bin:/bin"


MACHINES: dict[str, Callable[[Place], Variables]] = {
    "proxies without exceptions": lambda place: {**PROXIES, "NO_PROXY": None, "no_proxy": None},
    "a locale without accents": lambda place: {
        "LANG": "C",
        "LC_ALL": "C",
        # Python then reads and writes ASCII, as programs of other systems do.
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
    },
    "a long TMPDIR and a HOME with blanks": lambda place: {
        "TMPDIR": folder(place, "t" * 150),
        "HOME": folder(place, "My Home"),
        "CLASSROOM_CACHE": os.environ.get("CLASSROOM_CACHE") or str(Path.home() / ".cache" / "sovereign-classroom"),
    },
    "no HOME, another Python on PATH": lambda place: {"HOME": None, "PATH": another_python(place)},
}


def run(
    project: Project, variables: Variables, *words: str, prefix: Sequence[str] = ()
) -> "subprocess.CompletedProcess[str]":
    environment = {**project.environment, **{name: value for name, value in variables.items() if value is not None}}
    environment = {name: value for name, value in environment.items() if variables.get(name, value) is not None}
    argv = [*prefix, PULUMI, "--non-interactive", *words, "--stack", "t"]
    return subprocess.run(
        argv,
        cwd=project.root,
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=120,
        umask=0o077,
    )


@contextmanager
def read_only(clone: Path) -> Iterator[list[str]]:
    """Make a clone read-only, for root too; yield the words that precede a command in it."""
    if os.geteuid() == 0:
        yield ["unshare", "--mount", "sh", "-c", READ_ONLY, str(clone)]
        return
    modes = {Path(place): Path(place).stat().st_mode for place, _, _ in os.walk(clone)}
    for folder in modes:
        folder.chmod(0o555)
    try:
        yield []
    finally:
        for folder, mode in modes.items():
            folder.chmod(mode)


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[GateProject, list[tuple[str, str]]]]:
    with serving() as (url, requests):
        project = GateProject.prepare(tmp_path_factory.mktemp("gate"), url, classes=[{"name": "6ème B", "size": 30}])
        yield project, requests


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A stack whose state and result are outside the clone."""
    folder = tmp_path_factory.mktemp("configured")
    (folder / "clone").mkdir()
    (folder / "state").mkdir()
    project = Project.create(folder / "clone", "unused-secret-word-1")
    project.more = {"PULUMI_BACKEND_URL": f"file://{folder}/state", "PULUMI_HOME": str(folder / "home")}
    assert project.pulumi("stack", "init", "t").returncode == 0
    project.set(target=str(folder / "written"), note="é…")
    return project


@pytest.mark.parametrize("machine", MACHINES)
def test_a_preview_reaches_the_cloud(
    gate: tuple[GateProject, list[tuple[str, str]]], tmp_path: Path, machine: str
) -> None:
    project, requests = gate
    requests.clear()
    answer = run(project, MACHINES[machine](Place(tmp_path, project.root)), "preview")
    assert "Traceback" not in answer.stdout + answer.stderr
    assert [path for _, path in requests if path.startswith("/compute")], answer.stdout + answer.stderr


def test_an_up_on_a_machine_with_all_of_it_configures_the_hosts(configured: Project, tmp_path: Path) -> None:
    place = Place(tmp_path, configured.root)
    variables: Variables = {}
    for machine in MACHINES.values():
        variables |= machine(place)
    with read_only(configured.root) as prefix:
        answer = run(configured, variables, "up", "--yes", "--skip-preview", prefix=prefix)
    output = answer.stdout + answer.stderr
    assert answer.returncode == 0 and "ok here: Last" in output, output
    assert (configured.root.parent / "written").stat().st_mode & 0o777 == 0o600
