"""`classroom verify`: invalid use, outcomes of tests, and the saved record."""

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from typer.testing import CliRunner

from classroom.cli import verify as commands
from classroom.cli.app import app
from classroom.common.errors import UnknownError, WrongUseError
from classroom.common.paths import REPO
from classroom.verify import requirements as module
from classroom.verify.controls.collectors import captured_up
from classroom.verify.deployment import Deployment
from classroom.verify.pytest_plugin import ReplaceReporter, Verification
from classroom.verify.record import record_of
from classroom.verify.requirements import PARTS, Requirement
from tests.unit.verify.network.test_firewall import inventory


def given(tmp_path: Path, change: dict | None = None) -> Path:
    path = tmp_path / "inventory.json"
    path.write_text(json.dumps(inventory() | (change or {})))
    return path


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "name the deployment"),
        (["--stack", "a", "--inventory", "b"], "name the deployment"),
        (["--inventory", "/nowhere"], "/nowhere cannot be read"),
        (["--inventory", "/nowhere", "--without", "udp"], "'udp' is not a part; choose from ipv6, udp-drop, inside"),
    ],
)
def test_wrong_use(words: list[str], sentence: str) -> None:
    error = CliRunner().invoke(app, ["verify", *words]).exception
    assert isinstance(error, WrongUseError)
    assert error.status == 2
    assert sentence in str(error)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"_meta": {"hostvars": {}}}, "contains no machine"),
        ({"media": {"hosts": []}}, "group 'media' is empty"),
        ({"media": {"hosts": ["media1", "media2"]}}, r"group 'media' lists \['media2'\]"),
        ({"all": {}}, "is not an inventory"),
    ],
)
def test_an_inventory_without_its_machines_is_refused(tmp_path: Path, change: dict, sentence: str) -> None:
    with pytest.raises(WrongUseError, match=sentence):
        Deployment.read(given(tmp_path, change))


def test_a_missing_requirement_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    need = Requirement(
        "a route to the class over IPv6", lambda _: False, "configure IPv6 on this machine", frozenset({"ipv6"})
    )
    monkeypatch.setattr(commands, "needs", lambda _: [need])
    target = Deployment(inventory())
    with pytest.raises(UnknownError, match="--without ipv6") as caught:
        commands.check_needs(target, frozenset())
    assert caught.value.status == 4
    assert "MISSING   a route to the class over IPv6" in capsys.readouterr().out
    commands.check_needs(target, frozenset({"ipv6"}))
    assert "left out  a route to the class over IPv6" in capsys.readouterr().out


def test_a_rehearsal_is_recognised_by_its_addresses() -> None:
    found = inventory()
    assert Deployment(found).rehearsal
    found["_meta"]["hostvars"]["front"]["classroom_public4"] = "5.5.5.5"
    assert not Deployment(found).rehearsal


TESTS = """
import pytest
def test_passes(): pass
def test_fails(): assert False, "the reason"
def test_skips(): pytest.skip("no wish")
@pytest.mark.skip
def test_is_marked(): pass
@pytest.mark.xfail
def test_is_expected_to_fail(): assert False
@pytest.mark.parametrize("host", [])
def test_has_no_host(host): pass
@pytest.mark.part("ipv6")
def test_of_a_part(): assert False
"""


def outcomes(tmp_path: Path, without: frozenset[str], text: str = TESTS) -> tuple[dict[str, str], int]:
    (tmp_path / "every").mkdir()
    # Python imports a module name only once.
    (tmp_path / "every" / f"test_{uuid.uuid4().hex}.py").write_text(text)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = part(name)\n")
    lines: list[str] = []
    done = Verification(Deployment(inventory()), tmp_path / "none", without, lines.append)
    done._containers = {"front": "", "media1": ""}
    argv = [
        "-c",
        str(tmp_path / "pytest.ini"),
        "--import-mode=importlib",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:asyncio",
        str(tmp_path / "every"),
    ]
    status = pytest.main(argv, plugins=[done, ReplaceReporter()])
    assert len(lines) >= len(done.results)
    return {result.test: result.outcome for result in done.results}, int(status)


SCANNED = """
import json, sys
from pathlib import Path
from classroom.verify.network import port_scan as outside
from classroom.verify.run import run
from classroom.verify.deployment import Deployment

folder = Path(sys.argv[1])
outside.own_address = lambda address: "192.0.2.1"
outside.scan = lambda address, declared: (folder / f"scanned-{address}").touch()
target = Deployment(json.loads((folder / "inventory.json").read_text()))
_, status = run(target, folder, frozenset({"ipv6", "inside"}), ["outside/test_ports.py"])
print(f"status {status}")
"""


