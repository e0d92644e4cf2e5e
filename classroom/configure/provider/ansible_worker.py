"""Run Ansible in a process: read a job as one JSON line from standard input, write events as JSON lines to standard output.

EOF on standard input stops the run, including Ansible's workers, which have sessions of their own.
"""

import ctypes
import json
import os
import re
import shlex
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from classroom.clients import ssh_options
from classroom.clients.openstack import OpenStackClient, connect
from classroom.clients.pulumi_cli import replace_command
from classroom.clients.ssh_keys import offered, own_keys
from classroom.common.errors import ClassroomError
from classroom.config import guest
from classroom.config.ports import port_number
from classroom.configure.provider.ansible_process import HostKeys
from classroom.configure.provider.login import (
    Logins,
    NoLoginError,
    UnreachableError,
    choose,
    proxy_of,
    public_key,
    ssh_login,
)

PR_SET_CHILD_SUBREAPER = 36
CONSOLE_SECONDS = 240.0
"""Timeout for a new machine until its console shows its host keys, in seconds."""
SILENCE_SECONDS = 10.0
"""Seconds of silence before a running task is reported again."""
ASLEEP = {"SHUTOFF", "PAUSED", "SUSPENDED", "SHELVED", "SHELVED_OFFLOADED", "STOPPED", "RESCUE"}
"""Server statuses in which a machine does not run until an operator starts it."""
KEYS = re.compile(r"-----BEGIN SSH HOST KEY KEYS-----(.*?)-----END SSH HOST KEY KEYS-----", re.S)
KEY = re.compile(r"(ssh-ed25519|ecdsa-sha2-\S+|ssh-rsa) ([A-Za-z0-9+/]+=*)")
PASSED = re.compile(
    r"PATH|HOME|USER|LOGNAME|LANG|LANGUAGE|LC_.*|TERM|TMPDIR|TZ|SSH_AUTH_SOCK|XDG_.*|CLASSROOM_(CACHE|SSH_KEY)"
)
"""Environment variables passed to Ansible: no credentials of OpenStack or of Pulumi's state backend."""


class Stopped(Exception):
    """The run ends early: the reader has gone, or a failure has been reported."""


