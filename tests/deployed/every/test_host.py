"""Everything on each machine is accounted for: files, units, processes, mounts, accounts, sockets, kernel modules, versions."""

import pytest

from classroom.config.guest import IMAGE_ACCOUNT
from classroom.verify.deployment import ACCOUNT, Deployment
from classroom.verify.hosts.accounting import EXPOSED, Accounting, open_questions
from classroom.verify.hosts.debian_archive import PackageKey, outdated
from classroom.verify.hosts.host_judgement import (
    judge_accounts,
    judge_modules,
    judge_mounts,
    judge_processes,
    judge_sockets,
    judge_units,
)
from classroom.verify.pytest_plugin import Verification
from classroom.verify.ssh import RemoteHost

SHOWN = 40
"""Faults of one kind that a message lists."""


def none(faults: list[str], what: str, every: RemoteHost) -> None:
    """Assert that there are no faults; the message names them."""
    shown = "\n".join(faults[:SHOWN]) + (f"\n… and {len(faults) - SHOWN} more" if len(faults) > SHOWN else "")
    assert not faults, f"{what} of {every.machine.name} that are not accounted for ({len(faults)}):\n{shown}"


def admins(target: Deployment) -> list[str]:
    return [admin["name"] for admin in target.vars["classroom_admins"]]


def test_every_file_is_accounted_for(every: RemoteHost, accounting: Accounting, verification: Verification) -> None:
    """A file is that of a package or a role, follows from such files, or is one that a running Debian writes."""
    found = accounting.of(every.machine.name).files
    for question in open_questions(every.machine.name, found):
        verification.leave_open(question)
    none(found.faults, "files", every)


def test_every_unit_is_accounted_for(every: RemoteHost, accounting: Accounting) -> None:
    host = accounting.of(every.machine.name)
    none(judge_units(host.survey, host.files), "units", every)


def test_every_process_is_accounted_for(every: RemoteHost, accounting: Accounting, target: Deployment) -> None:
    host = accounting.of(every.machine.name)
    kept = [ACCOUNT, *admins(target)]
    none(judge_processes(host.survey, host.known, host.files, kept), "processes", every)


def test_every_mount_is_accounted_for(every: RemoteHost, accounting: Accounting) -> None:
    host = accounting.of(every.machine.name)
    none(judge_mounts(host.survey, host.known), "mounts", every)


def test_every_account_is_accounted_for(every: RemoteHost, accounting: Accounting, target: Deployment) -> None:
    host = accounting.of(every.machine.name)
    none(judge_accounts(host.survey, host.known, IMAGE_ACCOUNT, admins(target), ACCOUNT), "accounts", every)


def test_every_socket_is_accounted_for(every: RemoteHost, accounting: Accounting) -> None:
    """Raw sockets, and Unix sockets that accept connections; TCP and UDP have a test of their own."""
    none(judge_sockets(accounting.of(every.machine.name).survey), "sockets", every)


@pytest.mark.own_kernel
def test_every_kernel_module_is_accounted_for(every: RemoteHost, accounting: Accounting) -> None:
    host = accounting.of(every.machine.name)
    none(judge_modules(host.survey, host.known), "kernel modules", every)


def test_exposed_packages_have_the_security_updates(every: RemoteHost, accounting: Accounting) -> None:
    """Compare installed versions with the mirror's signed list of security updates."""
    host = accounting.of(every.machine.name)
    installed = [PackageKey(*package) for package in host.survey.installed if package[0] in EXPOSED]
    assert {"openssh-server", "sudo"} <= {key.name for key in installed}
    waiting = [
        f"{key}: {newest} is in the security archive"
        for key in installed
        if (newest := outdated(key, host.known.proven.newest))
    ]
    none(waiting, "packages", every)
