"""Several files in one step: a class opens in half the time when a host is asked once and not once per file."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: files
short_description: writes files, links and folders, whole, in the given order, and removes files
description:
  - Each file appears at once and whole, with its owner and mode; nothing is written where nothing differs.
  - Check mode and diff are supported; of a secret's contents nothing is ever shown.
options:
  files:
    description: Files, links and folders.
    type: list
    elements: dict
    default: []
    suboptions: &entry
      path: {description: Absolute path., type: path, required: true}
      content: {description: Contents of a file., type: str}
      link: {description: Target of a symbolic link., type: str}
      folder: {description: Whether it is a folder., type: bool, default: false}
      owner: {description: Account., type: str, default: root}
      group: {description: Group., type: str, default: root}
      mode: {description: Octal mode; not for links., type: str}
      validate: {description: Command that judges a new file before it lands; C(%s) is its path., type: str}
  secrets:
    description: Files whose contents are secret.
    type: list
    elements: dict
    default: []
    suboptions: *entry
  absent:
    description: Files that must not stand there.
    type: list
    elements: path
    default: []
  only:
    description: Folders in which no other files than the given ones may stand; others are removed.
    type: list
    elements: path
    default: []
"""

RETURN = """
written: {description: Paths that were changed or would be., type: list, returned: always}
"""


class Writer:
    """Brings the host's files to what was asked for, and remembers what it changed."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.written: list[str] = []
        self.diff: list[dict[str, str]] = []

    def note(self, path: Path, before: str, after: str) -> None:
        """Remember a change, for the answer and for `--diff`."""
        self.written.append(str(path))
        self.diff.append({"before_header": str(path), "after_header": str(path), "before": before, "after": after})

    def ids(self, entry: dict[str, Any]) -> tuple[int, int]:
        """Return the numbers of owner and group; an account that check mode did not make is root for now."""
        try:
            return pwd.getpwnam(entry["owner"]).pw_uid, grp.getgrnam(entry["group"]).gr_gid
        except KeyError:
            if self.module.check_mode:
                return 0, 0
            who = f"account {entry['owner']} or group {entry['group']}"
            self.module.fail_json(msg=f"{entry['path']}: this host has no {who}")
            raise

    def rights(self, entry: dict[str, Any], path: Path) -> None:
        """Set owner and mode of what is there already."""
        state, mode, (uid, gid) = path.lstat(), int(entry["mode"], 8), self.ids(entry)
        if (state.st_uid, state.st_gid, state.st_mode & 0o7777) == (uid, gid, mode):
            return
        if not self.module.check_mode:
            os.chown(path, uid, gid)
            path.chmod(mode)
        self.note(path, f"{state.st_uid}:{state.st_gid} {state.st_mode & 0o7777:o}\n", f"{uid}:{gid} {mode:o}\n")

    def folder(self, entry: dict[str, Any], path: Path) -> None:
        """Make a folder, or set its rights."""
        if not path.is_dir():
            self.note(path, "", "(folder)\n")
            if self.module.check_mode:
                return
            path.mkdir(parents=True)
            path.chmod(int(entry["mode"], 8))
            os.chown(path, *self.ids(entry))
        else:
            self.rights(entry, path)

    def link(self, entry: dict[str, Any], path: Path) -> None:
        """Make a symbolic link, or turn it to another target in one step."""
        target = str(path.readlink()) if path.is_symlink() else ""
        if target == entry["link"]:
            return
        if path.exists() and not path.is_symlink():
            self.module.fail_json(msg=f"{path} shall be a link, but something else stands there: move it away")
        self.note(path, f"{target}\n" if target else "", f"{entry['link']}\n")
        if not self.module.check_mode:
            new = path.with_name(f".{path.name}.new")
            new.unlink(missing_ok=True)
            new.symlink_to(entry["link"])
            new.replace(path)

    def file(self, entry: dict[str, Any], path: Path, secret: bool) -> None:
        """Write a file whole, validated before it lands, or set its rights."""
        data = entry["content"].encode()
        before = path.read_bytes() if path.is_file() and not path.is_symlink() else None
        if before == data:
            self.rights(entry, path)
            return
        hidden = "(a secret, not shown)\n"
        old = "" if before is None else (f"{hidden}before" if secret else before.decode(errors="replace"))
        self.note(path, old, hidden if secret else entry["content"])
        if self.module.check_mode:
            return
        # A name with a dot in front and without an ending: no service takes it for one of its files.
        new = path.with_name(f".{path.name}.{os.getpid()}-new")
        try:
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                out.write(data)
            os.chown(new, *self.ids(entry))
            new.chmod(int(entry["mode"], 8))
            if entry["validate"]:
                status, told, why = self.module.run_command(entry["validate"].replace("%s", str(new)))
                if status:
                    said = "" if secret else f": {(why or told).strip()}"
                    self.module.fail_json(msg=f"{path} stays as it is: `{entry['validate']}` refuses the new one{said}")
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)

    def remove(self, path: Path) -> None:
        """Remove a file."""
        if path.is_symlink() or path.exists():
            self.note(path, "(stands here, unasked)\n", "")
            if not self.module.check_mode:
                path.unlink()

    def alone(self, folder: Path, wanted: set[Path]) -> None:
        """Remove from `folder` what is not in `wanted`."""
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            if path not in wanted:
                self.remove(path)


def main() -> None:
    """Do what the task asks."""

    def entries(secret: bool) -> dict[str, Any]:
        options: dict[str, Any] = {
            "path": {"type": "path", "required": True},
            "content": {"type": "str", "no_log": secret},
            "link": {"type": "str"},
            "folder": {"type": "bool", "default": False},
            "owner": {"type": "str", "default": "root"},
            "group": {"type": "str", "default": "root"},
            "mode": {"type": "str"},
            "validate": {"type": "str"},
        }
        return {"type": "list", "elements": "dict", "default": [], "options": options}

    module = AnsibleModule(
        {
            "files": entries(False),
            "secrets": entries(True),
            "absent": {"type": "list", "elements": "path", "default": []},
            "only": {"type": "list", "elements": "path", "default": []},
        },
        supports_check_mode=True,
    )
    writer = Writer(module)
    wanted: set[Path] = set()
    plain, secrets = ([(entry, kind == "secrets") for entry in module.params[kind]] for kind in ("files", "secrets"))
    for entry, secret in plain + secrets:
        path = Path(entry["path"])
        wanted.add(path)
        if entry["link"] is not None:
            writer.link(entry, path)
        elif entry["mode"] is None:
            module.fail_json(msg=f"{path}: give its mode")
        elif entry["folder"]:
            writer.folder(entry, path)
        elif entry["content"] is not None:
            writer.file(entry, path, secret)
        else:
            module.fail_json(msg=f"{path}: give content, link or folder")
    for path in module.params["absent"]:
        writer.remove(Path(path))
    for folder in module.params["only"]:
        writer.alone(Path(folder), wanted)
    module.exit_json(changed=bool(writer.written), written=writer.written, diff=writer.diff)


if __name__ == "__main__":
    main()
