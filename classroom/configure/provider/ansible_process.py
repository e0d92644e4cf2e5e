"""Run Ansible in a child process and report its events line by line."""

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
"""Prefix of the names of the runs' folders in memory."""


class FailedError(Exception):
    """The run failed; each of `reasons` names host, task, reason and fix."""

    def __init__(self, reasons: list[str], host_keys: HostKeys) -> None:
        super().__init__("; ".join(reasons))
        self.reasons, self.host_keys = reasons, host_keys


class Ansible:
    """One run for `stack`.

    `inputs` are the resource's inputs, `old` its state after the last run; `report(text, ephemeral)` is called for each line.
    """

    def __init__(
        self, stack: str, inputs: dict[str, Any], old: dict[str, Any], report: Callable[[str, bool], None]
    ) -> None:
        self._stack, self._inputs, self._old, self._report = stack, inputs, old, report
        self._child: subprocess.Popen[str] | None = None
        self._stopped = False

    def run(self) -> HostKeys:
        """Configure the machines and return their host keys; FailedError if the run fails."""
        with private_folder(memory_folder()) as private:
            return self._run(private)

    def known(self) -> HostKeys:
        """Return the host keys of machines with the same server and image as in the last run."""
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
            self._child.stdin.flush()  # stays open: EOF means to the child that this process has ended
        except BrokenPipeError:
            reasons.append("the Ansible process ended at its start; see its output above")
        if self._stopped:
            self.stop()
        for line in self._child.stdout:
            event = json.loads(line)
            if event["kind"] in {"task", "note"}:
                self._report(event["text"], event["kind"] == "task")
            elif event["kind"] == "keys":
                host_keys = event["keys"]
            elif event["kind"] == "failed":
                reasons.append(event["text"])
            elif event["kind"] == "done":
                done = True
        status = self._child.wait()
        if reasons or not done:
            reasons = reasons or [f"the Ansible process ended without a result (status {status}); see its output above"]
            reasons[-1] += "; then run `pulumi up` again, which continues from there"
            raise FailedError(reasons, host_keys)
        return host_keys

    def stop(self) -> None:
        """Stop the run; the child ends all its Ansible processes."""
        self._stopped = True
        if self._child and self._child.stdin and self._child.poll() is None:
            self._child.stdin.close()


def unchanged(old: dict[str, Any], hosts: dict[str, dict[str, str]]) -> set[str]:
    """Return the names of machines with the same server and image as in the last run."""
    before = old.get("hosts", {})
    return {
        name for name, host in hosts.items() if all(before.get(name, {}).get(k) == host[k] for k in ("server", "image"))
    }


def installed(old: dict[str, Any]) -> list[dict[str, str]]:
    """Return the administrators that the last complete run installed, from the resource's state."""
    if "installedAdmins" in old or "inventory" not in old:
        return list(old.get("installedAdmins", []))
    # An earlier version stored them only in the inventory.
    return list(json.loads(old["inventory"])["all"]["vars"].get("classroom_admins", []))


@contextlib.contextmanager
def private_folder(memory: Path) -> Iterator[Path]:
    """Provide a folder below `memory` with mode 0700 and remove it at the end; also remove the folders of killed runs.

    A run locks its folder, so that other runs recognise it as alive, even in another PID namespace.
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
    """Lock a folder; BlockingIOError if another process has locked it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
