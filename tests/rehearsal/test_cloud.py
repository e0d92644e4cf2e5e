"""A server of an ordinary project member on the rehearsal's cloud."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from classroom.config import guest
from tests.rehearsal.command import CLASSROOM, rehearsal

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def server(cloud: dict[str, str]) -> dict[str, Any]:
    answer = rehearsal("exec", "--", sys.executable, HERE / "boot_server.py", env=cloud)
    assert answer.returncode == 0, answer.stderr
    found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    print(json.dumps(found, indent=1))
    return found


def test_an_ordinary_member_creates_the_server(server: dict[str, Any]) -> None:
    assert server["roles"] == ["member", "reader"]
    assert server["status"] == "ACTIVE"


def test_login_requires_the_host_key_from_the_console(server: dict[str, Any]) -> None:
    assert server["keys"] == 1
    assert server["hostname"] == server["name"], server["ssh_error"]
    assert server["wrong_key"] == [255, True]


def test_login_works_over_ipv6(server: dict[str, Any]) -> None:
    assert server["hostname_over_ipv6"] == server["name"], server["ssh_error"]


def test_the_guest_is_a_complete_system(server: dict[str, Any]) -> None:
    assert server["release"] == guest.NAME.lower()
    assert server["system"] == ["running", "0"]


def test_packages_come_through_the_package_proxy(server: dict[str, Any]) -> None:
    status, candidate, errors = server["apt"]
    assert status == 0, errors
    assert candidate.startswith("Candidate: 1."), candidate


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_security_groups_are_enforced(server: dict[str, Any], family: str) -> None:
    assert server["ports"][family] == ["open", "refused", "silent"]


def test_the_server_is_deleted_afterwards(server: dict[str, Any]) -> None:
    assert server["left"] == []


def test_exec_returns_the_status_of_its_command(cloud: dict[str, str]) -> None:
    assert rehearsal("exec", "--", "sh", "-c", "exit 37").returncode == 37
    assert rehearsal("exec", "--", "sh", "-c", "kill -9 $$").returncode == 137


def test_exec_forwards_signals(cloud: dict[str, str]) -> None:
    script = "trap 'exit 9' TERM; echo ready; sleep 60 & wait"
    process = subprocess.Popen([CLASSROOM, "rehearsal", "exec", "--", "sh", "-c", script], stdout=subprocess.PIPE)
    assert process.stdout and process.stdout.readline() == b"ready\n"
    process.terminate()
    assert process.wait(20) == 9


def test_a_killed_exec_ends_its_command(cloud: dict[str, str]) -> None:
    script = "echo ready; exec sleep 86399"
    process = subprocess.Popen([CLASSROOM, "rehearsal", "exec", "--", "sh", "-c", script], stdout=subprocess.PIPE)
    assert process.stdout and process.stdout.readline() == b"ready\n"
    process.kill()
    process.wait(20)
    time.sleep(1)
    listing = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert "sleep 86399" not in listing.splitlines()


def test_clients_cannot_reach_the_internet(cloud: dict[str, str]) -> None:
    assert rehearsal("exec", "--", "getent", "ahosts", "www.debian.org").returncode == 2
    answer = rehearsal("exec", "--", "bash", "-c", "exec 3<>/dev/tcp/198.18.0.1/80")
    assert "Network is unreachable" in answer.stderr


def test_a_client_may_create_network_namespaces(cloud: dict[str, str]) -> None:
    script = (
        "ip netns add nested && ip link add to-nested type veth peer name eth0 netns nested"
        " && ip netns exec nested nft add table inet own && ip netns exec nested nft list tables;"
        " status=$?; ip netns del nested; exit $status"
    )
    answer = rehearsal("exec", "--", "sh", "-c", script)
    assert answer.stdout.strip() == "table inet own", answer.stderr


def test_all_daemons_run(cloud: dict[str, str]) -> None:
    answer = rehearsal("status", "--json")
    daemons = json.loads(answer.stdout)["daemons"]
    assert len(daemons) >= 18
    assert all(daemons.values())
