"""Judge what runs on a host and what is set in its memory: units, processes, mounts, kernel modules, accounts and sockets.

Pure functions, like those for files, whose findings they use: a program that is not accounted for as a file is none here either.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from classroom.verify.hosts.file_judgement import FileFindings, Known
from classroom.verify.hosts.host_survey import Process, Survey, unescaped

STARTING = {"service", "socket", "timer", "path", "automount", "swap"}
"""Kinds of units that start something."""
SCOPE = re.compile(r"^(init|session-c?\d+)\.scope$")
SLICE = re.compile(r"/user\.slice/user-(\d+)\.slice/")
LOGIN_PROGRAMS = frozenset(
    {
        "/usr/lib/openssh/sshd-session",
        "/usr/lib/systemd/systemd",
        "/usr/lib/systemd/systemd-executor",
        "/usr/bin/dbus-daemon",
        "/usr/bin/ssh-agent",
    }
)
"""Programs of a login in which nothing runs, such as one that Ansible keeps open for a minute."""
INTERPRETERS = re.compile(r"/(python3[\d.]*|dash|bash|sh|perl[\d.]*|mawk|nawk|sed)$")
MODULE = re.compile(r"/([^/]+)\.ko(?:\.(?:xz|zst|gz))?$")
FOREIGN_MODULE, UNSIGNED_MODULE = 1 << 12, 1 << 13
"""Bits of the kernel's taint: a module that is not part of the kernel, one that is not signed."""
LISTENS = 0x10000
"""Flag of a Unix socket that accepts connections."""


def judge_units(survey: Survey, files: FileFindings) -> list[str]:
    """Return the faults of units: each is loaded from files that are accounted for, and as these are now."""
    found = []
    blocks = survey.unit_blocks()
    if not any(unit.get("Id") == "ssh.service" for unit in blocks):
        found.append("the list of units is incomplete: ssh.service is not in it")
    for unit in blocks:
        name, state = unit.get("Id", "?"), unit.get("LoadState", "")
        if state in {"not-found", "masked"}:
            continue  # links that mask a unit are judged as files
        kind = name.rpartition(".")[2]
        sources = [unit.get("FragmentPath", ""), *unit.get("DropInPaths", "").split()]
        sources += [path for path in [unit.get("SourcePath", "")] if not path.startswith("/proc/")]
        for path in filter(None, sources):
            if path not in files.good:
                found.append(f"{name}: is loaded from {path}, which is not accounted for")
        if unit.get("NeedDaemonReload") != "no":
            found.append(f"{name}: systemd runs it with other settings than its files now contain")
        if not unit.get("FragmentPath") and kind in STARTING and unit.get("ActiveState") != "inactive":
            found.append(f"{name}: is active without a file")
        if unit.get("Transient") != "no" and not SCOPE.match(name):
            found.append(f"{name}: was made at run time, as by `systemd-run`")
        if state not in {"loaded", ""}:
            found.append(f"{name}: cannot be loaded ({state})")
    return found


def judge_processes(survey: Survey, known: Known, files: FileFindings, kept: Sequence[str]) -> list[str]:
    """Return the faults of processes: program, libraries, unit and account of each are known.

    `kept` are the accounts that may log in: the verifier first, whose commands run meanwhile, then the administrators.
    """
    units = {unit.get("ControlGroup", ""): unit for unit in survey.unit_blocks() if unit.get("ControlGroup")}
    found = []
    for process in survey.processes:
        shown = f"process {process.pid} ({' '.join(process.arguments)[:80]})"
        found += [f"{shown}: {fault}" for fault in _faults_of(process, survey, known, files, kept, units)]
    if not survey.processes or survey.processes[0].pid != min(p.pid for p in survey.processes):
        found.append("the list of processes is incomplete")
    return found


def _faults_of(
    process: Process,
    survey: Survey,
    known: Known,
    files: FileFindings,
    kept: Sequence[str],
    units: Mapping[str, Mapping[str, str]],
) -> Iterator[str]:
    program = process.program.removesuffix(" (deleted)")
    if program != process.program:
        digests = known.proven.former.get(program, frozenset()) | {known.digests.get(program, "")}
        if process.digest not in digests:
            yield f"runs {program}, which was replaced or deleted, in no version that was proven; restart its service"
    elif program not in files.good:
        yield f"runs {program}, which is not accounted for"
    for path in process.mapped:
        plain = path.removesuffix(" (deleted)")
        if path.startswith(("/memfd:", "/dev/zero", "/SYSV", "[heap]", "[stack]")):
            yield f"runs code that is in no file ({path})"
        elif plain not in files.good and (plain == path or plain not in known.packaged):
            yield f"has loaded {path}, which is not accounted for"
    login = SLICE.search(process.group + "/")
    if login:
        account = survey.user_names.get(int(login.group(1)), login.group(1))
        if account not in kept:
            yield f"belongs to a login of {account}, which may not log in"
        elif account != kept[0] and not _idle(process, program) and not _descends(process, survey):
            yield f"runs in a login of {account}: log out, or wait until it ends"
    elif process.group == "/init.scope":
        if process.pid != 1:
            yield "is in the group of systemd itself"
    else:
        unit = units.get(process.group)
        if unit is None:
            yield f"is in the control group {process.group}, which is that of no unit"
        elif (fault := _other_program(process, program, unit, survey, known)) is not None:
            yield fault


