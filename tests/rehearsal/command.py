"""Runs the commands of the rehearsal as users do."""

import os
import shlex
import subprocess
from pathlib import Path

from rehearsal import lab, stack
from rehearsal.cloud_config import admin_environment
from rehearsal.stack import CLASSROOM

REPO = Path(__file__).resolve().parents[2]


def rehearsal(*words: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `classroom rehearsal …`; return its status and output."""
    argv = [str(CLASSROOM), "rehearsal", *map(str, words)]
    return subprocess.run(
        argv, capture_output=True, text=True, cwd=REPO, env={**os.environ, **(env or {})}, check=False
    )


def member() -> dict[str, str]:
    """Return the variables that `classroom rehearsal env` prints."""
    answer = rehearsal("env")
    assert answer.returncode == 0, answer.stderr
    lines = [shlex.split(line) for line in answer.stdout.splitlines()]
    assert all(word == "export" for word, _ in lines)
    return dict(assignment.split("=", 1) for _, assignment in lines)


def as_client(*argv: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command as a client and project member, in the clone; `env` overrides the member's variables."""
    return stack.run_as_member(argv, env=env)


def in_cloud(code: str) -> str:
    """Run Python as the cloud's administrator, inside the lab, with the connection `c`; return its output."""
    script = f"import openstack; c = openstack.connect(); {code}"
    answer = subprocess.run(
        **lab.inside(["/opt/openstack/bin/python3", "-c", script], admin_environment()),  # type: ignore[call-overload]
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    return str(answer.stdout)


def count(kind: str) -> int:
    """Return the number of resources of a kind in the member's project, without those that every project has by default."""
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
