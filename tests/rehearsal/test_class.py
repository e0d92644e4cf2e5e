"""A class opens on the rehearsal's cloud and is verified; then come the tasks of an operations team."""

import json
import re
import shutil
import subprocess
import time
from pathlib import Path

from classroom.common.paths import CACHE
from classroom.configure import artifacts
from rehearsal.folders import STACK
from rehearsal.stack import SETTINGS
from tests.rehearsal.command import REPO, as_client, rehearsal


def test_a_class_opens_and_passes_its_verification(opened: str) -> None:
    assert re.search(r"passed: \d+ of \d+ tests on stack rehearsal", opened)
    assert "teacher" in opened and "https://class.example/" in opened


def test_tasks_are_reported_as_they_happen(opened_lines: list[tuple[float, str]]) -> None:
    """The lines of the tasks are spread over seconds: the output is not buffered until the end."""
    tasks = [
        seconds
        for seconds, line in opened_lines
        if "Configure configure" in line and re.search(r"(ok|changed) \w+: ", line)
    ]
    assert len(tasks) > 20
    assert tasks[-1] - tasks[0] > 3


def test_no_step_is_silent_for_long(silence: float) -> None:
    assert silence <= 15


def test_secrets_are_not_printed_or_stored_in_clear(opened: str) -> None:
    key = (STACK / "class.key").read_text().splitlines()[1]
    assert key not in opened
    state = "".join(p.read_text() for p in (STACK / "state").rglob("*.json"))
    assert "classroom:index:Configure" in state
    assert key not in state
    assert (STACK / "passphrase").stat().st_mode & 0o777 == 0o600


def test_the_clone_stays_clean(opened: str) -> None:
    answer = subprocess.run(
        ["git", "status", "--porcelain", "--", "Pulumi.rehearsal.yaml"],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout == ""


def test_a_second_up_changes_nothing(opened: str) -> None:
    answer = as_client("pulumi", "up", "--yes", "--skip-preview", "--expect-no-changes", "--stack", "rehearsal")
    assert answer.returncode == 0, answer.stdout[-3000:] + answer.stderr


def test_a_preview_after_a_refresh_shows_no_change(opened: str) -> None:
    answer = as_client("pulumi", "preview", "--refresh", "--expect-no-changes", "--stack", "rehearsal")
    assert answer.returncode == 0, answer.stdout[-3000:] + answer.stderr


def test_a_preview_from_another_clone_shows_no_change(opened: str, tmp_path: Path) -> None:
    """Another cache, other paths and newer files do not matter; a changed role in that clone shows that it is really used."""
    clone, cache = tmp_path / "another" / "clone", tmp_path / "cache"
    tracked = subprocess.check_output(["git", "ls-files", "-z"], cwd=REPO, text=True).split("\0")[:-1]
    for name in tracked:
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPO / name, clone / name)
    (clone / ".venv").symlink_to(REPO / ".venv")
    (clone / SETTINGS.name).symlink_to(SETTINGS)
    cache.mkdir()
    for built in {
        "addresses",
        artifacts.PULUMI_ENGINE.kind,
        *(artifact.kind for artifact in artifacts.SHIPPED.values()),
    }:
        (cache / built).symlink_to(CACHE / built)
    preview = ["pulumi", "preview", "--expect-no-changes", "--stack", "rehearsal"]

    def run_preview() -> subprocess.CompletedProcess[str]:
        return as_client("env", "-C", clone, f"CLASSROOM_CACHE={cache}", *preview)

    same = run_preview()
    assert same.returncode == 0, same.stdout[-3000:] + same.stderr
    role = clone / "ansible" / "roles" / "web" / "tasks" / "main.yml"
    role.write_text(role.read_text() + "# changed\n")
    other = run_preview()
    assert other.returncode != 0
    assert re.search(r"classroom:index:Configure +configure +update", other.stdout), other.stdout[-3000:]


def test_a_forced_run_of_the_roles_changes_nothing(opened: str) -> None:
    answer = as_client("classroom", "configure", "--stack", "rehearsal", "--force")
    assert answer.returncode == 0, answer.stdout[-3000:] + answer.stderr
    counts = re.findall(r"Ansible: successful after \d+ s \((.*?)\)", answer.stdout)
    assert counts, answer.stdout[-2000:]
    assert set(re.findall(r"changed=(\d+)", counts[-1])) == {"0"}, counts[-1]


def test_a_check_by_hand_needs_no_secret(opened: str) -> None:
    """Contributors see what the roles would change, with an inventory without secrets."""
    listed = as_client("ansible/inventory", "--list")
    assert listed.returncode == 0, listed.stderr
    assert "PRIVATE KEY" not in listed.stdout and "classroom_secret" not in listed.stdout
    play = "ansible/site.yml"
    answer = as_client("ansible-playbook", "-i", "ansible/inventory", play, "--check", "--diff")
    assert answer.returncode == 0, answer.stdout[-3000:] + answer.stderr[-1000:]
    assert set(re.findall(r"changed=(\d+)", answer.stdout)) == {"0"}, answer.stdout[-1500:]


def test_classes_are_listed_as_json(opened: str) -> None:
    answer = as_client("classroom", "classes", "--stack", "rehearsal", "--json")
    found = json.loads(answer.stdout)
    assert [set(entry) for entry in found] == [{"name", "url", "teacher_code", "pupil_code"}]


def test_view_saves_a_picture_of_the_class(opened: str, tmp_path: Path) -> None:
    picture = tmp_path / "seen.png"
    answer = rehearsal("view", "--out", picture)
    assert answer.returncode == 0, answer.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_make_test_is_refused_while_a_rehearsal_is_open(opened: str) -> None:
    """`make test` would lose the open class: it ends at once, with status 2, and names the fix."""
    begin = time.monotonic()
    answer = subprocess.run(["make", "test"], cwd=REPO, capture_output=True, text=True, check=False)
    assert time.monotonic() - begin < 5
    assert answer.returncode == 2
    assert "error: a rehearsal is open" in answer.stderr and "make rehearsal-down" in answer.stderr


def test_a_second_rehearsal_is_refused(opened: str, tmp_path: Path) -> None:
    """A machine can run only one; the message names the state folder of the other one and how to stop it."""
    answer = rehearsal("up", "--cloud-only", env={"CLASSROOM_CACHE": str(tmp_path)})
    assert answer.returncode == 1
    (line,) = answer.stderr.strip().splitlines()
    assert line.startswith("error: another rehearsal runs on this machine"), line
    assert f"{CACHE}/rehearsal" in line and f"`CLASSROOM_CACHE={CACHE} make rehearsal-down`" in line, line