def _idle(process: Process, program: str) -> bool:
    login_shell = process.arguments[0].startswith("-") and len(process.arguments) == 1 and program.endswith("/bash")
    return program in LOGIN_PROGRAMS or login_shell


def _descends(process: Process, survey: Survey) -> bool:
    """Whether a process led to this survey itself, which only happens if an administrator runs it by hand."""
    parents = {p.pid: p.parent for p in survey.processes}
    here = next((p.pid for p in survey.processes if p.self), 0)
    while here:
        if here == process.pid:
            return True
        here = parents.get(here, 0)
    return False


def _other_program(process: Process, program: str, unit: Mapping[str, str], survey: Survey, known: Known) -> str | None:
    """Return why a process is not one that its unit starts."""
    name = unit.get("Id", "")
    allowed = known.rules.programs.get(name, ())
    if "*" in allowed or program in allowed:
        return None
    started = re.findall(r"path=(\S+) ; argv\[\]=(.*?) ; ", unit.get("ExecStart", ""))
    for path, words in started:
        if _resolved(path, survey) != program:
            continue
        if not INTERPRETERS.search(program) or " ".join(process.arguments) == words:
            return None
    return f"is not a program that {name} starts"


def _resolved(path: str, survey: Survey) -> str:
    """Return a program's own path, without links."""
    for _ in range(8):
        file = survey.by_path.get(path)
        if file is None and not path.startswith("/usr/"):
            path = "/usr" + path
            continue
        if file is None or file.kind != "l":
            break
        path = str(PurePosixPath(path).parent / file.content)
        parts: list[str] = []
        for part in PurePosixPath(path).parts:
            parts = parts[:-1] if part == ".." else [*parts, part]
        path = str(PurePosixPath(*parts))
    return path


def judge_mounts(survey: Survey, known: Known) -> list[str]:
    """Return the mounts that no Debian has: place and kind of each are in the rules."""
    found = []
    for line in survey.mounts.splitlines():
        fields = line.split()
        try:
            place, kind = unescaped(fields[4]), fields[fields.index("-") + 1]
        except (ValueError, IndexError):
            found.append(f"the line '{line[:60]}' is no mount")
            continue
        if not known.rules.mount(place, kind):
            found.append(f"{place}: a mount of kind {kind} is not expected there")
    if " / / " not in survey.mounts:
        found.append("the list of mounts is incomplete")
    return found


def judge_modules(survey: Survey, known: Known) -> list[str]:
    """Return the faults of kernel modules: each is part of the installed package of the running kernel."""
    top = f"/usr/lib/modules/{survey.kernel}/"
    packaged = {
        match.group(1).replace("-", "_")
        for path in known.packaged
        if path.startswith(top) and (match := MODULE.search(path))
    }
    loaded = [line.split()[0] for line in survey.modules.splitlines() if line.strip()]
    found = [f"{name}: is no module of a package of kernel {survey.kernel}" for name in loaded if name not in packaged]
    tainted = int(survey.tainted) if survey.tainted.isdigit() else -1
    if tainted & (FOREIGN_MODULE | UNSIGNED_MODULE):
        found.append(f"the kernel has loaded a module that is not its own (taint {tainted})")
    return found


