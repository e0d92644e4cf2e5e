"""A stopped class starts again; a destroyed class leaves nothing on the cloud, and a rehearsal nothing on the machine."""

import json
import subprocess
import time

from tests.rehearsal.command import CLASSROOM, REPO, as_client, count, rehearsal
from tests.rehearsal.machine import left_over


def test_a_stopped_class_starts_again(opened: str, before: dict[str, set[str]]) -> None:
    """After `down` nothing runs; after `up` the machines run again and the class answers."""
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


def test_rules_are_deleted_with_their_security_group(opened: str) -> None:
    """`pulumi destroy` need not send a request for each rule."""
    answer = as_client("pulumi", "stack", "export", "--stack", "rehearsal")
    resources = json.loads(answer.stdout)["deployment"]["resources"]
    rules = [one for one in resources if ":Access$" in one["urn"] and one["type"].endswith(":SecGroupRule")]
    groups = {one["urn"]: one["id"] for one in resources if one["type"].endswith(":SecGroup")}
    assert rules
    for rule in rules:
        assert groups[rule["deletedWith"]] == rule["outputs"]["securityGroupId"], rule["urn"]


def test_destroy_leaves_nothing_on_the_cloud(opened: str) -> None:
    answer = as_client("pulumi", "destroy", "--yes", "--skip-preview", "--stack", "rehearsal")
    assert answer.returncode == 0, answer.stdout[-3000:] + answer.stderr
    for kind in ("server", "network", "router", "floating ip", "security group", "keypair", "server group", "port"):
        assert count(kind) == 0, kind


def test_down_leaves_nothing_on_the_machine(opened: str, before: dict[str, set[str]]) -> None:
    assert rehearsal("down", "--wipe").returncode == 0
    assert left_over(before) == {}


def test_make_test_is_allowed_again(before: dict[str, set[str]]) -> None:
    assert subprocess.run(["make", "no-open-rehearsal"], cwd=REPO, capture_output=True, check=False).returncode == 0


def test_a_rehearsal_that_is_killed_during_its_start_leaves_nothing(before: dict[str, set[str]]) -> None:
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
