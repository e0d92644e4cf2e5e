"""Write several files in one task: one connection instead of one for each file halves the time until a class opens."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: files
short_description: writes files, links and folders atomically in the given order, and removes files
description:
  - Each file is replaced in one step, with its owner and mode; a file that does not differ is not written.
  - Check mode and diff are supported; the contents of a secret are never shown.
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
      validate: {description: Command that checks a new file before it replaces the old one; C(%s) is its path., type: str}
  secrets:
    description: Files whose contents are secret.
    type: list
    elements: dict
    default: []
    suboptions: *entry
  absent:
    description: Files to remove.
    type: list
    elements: path
    default: []
  only:
    description: Folders that may contain no other files than the given ones; other files are removed.
    type: list
    elements: path
    default: []
"""

RETURN = """
written: {description: Changed paths; in check mode, paths that would be changed., type: list, returned: always}
"""


class Writer:
    """Brings the host's files into the requested state and records the changes."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.written: list[str] = []
        self.diff: list[dict[str, str]] = []

    def note(self, path: Path, before: str, after: str) -> None:
        """Record a change, for the result and for `--diff`."""
        self.written.append(str(path))
        self.diff.append({"before_header": str(path), "after_header": str(path), "before": before, "after": after})

    def ids(self, entry: dict[str, Any]) -> tuple[int, int]:
        """Return the IDs of owner and group; in check mode, root for an account that does not exist yet."""
        try:
            return pwd.getpwnam(entry["owner"]).pw_uid, grp.getgrnam(entry["group"]).gr_gid
        except KeyError:
            if self.module.check_mode:
                return 0, 0
            who = f"account {entry['owner']} or group {entry['group']}"
            self.module.fail_json(msg=f"{entry['path']}: this host has no {who}")
            raise

    def rights(self, entry: dict[str, Any], path: Path) -> None:
        """Set owner and mode of an existing file or folder."""
        state, mode, (uid, gid) = path.lstat(), int(entry["mode"], 8), self.ids(entry)
        if (state.st_uid, state.st_gid, state.st_mode & 0o7777) == (uid, gid, mode):
            return
        if not self.module.check_mode:
            os.chown(path, uid, gid)
            path.chmod(mode)
        self.note(path, f"{state.st_uid}:{state.st_gid} {state.st_mode & 0o7777:o}\n", f"{uid}:{gid} {mode:o}\n")

    def folder(self, entry: dict[str, Any], path: Path) -> None:
        """Create a folder, or set its owner and mode."""
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
        """Create a symbolic link, or replace it in one step if its target differs."""
        target = str(path.readlink()) if path.is_symlink() else ""
        if target == entry["link"]:
            return
        if path.exists() and not path.is_symlink():
            self.module.fail_json(msg=f"{path} must become a link, but it is a file or a folder: move it elsewhere")
        self.note(path, f"{target}\n" if target else "", f"{entry['link']}\n")
        if not self.module.check_mode:
            new = path.with_name(f".{path.name}.new")
            new.unlink(missing_ok=True)
            new.symlink_to(entry["link"])
            new.replace(path)

    def file(self, entry: dict[str, Any], path: Path, secret: bool) -> None:
        """Replace a file in one step after its validation; if its contents are the same, only set owner and mode."""
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
        # A hidden file without an extension: no service reads it as one of its files.
        new = path.with_name(f".{path.name}.{os.getpid()}-new")
        try:
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                out.write(data)
            os.chown(new, *self.ids(entry))
            new.chmod(int(entry["mode"], 8))
            if entry["validate"]:
                status, stdout, stderr = self.module.run_command(entry["validate"].replace("%s", str(new)))
                if status:
                    reason = "" if secret else f": {(stderr or stdout).strip()}"
                    self.module.fail_json(
                        msg=f"{path} is unchanged: `{entry['validate']}` refuses its new text{reason}"
                    )
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)

    def remove(self, path: Path) -> None:
        """Remove a file."""
        if path.is_symlink() or path.exists():
            self.note(path, "(present, not wanted)\n", "")
            if not self.module.check_mode:
                path.unlink()

    def alone(self, folder: Path, wanted: set[Path]) -> None:
        """Remove everything in `folder` that is not in `wanted`."""
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            if path not in wanted:
                self.remove(path)


def main() -> None:
    """Run the module."""

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
            module.fail_json(msg=f"{path}: mode is missing: set it")
        elif entry["folder"]:
            writer.folder(entry, path)
        elif entry["content"] is not None:
            writer.file(entry, path, secret)
        else:
            module.fail_json(msg=f"{path}: set one of content, link and folder")
    for path in module.params["absent"]:
        writer.remove(Path(path))
    for folder in module.params["only"]:
        writer.alone(Path(folder), wanted)
    module.exit_json(changed=bool(writer.written), written=writer.written, diff=writer.diff)


if __name__ == "__main__":
    main()
