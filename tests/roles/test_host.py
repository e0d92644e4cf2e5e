"""Everything on a host is accounted for, and forty faults are each named by exactly their tests."""

import contextlib
import hashlib
import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from classroom.verify.deployment import ACCOUNT
from classroom.verify.hosts import debian_archive
from classroom.verify.hosts.accounting import PROGRAM
from classroom.verify.hosts.debian_archive import ArchiveError, Mirror, suites, verified
from rehearsal.rootfs import mirrors
from tests.roles.accounted_host import HOST, NOTHING, AccountedHost
from tests.roles.fleet import ADMINISTRATOR, Fleet, machine_network
from tests.roles.host_faults import FAULTS, KEPT
from tests.roles.play import DOMAIN, Authority, Play


@pytest.fixture(scope="module")
def account(fleet_of: Callable[..., Fleet]) -> AccountedHost:
    play = Play(fleet_of(HOST))
    play.run().good()
    play.user = ADMINISTRATOR
    return AccountedHost.of(play)


@pytest.fixture(scope="module")
def host(account: AccountedHost, login: Callable[..., Any]) -> Any:
    return login(account.play.fleet, HOST)


def test_everything_on_a_sound_host_is_accounted_for(account: AccountedHost) -> None:
    assert account.findings() == NOTHING


def test_every_role_file_is_on_the_host(account: AccountedHost) -> None:
    assert len(account.roles.files) > 200
    assert {"/etc/nginx/nginx.conf", "/usr/local/bin/livekit-server", PROGRAM} <= account.roles.files.keys()


def test_the_survey_takes_no_argument(account: AccountedHost, host: Any) -> None:
    refused = host.run(f"sudo -n -u {ACCOUNT} sudo -n {PROGRAM} /etc/shadow")
    assert refused.rc != 0
    assert host.run(f"{PROGRAM} /etc").rc != 0


def test_forty_faults_are_each_named_by_exactly_their_tests(account: AccountedHost, host: Any) -> None:
    assert len(FAULTS) >= 40
    host.check_output(f"mkdir -m 700 {KEPT}")
    try:
        for name, fault in FAULTS.items():
            done = host.run(fault.inject)
            assert done.rc == 0, f"{name}: {done.stderr}"
        found = account.findings()
    finally:
        left = {name: done.stderr for name, fault in reversed(FAULTS.items()) if (done := host.run(fault.revert)).rc}
        host.run(f"rmdir {KEPT}")
    assert left == {}, "faults that were not reverted"
    missed = [
        f"{name}: {kind}"
        for name, fault in FAULTS.items()
        for kind, pattern in fault.named.items()
        if not any(re.search(pattern, line) for line in found[kind])
    ]
    assert missed == [], found
    patterns = {kind: [f.named[kind] for f in FAULTS.values() if kind in f.named] for kind in NOTHING}
    patterns["files"].append(f"^{KEPT}")
    extra = {
        kind: [line for line in lines if not any(re.search(pattern, line) for pattern in patterns[kind])]
        for kind, lines in found.items()
    }
    assert extra == NOTHING, "lines that belong to no fault"
    assert account.findings() == NOTHING


def test_a_changed_release_is_refused() -> None:
    mirror = Mirror(suites(*mirrors()))
    (url, *_) = suites(*mirrors()).values()
    with machine_network():
        release = mirror.get(f"{url}/dists/{debian_archive.guest.CODENAME}/InRelease")
    keyring = debian_archive.find_keyring()
    assert "Codename: " in verified(release, keyring)
    with pytest.raises(ArchiveError):
        verified(release.replace(b"Codename: ", b"Codename:  ", 1), keyring)


CHANGES = """
f=$(find /srv/classroom/ -name '*.js' | sort | head -1); echo 'console.log(1)' >> "$f"
echo more > /srv/classroom/more.html; mkdir /srv/classroom-000000000000
echo '# more' >> /usr/local/lib/classroom-portal/portal/__main__.py
echo more > /usr/local/lib/classroom-portal/portal/more.py; chmod 0666 /usr/local/lib/classroom-portal/portal/__init__.py
echo '# more' >> /etc/nginx/nginx.conf; chmod 0666 /etc/classroom/livekit.yaml
cp -p /usr/local/bin/classroom-relay /root/r; echo more >> /root/r; mv /root/r /usr/local/bin/classroom-relay
echo 'PermitTunnel yes' > /etc/ssh/sshd_config.d/99-more.conf; rm /etc/sudoers.d/classroom-verifier
echo '# not ours' > /etc/cron.d/more
"""


def test_a_run_of_the_roles_restores_its_own_files_and_leaves_others(account: AccountedHost, host: Any) -> None:
    host.check_output(f"sh -c {shlex.quote(CHANGES)}")
    healed = account.play.run().good()
    assert healed.changed >= 6, healed.output
    assert host.check_output("ls /etc/cron.d/more") == "/etc/cron.d/more"
    assert [line.partition(":")[0] for line in account.findings()["files"]] == ["/etc/cron.d/more"]
    host.check_output("rm /etc/cron.d/more")
    assert account.play.run().good().changed == 0
    assert account.findings() == NOTHING


USE = """
systemctl start apt-daily.service apt-daily-upgrade.service systemd-tmpfiles-clean.service
journalctl --rotate --quiet; logger 'a day of use'
apt-get install --yes --quiet --reinstall less python3-minimal >/dev/null
systemctl restart unbound chrony ulogd2 nginx
"""


def test_it_stays_sound_after_updates_timers_and_a_new_certificate(account: AccountedHost, host: Any) -> None:
    host.check_output(f"sh -c {shlex.quote(USE)}")
    play = account.play
    play.vars["classroom_certificate"], play.extra["classroom_secret_certificate_key"] = Authority().issue(
        [DOMAIN, *play.turn_names.values()]
    )
    play.run("tls").good()
    assert AccountedHost.of(play).findings() == NOTHING


def test_the_disk_read_from_outside_is_what_the_host_says(account: AccountedHost) -> None:
    """Compare the survey with the same files, read by this machine below the host's own root folder."""
    survey = account.survey()
    root = root_of(HOST)
    differing = []
    for file in survey.files:
        if file.kind not in "fl" or not file.path.startswith(("/usr/", "/etc/", "/srv/", "/boot/", "/opt/", "/root/")):
            continue
        path = root / file.path.lstrip("/")
        found = str(path.readlink()) if file.kind == "l" else hashlib.sha256(path.read_bytes()).hexdigest()
        if found != file.content:
            differing.append(file.path)
    assert differing == []
    outside = {
        "/" + str(Path(folder, name).relative_to(root))
        for top in ("usr", "etc", "srv", "opt", "root")
        for folder, inner, names in os.walk(root / top)
        for name in [*inner, *names]
    }
    assert len(outside) > 5000
    assert outside - survey.by_path.keys() == set()


def root_of(name: str) -> Path:
    """Return a host's root folder, as its first process sees it and this machine reads it."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            root = process / "root"
            first = (process / "status").read_text().rpartition("NSpid:")[2].split("\n")[0].split()[-1] == "1"
            if first and (root / "etc/hostname").read_text().strip() == name and (root / "etc/classroom").is_dir():
                return root
    raise AssertionError(f"no process of the host {name} is found")
