"""The process in which Ansible runs: a job as one JSON line on standard input, events as JSON lines on standard output.

When standard input ends, the run is over: Ansible's workers, which make sessions of their own, are ended too.
"""

import ctypes
import json
import os
import re
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

PR_SET_CHILD_SUBREAPER = 36
CONSOLE_SECONDS = 180.0
"""How long a new machine may take until its console shows its host keys."""
KEYS = re.compile(r"-----BEGIN SSH HOST KEY KEYS-----(.*?)-----END SSH HOST KEY KEYS-----", re.S)
KEY = re.compile(r"(ssh-ed25519|ecdsa-sha2-\S+|ssh-rsa) ([A-Za-z0-9+/=]+)")


class Stopped(Exception):
    """Nobody waits for the result any more."""


class Run:
    """One Ansible run."""

    def __init__(self, job: dict[str, Any], out: Any) -> None:
        self._job, self._out = job, out
        self._private = Path(job["private"])
        self.stopped = threading.Event()
        self._failures = 0

    def say(self, kind: str, **values: Any) -> None:
        """Write one event; a reader that is gone means that the run is over."""
        self._failures += kind == "failed"
        try:
            self._out.write(json.dumps({"kind": kind, **values}) + "\n")
            self._out.flush()
        except BrokenPipeError:
            self.stopped.set()

    def watch(self) -> None:
        """Notice the end of standard input."""
        while sys.stdin.read(1):
            pass
        self.stopped.set()

    def go(self) -> None:
        """Read the host keys, then run the roles."""
        start = time.monotonic()
        keys = self._host_keys()
        self.say("keys", keys=keys)
        hosts = self._job["inputs"]["hosts"]
        known = "".join(f"{hosts[name]['address']} {key}\n" for name, found in keys.items() for key in found)
        (self._private / "known_hosts").write_text(known)
        self._run_roles(start)

    def _host_keys(self) -> dict[str, list[str]]:
        """Return each machine's host keys: those of the last run, or, of a new machine, what its console shows."""
        import openstack

        found: dict[str, list[str]] = dict(self._job["known"])
        missing = {n: h for n, h in self._job["inputs"]["hosts"].items() if n not in found}
        if not missing:
            return found
        start = time.monotonic()
        cloud = openstack.connect(cloud=self._job["inputs"].get("cloud"))
        while missing:
            for name, host in list(missing.items()):
                if self.stopped.is_set():
                    raise Stopped
                server = cloud.compute.get_server(host["server"])
                if server.status == "ERROR":
                    fault = (server.fault or {}).get("message", "no reason given")
                    self.say(
                        "failed",
                        text=f"{name}: the cloud left this machine in ERROR ({fault}); replace it with"
                        f" `pulumi up --replace '{host['urn']}'`"
                        if host.get("urn")
                        else f"{name}: ERROR ({fault})",
                    )
                    raise Stopped
                answer = cloud.compute.get_server_console_output(host["server"])
                text = (answer.get("output") if isinstance(answer, dict) else answer) or ""
                shown = KEYS.search(text)
                if shown:
                    found[name] = [" ".join(pair) for pair in KEY.findall(shown.group(1))]
                    del missing[name]
            if missing and time.monotonic() - start > CONSOLE_SECONDS:
                names = ", ".join(missing)
                self.say(
                    "failed",
                    text=f"{names}: the console shows no SSH host key after {CONSOLE_SECONDS:.0f} s; the image has to print them"
                    " (cloud-init's module keys_to_console), or the machine did not boot: see its console on the cloud",
                )
                raise Stopped
            if missing:
                time.sleep(0.5)
        self.say("note", text=f"host keys read from the consoles after {time.monotonic() - start:.1f} s")
        return found

    def _run_roles(self, start: float) -> None:
        import ansible_runner

        from classroom import artifacts
        from classroom.paths import REPO

        playbooks = REPO / "ansible"
        inputs = self._job["inputs"]
        key = os.environ.get("CLASSROOM_SSH_KEY")
        ssh = (
            f"-o ControlMaster=auto -o ControlPersist=60s -o ControlPath={self._private}/cp-%C"
            f" -o StrictHostKeyChecking=yes -o UserKnownHostsFile={self._private}/known_hosts -o GlobalKnownHostsFile=/dev/null"
            " -o PreferredAuthentications=publickey -o ServerAliveInterval=15"
        )
        if key:
            ssh += f" -o IdentitiesOnly=yes -o IdentityFile={key}"
        environment = {
            "ANSIBLE_CONFIG": str(playbooks / "ansible.cfg"),
            "ANSIBLE_HOME": str(self._private / "home"),
            "ANSIBLE_SSH_ARGS": ssh,
            "LC_ALL": "C.UTF-8",
        }
        variables = {
            **inputs["secrets"],
            "classroom_livekit_binary": str(artifacts.livekit_binary()),
            "classroom_page_dir": str(artifacts.page_dir()),
            "classroom_portal_dir": str(artifacts.portal_dir()),
            "classroom_force": self._job["force"],
        }
        result = ansible_runner.run(
            private_data_dir=str(self._private),
            playbook=str(playbooks / "site.yml"),
            inventory=static(inputs["inventory"]),
            extravars=variables,
            envvars=environment,
            event_handler=self._event,
            cancel_callback=self.stopped.is_set,
            quiet=True,
        )
        if self.stopped.is_set():
            raise Stopped
        stats = result.stats or {}
        changed = stats.get("changed", {})
        for name in inputs["hosts"]:
            if name not in stats.get("ok", {}) and result.status == "successful":
                self.say("failed", text=f"{name}: Ansible ran no task on this machine")
        counts = ", ".join(f"{name} changed={changed.get(name, 0)}" for name in inputs["hosts"])
        self.say("note", text=f"Ansible: {result.status} after {time.monotonic() - start:.0f} s ({counts})")
        if result.status == "successful":
            self.say("done")
        elif not self._failures:
            self.say("failed", text=f"Ansible ended with status '{result.status}'")

    def _event(self, event: dict[str, Any]) -> bool:
        data = event.get("event_data", {})
        result = data.get("res") or {}
        kind, host, task = event["event"], data.get("host"), data.get("task")
        ignored = data.get("ignore_errors")
        words = {"runner_on_ok": "ok", "runner_on_failed": "FAILED", "runner_on_unreachable": "UNREACHABLE"}
        if kind == "runner_item_on_failed" and not ignored:
            # The task's own event says no more than that an item failed.
            item = str(result.get("_ansible_item_label") or result.get("item"))[:60]
            self.say("failed", text=f"{host}: task '{task}', item {item}: {_reason(result)}")
        elif kind in words:
            word = "changed" if kind == "runner_on_ok" and result.get("changed") else words[kind]
            self.say("task", text=f"{word} {host}: {task}")
            if kind != "runner_on_ok" and not ignored:
                self.say("failed", text=f"{host}: task '{task}': {_reason(result)}")
        return True


