"""Runs Ansible on the machines in a process of its own, and tells what happens line by line."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

HostKeys = dict[str, list[str]]


class Failed(Exception):
    """The machines are not configured: `reasons` tells host, task, reason and what to do."""

    def __init__(self, reasons: list[str], host_keys: HostKeys) -> None:
        super().__init__("; ".join(reasons))
        self.reasons, self.host_keys = reasons, host_keys


def memory_folder() -> Path:
    """Return a folder whose contents never reach a disk (or the system's own for temporary files, if there is none)."""
    for folder in (Path("/dev/shm"), Path(os.environ.get("XDG_RUNTIME_DIR", "/nonexistent"))):  # noqa: S108
        if os.access(folder, os.W_OK):
            return folder
    return Path(tempfile.gettempdir())


class Ansible:
    """One run: `inputs` are the resource's own, `old` what the last run left; `tell(text, passing)` gets each line."""

    def __init__(self, inputs: dict[str, Any], old: dict[str, Any], tell: Callable[[str, bool], None]) -> None:
        self._inputs, self._old, self._tell = inputs, old, tell
        self._child: subprocess.Popen[str] | None = None

    def run(self) -> HostKeys:
        """Configure the machines and return their host keys; Failed if anything did."""
        _sweep()
        private = Path(tempfile.mkdtemp(prefix=f"classroom-{os.getpid()}-", dir=memory_folder()))
        try:
            return self._run(private)
        finally:
            shutil.rmtree(private, ignore_errors=True)

    def _run(self, private: Path) -> HostKeys:
        servers = {name: host["server"] for name, host in self._inputs["hosts"].items()}
        before = {name: host["server"] for name, host in self._old.get("hosts", {}).items()}
        known = {n: k for n, k in self._old.get("hostKeys", {}).items() if k and before.get(n) == servers.get(n)}
        job = {
            "inputs": self._inputs,
            "known": known,
            "private": str(private),
            "force": bool(os.environ.get("CLASSROOM_FORCE")),
        }
        self._child = subprocess.Popen(
            [sys.executable, "-m", "classroom.provider.run_ansible"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._child.stdin and self._child.stdout
        self._child.stdin.write(json.dumps(job) + "\n")
        self._child.stdin.flush()  # and stays open: its end tells the child that we are gone
        reasons: list[str] = []
        host_keys, done = known, False
        for line in self._child.stdout:
            event = json.loads(line)
            if event["kind"] == "task":
                self._tell(event["text"], True)
            elif event["kind"] == "note":
                self._tell(event["text"], False)
            elif event["kind"] == "keys":
                host_keys = event["keys"]
            elif event["kind"] == "failed":
                reasons.append(event["text"])
            elif event["kind"] == "done":
                done = True
        status = self._child.wait()
        if reasons or not done:
            reasons = reasons or [f"Ansible ended without a result (status {status})"]
            raise Failed([*reasons, "once that is mended, run `pulumi up` again: it goes on from there"], host_keys)
        return host_keys

    def stop(self) -> None:
        """End the run; the child ends every process of Ansible's that it started."""
        if self._child and self._child.stdin and self._child.poll() is None:
            self._child.stdin.close()


def _sweep() -> None:
    """Remove what runs whose process was killed have left in memory."""
    for folder in memory_folder().glob("classroom-*-*"):
        owner = folder.name.split("-")[1]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            shutil.rmtree(folder, ignore_errors=True)