class Run:
    """One Ansible run; `job` comes from `classroom.configure.provider.ansible_process`, events are written to `out`."""

    def __init__(self, job: dict[str, Any], out: Any) -> None:
        self._job, self._out = job, out
        self._inputs: dict[str, Any] = job["inputs"]
        self.private = Path(job["private"])
        self._hide = hider(self._inputs["secrets"])
        self._busy: dict[str, tuple[str, float]] = {}
        self._reported = time.monotonic()
        self._lock = threading.Lock()
        self._failures = 0
        self._identities: ssh_options.Options = {}
        self.stopped = threading.Event()

    def say(self, kind: str, text: str = "", **values: Any) -> None:
        """Write one event, with secrets masked; stop the run if the reader has gone."""
        with self._lock:
            self._failures += kind == "failed"
            self._reported = time.monotonic()
            try:
                self._out.write(json.dumps({"kind": kind, "text": self._hide(text), **values}) + "\n")
                self._out.flush()
            except BrokenPipeError:
                self.stopped.set()

    def watch(self) -> None:
        """Stop the run at the end of standard input."""
        while sys.stdin.read(1):
            pass
        self.stopped.set()

    def tick(self) -> None:
        """Report the running tasks after SILENCE_SECONDS without a line."""
        while not self.stopped.wait(1):
            if time.monotonic() - self._reported >= SILENCE_SECONDS:
                running = list(self._busy.items())
                for who, (what, since) in running:
                    self.say("task", f"… {who}: {what} ({time.monotonic() - since:.0f} s)")

    def go(self) -> None:
        """Read the host keys, choose the login accounts, and run the roles."""
        start = time.monotonic()
        inventory = self._inputs["inventory"]
        if self._inputs["hosts"]:
            keys = self._host_keys()
            self.say("keys", keys=keys)
            addresses = {name: host["address"] for name, host in self._inputs["hosts"].items()}
            lines = [f"{addresses[name]} {key}\n" for name, found in keys.items() for key in found]
            (self.private / "known_hosts").write_text("".join(lines))
            inventory = with_logins(inventory, self._logins(addresses))
        self._run_roles(start, inventory)

    def _host_keys(self) -> HostKeys:
        """Return each machine's host keys from its console, or those of the last run if the console no longer shows them."""
        start = time.monotonic()
        hosts: dict[str, Any] = self._inputs["hosts"]
        cloud = connect(self._inputs.get("cloud"), self._inputs["region"])
        known: HostKeys = self._job["known"]
        found: HostKeys = {}
        self._busy = {name: ("waits for its first boot", start) for name in hosts if name not in known}
        with ThreadPoolExecutor(8) as pool:
            while missing := [name for name in hosts if name not in found]:
                self._go_on()
                for name, shown in zip(missing, pool.map(lambda n: self._look(cloud, n), missing), strict=True):
                    if shown or known.get(name):
                        found[name] = shown or known[name]
                        self._busy.pop(name, None)
                if self._failures:
                    raise Stopped
                if len(found) < len(hosts):
                    if time.monotonic() - start > CONSOLE_SECONDS:
                        self._no_keys([name for name in hosts if name not in found])
                    time.sleep(0.5)
        changed = [name for name, keys in known.items() if set(keys) != set(found.get(name, keys))]
        for name in changed:
            self.say("failed", self._changed(name, found[name], known[name]))
        if changed:
            raise Stopped
        if set(found) - set(known):
            self.say("note", f"host keys read from the consoles after {time.monotonic() - start:.1f} s")
        return found

    def _changed(self, name: str, shown: list[str], known: list[str]) -> str:
        return (
            f"{name}: host key changed: its console shows {', '.join(shown)}, the last run saw {', '.join(known)}, on the same server"
            " with the same image. Its system was rebuilt or replaced, or the key was changed on it; do not log in. The machine has no"
            " data to keep, so replace it, even if you rebuilt it on purpose:"
            f" {replace_command(self._job['stack'], name)}"
        )

    def _look(self, cloud: OpenStackClient, name: str) -> list[str]:
        """Return the host keys on a machine's console; report a machine that is missing, in status ERROR or not running."""
        server_id = self._inputs["hosts"][name]["server"]
        answer = cloud.find("compute", f"/servers/{server_id}")
        stack = self._job["stack"]
        if answer is None:
            self.say(
                "failed",
                f"{name}: the server {server_id} no longer exists on the cloud; recreate it with `pulumi up --refresh --stack {stack}`",
            )
            return []
        server = answer["server"]
        if server["status"] == "ERROR":
            reason = (server.get("fault") or {}).get("message") or "no reason given"
            self.say(
                "failed",
                f"{name}: the server is in status ERROR ({reason}); replace it with {replace_command(stack, name)}",
            )
        elif server["status"] in ASLEEP:
            self.say(
                "failed",
                f"{name}: the server is in status {server['status']}; start it (`openstack server start {server_id}`)",
            )
        return host_keys(cloud.console(server_id)) if server["status"] == "ACTIVE" else []

    def _no_keys(self, names: list[str]) -> None:
        self.say(
            "failed",
            f"{', '.join(names)}: no SSH host key on the console after {CONSOLE_SECONDS:.0f} s; check on the cloud's console that the"
            f" machine has booted, and that `image` is a {guest.NAME} image with cloud-init",
        )
        raise Stopped

    def _logins(self, addresses: Mapping[str, str]) -> dict[str, dict[str, str]]:
        """Return for each machine the login account, and the administrator whose login is checked at the end of the run."""
        now, before, known = self._inputs["admins"], self._job["installed"], self._job["known"]
        keys = own_keys(next(iter(addresses.values())))
        logins = Logins(before, now, keys)
        if fault := logins.fault():
            raise ClassroomError(fault)
        self._identities = offered(map(public_key, [*before, *now]), keys, self.private)
        self._busy = dict.fromkeys(addresses, ("waits for a login", time.monotonic()))

        def one(name: str) -> dict[str, str] | None:
            try:
                attempt = ssh_login(self._ssh_options(), addresses[name])
                login = choose(name, logins.candidates(known=name in known), attempt, self._go_on)
            except NoLoginError as error:
                self.say("failed", str(error))
                return None
            except UnreachableError as error:
                self.say("failed", self._unreachable(name, addresses[name], str(error)))
                return None
            finally:
                self._busy.pop(name, None)
            return {"ansible_user": login, "classroom_login": logins.final(login)}

        with ThreadPoolExecutor(8) as pool:
            found = dict(zip(addresses, pool.map(one, addresses), strict=True))
        self._go_on()
        if self._failures:
            raise Stopped
        used = ", ".join(f"{name} as {login['ansible_user']}" for name, login in found.items() if login)
        self.say("note", f"logs in: {used}")
        return {name: login for name, login in found.items() if login}

    def _unreachable(self, name: str, address: str, reason: str) -> str:
        allowed = ", ".join(self._inputs["inventory"]["all"]["vars"]["classroom_ssh_from"])
        proxy = proxy_of(address)
        which = f"of the jump host '{proxy}', which your SSH configuration names," if proxy else "of this machine"
        return (
            f"{name}: port {port_number('ssh')} of {address} does not answer ({reason}); allow the address {which} in ssh_from (now:"
            f" {allowed}), or check the console of {name} on the cloud"
        )

    def _go_on(self) -> None:
        if self.stopped.is_set():
            raise Stopped

    def _run_roles(self, start: float, inventory: dict[str, Any]) -> None:
        from classroom.common.paths import REPO
        from classroom.configure import artifacts

        for name in [name for name in os.environ if not PASSED.fullmatch(name)]:
            del os.environ[name]
        import ansible_runner

        playbooks = REPO / "ansible"
        variables = {
            **self._inputs["secrets"],
            **artifacts.shipped(),
            "classroom_force": self._job["force"],
        }
        result = ansible_runner.run(
            private_data_dir=str(self.private),
            playbook=str(playbooks / "site.yml"),
            inventory=static(inventory),
            extravars=variables,
            envvars={
                "ANSIBLE_CONFIG": str(playbooks / "ansible.cfg"),
                "ANSIBLE_HOME": str(self.private / "home"),
                "ANSIBLE_SSH_ARGS": shlex.join(ssh_options.arguments(self._ssh_options())),
                "ANSIBLE_NOCOLOR": "1",
                "LC_ALL": "C.UTF-8",
                "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            },
            event_handler=self._event,
            cancel_callback=self.stopped.is_set,
            quiet=True,
        )
        self._go_on()
        stats: dict[str, dict[str, int]] = result.stats or {}
        machines = list(self._inputs["inventory"]["_meta"]["hostvars"])
        if result.status == "successful":
            for name in machines:
                if not stats.get("ok", {}).get(name):
                    self.say("failed", f"{name}: Ansible ran no task on this machine")
        counts = ", ".join(f"{name} changed={stats.get('changed', {}).get(name, 0)}" for name in machines)
        self.say("note", f"Ansible: {result.status} after {time.monotonic() - start:.0f} s ({counts})")
        if result.status != "successful" and not self._failures:
            last = " ".join(result.stdout.read().split())[-600:]
            self.say("failed", f"Ansible ended with status '{result.status}' (code {result.rc}): {last or 'no output'}")
        if not self._failures:
            self.say("done")

    def _ssh_options(self) -> ssh_options.Options:
        return {
            **ssh_options.shared_connection(self.private, 60),
            **ssh_options.known_hosts_alone(self.private / "known_hosts"),
            "UpdateHostKeys": "no",
            "PreferredAuthentications": "publickey",
            "ServerAliveInterval": "15",
            **self._identities,
        }

    def _event(self, event: dict[str, Any]) -> bool:
        data = event.get("event_data", {})
        result: dict[str, Any] = data.get("res") or {}
        kind, host, task = event["event"], data.get("host"), data.get("task")
        ignored = data.get("ignore_errors")
        words = {"runner_on_ok": "ok", "runner_on_failed": "FAILED", "runner_on_unreachable": "UNREACHABLE"}
        if kind == "runner_on_start":
            self._busy[host] = (task, time.monotonic())
        elif kind.startswith("runner_on_"):
            self._busy.pop(host, None)
        if kind == "runner_item_on_failed" and not ignored:
            # The event of the task itself only says that an item failed.
            item = str(result.get("_ansible_item_label") or result.get("item"))[:60]
            self.say("failed", f"{host}: task '{task}', item {item}: {self._reason(result)}")
        elif kind in words:
            word = "changed" if kind == "runner_on_ok" and result.get("changed") else words[kind]
            self.say("task", f"{word} {host}: {task}")
            if kind != "runner_on_ok" and not ignored and result.get("msg") != "One or more items failed":
                self.say("failed", f"{host}: task '{task}': {self._reason(result)}")
        return True

    def _reason(self, result: dict[str, Any]) -> str:
        """Return why a task failed, with the fix if it is known."""
        if "censored" in result:
            return "its output is hidden (no_log), as it contains secrets; run the role manually on a test machine to see it"
        # A failed command has its reason on standard error; its message is only "non-zero return code".
        parts = [result.get("stderr"), result.get("module_stderr"), result.get("msg"), result.get("stdout")]
        text = " ".join(str(next((p for p in parts if p), "no reason given")).split())
        if len(text) > 600:
            text = f"…{text[-600:]}"
        if "Host key verification failed" in text or "IDENTIFICATION HAS CHANGED" in text:
            return f"{text}; its host key differs from those on its console: do not log in, replace the machine"
        if "Permission denied (publickey" in text:
            names = ", ".join(f"'{admin['name']}'" for admin in self._inputs["admins"])
            return f"{text}; log in with the private key of an administrator ({names}): set CLASSROOM_SSH_KEY, or ssh-add it"
        if "classroom_force" in text:
            return f"{text} (to force it: `classroom configure --stack {self._job['stack']} --force`)"
        return text


def host_keys(console: str) -> list[str]:
    """Return the SSH host keys in the last list on a console; an empty list if there is no complete list."""
    shown = KEYS.findall(console)
    return [" ".join(pair) for pair in KEY.findall(shown[-1])] if shown else []


def with_logins(inventory: dict[str, Any], logins: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Return the inventory with the login account chosen for each machine."""
    hostvars = {name: {**values, **logins[name]} for name, values in inventory["_meta"]["hostvars"].items()}
    return {**inventory, "_meta": {"hostvars": hostvars}}


def static(dynamic: dict[str, Any]) -> dict[str, Any]:
    """Return a dynamic inventory in the format of Ansible's inventory files, which ansible-runner needs."""
    hostvars = dynamic["_meta"]["hostvars"]
    groups: dict[str, Any] = {
        g: {"hosts": {h: {} for h in v["hosts"]}} for g, v in dynamic.items() if g not in {"all", "_meta"}
    }
    return {"all": {"hosts": hostvars, "vars": dynamic["all"]["vars"], "children": groups}}


def hider(secrets: Any) -> Callable[[str], str]:
    """Return a function that replaces each word of `secrets` with 16 or more characters by `(secret)` in a text."""
    words = sorted(
        {word for text in _texts(secrets) for word in text.split() if len(word) >= 16}, key=len, reverse=True
    )

    def hide(text: str) -> str:
        for word in words:
            text = text.replace(word, "(secret)")
        return text

    return hide


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def descendants() -> list[int]:
    """Return the IDs of all descendants of this process."""
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
    """End all descendants of this process: SIGTERM for a second, then SIGKILL."""
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
    """Read the job, run it, then end all child processes and remove the private folder."""
    # Orphans of Ansible's workers become children of this process, which ends them.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # The terminal's Ctrl-C or hang-up reaches the engine, which then cancels this run.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # Only events may be written to the reader; all other output goes to standard error.
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    run = Run(json.loads(sys.stdin.readline()), out)
    threading.Thread(target=run.watch, daemon=True).start()
    threading.Thread(target=run.tick, daemon=True).start()
    try:
        run.go()
    except Stopped:
        if run.stopped.is_set():
            run.say("failed", "cancelled while Ansible ran")
    except ClassroomError as error:
        for sentence in str(error).splitlines():
            run.say("failed", sentence)
    except Exception as error:
        run.say("failed", f"Ansible did not run: {type(error).__name__}: {error}")
    finally:
        end_descendants()
        shutil.rmtree(run.private, ignore_errors=True)


if __name__ == "__main__":
    main()