def static(dynamic: dict[str, Any]) -> dict[str, Any]:
    """Return a dynamic inventory in the form of Ansible's inventory files, as ansible-runner wants it."""
    hostvars = dynamic["_meta"]["hostvars"]
    groups: dict[str, Any] = {
        g: {"hosts": {h: {} for h in v["hosts"]}} for g, v in dynamic.items() if g not in {"all", "_meta"}
    }
    return {"all": {"hosts": hostvars, "vars": dynamic["all"]["vars"], "children": groups}}


def _reason(result: dict[str, Any]) -> str:
    text = str(result.get("stderr") or result.get("msg") or result.get("stdout") or "no reason given").strip()
    return text if len(text) <= 600 else f"…{text[-600:]}"


def descendants() -> list[int]:
    """Return the numbers of all processes below this one."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(path.name))
    found, todo = [], [os.getpid()]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def end_descendants() -> None:
    """End all processes below this one: first asked, after a second made to."""
    for attempt in range(30):
        left = descendants()
        if not left:
            return
        for pid in left:
            try:
                os.kill(pid, signal.SIGTERM if attempt < 10 else signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.1)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            continue


def main() -> None:
    """Take the job, run it, and leave nothing running."""
    # Orphans of Ansible's workers come to us, and we end them.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # Nothing but events may reach the reader.
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    run = Run(json.loads(sys.stdin.readline()), out)
    threading.Thread(target=run.watch, daemon=True).start()
    try:
        run.go()
    except Stopped:
        if run.stopped.is_set():
            run.say("failed", text="cancelled while Ansible ran")
    except Exception as error:
        run.say("failed", text=f"Ansible could not be run: {error}")
    finally:
        end_descendants()


if __name__ == "__main__":
    main()