def test_collecting_tests_scans_nothing(tmp_path: Path) -> None:
    given(tmp_path)
    argv = [sys.executable, "-c", SCANNED, str(tmp_path)]
    environment = os.environ | {"PYTEST_ADDOPTS": "--collect-only"}
    answer = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment, cwd=REPO)
    assert answer.stdout == "status 0\n", answer.stdout + answer.stderr  # another status if no tests were collected
    assert sorted(tmp_path.glob("scanned-*")) == []


def test_a_skipped_test_is_a_failure(tmp_path: Path) -> None:
    found, status = outcomes(tmp_path, frozenset({"ipv6"}))
    assert found.pop("test_passes") == "passed"
    assert found.pop("test_of_a_part") == "not proven"
    assert set(found.values()) == {"failed"}
    assert len(found) == 5
    assert status == 1


def test_a_part_that_is_not_left_out_is_tested(tmp_path: Path) -> None:
    assert outcomes(tmp_path, frozenset())[0]["test_of_a_part"] == "failed"


def test_a_file_that_cannot_be_read_is_a_failure(tmp_path: Path) -> None:
    found, status = outcomes(tmp_path, frozenset(), "import nothing_of_this_name")
    assert list(found.values()) == ["failed"]
    assert status != 0


def test_the_record_says_what_is_not_proven(tmp_path: Path) -> None:
    done = Verification(Deployment(inventory()), tmp_path / "none", frozenset(PARTS), print)
    done._containers = {"front": "lxc-libvirt", "media1": "lxc-libvirt"}
    record = record_of(done, 0.0, 0)
    assert record["date"] == "1970-01-01T00:00:00+00:00"
    assert record["passed"] is False  # no test ran
    assert any("MemoryMax and CPUQuota" in sentence for sentence in record["not_proven"])
    assert sum(sentence.endswith("(left out)") for sentence in record["not_proven"]) == len(PARTS)


@pytest.mark.parametrize(
    ("part", "what"),
    [("cloud", "OpenStack credentials"), ("pulumi", "Pulumi.s.yaml"), ("up", "a capture of `pulumi up`")],
)
def test_parts_that_an_inventory_alone_cannot_prove_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, part: str, what: str
) -> None:
    """A class without its stack file, without credentials of its cloud and without a capture."""
    monkeypatch.setattr(module, "CACHE", tmp_path)
    for name in ("OS_AUTH_URL", "OS_CLOUD"):
        monkeypatch.delenv(name, raising=False)
    need = next(need for need in module.needs(Deployment(inventory())) if what in need.what)
    assert need.parts == {part}
    assert not need.there(Deployment(inventory()))


@pytest.mark.parametrize("program", ["chromium", "firefox-esr"])
def test_a_missing_browser_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    need = next(need for need in module.needs(Deployment(inventory())) if need.what == program)
    monkeypatch.setenv("PATH", "")
    assert not need.there(Deployment(inventory()))
    assert need.fix.startswith(f"apt-get install {program}")
    assert need.parts == frozenset()


@pytest.mark.parametrize("text", ["{", "[]", '{"began": "2026-11-24T12:00:00+00:00", "places": []}'])
def test_a_capture_that_cannot_be_read_is_unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    monkeypatch.setattr(module, "CACHE", tmp_path)
    (tmp_path / "captured").mkdir()
    (tmp_path / "captured" / "s.json").write_text(text)
    with pytest.raises(UnknownError, match="run `classroom capture --stack s"):
        captured_up("s")


def test_a_capture_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "CACHE", tmp_path)
    (tmp_path / "captured").mkdir()
    kept = {"began": "2026-11-24T12:00:00+00:00", "status": 0, "names": [], "places": [["tcp", "192.0.2.10", 5000]]}
    (tmp_path / "captured" / "s.json").write_text(json.dumps(kept))
    assert captured_up("s").places == {("tcp", "192.0.2.10", 5000)}


def test_a_capture_needs_a_command() -> None:
    error = CliRunner().invoke(app, ["capture", "--stack", "s"]).exception
    assert isinstance(error, WrongUseError)
    assert "classroom capture --stack s -- pulumi up" in str(error)
