"""Pack a folder into one archive, so that hundreds of files reach a host in one transfer, and only if their contents changed."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ansible import constants

DOCUMENTATION = """
name: tree
short_description: packs a folder of the operator's machine
description:
  - Makes a gzipped tar archive whose single top folder is C(<name>-<digest of the contents>) and whose last member is
    C(.complete). The archive lives as long as the run.
  - Returns a dictionary with C(archive) (its path), C(folder) (the name of the top folder) and C(files) (SHA-256 by path below it).
options:
  _terms: {description: the folder, type: list, elements: str, required: true}
  name: {description: first part of the top folder's name, type: str, required: true}
"""

SKIPPED = {"__pycache__"}


class LookupModule(LookupBase):
    """Packs each requested folder."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[dict[str, Any]]:
        """Return `{"archive": path, "folder": name, "files": digests}` for each folder; AnsibleLookupError if one is missing."""
        self.set_options(var_options=variables, direct=kwargs)
        return [self._pack(Path(term), str(self.get_option("name"))) for term in terms]

    def _pack(self, root: Path, name: str) -> dict[str, Any]:
        if not root.is_dir():
            raise AnsibleLookupError(f"the folder {str(root)!r} is missing on this machine: run `make install`")
        found = (path for path in root.rglob("*") if path.is_file())
        files = sorted(path for path in found if not SKIPPED.intersection(path.relative_to(root).parts))
        seen = hashlib.sha256()
        contents, digests = [], {".complete": hashlib.sha256(b"").hexdigest()}
        for path in files:
            data = path.read_bytes()
            contents.append(data)
            digests[path.relative_to(root).as_posix()] = hashlib.sha256(data).hexdigest()
            seen.update(path.relative_to(root).as_posix().encode() + b"\0" + hashlib.sha256(data).digest())
        folder = Path(f"{name}-{seen.hexdigest()[:12]}")
        archive = Path(constants.DEFAULT_LOCAL_TMP) / f"{folder}.tar.gz"
        if not archive.exists():
            partial = archive.with_suffix(".partial")
            with tarfile.open(partial, "w:gz", compresslevel=1) as tar:
                inner = {parent for path in files for parent in path.relative_to(root).parents}
                for parent in sorted(inner | {Path()}):
                    self._add(tar, (folder / parent).as_posix(), None, 0)
                for path, data in zip(files, contents, strict=True):
                    self._add(tar, (folder / path.relative_to(root)).as_posix(), data, int(path.stat().st_mtime))
                self._add(tar, (folder / ".complete").as_posix(), b"", 0)
            partial.replace(archive)
        return {"archive": str(archive), "folder": str(folder), "files": digests}

    @staticmethod
    def _add(tar: tarfile.TarFile, name: str, data: bytes | None, mtime: int) -> None:
        """Add one file, or a folder if `data` is None, with the mode and owner that it gets on the host."""
        member = tarfile.TarInfo(name)
        member.size, member.mtime, member.mode = len(data or b""), mtime, 0o644 if data is not None else 0o755
        if data is None:
            member.type = tarfile.DIRTYPE
        member.uname = member.gname = "root"
        tar.addfile(member, io.BytesIO(data or b""))
