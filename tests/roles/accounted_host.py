"""Accounts for everything on a host of a fleet, as `classroom verify` does on a real one."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from classroom.config.guest import IMAGE_ACCOUNT
from classroom.configure.role_files import RoleState, role_states
from classroom.verify.deployment import ACCOUNT
from classroom.verify.hosts.accounting import PROGRAM
from classroom.verify.hosts.debian_archive import Mirror, PackageKey, Proven, prove, suites
from classroom.verify.hosts.file_judgement import Known, judge_files
from classroom.verify.hosts.host_judgement import (
    judge_accounts,
    judge_mounts,
    judge_processes,
    judge_sockets,
    judge_units,
)
from classroom.verify.hosts.host_survey import Survey, read_survey
from classroom.verify.hosts.written_files import load_rules
from rehearsal.rootfs import mirrors
from tests.roles.fleet import ADMINISTRATOR, machine_network
from tests.roles.image import files_of
from tests.roles.play import Play

HOST = "class"
NOTHING: Mapping[str, list[str]] = {
    kind: [] for kind in ("files", "units", "processes", "mounts", "accounts", "sockets")
}
"""Findings on a sound host."""


@dataclass
class AccountedHost:
    """The only host of a fleet, what the roles and the archive say of it, and its findings."""

    play: Play
    roles: RoleState
    proven: Proven | None = None

    @classmethod
    def of(cls, play: Play) -> "AccountedHost":
        """Return a host as the roles leave it with the play's present variables."""
        secrets = {name: value for name, value in play.extra.items() if name.startswith("classroom_secret_")}
        shipped = {name: value for name, value in play.extra.items() if name not in secrets}
        return cls(play, role_states(play.inventory(ADMINISTRATOR), shipped, secrets)[HOST])

    def survey(self) -> Survey:
        """Return the host's survey, made with the verifier's rights."""
        words = ["ssh", "-F", str(self.play.fleet.ssh_config), "-l", ACCOUNT, HOST, "sudo", "-n", PROGRAM]
        with self.play.fleet.network():
            answer = subprocess.run(words, capture_output=True, check=False)
        assert answer.returncode == 0, answer.stderr.decode()
        return read_survey(answer.stdout, HOST)

    def findings(self) -> dict[str, list[str]]:
        """Return the faults of each kind."""
        survey = self.survey()
        if self.proven is None:
            with machine_network():  # a fleet's own network has no way to the archive
                self.proven = prove([PackageKey(*p) for p in survey.installed], Mirror(suites(*mirrors())), "amd64")
        image = files_of(self.play.fleet.hosts[HOST])
        known = Known(self.proven, self.roles, load_rules(), image)
        files = judge_files(survey, known)
        assert files.unproven == {}
        return {
            "files": files.faults,
            "units": judge_units(survey, files),
            "processes": judge_processes(survey, known, files, [ACCOUNT, ADMINISTRATOR]),
            "mounts": judge_mounts(survey, known),
            "accounts": judge_accounts(survey, known, IMAGE_ACCOUNT, [ADMINISTRATOR], ACCOUNT),
            "sockets": judge_sockets(survey),
        }
