"""Work out on this machine what the roles put on a host, from the roles themselves: files with digests, accounts, units.

Tasks are loaded and their arguments rendered by Ansible's own code, without a connection to any host.
"""

import hashlib
import json
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from classroom.common.paths import REPO
from classroom.configure.inventory import CLASSES, with_classes
from classroom.configure.provider.ansible_worker import static

ANSIBLE = REPO / "ansible"
CHANGE_NO_FILE = frozenset(
    f"ansible.builtin.{name}"
    for name in (
        "apt",
        "assert",
        "command",
        "debug",
        "meta",
        "set_fact",
        "setup",
        "shell",
        "stat",
        "uri",
        "validate_argument_spec",
        "wait_for",
    )
) | {"accounts", "trees"}
"""Modules whose tasks put no file of their own on a host; `accounts` and `trees` only remove."""
WRITE_FILES = frozenset(f"ansible.builtin.{name}" for name in ("copy", "file", "group", "unarchive", "user")) | {
    "files"
}
"""Modules whose tasks put files, accounts or groups on a host, or remove them."""

RESULTS: Mapping[str, Any] = {
    "ansible_check_mode": False,
    "classroom_closed": False,
    "__acme_was": {"stat": {"exists": True}},
    "__portal_compared": {"differs": True},
    "__valkey_was": {"stat": {"exists": True}},
    "__web_compared": {"differs": True},
}
"""Results of earlier tasks on which those depend that write or remove files: a run on a new host, with something to remove."""

ANY_CLASS: Mapping[str, Any] = {
    "room": "any",
    "name": "Any",
    "size": 2,
    "waiting_room": False,
    "versions": {"teacher": 1, "pupil": 1},
}
"""A class that shows which files contain the classes."""


@dataclass(frozen=True)
class RoleFile:
    """A file, folder or link (kind f, d or l) that a role writes; `content` is the digest or the target, None if it is unknown here."""

    kind: str
    mode: int
    owner: str
    group: str
    content: str | None


@dataclass
class RoleState:
    """What the roles put on one host."""

    files: dict[str, RoleFile] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    absent: set[str] = field(default_factory=set)
    accounts: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    groups: set[str] = field(default_factory=set)
    enabled: set[str] = field(default_factory=set)


class UnknownTaskError(Exception):
    """A role has a task of which this module does not know whether it writes files."""


def role_states(
    inventory: Mapping[str, Any], shipped: Mapping[str, str], secrets: Mapping[str, str] | None = None
) -> dict[str, RoleState]:
    """Return by machine what the roles put there.

    `inventory` is that of `classroom inventory --json`, `shipped` the variables of the artifacts; `secrets` are the secret
    variables (`classroom_secret_…`), without which the digests of secret files are unknown. Without the classes the digests of
    those files are unknown that contain them.
    """
    if CLASSES not in inventory["all"]["vars"]:
        one, other = (role_states(with_classes(inventory, classes), shipped, secrets) for classes in ([], [ANY_CLASS]))
        return {name: _agreed(state, other[name]) for name, state in one.items()}
    # Ansible takes a third of a second to import.
    from ansible.inventory.manager import InventoryManager
    from ansible.parsing.dataloader import DataLoader
    from ansible.playbook import Playbook
    from ansible.plugins.loader import filter_loader, init_plugin_loader, lookup_loader, module_loader
    from ansible.vars.manager import VariableManager

    init_plugin_loader()
    for loader_of, folder in (
        (filter_loader, "filter_plugins"),
        (lookup_loader, "lookup_plugins"),
        (module_loader, "library"),
    ):
        loader_of.add_directory(str(ANSIBLE / folder))
    known = {
        "classroom_secret_livekit": "?" * 43,
        "classroom_secret_certificate_key": "?",
        "classroom_secret_codes_key": "?",
        "classroom_secret_acme_eab_key": "?",
    }
    loader = DataLoader()
    loader.set_basedir(str(ANSIBLE))
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "inventory.json")
        file.write_text(json.dumps(static(dict(inventory))))
        hosts = InventoryManager(loader=loader, sources=[str(file)])
        variables = VariableManager(loader=loader, inventory=hosts)
        variables._extra_vars = {**known, **(secrets or {}), **shipped}
        play = Playbook.load(str(ANSIBLE / "site.yml"), variable_manager=variables, loader=loader).get_plays()[0]
        blocks = play.compile()
        return {
            name: _Reader(loader, hosts, variables, play, name, secrets is not None).read(blocks)
            for name in inventory["_meta"]["hostvars"]
        }


def _agreed(one: RoleState, other: RoleState) -> RoleState:
    """Return what the roles put on a host in both of two cases: contents that differ are unknown."""
    files = {
        path: file if file == other.files[path] else replace(file, content=None) for path, file in one.files.items()
    }
    texts = {path: text for path, text in one.texts.items() if text == other.texts[path]}
    return replace(one, files=files, texts=texts)