def judge_accounts(survey: Survey, known: Known, image_account: str, admins: Sequence[str], verifier: str) -> list[str]:
    """Return the faults of accounts and groups: exactly those of packages, roles and image, with their IDs, shells and members."""
    people = {*admins, verifier}
    fixed, system, groups = packaged_accounts(known)
    found = []
    rows = [line for line in survey.texts.get("/etc/passwd", "").splitlines() if line.strip()]
    if len(rows) != len(survey.accounts):
        found.append("/etc/passwd: a line is no account, or an account is there twice")
    uids = [account.uid for account in survey.accounts.values()]
    for account in survey.accounts.values():
        name, shell = account.name, account.shell
        if uids.count(account.uid) > 1:
            found.append(f"{name}: shares its ID {account.uid} with another account")
        if name in people:
            good = 1000 <= account.uid < 60000 and shell == "/bin/bash" and account.home == f"/home/{name}"
        elif name == image_account:
            good = 1000 <= account.uid < 60000 and shell == "/usr/sbin/nologin"
        elif name in fixed:
            good = (account.uid, shell) == fixed[name]
        elif name in system or name in known.roles.accounts:
            good = 0 < account.uid < 1000 and shell == system.get(name, "/usr/sbin/nologin")
        else:
            found.append(f"{name}: no package, role or image made this account")
            continue
        if not good:
            found.append(f"{name}: has ID {account.uid}, home {account.home} and shell {shell}, which are not its own")
    missing = (people | set(known.roles.accounts)) - set(survey.accounts)
    found += [f"{name}: this account is missing" for name in sorted(missing)]
    allowed = groups | set(survey.accounts) | known.roles.groups
    for name, (gid, members) in survey.groups.items():
        if name not in allowed:
            found.append(f"group {name}: no package, role or image made it")
        wanted = set(admins) if name in known.roles.groups else set()
        if set(members) != wanted:
            found.append(f"group {name} ({gid}): has the members {', '.join(members) or 'none'}")
    for path, marks in (("/etc/shadow", {"!", "*"}), ("/etc/gshadow", {"!", "*", ""})):
        for line in survey.texts.get(path, "").splitlines():
            name, mark = line.split(":")[:2]
            if mark not in marks:
                found.append(f"{path}: {name} has a password")
            if name not in survey.accounts and name not in survey.groups:
                found.append(f"{path}: {name} is no account")
            if path == "/etc/gshadow" and any(field for field in line.split(":")[2:3]):
                found.append(f"{path}: {name} has an administrator")
    for path in ("/etc/subuid", "/etc/subgid"):
        for line in survey.texts.get(path, "").splitlines():
            name, first, count = (*line.split(":"), "", "")[:3]
            if name not in people | {image_account} or not first.isdigit() or int(first) < 100000 or count != "65536":
                found.append(f"{path}: {line} is not a line that Debian writes for an account")
    return found


def packaged_accounts(known: Known) -> tuple[dict[str, tuple[int, str]], dict[str, str], set[str]]:
    """Return accounts with fixed IDs (ID, shell), system accounts with their shells, and groups, as packages make them."""
    fixed: dict[str, tuple[int, str]] = {}
    system = dict(known.rules.accounts)
    groups = set(known.rules.groups)
    for contents in known.proven.contents.values():
        for path, text in contents.texts.items():
            if path.endswith("passwd.master"):
                rows = [line.split(":") for line in text.splitlines()]
                fixed |= {row[0]: (int(row[2]), row[6]) for row in rows if len(row) == 7}
            elif path.endswith("group.master"):
                groups |= {line.split(":")[0] for line in text.splitlines() if line.count(":") == 3}
            elif "/sysusers.d/" in path:
                for line in text.splitlines():
                    words = line.split()
                    if len(words) > 1 and words[0] in {"u", "u!"}:
                        system.setdefault(words[1], "/usr/sbin/nologin")
                    elif len(words) > 1 and words[0] == "g":
                        groups.add(words[1])
    return fixed, system, groups | set(system)


def judge_sockets(survey: Survey) -> list[str]:
    """Return the sockets that no service of the host has: raw and packet sockets of other accounts, unknown Unix sockets."""
    names = survey.user_names
    found = []
    for table in ("raw", "raw6", "icmp", "icmp6", "udplite", "udplite6"):
        for line in survey.sockets.get(table, "").splitlines()[1:]:
            fields = line.split()
            owner = names.get(int(fields[7]), fields[7]) if len(fields) > 7 and fields[7].isdigit() else "?"
            if owner != "systemd-network" or table not in {"raw6", "icmp6"}:
                found.append(f"{table}: a socket of {owner}")
    for line in survey.sockets.get("packet", "").splitlines()[1:]:
        owner = line.split()[7] if len(line.split()) > 7 else "?"
        if names.get(int(owner) if owner.isdigit() else -1) != "systemd-network":
            found.append(
                f"packet: a socket of {names.get(int(owner) if owner.isdigit() else -1, owner)} that reads packets"
            )
    for table in ("sctp/eps", "vsock"):
        found += [f"{table}: {line.strip()}" for line in survey.sockets.get(table, "").splitlines()[1:]]
    for line in survey.sockets.get("unix", "").splitlines()[1:]:
        fields = line.split(None, 7)
        if len(fields) < 8 or not int(fields[3], 16) & LISTENS:
            continue
        path = fields[7]
        if path.startswith("@") and not re.fullmatch(r"@[0-9a-f]{16}/bus/systemd(-[a-z]+)?/[a-z-]+", path):
            found.append(f"unix: an unknown socket {path} accepts connections")
        elif path.startswith("/") and path not in survey.by_path:
            found.append(f"unix: the socket {path} accepts connections, and its file was deleted")
    return found
