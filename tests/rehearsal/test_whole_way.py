"""The whole way on the rehearsal's cloud: from nothing to an open class, proven, and back to nothing.

The tests of this file build on each other and run in their order.
"""

import json
import re
import subprocess
import time
from pathlib import Path

import pytest

from rehearsal import stack
from rehearsal.paths import STACK
from tests.rehearsal.command import CLASSROOM, REPO, rehearsal
from tests.rehearsal.machine import left_over, traces


def as_client(*argv: object) -> subprocess.CompletedProcess[str]:
    """Run a command out there, as the plain member, in the clone."""
    script = 'cd "$0" && exec "$@"'
    words = [str(CLASSROOM), "rehearsal", "exec", "--", "sh", "-c", script, str(REPO), *map(str, argv)]
    environment = stack.environment()
    import os

    return subprocess.run(words, capture_output=True, text=True, env=os.environ | environment, check=False)


@pytest.fixture(scope="module")
def before() -> dict[str, set[str]]:
    """The machine without a rehearsal; what an earlier test has left running ends here."""
    assert rehearsal("down", "--wipe").returncode == 0
    return traces()


@pytest.fixture(scope="module")
def opened(before: dict[str, set[str]]) -> str:
    """A class that `classroom rehearsal up` has opened and verified; what it said, line by line with its seconds."""
    process = subprocess.Popen(
        [CLASSROOM, "rehearsal", "up"], cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout
    start, lines = time.monotonic(), []
    for line in process.stdout:
        lines.append((time.monotonic() - start, line.rstrip()))
        print(f"{lines[-1][0]:6.1f} {lines[-1][1]}", flush=True)
    text = "\n".join(line for _, line in lines)
    assert process.wait() == 0, text[-4000:]
    silences = [b[0] - a[0] for a, b in zip([(0.0, ""), *lines], lines, strict=False)]
    print(f"longest silence: {max(silences):.1f} s")
    (STACK / "test-lines.json").write_text(json.dumps(lines))
    return text


def test_a_class_opens_and_is_proven(opened: str) -> None:
    assert re.search(r"passed: \d+ of \d+ tests on stack rehearsal", opened)
    assert "teacher" in opened and "https://class.example/" in opened


def test_tasks_are_told_as_they_happen(opened: str) -> None:
    """The first task's line came before the last one's: nothing was held back until the end."""
    lines = json.loads((STACK / "test-lines.json").read_text())
    tasks = [
        seconds for seconds, line in lines if "Configure configure" in line and re.search(r"(ok|changed) \w+: ", line)
    ]
    assert len(tasks) > 20
    assert tasks[-1] - tasks[0] > 3


def test_secrets_are_not_told(opened: str) -> None:
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


def test_a_forced_run_of_the_roles_changes_nothing(opened: str) -> None:
    answer = as_client("classroom", "configure", "--stack", "rehearsal", "--force")
    assert answer.returncode == 0, answer.stdout[-3000:] + answer.stderr
    counts = re.findall(r"Ansible: successful after \d+ s \((.*?)\)", answer.stdout)
    assert counts, answer.stdout[-2000:]
    assert set(re.findall(r"changed=(\d+)", counts[-1])) == {"0"}, counts[-1]


def test_by_hand_without_secrets(opened: str) -> None:
    """Contributors see what the roles would change, with an inventory that holds no secret."""
    listed = as_client("ansible/inventory", "--list")
    assert listed.returncode == 0, listed.stderr
    assert "PRIVATE KEY" not in listed.stdout and "classroom_secret" not in listed.stdout
    play = "ansible/site.yml"
    answer = as_client("ansible-playbook", "-i", "ansible/inventory", play, "--check", "--diff")
    assert answer.returncode == 0, answer.stdout[-3000:] + answer.stderr[-1000:]
    assert set(re.findall(r"changed=(\d+)", answer.stdout)) == {"0"}, answer.stdout[-1500:]


def test_the_classes_are_shown(opened: str) -> None:
    answer = as_client("classroom", "classes", "--stack", "rehearsal", "--json")
    found = json.loads(answer.stdout)
    assert [set(entry) for entry in found] == [{"name", "url", "teacher_code", "pupil_code"}]


def test_view_shows_the_class(opened: str, tmp_path: Path) -> None:
    picture = tmp_path / "seen.png"
    answer = rehearsal("view", "--out", picture)
    assert answer.returncode == 0, answer.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_stop_keeps_the_class(opened: str, before: dict[str, set[str]]) -> None:
    """After `down` nothing runs; after `up` the machines are back, and the class answers as before."""
    assert rehearsal("down").returncode == 0
    assert left_over(before) == {}
    answer = rehearsal("up", "--cloud-only")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    page = ""
    for _ in range(60):
        page = as_client("curl", "-sS", "-m", "5", "https://class.example/api/health").stdout
        if '"ok"' in page:
            break
        time.sleep(1)
    assert '"ok"' in page


def test_destroy_leaves_nothing_on_the_cloud(opened: str) -> None:
    answer = as_client("pulumi", "destroy", "--yes", "--skip-preview", "--stack", "rehearsal")
    assert answer.returncode == 0, answer.stdout[-3000:] + answer.stderr
    for kind in ("server", "network", "router", "floating ip", "security group", "keypair", "server group", "port"):
        assert _count(kind) == 0, kind


def _count(kind: str) -> int:
    """Return how many of a kind the member's project holds, apart from what every project has of itself."""
    calls = {
        "server": "c.compute.servers()",
        "network": "(n for n in c.network.networks() if not n.is_router_external)",
        "router": "c.network.routers()",
        "floating ip": "c.network.ips()",
        "security group": "(g for g in c.network.security_groups() if g.name != 'default')",
        "keypair": "c.compute.keypairs()",
        "server group": "c.compute.server_groups()",
        "port": "c.network.ports()",
    }
    code = f"import openstack; c = openstack.connect(); print(len(list({calls[kind]})))"
    answer = as_client("python", "-c", code)
    assert answer.returncode == 0, answer.stderr
    return int(answer.stdout)


def test_down_leaves_nothing_on_the_machine(opened: str, before: dict[str, set[str]]) -> None:
    assert rehearsal("down", "--wipe").returncode == 0
    assert left_over(before) == {}


def test_a_rehearsal_killed_half_way_leaves_nothing(before: dict[str, set[str]]) -> None:
    process = subprocess.Popen(
        [CLASSROOM, "rehearsal", "up", "--cloud-only"], cwd=REPO, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    for line in process.stdout:
        if "mariadb" in line:
            break
    time.sleep(2)
    process.kill()
    process.wait()
    assert rehearsal("down", "--wipe").returncode == 0
    assert left_over(before) == {}