class _Reader:
    """Goes through the tasks of a play for one host."""

    def __init__(self, loader: Any, hosts: Any, variables: Any, play: Any, name: str, open_secrets: bool) -> None:
        self._loader, self._hosts, self._variables, self._play = loader, hosts, variables, play
        self._host = hosts.get_host(name)
        self._open = open_secrets
        self._included: dict[str, Any] = {}
        self.state = RoleState()

    def read(self, blocks: Any) -> RoleState:
        """Return what the tasks in these blocks put on the host."""
        for block in blocks:
            for task in self._tasks(block):
                self._task(task)
        return self.state

    def _tasks(self, block: Any) -> Iterator[Any]:
        for part in block.block:
            if hasattr(part, "block"):
                yield from self._tasks(part)
            else:
                yield part

    def _task(self, task: Any) -> None:
        from ansible.template import Templar
        from ansible.vars.hostvars import HostVars

        action = task.resolved_action or task.action
        if action in CHANGE_NO_FILE or action == "ansible.builtin.include_tasks":
            # Only tasks that change nothing are included while a run goes on (media's comparison in check mode).
            return
        values = self._variables.get_vars(play=self._play, host=self._host, task=task)
        values["hostvars"] = HostVars(self._hosts, self._variables, self._loader)
        values |= {**RESULTS, **self._included, "ansible_search_path": task.get_search_path()}
        values.setdefault("ansible_user", "")
        templar = Templar(loader=self._loader, variables=values)
        if action == "ansible.builtin.include_vars":
            name = templar.template(task.args["_raw_params"])
            self._included |= self._loader.load_from_file(
                str(Path(values["role_path"], "vars", name)), trusted_as_template=True
            )
            return
        if action == "ansible.builtin.systemd_service":
            self._unit(task, templar, values)
        elif action not in WRITE_FILES:
            raise UnknownTaskError(f"task '{task.get_name()}' uses {action}: say in {__name__} which files it writes")
        elif self._wanted(task, templar):
            for item in self._items(task, templar):
                values["item"] = item
                self._apply(action, Templar(loader=self._loader, variables=values).template(task.args))

    @staticmethod
    def _wanted(task: Any, templar: Any) -> bool:
        return all(templar.evaluate_conditional(condition) for condition in task.when)

    @staticmethod
    def _items(task: Any, templar: Any) -> list[Any]:
        return list(templar.template(task.loop)) if task.loop else [None]

    def _unit(self, task: Any, templar: Any, values: dict[str, Any]) -> None:
        """Record a unit that a task starts at boot; its conditions may need results of earlier tasks, as those of removals do."""
        if "enabled" not in task.args or not templar.template(task.args["enabled"]):
            return
        if self._wanted(task, templar):
            for item in self._items(task, templar):
                values["item"] = item
                self.state.enabled.add(str(templar.template(task.args["name"])))

    def _apply(self, action: str, given: Mapping[str, Any]) -> None:
        if action == "files":
            for entry in given.get("files") or []:
                self._entry(entry, secret=False)
            for entry in given.get("secrets") or []:
                self._entry(entry, secret=True)
            self.state.absent |= set(given.get("absent") or [])
        elif action == "ansible.builtin.copy":
            data = Path(given["src"]).read_bytes()
            self.state.files[given["dest"]] = RoleFile(
                "f", int(given["mode"], 8), given["owner"], given["group"], hashlib.sha256(data).hexdigest()
            )
        elif action == "ansible.builtin.unarchive":
            self._tree(Path(given["src"]), given["dest"])
        elif action == "ansible.builtin.group":
            self.state.groups.add(given["name"])
        elif action == "ansible.builtin.user" and given.get("state", "present") == "present":
            self.state.accounts[given["name"]] = dict(given)
        elif action == "ansible.builtin.file" and given["state"] == "absent":
            self.state.absent.add(given["path"])
        elif given.get("state") != "absent":
            raise UnknownTaskError(f"{action} with state {given.get('state')}: say in {__name__} which files it writes")

    def _entry(self, entry: Mapping[str, Any], *, secret: bool) -> None:
        path, owner, group = entry["path"], entry.get("owner", "root"), entry.get("group", "root")
        if entry.get("link") is not None:
            self.state.files[path] = RoleFile("l", 0o777, owner, group, entry["link"])
        elif entry.get("folder"):
            self.state.files[path] = RoleFile("d", int(entry["mode"], 8), owner, group, "")
        else:
            content = hashlib.sha256(entry["content"].encode()).hexdigest()
            known = None if secret and not self._open else content
            if not secret:
                self.state.texts[path] = entry["content"]
            self.state.files[path] = RoleFile("f", int(entry["mode"], 8), owner, group, known)

    def _tree(self, archive: Path, folder: str) -> None:
        with tarfile.open(archive) as tar:
            for member in tar:
                path = f"{folder}/{member.name}"
                file = tar.extractfile(member) if member.isfile() else None
                content = hashlib.sha256(file.read()).hexdigest() if file else ""
                kind = "f" if file else "d"
                self.state.files[path] = RoleFile(kind, member.mode, member.uname, member.gname, content)
