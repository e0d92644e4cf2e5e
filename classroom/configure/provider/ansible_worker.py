"""The process in which Ansible runs: a job as one JSON line on standard input, events as JSON lines on standard output.

When standard input ends, the run is over: Ansible's workers, which make sessions of their own, are ended too.
"""

import ctypes
import json
import os
import re
import shlex
import shutil
import signal
import socket
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
from classroom.common.errors import ClassroomError
from classroom.config import guest
from classroom.config.ports import port_number
from classroom.configure.provider.ansible_process import HostKeys
from classroom.configure.provider.login import Logins, NoLoginError, choose, own_keys, ssh_login

PR_SET_CHILD_SUBREAPER = 36
CONSOLE_SECONDS = 240.0
"""How long a new machine may take until its console shows its host keys."""
SSH_SECONDS = 90.0
"""How long a machine whose host keys are known may take until its SSH port answers."""
SILENCE_SECONDS = 10.0
"""After how long without a line a running task is told again."""
ASLEEP = {"SHUTOFF", "PAUSED", "SUSPENDED", "SHELVED", "SHELVED_OFFLOADED", "STOPPED", "RESCUE"}
"""States of a server in which it does not answer until somebody wakes it."""
KEYS = re.compile(r"-----BEGIN SSH HOST KEY KEYS-----(.*?)-----END SSH HOST KEY KEYS-----", re.S)
KEY = re.compile(r"(ssh-ed25519|ecdsa-sha2-\S+|ssh-rsa) ([A-Za-z0-9+/]+=*)")
PASSED = re.compile(
    r"PATH|HOME|USER|LOGNAME|LANG|LANGUAGE|LC_.*|TERM|TMPDIR|TZ|SSH_AUTH_SOCK|XDG_.*|CLASSROOM_(CACHE|SSH_KEY)"
)
"""The variables that Ansible gets: nothing of the ways into the cloud and into Pulumi's state."""


class Stopped(Exception):
    """The run is over before its end: nobody waits for it any more, or what failed has been said."""


