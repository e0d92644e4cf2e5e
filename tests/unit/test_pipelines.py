"""The pipelines in `ci/`: each job runs the steps that exist, the one that verifies has no secret that could change anything."""

import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from classroom.common.paths import REPO

CI = REPO / "ci"
GITLAB = yaml.safe_load((CI / "gitlab.yml").read_text())
FORGEJO = yaml.safe_load((CI / "forgejo.yml").read_text())
JOBS = ("preview", "up", "verify")
STEPS = {name: CI / name for name in ("prepare", *JOBS)}
CHANGING = re.compile(r"PASSPHRASE|secrets\.STATE_KEY\b|secrets\.STATE_KEY_ID|secrets\.OS_APPLICATION_CREDENTIAL")


def commands(pipeline: dict[str, Any], job: str) -> list[str]:
    """Return the steps of `ci/` that a job runs, in order."""
    found = pipeline["jobs"][job]["steps"] if "jobs" in pipeline else [{"run": one} for one in pipeline[job]["script"]]
    return re.findall(r"ci/\w+(?: verify)?", "\n".join(step.get("run", "") for step in found))


@pytest.mark.parametrize("pipeline", [GITLAB, FORGEJO])
@pytest.mark.parametrize("job", JOBS)
def test_each_job_prepares_and_runs_its_step(pipeline: dict[str, Any], job: str) -> None:
    prepare = "ci/prepare verify" if job == "verify" else "ci/prepare"
    assert commands(pipeline, job) == [prepare, f"ci/{job}"]
    assert os.access(STEPS[job], os.X_OK)


def test_jobs_run_when_they_should() -> None:
    assert GITLAB["preview"]["rules"] == [{"if": '$CI_PIPELINE_SOURCE == "merge_request_event"'}]
    assert [rule["when"] for rule in GITLAB["up"]["rules"]] == ["manual"]
    assert GITLAB["verify"]["rules"] == [{"if": '$CI_PIPELINE_SOURCE == "schedule"'}]
    events = {job: FORGEJO["jobs"][job]["if"] for job in JOBS}
    assert {job: text.rpartition("'")[0].rpartition("'")[2] for job, text in events.items()} == {
        "preview": "pull_request",
        "up": "workflow_dispatch",
        "verify": "schedule",
    }
    assert set(FORGEJO[True]) == {"pull_request", "workflow_dispatch", "schedule"}  # YAML reads `on` as true


def test_the_job_that_verifies_has_no_secret_that_changes_anything() -> None:
    assert not CHANGING.search(yaml.safe_dump(FORGEJO["jobs"]["verify"]))
    assert all(CHANGING.search(yaml.safe_dump(FORGEJO["jobs"][job])) for job in ("preview", "up"))
    names = {job: GITLAB[job]["environment"]["name"] for job in JOBS}
    assert names["preview"] == names["up"] != names["verify"]


def test_no_pipeline_contains_a_secret() -> None:
    for path in CI.iterdir():
        for name, value in re.findall(r"(\w*(?:SECRET|PASSPHRASE|KEY)\w*)(?:: |=)(\S.*)", path.read_text()):
            assert re.match(r"[\"']?\$", value), f"{path.name}: {name}"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a folder with the steps, and programs that write down how they are called."""
    for folder in (".venv/bin", "bin", "temporary"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "ci").symlink_to(CI)
    for place in (".venv/bin/pulumi", ".venv/bin/classroom", "bin/apt-get", "bin/make"):
        program = tmp_path / place
        program.write_text(
            '#!/bin/sh\necho "${0##*/} $*" >> called\n'
            '[ -z "${CLASSROOM_SSH_KEY:-}" ] || { stat -c %a "$CLASSROOM_SSH_KEY"; cat "$CLASSROOM_SSH_KEY"; } > key\n'
            'case "$*" in *"${FAILING:-nothing}"*) exit "$STATUS";; esac\n'
        )
        program.chmod(0o755)
    return tmp_path


def run(clone: Path, step: str, *words: str, **more: str) -> tuple[int, list[str], str]:
    """Run a step; return its status, the calls of programs, and its messages."""
    environment = {"PATH": f"{clone}/bin:{os.defpath}", "TMPDIR": f"{clone}/temporary", **more}
    done = subprocess.run(
        [f"ci/{step}", *words], cwd=clone, env=environment, capture_output=True, text=True, check=False
    )
    called = clone / "called"
    return done.returncode, called.read_text().splitlines() if called.exists() else [], done.stderr


def test_prepare_installs_packages_and_the_kit(clone: Path) -> None:
    status, called, _ = run(clone, "prepare")
    assert status == 0 and called[0] == "apt-get update -qq" and called[-1] == "make install"
    assert "python3-venv" in called[1] and "chromium" not in called[1]
    assert "chromium" in run(clone, "prepare", "verify")[1][-2]


def test_preview_and_up_call_pulumi(clone: Path) -> None:
    assert run(clone, "preview", CLASSROOM_STACK="a")[1] == ["pulumi preview --non-interactive --stack a"]
    assert run(clone, "up", CLASSROOM_STACK="a", FAILING="up", STATUS="3")[0] == 3


@pytest.mark.parametrize("step", JOBS)
def test_a_missing_name_of_the_stack_is_named(clone: Path, step: str) -> None:
    status, called, message = run(clone, step)
    assert status != 0 and called == [] and "set CLASSROOM_STACK" in message


def test_the_key_is_private_while_a_step_runs_and_gone_afterwards(clone: Path) -> None:
    given = clone / "given"
    given.write_text("private\n")
    given.chmod(0o666)
    assert run(clone, "up", CLASSROOM_STACK="a", CLASSROOM_SSH_KEY_FILE=str(given))[0] == 0
    assert (clone / "key").read_text().splitlines() == ["600", "private"]
    assert list((clone / "temporary").iterdir()) == []


@pytest.mark.parametrize(
    ("failing", "status", "expected"), [("nothing", "0", 0), ("verify", "1", 1), ("report", "4", 4), ("verify", "4", 4)]
)
def test_reports_are_written_even_if_the_verification_fails(
    clone: Path, failing: str, status: str, expected: int
) -> None:
    found, called, _ = run(clone, "verify", CLASSROOM_STACK="a", FAILING=failing, STATUS=status)
    assert found == expected
    assert called[0] == "classroom verify --stack a --without up --junit reports/tests.xml"
    assert [re.findall(r"--lang (\w+)", line) for line in called[1:]] == [["en"], ["fr"]]
    assert stat.S_ISDIR((clone / "reports").stat().st_mode)
