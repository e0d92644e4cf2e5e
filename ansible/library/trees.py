"""Keep an unpacked folder exactly as its archive: find changed files, and remove foreign ones and former versions."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: trees
short_description: compares an unpacked folder with the files of its archive
description:
  - Removes what is in the folder and not in the archive, and reports whether files are missing or differ in contents, owner or mode,
    so that the archive has to be unpacked again.
  - With C(former), removes other versions of the folder instead, which have the same name with another digest.
  - Check mode is supported.
options:
  parent: {description: Folder that contains the versions., type: path, required: true}
  name: {description: First part of their names., type: str, required: true}
  folder: {description: Name of the wanted version., type: str, required: true}
  files: {description: SHA-256 of each file by its path below the folder., type: dict, default: {}}
  former: {description: Whether to remove other versions., type: bool, default: false}
"""

RETURN = """
differs: {description: Whether the archive has to be unpacked., type: bool, returned: always}
removed: {description: Removed paths; in check mode, paths that would be removed., type: list, returned: always}
"""


def as_unpacked(path: Path, mode: int) -> bool:
    """Return whether a file or folder has the owner and mode of the archive."""
    state = path.lstat()
    return (state.st_uid, state.st_gid, stat.S_IMODE(state.st_mode)) == (0, 0, mode)


def remove(path: Path) -> None:
    """Remove a file, a link or a whole folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def compare(top: Path, files: dict[str, str]) -> tuple[bool, list[Path]]:
    """Return whether the folder lacks files of the archive as they are there, and what else is in it."""
    folders = {top / parent for name in files for parent in Path(name).parents}
    wanted = {top / name: digest for name, digest in files.items()}
    if not top.is_dir() or top.is_symlink():
        return True, [top] if top.is_symlink() or top.exists() else []
    differs, foreign, seen = not as_unpacked(top, 0o755), [], {top}
    for here, inner, names in os.walk(top):
        for path in [Path(here, name) for name in [*inner, *names]]:
            real = path.is_dir() and not path.is_symlink()
            if path in wanted and path.is_file() and not path.is_symlink():
                same = hashlib.sha256(path.read_bytes()).hexdigest() == wanted[path] and as_unpacked(path, 0o644)
                differs |= not same
                seen.add(path)
            elif path in folders and real:
                differs |= not as_unpacked(path, 0o755)
                seen.add(path)
            else:
                foreign.append(path)
        inner[:] = [name for name in inner if Path(here, name) in folders]
    return differs or bool(folders - seen) or bool(wanted.keys() - seen), foreign


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        {
            "parent": {"type": "path", "required": True},
            "name": {"type": "str", "required": True},
            "folder": {"type": "str", "required": True},
            "files": {"type": "dict", "default": {}},
            "former": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    parent, folder = Path(module.params["parent"]), module.params["folder"]
    if module.params["former"]:
        differs, foreign = False, [p for p in parent.glob(f"{module.params['name']}-*") if p.name != folder]
    else:
        differs, foreign = compare(parent / folder, module.params["files"])
    for path in foreign if not module.check_mode else ():
        remove(path)
    module.exit_json(changed=bool(foreign), differs=differs, removed=sorted(map(str, foreign)))


if __name__ == "__main__":
    main()
