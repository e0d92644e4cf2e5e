"""What a host says of itself: the output of its program `classroom-survey`, checked for its form."""

import gzip
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from classroom.common.errors import ClassroomError

FORMAT = 1
LARGEST = 256 * 1024 * 1024
"""Bytes of a survey after decompression; a sound host has a hundredth of it."""


class SurveyedFile(NamedTuple):
    """A file: path, kind (f, d, l, p: pipe, s: socket, b and c: devices), mode, IDs, size, digest or target, and notes.

    Notes are `note` (why there is no sure digest), extended attributes in hexadecimal form, `source` of bytecode (empty: it is
    compiled from no source), `parts` of a bundle of certificates, `hex` of the loader's cache, `members` of an initial file system,
    and `made`: the digest of the file as Debian's own program makes it now.
    """

    path: str
    kind: str
    mode: int
    uid: int
    gid: int
    size: int
    content: str
    more: Mapping[str, Any] = {}

    @property
    def only_root_writes(self) -> bool:
        """Whether it is a file, not a link or folder, that root alone can write, without setuid and the like."""
        return self.kind == "f" and not self.uid and not self.mode & 0o7022


class Process(BaseModel):
    """A process: its program, arguments, accounts (real, effective, saved, of files), control group and capabilities."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pid: int
    parent: int
    program: str
    arguments: tuple[str, ...]
    uid: tuple[int, int, int, int]
    group: str
    capabilities: tuple[str, str, str, str]
    mapped: tuple[str, ...]
    self: bool
    digest: str = ""


class Account(NamedTuple):
    """An account of /etc/passwd."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str


def _files(rows: Any) -> Any:
    return [SurveyedFile(*row) for row in rows] if isinstance(rows, list) else rows


class Survey(BaseModel):
    """Everything that a host listed; see the program itself for each part."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    format: int
    files: Annotated[list[SurveyedFile], BeforeValidator(_files)]
    packages: list[tuple[str, str, str, str]]
    lists: dict[str, list[str]]
    texts: dict[str, str]
    diversions: str
    overrides: str
    alternatives: dict[str, str]
    units: str
    processes: list[Process]
    mounts: str
    modules: str
    tainted: str
    kernel: str
    sockets: dict[str, str]
    errors: list[tuple[str, str]]

    @cached_property
    def by_path(self) -> Mapping[str, SurveyedFile]:
        """The files by path."""
        return {file.path: file for file in self.files}

    @cached_property
    def accounts(self) -> Mapping[str, Account]:
        """The accounts by name; lines of another form are left out, and fail where accounts are judged."""
        rows = [line.split(":") for line in self.texts.get("/etc/passwd", "").splitlines()]
        good = [row for row in rows if len(row) == 7 and row[2].isdigit() and row[3].isdigit()]
        return {row[0]: Account(row[0], int(row[2]), int(row[3]), row[5], row[6]) for row in good}

    @cached_property
    def groups(self) -> Mapping[str, tuple[int, tuple[str, ...]]]:
        """The groups by name: ID and members."""
        rows = [line.split(":") for line in self.texts.get("/etc/group", "").splitlines()]
        good = [row for row in rows if len(row) == 4 and row[2].isdigit()]
        return {row[0]: (int(row[2]), tuple(filter(None, row[3].split(",")))) for row in good}

    @cached_property
    def user_names(self) -> Mapping[int, str]:
        """The name of each user ID; of several names, the first."""
        return {account.uid: account.name for account in reversed(list(self.accounts.values()))}

    @cached_property
    def group_names(self) -> Mapping[int, str]:
        """The name of each group ID; of several names, the first."""
        return {gid: name for name, (gid, _) in reversed(list(self.groups.items()))}

    def owner(self, file: SurveyedFile) -> tuple[str, str]:
        """Return owner and group of a file; an ID without a name as digits."""
        return self.user_names.get(file.uid, str(file.uid)), self.group_names.get(file.gid, str(file.gid))

    @cached_property
    def installed(self) -> Sequence[tuple[str, str, str]]:
        """Name, version and architecture of the installed packages."""
        return [(name, version, arch) for name, version, arch, state in self.packages if state.endswith(" installed")]

    def unit_blocks(self) -> list[dict[str, str]]:
        """Return the properties of each unit that systemd has loaded."""
        blocks = self.units.strip().split("\n\n")
        return [dict(line.partition("=")[::2] for line in block.splitlines()) for block in blocks if block.strip()]


def read_survey(data: bytes, machine: str) -> Survey:
    """Return a survey from the program's output; ClassroomError if it was cut off or has another form."""
    try:
        reader = zlib.decompressobj(wbits=31)
        text = reader.decompress(data, LARGEST)
        if reader.unconsumed_tail or not reader.eof:
            raise ClassroomError(
                f"{machine}: its survey is cut off after {len(text)} bytes, or too large; verify again"
            )
        values = json.loads(text)
        if isinstance(values, dict) and values.get("format") != FORMAT:
            raise ClassroomError(f"{machine}: its survey has format {values.get('format')}; run `classroom configure`")
        return Survey.model_validate(values)
    except (zlib.error, gzip.BadGzipFile, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0] if not isinstance(error, ValidationError) else str(error.errors()[0]["loc"])
        raise ClassroomError(f"{machine}: its survey cannot be read ({reason}); run `classroom configure`") from None


def unescaped(text: str) -> str:
    """Return a path of the kernel's tables with its octal escapes replaced."""
    return re.sub(r"\\([0-7]{3})", lambda digits: chr(int(digits.group(1), 8)), text)
