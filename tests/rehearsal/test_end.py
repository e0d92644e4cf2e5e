"""A class that is stopped comes back; one that is destroyed leaves nothing on the cloud, and a rehearsal nothing here."""

import json
import subprocess
import time

from tests.rehearsal.command import CLASSROOM, REPO, as_client, count, rehearsal
from tests.rehearsal.machine import left_over


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


def test_rules_go_with_their_group(opened: str) -> None:
    """The cloud is not asked for each of them when all goes."""
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


def test_every_test_may_run_again(before: dict[str, set[str]]) -> None:
    assert subprocess.run(["make", "closed"], cwd=REPO, capture_output=True, check=False).returncode == 0


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
