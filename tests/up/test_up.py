"""Ansible inside `pulumi up`: the real engine and the product's provider, with a playbook of the test on this machine.

The tests of this file build on each other and run in order.
"""

import contextlib
import json
import os
import re
import secrets
import signal
import stat
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from classroom.clients import pulumi_cli
from classroom.common.errors import ClassroomError
from classroom.common.tmpfs import memory_folder
from classroom.configure.provider.ansible_process import PREFIX
from tests.up.project import Project, kill, lines, remaining_processes, wait_for

SECRET, PUBLIC = f"hidden-{secrets.token_hex(12)}", f"open-{secrets.token_hex(12)}"
"""Two canaries: a secret, and a public word that proves that each place is really searched."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    created = Project.create(tmp_path_factory.mktemp("project"), SECRET)
    yield created
    left = remaining_processes(created, 5)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


def folders() -> set[Path]:
    return set(memory_folder().glob(f"{PREFIX}*"))


def places_of(words: list[str], project: Project, mine: set[Path]) -> dict[str, set[str]]:
    """Return the places in which each word is found now: process list, environments, files in `mine` (memory)."""
    found: dict[str, set[str]] = defaultdict(set)
    for pid, command in project.processes().items():
        try:
            environ = Path(f"/proc/{pid}/environ").read_text(errors="replace")
        except OSError:
            environ = ""
        for word in words:
            found[word] |= {"process list"} if word in command else set()
            if "ansible-playbook" in command and word in environ:
                found[word].add("environment of Ansible")
    # Files and folders may be deleted meanwhile.
    for path in (Path(here, name) for folder in mine for here, _, names in os.walk(folder) for name in names):
        try:
            text = path.read_bytes().decode(errors="replace") if path.is_file() else ""
        except OSError:
            continue
        for word in words:
            if word in text:
                found[word].add("memory")
    return found


def test_lines_appear_immediately_and_contain_no_secret(project: Project) -> None:
    before = folders()
    project.set(seconds=3, word=PUBLIC, note=PUBLIC)
    process = project.start()
    begin = time.monotonic()
    output_lines: list[tuple[float, str]] = []
    found: dict[str, set[str]] = defaultdict(set)
    modes: set[tuple[int, int]] = set()
    searched = 0
    reader = threading.Thread(target=lambda: output_lines.extend(lines(process)))
    reader.start()
    while process.poll() is None:
        mine = folders() - before
        for folder in mine:
            with contextlib.suppress(FileNotFoundError):
                status = folder.stat()
                modes.add((stat.S_IMODE(status.st_mode), status.st_uid))
        for word, places in places_of([SECRET, PUBLIC], project, mine).items():
            found[word] |= places
        searched += 1
        time.sleep(0.1)
    reader.join()
    output = "\n".join(line for _, line in output_lines)
    assert process.returncode == 0, output
    assert time.monotonic() - begin < 120 and searched > 20
    # Immediately: the first task's line appears long before the last task ends.
    first = next(when for when, line in output_lines if "ok here: First" in line)
    last = next(when for when, line in output_lines if "ok here: Last" in line)
    assert last - first > 2, output
    # The public word is found in every place, which proves that the search works.
    state = project.state()
    assert PUBLIC in output and PUBLIC in state and found[PUBLIC] == {"process list", "memory"}, found
    assert (project.root / "written").read_text() == SECRET, "Ansible must receive the secret"
    # The secret is found only in memory, in a folder that only its owner can read.
    assert SECRET not in output and SECRET not in state
    assert found[SECRET] == {"memory"}, found
    assert modes == {(0o700, os.getuid())}
    assert folders() == before


def test_the_secret_is_generated_once_and_encrypted(project: Project) -> None:
    answer = project.pulumi("stack", "output", "--stack", "t", "--show-secrets", "--json", "generated")
    generated = json.loads(answer.stdout)
    assert len(generated) == 40 and set(generated) == {"0", "1"}
    assert generated not in project.state()
    again = project.pulumi("stack", "output", "--stack", "t", "generated")
    assert generated not in again.stdout


def test_outputs_without_secrets_are_read_without_the_passphrase(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {name: value for name, value in project.environment.items() if name != "PULUMI_CONFIG_PASSPHRASE"}
    monkeypatch.setattr(pulumi_cli, "environment", lambda: environment)
    monkeypatch.setattr(pulumi_cli, "REPO", project.root)
    assert pulumi_cli.output("t", "ran") is True
    with pytest.raises(ClassroomError, match="passphrase"):
        pulumi_cli.output("t", "generated", secret=True)


def test_unchanged_inputs_do_not_run_ansible(project: Project) -> None:
    written = (project.root / "written").stat().st_mtime_ns
    (project.root / "written").write_text("a run would overwrite this")
    answer = project.up("--expect-no-changes")
    assert answer.returncode == 0, answer.stdout
    assert (project.root / "written").read_text() == "a run would overwrite this"
    assert (project.root / "written").stat().st_mtime_ns != written


def test_a_preview_never_runs_ansible(project: Project) -> None:
    project.set(seconds=0, more="changed")
    answer = project.pulumi("preview", "--stack", "t")
    assert answer.returncode == 0, answer.stdout
    assert "1 to update" in answer.stdout and "~inventory" in answer.stdout
    assert (project.root / "written").read_text() == "a run would overwrite this"
    assert "ok here" not in answer.stdout


def test_a_failure_names_host_task_reason_and_fix(project: Project) -> None:
    broken = project.root / "written.broken"
    broken.touch()
    answer = project.up()
    assert answer.returncode != 0
    assert re.search(r"here: .*'May fail'.*disk failure \(\(secret\)\).*`pulumi up`", answer.stdout), answer.stdout
    assert SECRET not in answer.stdout + answer.stderr + project.state()
    assert "Traceback" not in answer.stdout + answer.stderr
    # With the inputs of the last success, the roles must still run again, as the failed run changed the machine.
    project.wanted["inventory"]["all"]["vars"].pop("more")
    project.set(seconds=3)
    broken.unlink()
    answer = project.up()
    assert answer.returncode == 0, answer.stdout
    assert "ok here: Last" in answer.stdout


@pytest.mark.parametrize("command", [("preview",), ("up", "--yes", "--skip-preview")])
def test_replacing_all_administrators_at_once_is_refused_before_anything_changes(
    project: Project, command: tuple[str, ...]
) -> None:
    before, state = project.wanted["admins"], project.state()
    project.wanted["admins"] = [{"name": "ada", "public_key": "ssh-ed25519 AAAAother ada"}]
    project.save()
    answer = project.pulumi(*command, "--stack", "t")
    project.wanted["admins"] = before
    project.save()
    assert answer.returncode != 0, answer.stdout
    output = answer.stdout + answer.stderr
    assert "on the machines ('ada')" in output and "in two steps: add the new ones" in output, output
    assert "Traceback" not in output and "ok here" not in output and "rpc error" not in output, output
    assert "AAAAother" not in project.state()
    assert state == project.state() or command[0] == "up"


def test_administrators_are_replaced_in_two_steps(project: Project) -> None:
    old, new = project.wanted["admins"][0], {"name": "bob", "public_key": "ssh-ed25519 AAAAbob bob"}
    for wanted in ([old, new], [new]):
        project.wanted["admins"] = wanted
        project.set(seconds=0)
        answer = project.up()
        assert answer.returncode == 0, answer.stdout
        assert "ok here: Last" in answer.stdout


def test_codes_that_were_stored_are_said_to_change_once(project: Project) -> None:
    words = "all class codes change once"
    project.wanted["more"] = {"classroom_secret_codes": [{"room": "cm2", "sha256": "f" * 64}]}
    project.save()
    assert project.up().returncode == 0
    project.wanted["more"] = {}
    project.save()
    for command in (("preview",), ("up", "--yes", "--skip-preview")):
        answer = project.pulumi(*command, "--stack", "t")
        # Pulumi prints a warning when it comes, and again in the summary.
        assert answer.returncode == 0 and answer.stdout.partition("Diagnostics:")[2].count(words) == 1, answer.stdout
        assert "`classroom classes --stack t`" in answer.stdout
    again = project.up("--expect-no-changes")
    assert again.returncode == 0 and words not in again.stdout


def test_a_forced_run_leaves_no_difference(project: Project) -> None:
    answer = project.up("--expect-no-changes")
    assert answer.returncode == 0 and "ok here: Last" not in answer.stdout, answer.stdout
    answer = project.up(CLASSROOM_FORCE="1")
    assert answer.returncode == 0, answer.stdout
    assert "ok here: Last" in answer.stdout and "here changed=0" in answer.stdout
    assert project.up("--expect-no-changes").returncode == 0


def test_a_concurrent_up_is_refused_and_names_the_first(project: Project) -> None:
    before = folders()
    project.set(seconds=600)
    process = project.start()
    wait_for(process, "ok here: Write")
    second = project.up()
    assert second.returncode != 0
    assert "the stack is currently locked" in second.stderr and "`pulumi cancel`" in second.stderr
    assert f"pid {process.pid}" in second.stderr, second.stderr
    # Ctrl-C ends the first one with all its child processes.
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    rest = [line for _, line in lines(process)]
    assert process.wait() != 0
    assert time.monotonic() - begin < 30
    assert any("cancelled" in line and "Ansible" in line for line in rest), rest
    assert not remaining_processes(project)
    assert folders() == before
    # No lock and no pending operation is left: the next `up` succeeds.
    project.set(seconds=0)
    answer = project.up()
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "pending" not in answer.stdout + answer.stderr


def test_up_works_again_after_the_engine_was_killed(project: Project) -> None:
    before = folders()
    project.set(seconds=601)
    process = project.start()
    wait_for(process, "ok here: Write")
    end = time.monotonic() + 60
    while not any("sleep 601" in command for command in project.processes().values()):
        assert time.monotonic() < end
    kill(process)
    assert not remaining_processes(project, 30)
    assert folders() == before
    project.set(seconds=0)
    answer = project.up()
    assert answer.returncode != 0 and "`pulumi cancel`" in answer.stderr, answer.stdout + answer.stderr
    assert project.pulumi("cancel", "--yes", "t").returncode == 0
    answer = project.up()
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert project.up("--expect-no-changes").returncode == 0


def test_another_length_generates_another_secret(project: Project) -> None:
    project.wanted["length"] = 20
    project.save()
    assert project.up().returncode == 0
    answer = project.pulumi("stack", "output", "--stack", "t", "--show-secrets", "--json", "generated")
    assert len(json.loads(answer.stdout)) == 20
    project.wanted["length"] = 0
    project.save()
    answer = project.up()
    assert answer.returncode != 0
    assert re.search(r"length: .*\b0\b", answer.stdout), answer.stdout


def test_destroy_succeeds(project: Project) -> None:
    answer = project.pulumi("destroy", "--yes", "--skip-preview", "--stack", "t")
    assert answer.returncode == 0, answer.stdout
