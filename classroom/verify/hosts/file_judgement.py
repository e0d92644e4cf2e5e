"""Judge every file of a host: a package or a role put it there, other files determine its content, or a running Debian writes it.

Pure functions of what the host listed, what the archive proves, and what the roles write.
"""

import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath

from classroom.configure.role_files import RoleFile, RoleState
from classroom.verify.hosts.boot_judgement import BOOT_LOADER, GRUB_IMAGE, BootFiles
from classroom.verify.hosts.debian_archive import Contents, FileFact, PackageKey, Proven, canonical
from classroom.verify.hosts.host_survey import Survey, SurveyedFile, unescaped
from classroom.verify.hosts.written_files import WrittenRules

NOT_INSTALLED = ("/usr/share/doc/", "/usr/share/man/", "/usr/share/locale/", "/usr/share/lintian/", "/usr/share/info/")
"""Documentation and translations, which an image may leave out."""
SECRETS = "contents of secrets"
"""Key of the files in `FileFindings.unproven` whose contents only the stack's secrets, or its classes, prove."""
INFO = "/var/lib/dpkg/info/"
ALTERNATIVES = "/etc/alternatives/"
WANTS = re.compile(r"^/etc/systemd/(system|user)/([^/]+)\.(wants|requires|upholds)/([^/]+)$")
ALIAS = re.compile(r"^/etc/systemd/(system|user)/([^/]+\.(?:service|socket|timer|path|target))$")
SYSV = re.compile(r"^/etc/rc[0-6S]\.d/[SK]\d\d([^/]+)$")
GENERATED_UNIT = re.compile(r"^/run/(?:systemd|user/\d+/systemd)/(generator(?:\.early|\.late)?|transient)/")
PLAIN_UNIT_KEYS = re.compile(
    r"^(Description|Documentation|SourcePath|Before|After|Wants|Requires|BindsTo|PartOf|Conflicts|DefaultDependencies|IgnoreOnIsolate"
    r"|Slice|SendSIGHUP|KillMode|TasksMax|CollectMode|TimeoutStop(Sec|USec)|Where|What|Type|Options|Priority|RequiresMountsFor"
    r"|WantsMountsFor|OOMPolicy|FreezerState|Delegate|PIDs|TerminateAgents?|RuntimeMaxSec|ConditionPathIsReadWrite)$"
)
"""Settings of units that start no program."""
HASH_LINK = re.compile(r"^/etc/ssl/certs/[0-9a-f]{8}\.\d$")
STORED_NAME = re.compile(
    r"(cloudinit|email)(\.\w+)*\.[A-Z]\w*|builtins\.(set|object|frozenset)|copyreg\._reconstructor|collections\.\w+|uuid\.UUID"
    r"|\?\.[A-Z]\w*"
)
"""Names in objects that cloud-init stores."""
LARGEST_PART = 12
"""Digits of a digest in messages."""


@dataclass
class FileFindings:
    """What was found: faults, what is not proven and why, and the paths that are accounted for."""

    faults: list[str] = field(default_factory=list)
    unproven: dict[str, list[str]] = field(default_factory=dict)
    good: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Known:
    """Everything that the operations team's machine knows of a host: packages, roles, files of the image, and the rules."""

    proven: Proven
    roles: RoleState
    rules: WrittenRules
    image: Mapping[str, RoleFile] = field(default_factory=dict)

    @cached_property
    def packaged(self) -> Mapping[str, list[tuple[PackageKey, FileFact]]]:
        """The files of all proven packages by path; folders are in several packages."""
        found: dict[str, list[tuple[PackageKey, FileFact]]] = {}
        for key, contents in self.proven.contents.items():
            for path, fact in contents.files.items():
                found.setdefault(path, []).append((key, fact))
        return found

    @cached_property
    def digests(self) -> Mapping[str, str]:
        """The digest of each packaged file."""
        return {path: facts[0][1].content for path, facts in self.packaged.items() if facts[0][1].kind == "f"}

    @cached_property
    def all_digests(self) -> Mapping[str, str]:
        """The digest of each file of packages, roles and image."""
        own = {**self.roles.files, **self.image}
        return {
            **self.digests,
            **{path: file.content for path, file in own.items() if file.kind == "f" and file.content},
        }

    @cached_property
    def unit_texts(self) -> Mapping[str, str]:
        """The texts of packaged units."""
        return {p: t for c in self.proven.contents.values() for p, t in c.texts.items() if "/systemd/" in p}

    @cached_property
    def scripts(self) -> str:
        """The text of all scripts that run when packages are installed."""
        return "\n".join(contents.texts.get("postinst", "") for contents in self.proven.contents.values())

    @cached_property
    def certificates(self) -> frozenset[str]:
        """Digests of the certificates that packages brought."""
        return frozenset(d for path, d in self.digests.items() if path.startswith("/usr/share/ca-certificates/"))

    @cached_property
    def _by_name(self) -> Mapping[str, Contents]:
        return {key.name: contents for key, contents in self.proven.contents.items()}

    def contents(self, name: str) -> Contents | None:
        """Return the contents of an installed package by its name, with or without its architecture."""
        return self._by_name.get(name.partition(":")[0])


