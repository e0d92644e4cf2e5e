"""A project with the real engine and the product's provider, but with a playbook of the test, on this machine."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from classroom.common.paths import REPO

PROGRAM = """
import json, os
import pulumi
from classroom.configure.resources import Configure, Secret
from classroom.provision.pulumi_program import quiet

quiet()
opts = pulumi.ResourceOptions(provider=pulumi.ProviderResource("classroom", "classroom", {}))
wanted = json.loads(open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "wanted.json")).read())
generated = Secret("generated", length=wanted["length"], alphabet="01", opts=opts)
secrets = {"canary": pulumi.Output.secret(wanted["secret"]), "generated": generated.value, **wanted["more"]}
configure = Configure(
    "configure",
    cloud=None,
    region="nowhere",
    broken=wanted["broken"],
    admins=wanted["admins"],
    hosts={},
    inventory=json.dumps(wanted["inventory"], sort_keys=True),
    secrets=secrets,
    opts=opts,
)
pulumi.export("generated", generated.value)
pulumi.export("ran", True)
"""
PLAY = """
- name: Test
  hosts: all
  gather_facts: false
  tasks:
    - name: First {{ note | default("") }}
      ansible.builtin.debug: {msg: first}
    - name: Write the secret to a file that only its owner can read
      ansible.builtin.copy: {content: "{{ canary }}", dest: "{{ target }}", mode: "0600"}
      no_log: true
    - name: Long
      ansible.builtin.command: sh -c "sleep {{ seconds }}; true" {{ word | default("") }}
      changed_when: false
    - name: May fail
      ansible.builtin.shell: test ! -e {{ target }}.broken || { echo "disk failure ({{ canary }})" >&2; exit 3; }
      changed_when: false
    - name: Last
      ansible.builtin.debug: {msg: last}
"""


@dataclass
class Project:
    """A stack `t` below `root`; `wanted` are the inputs of the program, `more` further variables of its environment."""

    root: Path
    wanted: dict[str, Any]
    passphrase: str = "unit-passphrase"
    more: dict[str, str] = field(default_factory=dict)

    @classmethod
    def create(cls, root: Path, secret: str) -> "Project":
        """Copy the product's package, so that it treats `root` as the clone, and create the stack."""
        ignored = shutil.ignore_patterns("__pycache__", "data", "verify")
        shutil.copytree(REPO / "classroom", root / "classroom", ignore=ignored)
        for name in ("engine", "portal", "web", ".venv"):
            (root / name).symlink_to(REPO / name)
        shutil.copy(REPO / "Pulumi.yaml", root)
        (root / "__main__.py").write_text(PROGRAM)
        (root / "ansible").mkdir()
        shutil.copy(REPO / "ansible" / "ansible.cfg", root / "ansible")
        (root / "ansible" / "site.yml").write_text(PLAY)
        (root / "state").mkdir()
        variables = {"classroom_ssh_from": ["192.0.2.0/24"], "seconds": 0, "target": str(root / "written")}
        host = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "ansible_pipelining": True,  # as over SSH
        }
        inventory = {
            "front": {"hosts": ["here"]},
            "all": {"vars": variables},
            "_meta": {"hostvars": {"here": host}},
        }
        admins = [{"name": "ada", "public_key": "ssh-ed25519 AAAAada ada"}]
        project = cls(
            root, {"inventory": inventory, "admins": admins, "secret": secret, "broken": {}, "length": 40, "more": {}}
        )
        project.save()
        done = project.pulumi("stack", "init", "t")
        assert done.returncode == 0, done.stderr
        return project

    def save(self) -> None:
        """Write the inputs of the program."""
        (self.root / "wanted.json").write_text(json.dumps(self.wanted))

    def set(self, **variables: Any) -> None:
        """Change variables of the playbook."""
        self.wanted["inventory"]["all"]["vars"] |= variables
        self.save()

    @property
    def environment(self) -> dict[str, str]:
        own = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(self.root),
            "PULUMI_BACKEND_URL": f"file://{self.root}/state",
            "PULUMI_HOME": str(self.root / "home"),
            "PULUMI_CONFIG_PASSPHRASE": self.passphrase,
            # All child processes inherit this variable, by which `processes` finds them.
            "XDG_TEST_PROJECT": str(self.root),
        }
        return os.environ | own | self.more

    def argv(self, *words: str) -> list[str]:
        return ["pulumi", "--non-interactive", *words]

    def pulumi(self, *words: str, **more: str) -> "subprocess.CompletedProcess[str]":
        """Run Pulumi and wait for its end."""
        environment = self.environment | more
        return subprocess.run(
            self.argv(*words), cwd=self.root, env=environment, capture_output=True, text=True, check=False, timeout=180
        )

    def up(self, *words: str, **more: str) -> "subprocess.CompletedProcess[str]":
        return self.pulumi("up", "--yes", "--skip-preview", "--stack", "t", *words, **more)

    def start(self) -> "subprocess.Popen[str]":
        """Start `pulumi up` and return without waiting for it."""
        argv = self.argv("up", "--yes", "--skip-preview", "--stack", "t")
        return subprocess.Popen(
            argv, cwd=self.root, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def state(self) -> str:
        """Return the content of every file of the state, including backups."""
        return "\n".join(p.read_text(errors="replace") for p in sorted((self.root / "state").rglob("*")) if p.is_file())

    def processes(self) -> dict[int, str]:
        """Return the command lines of this project's processes by PID."""
        found = {}
        mark = f"XDG_TEST_PROJECT={self.root}".encode()
        for path in Path("/proc").glob("[0-9]*"):
            try:
                words = (path / "environ").read_bytes().split(b"\0")
                command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if command and mark in words:
                found[int(path.name)] = command
        return found


def lines(process: "subprocess.Popen[str]") -> Iterator[tuple[float, str]]:
    """Yield each line of a running process with the time at which it arrived."""
    assert process.stdout
    for line in process.stdout:
        yield time.monotonic(), line.rstrip()


def wait_for(process: "subprocess.Popen[str]", text: str) -> list[str]:
    """Read until a line contains `text`; return all lines so far. AssertionError if the process ends before."""
    seen = []
    for _, line in lines(process):
        seen.append(line)
        if text in line:
            return seen
    raise AssertionError(f"no line contains '{text}':\n" + "\n".join(seen))


def remaining_processes(project: Project, seconds: float = 20) -> Mapping[int, str]:
    """Wait until no process of the project runs; return those that still run after `seconds`."""
    end = time.monotonic() + seconds
    while (left := project.processes()) and time.monotonic() < end:
        time.sleep(0.1)
    return left


def kill(process: "subprocess.Popen[str]") -> None:
    """Kill only the engine with SIGKILL, as a power failure would."""
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert process.stdout
    process.stdout.close()