class Run:
    """One Ansible run; `job` is what `classroom.configure.provider.ansible_process` sends, `out` takes the events."""

    def __init__(self, job: dict[str, Any], out: Any) -> None:
        self._job, self._out = job, out
        self._inputs: dict[str, Any] = job["inputs"]
        self.private = Path(job["private"])
        self._hide = hider(self._inputs["secrets"])
        self._busy: dict[str, tuple[str, float]] = {}
        self._told = time.monotonic()
        self._lock = threading.Lock()
        self._failures = 0
        self.stopped = threading.Event()

    def say(self, kind: str, text: str = "", **values: Any) -> None:
        """Write one event, its text free of secrets; a reader that is gone means that the run is over."""
        with self._lock:
            self._failures += kind == "failed"
            self._told = time.monotonic()
            try:
                self._out.write(json.dumps({"kind": kind, "text": self._hide(text), **values}) + "\n")
                self._out.flush()
            except BrokenPipeError:
                self.stopped.set()

    def watch(self) -> None:
        """Notice the end of standard input."""
        while sys.stdin.read(1):
            pass
        self.stopped.set()

    def tick(self) -> None:
        """Tell again what runs, when nothing was told for a while."""
        while not self.stopped.wait(1):
            if time.monotonic() - self._told >= SILENCE_SECONDS:
                running = list(self._busy.items())
                for who, (what, since) in running:
                    self.say("task", f"… {who}: {what} ({time.monotonic() - since:.0f} s)")

    def go(self) -> None:
        """Read the host keys, choose the accounts to log in with, then run the roles."""
        start = time.monotonic()
        inventory = self._inputs["inventory"]
        if self._inputs["hosts"]:
            keys = self._host_keys()
            self.say("keys", keys=keys)
            addresses = {name: host["address"] for name, host in self._inputs["hosts"].items()}
            lines = [f"{addresses[name]} {key}\n" for name, found in keys.items() for key in found]
            (self.private / "known_hosts").write_text("".join(lines))
            self._wait_for_ssh(addresses)
            inventory = with_logins(inventory, self._logins(addresses))
        self._run_roles(start, inventory)

    def _host_keys(self) -> HostKeys:
        """Return each machine's host keys as its console shows them, or those of the last run if it shows them no more."""
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
            f"{name}: its console shows another host key ({', '.join(shown)}) than the last run knew of the same server with the same"
            f" image ({', '.join(known)}): its system was rebuilt or replaced, or the key was exchanged on it; do not log in. Nothing on"
            " it is worth keeping, also if you rebuilt it on purpose: replace the machine with"
            f" {replace_command(self._job['stack'], name)}"
        )

    def _look(self, cloud: OpenStackClient, name: str) -> list[str]:
        """Return the host keys on a machine's console; say what is wrong with a machine that will not boot by itself."""
        server_id = self._inputs["hosts"][name]["server"]
        answer = cloud.find("compute", f"/servers/{server_id}")
        stack = self._job["stack"]
        if answer is None:
            self.say(
                "failed",
                f"{name}: the cloud has no server {server_id} any more; make it anew with `pulumi up --refresh --stack {stack}`",
            )
            return []
        server = answer["server"]
        if server["status"] == "ERROR":
            reason = (server.get("fault") or {}).get("message") or "it tells no reason"
            self.say(
                "failed",
                f"{name}: the cloud holds this machine in ERROR ({reason}); replace it with {replace_command(stack, name)}",
            )
        elif server["status"] in ASLEEP:
            self.say(
                "failed", f"{name}: the machine is {server['status']}; start it (`openstack server start {server_id}`)"
            )
        return host_keys(cloud.console(server_id)) if server["status"] == "ACTIVE" else []

    def _no_keys(self, names: list[str]) -> None:
        self.say(
            "failed",
            f"{', '.join(names)}: no SSH host key on the console after {CONSOLE_SECONDS:.0f} s; the machine did not boot (see its console on"
            f" the cloud), or `image` is none of {guest.NAME} with cloud-init",
        )
        raise Stopped

    def _wait_for_ssh(self, addresses: Mapping[str, str]) -> None:
        """Wait until every machine's SSH port answers from here."""
        start, port = time.monotonic(), port_number("ssh")
        self._busy = dict.fromkeys(addresses, ("waits for its SSH port", start))
        for name, address in addresses.items():
            while True:
                self._go_on()
                try:
                    socket.create_connection((address, port), timeout=3).close()
                    break
                except OSError as error:
                    if time.monotonic() - start > SSH_SECONDS:
                        allowed = ", ".join(self._inputs["inventory"]["all"]["vars"]["classroom_ssh_from"])
                        self.say(
                            "failed",
                            f"{name}: port {port} of {address} does not answer from here ({error}); allow this machine's address in ssh_from"
                            f" (now: {allowed}), or see the machine's console on the cloud",
                        )
                        break
                    time.sleep(0.5)
            self._busy.pop(name)
        if self._failures:
            raise Stopped

    def _logins(self, addresses: Mapping[str, str]) -> dict[str, dict[str, str]]:
        """Return for each machine the account that logs in, and the administrator whose login is tried at the end."""
        now, before, known = self._inputs["admins"], self._job["installed"], self._job["known"]
        keys = own_keys(next(iter(addresses.values())))
        logins = Logins(before, now, keys)
        if fault := logins.fault():
            raise ClassroomError(fault)
        self._busy = dict.fromkeys(addresses, ("tries to log in", time.monotonic()))

        def one(name: str) -> dict[str, str] | None:
            try:
                attempt = ssh_login(self._ssh_options(), addresses[name])
                login = choose(name, logins.candidates(known=name in known), attempt, self._go_on)
            except NoLoginError as error:
                self.say("failed", str(error))
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
            self.say(
                "failed", f"Ansible ended with status '{result.status}' (code {result.rc}): {last or 'it said nothing'}"
            )
        if not self._failures:
            self.say("done")

    def _ssh_options(self) -> dict[str, str]:
        return {
            "ControlMaster": "auto",
            "ControlPersist": "60s",
            "ControlPath": f"{self.private}/cp-%C",
            **ssh_options.known_hosts_alone(self.private / "known_hosts"),
            "UpdateHostKeys": "no",
            "PreferredAuthentications": "publickey",
            "ServerAliveInterval": "15",
            **ssh_options.operators_key(),
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
            # The task's own event says no more than that an item failed.
            item = str(result.get("_ansible_item_label") or result.get("item"))[:60]
            self.say("failed", f"{host}: task '{task}', item {item}: {self._reason(result)}")
        elif kind in words:
            word = "changed" if kind == "runner_on_ok" and result.get("changed") else words[kind]
            self.say("task", f"{word} {host}: {task}")
            if kind != "runner_on_ok" and not ignored and result.get("msg") != "One or more items failed":
                self.say("failed", f"{host}: task '{task}': {self._reason(result)}")
        return True

    def _reason(self, result: dict[str, Any]) -> str:
        """Return why a task failed, and what to do where that is known."""
        if "censored" in result:
            return (
                "what it says is kept back, as it deals with secrets; run the role by hand on a test machine to see it"
            )
        # A failed command says why on standard error, and "non-zero return code" in its message.
        parts = [result.get("stderr"), result.get("module_stderr"), result.get("msg"), result.get("stdout")]
        text = " ".join(str(next((p for p in parts if p), "no reason given")).split())
        if len(text) > 600:
            text = f"…{text[-600:]}"
        if "Host key verification failed" in text or "IDENTIFICATION HAS CHANGED" in text:
            return f"{text}; its host key is none of those that its console showed: do not log in, replace the machine"
        if "Permission denied (publickey" in text:
            names = ", ".join(f"'{admin['name']}'" for admin in self._inputs["admins"])
            return f"{text}; log in with the private key of an administrator ({names}): set CLASSROOM_SSH_KEY, or ssh-add it"
        if "classroom_force" in text:
            return f"{text} (after all: `classroom configure --stack {self._job['stack']} --force`)"
        return text


def host_keys(console: str) -> list[str]:
    """Return the SSH host keys in the last list of them on a console; none if the list is not there or not whole."""
    shown = KEYS.findall(console)
    return [" ".join(pair) for pair in KEY.findall(shown[-1])] if shown else []


def with_logins(inventory: dict[str, Any], logins: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Return the inventory with the accounts that were chosen for each machine."""
    hostvars = {name: {**values, **logins[name]} for name, values in inventory["_meta"]["hostvars"].items()}
    return {**inventory, "_meta": {"hostvars": hostvars}}


def static(dynamic: dict[str, Any]) -> dict[str, Any]:
    """Return a dynamic inventory in the form of Ansible's inventory files, as ansible-runner wants it."""
    hostvars = dynamic["_meta"]["hostvars"]
    groups: dict[str, Any] = {
        g: {"hosts": {h: {} for h in v["hosts"]}} for g, v in dynamic.items() if g not in {"all", "_meta"}
    }
    return {"all": {"hosts": hostvars, "vars": dynamic["all"]["vars"], "children": groups}}


def hider(secrets: Any) -> Callable[[str], str]:
    """Return what replaces the long words of `secrets` in a text, so that no message carries one."""
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
    """Take the job, run it, and leave nothing running and nothing in memory."""
    # Orphans of Ansible's workers come to us, and we end them.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # A terminal's Ctrl-C or hang-up reaches the engine, which tells us in its own way.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # Nothing but events may reach the reader.
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
        run.say("failed", f"Ansible could not be run: {type(error).__name__}: {error}")
    finally:
        end_descendants()
        shutil.rmtree(run.private, ignore_errors=True)


if __name__ == "__main__":
    main()