def judge_files(survey: Survey, known: Known) -> FileFindings:
    """Return the findings on all files of a host."""
    judge = _FileJudge(survey, known)
    for file in survey.files:
        judge.file(file)
    judge.missing()
    for path, reason in survey.errors:
        judge.found.faults.append(f"{path}: cannot be read ({reason})")
    return judge.found


class _FileJudge:
    def __init__(self, survey: Survey, known: Known) -> None:
        self.survey, self.known, self.found = survey, known, FileFindings()
        # Only the host knows what a package contains that the archive cannot prove: its files are named as not proven.
        unproven = {key.name for key in known.proven.unproven}
        self._claims = {
            canonical(path): name
            for name, paths in survey.lists.items()
            if name.partition(":")[0] in unproven
            for path in paths
        }
        self._versions = {key.name: f"{key}: {reason}" for key, reason in known.proven.unproven.items()}
        self._starting: dict[str, bool] = {}
        self._accounted_paths: dict[str, bool] = {}
        self._pseudo = _pseudo_mounts(survey.mounts)
        self._boot = BootFiles(survey.by_path, known.all_digests, self._accounted, loader_entries)

    def file(self, file: SurveyedFile) -> None:
        """Judge one file."""
        fault = self._fault(file)
        if fault is None:
            self.found.good.add(file.path)
        elif fault:
            self.found.faults.append(f"{file.path}: {fault}")

    def _fault(self, file: SurveyedFile) -> str | None:
        """Return what is wrong with a file; None if it is accounted for, an empty string if it is listed as not proven."""
        path = file.path
        special = [name for name in file.more if name.startswith(("security.", "system."))]
        expected = self.known.rules.capabilities.get(path)
        capability = file.more.get("security.capability", "")
        if capability != (expected or ""):
            return f"has the capabilities {capability or 'none'}, not {expected or 'none'}"
        if other := [
            name for name in special if not name.startswith("system.posix_acl") and name != "security.capability"
        ]:
            return f"has the attribute {other[0]}"
        if any(path == top or path.startswith(top + "/") for top in self._pseudo) and file.kind in "dlcb":
            return None
        if (role := self.known.roles.files.get(path)) is not None:
            return self._compare(file, role, "the roles")
        if (image := self.known.image.get(path)) is not None:
            return self._compare(file, image, "the image")
        if path in self.known.roles.absent:
            return "is there, and the roles remove it"
        if self.known.rules.linked(file):
            return None
        derived = self._derived(file)
        if derived is None:
            return None
        facts = self.known.packaged.get(path, [])
        if facts and not derived:
            return self._packaged(file, facts)
        if derived:
            return derived
        if self.known.rules.written(path, file, self.survey):
            return None
        if GRUB_IMAGE.match(path):
            self.found.unproven.setdefault(BOOT_LOADER, []).append(path)
            return ""
        if name := self._claims.get(path):
            self.found.unproven.setdefault(self._versions.get(name.partition(":")[0], name), []).append(path)
            return ""
        return self._unknown(file)

    def _unknown(self, file: SurveyedFile) -> str:
        owner = ":".join(self.survey.owner(file))
        kind = {"f": "file", "d": "folder", "l": f"link to {file.content}", "s": "socket", "p": "pipe"}.get(
            file.kind, "device"
        )
        close = self.known.rules.nearly(file.path, file, self.survey)
        return f"no package or role put this {kind} there ({owner} {file.mode:04o})" + (f"; {close}" if close else "")

    def _compare(self, file: SurveyedFile, wanted: RoleFile, who: str) -> str | None:
        owner, group = self.survey.owner(file)
        if file.kind != wanted.kind:
            return f"is not what {who} put there: another kind of file"
        if file.kind == "l":
            return (
                None
                if file.content == wanted.content
                else f"leads to {file.content}; {who} made it lead to {wanted.content}"
            )
        if (owner, group, file.mode) != (wanted.owner, wanted.group, wanted.mode):
            return f"has {owner}:{group} {file.mode:04o}; {who} set {wanted.owner}:{wanted.group} {wanted.mode:04o}"
        if file.kind == "f":
            if "note" in file.more:
                return f"{file.more['note']}, so its content is not known"
            if wanted.content is None:
                self.found.unproven.setdefault(SECRETS, []).append(file.path)
                return ""
            if file.content != wanted.content:
                return f"is not what {who} wrote ({file.content[:LARGEST_PART]}… instead of {wanted.content[:LARGEST_PART]}…)"
        return None

    def _packaged(self, file: SurveyedFile, facts: Iterable[tuple[PackageKey, FileFact]]) -> str | None:
        faults = []
        for key, fact in facts:
            fault = self._differs(file, fact)
            if fault is None:
                return None
            faults.append(f"{fault}; package {key}")
        return faults[0]

    def _differs(self, file: SurveyedFile, fact: FileFact) -> str | None:
        owner, group = self.survey.owner(file)
        if file.kind != fact.kind:
            if (file.kind, fact.kind) == ("l", "d"):
                return f"is a link to {file.content}, and was a folder"
            return "is another kind of file"
        if file.kind == "l":
            return None if file.content == fact.content else f"leads to {file.content}, and led to {fact.content}"
        wanted = (fact.owner, fact.group, fact.mode)
        allowed = {wanted, self.known.rules.modes.get(file.path, wanted)}
        if (owner, group, file.mode) not in allowed:
            return f"has {owner}:{group} {file.mode:04o}, and had {wanted[0]}:{wanted[1]} {wanted[2]:04o}"
        if file.kind == "f":
            if "note" in file.more:
                return f"{file.more['note']}, so its content is not known"
            if file.content != fact.content:
                return f"was changed ({file.content[:LARGEST_PART]}… instead of {fact.content[:LARGEST_PART]}…)"
        return None

    # Files that follow from others. Each method returns None if the file is right, a fault, or an empty string for others.

    def _derived(self, file: SurveyedFile) -> str | None:
        for judge in (
            self._bytecode,
            self._control_file,
            self._loader_cache,
            self._certificates,
            self._alternative,
            self._enabled,
            self._sysv,
            self._generated,
            self._copy,
            self._stored_object,
            self._boot.judge,
        ):
            answer = judge(file)
            if answer is None or answer:
                return answer
        return ""

    def _bytecode(self, file: SurveyedFile) -> str | None:
        if not file.path.endswith(".pyc") or file.path in self.known.packaged:
            return ""
        if not file.only_root_writes:
            return "is bytecode that others can write"
        source = file.more.get("source", "")
        expected = re.sub(r"/__pycache__/([^/]+)\.cpython-\d+(\.opt-[12])?\.pyc$", r"/\1.py", file.path)
        if not source or source != expected:
            return "is not the bytecode of its source"
        if not self._accounted(source):
            return f"is bytecode of {source}, which is not accounted for"
        return None

    def _fault_quietly(self, file: SurveyedFile) -> str | None:
        before = {name: list(paths) for name, paths in self.found.unproven.items()}
        fault = self._fault(file)
        self.found.unproven = before
        return fault

    def _accounted(self, path: str) -> bool:
        """Whether a path is a file that a package or a role put there as it is."""
        if path not in self._accounted_paths:
            self._accounted_paths[path] = False  # a link that leads to itself is not accounted for
            state = self.survey.by_path.get(path)
            self._accounted_paths[path] = state is not None and self._fault_quietly(state) is None
        return self._accounted_paths[path]

    def _control_file(self, file: SurveyedFile) -> str | None:
        if not file.path.startswith(INFO):
            return ""
        name, _, kind = file.path.removeprefix(INFO).rpartition(".")
        if kind == "list" or file.path == INFO + "format":
            return ""  # what dpkg writes itself, by the rules
        contents = self.known.contents(name)
        if contents is None:
            return ""
        wanted = contents.control.get(kind)
        if wanted is None:
            return "is no control file of its package"
        if not file.only_root_writes:
            return "is a control file that others can write"
        return None if file.content == wanted else "is not the control file of its package"

    def _loader_cache(self, file: SurveyedFile) -> str | None:
        if file.path != "/etc/ld.so.cache":
            return ""
        try:
            entries = loader_entries(bytes.fromhex(str(file.more.get("hex", ""))))
        except (ValueError, struct.error, IndexError):
            return "cannot be read as the loader's cache"
        if file.kind != "f" or file.uid or file.mode & 0o7133:
            return "is no file that root alone can write"
        for name, path in entries:
            if (
                not path.startswith(("/lib/", "/usr/lib/", "/lib64/"))
                or ".." in path
                or PurePosixPath(path).name != name
            ):
                return f"leads {name} to {path}"
            merged = path if path.startswith("/usr") else "/usr" + path
            if not self._accounted(merged):
                return f"leads {name} to {path}, which is not accounted for"
        return None

    def _certificates(self, file: SurveyedFile) -> str | None:
        if file.path == "/etc/ssl/certs/ca-certificates.crt":
            parts = file.more.get("parts", [])
            unknown = [part for part in parts if part not in self.known.certificates]
            if unknown or not parts:
                return f"has {len(unknown)} certificates that no package brought"
            good = file.kind == "f" and not file.uid and not file.mode & 0o7133
            return None if good else "is no file that root alone can write"
        if file.path.startswith("/etc/ssl/certs/") and file.kind == "l":
            if HASH_LINK.match(file.path):
                target = f"/etc/ssl/certs/{file.content}"
                return (
                    None
                    if target in self.survey.by_path and "/" not in file.content and self._accounted(target)
                    else "is no link to a certificate of a package"
                )
            good = file.content.startswith("/usr/share/ca-certificates/") and self._accounted(file.content)
            return None if good else "is no link to a certificate of a package"
        return ""

    def _alternative(self, file: SurveyedFile) -> str | None:
        """Judge a link that update-alternatives makes: packages' own scripts name both the link and where it leads."""
        if file.kind != "l":
            return ""
        if file.path.startswith(ALTERNATIVES):
            name = file.path.removeprefix(ALTERNATIVES)
            target = file.content
            base = PurePosixPath(target).name
            named = name in self.known.scripts and base in self.known.scripts
            dangling = target.startswith(NOT_INSTALLED)
            merged = target if target.startswith("/usr") else "/usr" + target
            if named and (dangling or self._accounted(merged)):
                return None
            return f"leads to {target}, which no installed package offers under this name"
        if file.content.startswith(ALTERNATIVES):
            name = file.content.removeprefix(ALTERNATIVES)
            path = file.path.removeprefix("/usr") if file.path.removeprefix("/usr") in self.known.scripts else file.path
            known = path in self.known.scripts or file.path.startswith(NOT_INSTALLED)
            return None if known and file.content in self.survey.by_path else f"leads to the unknown alternative {name}"
        return ""

    def _enabled(self, file: SurveyedFile) -> str | None:
        """Judge a link that starts a unit: the unit itself names the place, and a package's script or a role enables it."""
        wants, alias = WANTS.match(file.path), ALIAS.match(file.path)
        if file.kind != "l" or not (wants or alias):
            return ""
        if file.content == "/dev/null":
            return "masks a unit, and neither role nor image did"
        where = (wants or alias).group(1)  # type: ignore[union-attr]
        unit = PurePosixPath(file.content).name
        path = f"/usr/lib/systemd/{where}/{unit}"
        if file.content not in (path, path.removeprefix("/usr")) and file.content not in self.known.roles.files:
            return f"starts {file.content}, which is no unit of a package or a role"
        if not self._accounted(path if path in self.survey.by_path else file.content):
            return f"starts {file.content}, which is not accounted for"
        link = wants.group(4) if wants else unit
        if not self._starts(link) and not self._starts(unit):
            return f"starts {unit}, which neither a package's script nor a role enables"
        return None

    def _starts(self, unit: str) -> bool:
        if unit not in self._starting:
            self._starting[unit] = False  # units that name each other start neither
            self._starting[unit] = self._is_enabled(unit)
        return self._starting[unit]

    def _is_enabled(self, unit: str) -> bool:
        stem = unit.rpartition(".")[0]
        roles = self.known.roles.enabled
        if unit in roles or stem in roles or unit in self.known.rules.enabled:
            return True
        return bool(re.search(rf"deb-systemd-(?:user-)?helper[^\n]*'{re.escape(unit)}'", self.known.scripts)) or bool(
            any(
                re.search(rf"^Also=.*\b{re.escape(unit)}\b", text, re.M) and self._starts(PurePosixPath(path).name)
                for path, text in self.known.unit_texts.items()
                if PurePosixPath(path).name != unit
            )
        )

    def _sysv(self, file: SurveyedFile) -> str | None:
        found = SYSV.match(file.path)
        if not found:
            return ""
        target = f"/etc/init.d/{found.group(1)}"
        good = file.kind == "l" and file.content == f"../init.d/{found.group(1)}" and self._accounted(target)
        return None if good else "is no link to a script of a package"

    def _generated(self, file: SurveyedFile) -> str | None:
        """Judge units that systemd's generators wrote at boot, and those of logins: they start no program of their own."""
        if not GENERATED_UNIT.match(file.path) or file.kind == "d":
            return ""
        if file.uid and not file.path.startswith("/run/user/"):
            return "is a unit that root does not own"
        if file.kind == "l":
            unit = f"/usr/lib/systemd/system/{PurePosixPath(file.content).name}"
            merged = file.content if file.content.startswith("/usr/") else f"/usr{file.content}"
            own = f"{PurePosixPath(file.path).parent.parent}/{PurePosixPath(file.content).name}"
            good = (merged == unit and self._accounted(unit)) or (
                file.content.startswith("../") and own in self.survey.by_path and self._accounted(own)
            )
            return None if good else f"leads to {file.content}"
        if file.content in self.known.rules.digests.get(PurePosixPath(file.path).name, ()):
            return None
        text = self.survey.texts.get(file.path, "")
        keys = [line.partition("=")[0].strip() for line in text.splitlines() if line.strip() and line[0] not in "#;["]
        bad = [key for key in keys if not PLAIN_UNIT_KEYS.match(key)]
        if not text or bad:
            return f"is a unit with the setting {bad[0] if bad else '?'}, made at run time"
        return None

    def _copy(self, file: SurveyedFile) -> str | None:
        source = self.known.rules.source_of(file.path)
        digests = self.known.rules.digests.get(file.path)
        if source is None and digests is None:
            return ""
        owner, group = self.survey.owner(file)
        if file.path in self.known.rules.modes:
            rights = (owner, group, file.mode) == self.known.rules.modes[file.path]
        elif source is not None and (home := re.match(r"^/home/([^/]+)/", file.path)):
            rights = owner == home.group(1)
        else:
            rights = (owner, group) == ("root", "root")
        if file.kind != "f" or not rights or file.mode & 0o7022:
            return f"has {owner}:{group} {file.mode:04o}"
        if source is not None and file.content == self.known.digests.get(source):
            return None
        if digests and file.content in digests:
            return None
        return f"is not the copy of {source}" if source else "is not as Debian writes it"

    def _stored_object(self, file: SurveyedFile) -> str | None:
        """Judge what cloud-init stores about the cloud: it loads data and cloud-init's own classes alone."""
        if "names" not in file.more:
            return ""
        odd = [name for name in file.more["names"] if not STORED_NAME.fullmatch(name)]
        if odd or file.uid or file.mode & 0o7022:
            return f"loads {odd[0]}" if odd else "can be written by others"
        return None

    def missing(self) -> None:
        """Find files of packages and of roles that are not there."""
        there = self.survey.by_path
        for path, facts in self.known.packaged.items():
            if path in there or path == "/" or path.startswith(NOT_INSTALLED):
                continue
            if facts[0][1].kind == "d" or path in self.known.rules.removed or path in self.known.roles.absent:
                continue
            if self.known.rules.trimmed(path) or self._diverted(path):
                continue
            if any(path.startswith(f"{folder}/") for folder in self.known.rules.emptied):
                continue
            self.found.faults.append(f"{path}: is missing; package {facts[0][0]}")
        for source, files in (("roles", self.known.roles.files), ("image", self.known.image)):
            for path in files:
                if path not in there:
                    self.found.faults.append(f"{path}: is missing; the {source} put it there")

    def _diverted(self, path: str) -> bool:
        lines = self.survey.diversions.splitlines()
        pairs = dict(zip(lines[0::3], lines[1::3], strict=False))
        return any(
            place in (path, path.removeprefix("/usr")) and to in self.survey.by_path for place, to in pairs.items()
        )


def loader_entries(data: bytes) -> list[tuple[str, str]]:
    """Return the libraries in the loader's cache: name and path; ValueError if it is no such cache."""
    if not data.startswith(b"glibc-ld.so.cache1.1"):
        raise ValueError("another format")
    count, strings = struct.unpack_from("<II", data, 20)
    table = 48
    if len(data) < table + 24 * count + strings:
        raise ValueError("cut off")

    def word(offset: int) -> str:
        return data[offset : data.index(b"\0", offset)].decode()

    found = []
    for number in range(count):
        _, key, value = struct.unpack_from("<iII", data, table + 24 * number)
        found.append((word(key), word(value)))
    return found


def _pseudo_mounts(mounts: str) -> list[str]:
    """Return the mount points of the kernel's own device folder, whose devices it creates."""
    found = []
    for line in mounts.splitlines():
        fields = line.split()
        if unescaped(fields[4]) in {"/dev", "/proc", "/sys"}:
            found.append(unescaped(fields[4]))
    return found
