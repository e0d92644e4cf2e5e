"""Runs Ansible on the machines in a process of its own, and tells what happens line by line."""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from classroom.common.tmpfs import memory_folder

HostKeys = dict[str, list[str]]
PREFIX = "classroom-run-"
"""How the names of the runs' folders in memory begin."""


class FailedError(Exception):
    """The machines are not configured: `reasons` tells host, task, reason and what to do."""

    def __init__(self, reasons: list[str], host_keys: HostKeys) -> None:
        super().__init__("; ".join(reasons))
        self.reasons, self.host_keys = reasons, host_keys


class Ansible:
    """One run for `stack`.

    `inputs` are the resource's own, `old` what the last run left; `tell(text, passing)` gets each line, `passing` if it
    need not be kept.
    """

    def __init__(
        self, stack: str, inputs: dict[str, Any], old: dict[str, Any], tell: Callable[[str, bool], None]
    ) -> None:
        self._stack, self._inputs, self._old, self._tell = stack, inputs, old, tell
        self._child: subprocess.Popen[str] | None = None
        self._stopped = False

    def run(self) -> HostKeys:
        """Configure the machines and return their host keys; FailedError if that did not succeed."""
        with private_folder(memory_folder()) as private:
            return self._run(private)

    def known(self) -> HostKeys:
        """Return the host keys of machines that are still the same server with the same image as in the last run."""
        same = unchanged(self._old, self._inputs["hosts"])
        return {name: keys for name, keys in self._old.get("hostKeys", {}).items() if keys and name in same}

    def _run(self, private: Path) -> HostKeys:
        host_keys = self.known()
        job = {
            "inputs": self._inputs | {"inventory": json.loads(self._inputs["inventory"])},
            "known": host_keys,
            "installed": installed(self._old),
            "private": str(private),
            "stack": self._stack,
            "force": bool(os.environ.get("CLASSROOM_FORCE")),
        }
        self._child = subprocess.Popen(
            [sys.executable, "-m", "classroom.configure.provider.ansible_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._child.stdin and self._child.stdout
        reasons: list[str] = []
        done = False
        try:
            self._child.stdin.write(json.dumps(job) + "\n")
            self._child.stdin.flush()  # and stays open: its end tells the child that we are gone
        except BrokenPipeError:
            reasons.append("Ansible's process ended at once")
        if self._stopped:
            self.stop()
        for line in self._child.stdout:
            event = json.loads(line)
            if event["kind"] in {"task", "note"}:
                self._tell(event["text"], event["kind"] == "task")
            elif event["kind"] == "keys":
                host_keys = event["keys"]
            elif event["kind"] == "failed":
                reasons.append(event["text"])
            elif event["kind"] == "done":
                done = True
        status = self._child.wait()
        if reasons or not done:
            reasons = reasons or [f"Ansible's process ended without a result (status {status})"]
            reasons[-1] += "; then run `pulumi up` again, which goes on from there"
            raise FailedError(reasons, host_keys)
        return host_keys

    def stop(self) -> None:
        """End the run; the child ends every process of Ansible's that it started."""
        self._stopped = True
        if self._child and self._child.stdin and self._child.poll() is None:
            self._child.stdin.close()


def unchanged(old: dict[str, Any], hosts: dict[str, dict[str, str]]) -> set[str]:
    """Return the machines that are still the same server with the same image as in the last run."""
    before = old.get("hosts", {})
    return {
        name for name, host in hosts.items() if all(before.get(name, {}).get(k) == host[k] for k in ("server", "image"))
    }


def installed(old: dict[str, Any]) -> list[dict[str, str]]:
    """Return the administrators that the last complete run left on the machines, of what that run left in the state."""
    if "installedAdmins" in old or "inventory" not in old:
        return list(old.get("installedAdmins", []))
    # An earlier version kept them in the inventory alone.
    return list(json.loads(old["inventory"])["all"]["vars"].get("classroom_admins", []))


@contextlib.contextmanager
def private_folder(memory: Path) -> Iterator[Path]:
    """Give a folder below `memory` that only this user reads, and remove it; what killed runs have left goes too.

    A run holds a lock on its folder, so that it is known to be alive from other namespaces, too.
    """
    for folder in memory.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError), _locked(folder):
            shutil.rmtree(folder, ignore_errors=True)
    private = Path(tempfile.mkdtemp(prefix=PREFIX, dir=memory))  # mode 0700
    try:
        with _locked(private):
            yield private
    finally:
        shutil.rmtree(private, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock; BlockingIOError if another process does."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
