"""Collect what is needed to account for everything on the hosts: their surveys, proven packages, and what the roles write."""

import hashlib
import shlex
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from classroom.clients.pulumi_cli import applied_inventory, configure_secrets
from classroom.common.errors import ClassroomError
from classroom.common.paths import REPO
from classroom.config.endpoints import host_services
from classroom.config.image_files import ImageFile
from classroom.configure import artifacts
from classroom.configure.inventory import CLASSES, with_classes
from classroom.configure.role_files import RoleFile, RoleState, role_states
from classroom.sovereignty.endpoint_record import Endpoint
from classroom.verify.deployment import Deployment
from classroom.verify.hosts.boot_judgement import BOOT_LOADER
from classroom.verify.hosts.debian_archive import Mirror, PackageKey, Proven, prove, suites
from classroom.verify.hosts.file_judgement import SECRETS, FileFindings, Known, judge_files
from classroom.verify.hosts.host_survey import Survey, read_survey
from classroom.verify.hosts.written_files import load_rules
from classroom.verify.report.phrases import Sentence, sentence
from classroom.verify.ssh import RemoteHost

PROGRAM = "/usr/local/sbin/classroom-survey"
SOURCE = REPO / "ansible" / "roles" / "base" / "files" / "survey.py"
EXPOSED = (
    "nginx",
    "libnginx-mod-stream",
    "valkey-server",
    "openssh-server",
    "libssl3t64",
    "openssl",
    "unbound",
    "sudo",
    "libc6",
)
"""Packages that anybody on the internet reaches, or that guard rights."""
ARCHITECTURES = {"amd64", "arm64"}


def as_role_files(files: Iterable[ImageFile]) -> dict[str, RoleFile]:
    """Return declared files of an image by path."""
    found = {}
    for file in files:
        content = file.sha256 if file.sha256 is not None else file.link if file.link is not None else ""
        found[file.path] = RoleFile(file.kind, int(file.mode, 8), "root", "root", content)
    return found


def mirror_of(endpoints: Sequence[Endpoint]) -> Mirror:
    """Return the mirror of a deployment, at the addresses that its endpoints declare; those that are networks are looked up."""
    services = host_services(endpoints)
    single = [a for e in endpoints if e.use == "packages" for a in e.addresses if "/" not in a]
    return Mirror(suites(services["mirror"], services["security"]), single)


@dataclass(frozen=True)
class HostAccount:
    """A host's survey, what is known of it, and the findings on its files."""

    survey: Survey
    known: Known
    files: FileFindings


class Accounting:
    """Accounts for all hosts of a deployment; the work starts with `start`, in parallel to other tests."""

    def __init__(self, target: Deployment, remotes: Mapping[str, RemoteHost]) -> None:
        self._target, self._remotes = target, remotes
        self._states: dict[str, RoleState] = {}
        self._all: Future[dict[str, HostAccount | ClassroomError | AssertionError]] = Future()

    def start(self, pool: ThreadPoolExecutor) -> None:
        """Start to collect, once."""
        self._all = pool.submit(self._collect)

    def of(self, machine: str) -> HostAccount:
        """Return what is known of a machine; raise the error if it could not be collected."""
        found = self._all.result()[machine]
        if isinstance(found, Exception):
            raise found
        return found

    def roles(self, machine: str) -> RoleState:
        """Return what the roles put on a machine, whether or not the machine answers."""
        self._all.result()
        return self._states[machine]

    def _collect(self) -> dict[str, HostAccount | ClassroomError | AssertionError]:
        with ThreadPoolExecutor(8) as pool:
            roles = pool.submit(self._roles)
            answers = dict(zip(self._remotes, pool.map(self._survey, self._remotes), strict=True))
        self._states = roles.result()
        surveys = {name: answer for name, answer in answers.items() if isinstance(answer, Survey)}
        installed = {PackageKey(*package) for survey in surveys.values() for package in survey.installed}
        architecture = next((a for _, _, a in sorted(installed) if a in ARCHITECTURES), "amd64")
        proven = prove(installed, mirror_of(self._target.declarations.endpoints), architecture)
        image = as_role_files(self._target.declarations.image_files)
        found: dict[str, HostAccount | ClassroomError | AssertionError] = {}
        for name, answer in answers.items():
            if isinstance(answer, Survey):
                known = Known(only(proven, answer), self._states[name], load_rules(), image)
                found[name] = HostAccount(answer, known, judge_files(answer, known))
            else:
                found[name] = answer
        return found

    def _survey(self, name: str) -> Survey | ClassroomError | AssertionError:
        """Check the program's digest with Debian's own tools, then run it."""
        remote = self._remotes[name]
        try:
            shown = remote.host.check_output(f"/usr/bin/sha256sum {shlex.quote(PROGRAM)}").split()[0]
            wanted = hashlib.sha256(SOURCE.read_bytes()).hexdigest()
            if shown != wanted:
                raise ClassroomError(
                    f"{name}: {PROGRAM} is not the program of this version ({shown[:12]}… instead of {wanted[:12]}…); run"
                    " `classroom configure`, and find out who changed it"
                )
            return read_survey(remote.listed_bytes("/usr/local/sbin/classroom-survey"), name)
        except (ClassroomError, AssertionError) as error:
            return error

    def _roles(self) -> dict[str, RoleState]:
        try:
            secrets = configure_secrets(self._target.stack)
        except ClassroomError:
            secrets = None  # the contents of secret files are reported as not proven
        try:
            classes = applied_inventory(self._target.stack)["all"]["vars"][CLASSES]
            whole = with_classes(self._target.inventory, classes)
        except ClassroomError:
            whole = self._target.inventory  # and those of files with the classes
        return role_states(whole, artifacts.shipped(), secrets)


def open_questions(machine: str, files: FileFindings) -> list[Sentence]:
    """Return what is not proven of a machine's files, for the report."""
    found = []
    for about, paths in files.unproven.items():
        if about == SECRETS:
            found.append(sentence("secrets-not-compared", host=machine, number=len(paths)))
        elif about == BOOT_LOADER:
            found.append(sentence("boot-loader-not-compared", host=machine, number=len(paths)))
        else:
            found.append(sentence("package-not-proven", host=machine, number=len(paths), package=about))
    return found


def only(proven: Proven, survey: Survey) -> Proven:
    """Return what is proven of the packages of one host."""
    keys = {PackageKey(*package) for package in survey.installed}
    return Proven(
        {key: contents for key, contents in proven.contents.items() if key in keys},
        {key: reason for key, reason in proven.unproven.items() if key in keys},
        proven.newest,
    )
