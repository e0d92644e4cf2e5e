"""Faults injected on the hosts of an open class: each makes exactly its own tests fail."""

import contextlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from classroom.config.guest import IMAGE_ACCOUNT
from classroom.config.ports import port_number
from classroom.verify.deployment import Deployment, Group
from tests.rehearsal.quick_check import details, failed, run_as_admin
from tests.roles.host_faults import FAULTS as HOST_FAULTS
from tests.roles.host_faults import KEPT, HostFault

OWN_CERTIFICATE = """
mkdir -p /root/fault && cp -p /etc/classroom/tls/fullchain.pem /etc/classroom/secrets/tls.key /root/fault/
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN={domain} \
  -addext 'subjectAltName=DNS:{domain},DNS:*.{domain}' -keyout /root/fault/new.key -out /root/fault/new.pem 2>/dev/null
cat /root/fault/new.pem > /etc/classroom/tls/fullchain.pem
cat /root/fault/new.key > /etc/classroom/secrets/tls.key
systemctl reload nginx
"""
GIVEN_CERTIFICATE = """
cat /root/fault/fullchain.pem > /etc/classroom/tls/fullchain.pem
cat /root/fault/tls.key > /etc/classroom/secrets/tls.key
rm -r /root/fault && systemctl reload nginx
"""


@dataclass(frozen=True)
class Fault:
    """Shell scripts that inject and revert a fault as root on the first machine of a group, and the tests that must fail.

    `named` are tests of everything on a host, each with a pattern of the line that names this fault; other faults may make the same
    tests fail. `{m}` is replaced by the machine's name, `{domain}` by the class's domain.
    """

    group: Group
    inject: str
    revert: str
    failing: frozenset[str] = frozenset()
    named: Mapping[str, str] = field(default_factory=dict)


def everything(**named: str) -> dict[str, str]:
    """Return the tests of everything on a host that name a fault: kind (`file`, `unit`, …) → pattern of its line."""
    return {f"every/test_every_{kind}_is_accounted_for[{{m}}]": pattern for kind, pattern in named.items()}


def of_host(name: str, fault: HostFault) -> Fault:
    """Return a fault of the table of forty, on a front."""
    kinds = {"processes": "process"}
    named = everything(**{kinds.get(kind, kind.removesuffix("s")): p for kind, p in fault.named.items()})
    inject = f"mkdir -p -m 700 {KEPT}\n{fault.inject}"
    # The faults of a group share the folder: the last one to go removes it.
    revert = f"{fault.revert}\n[ ! -d {KEPT} ] || rmdir --ignore-fail-on-non-empty {KEPT}"
    return Fault("front", inject, revert, ALSO.get(name, frozenset()), named)


ALSO = {
    "a key in the verifier's own folder": frozenset({"every/test_no_home_folder_has_keys[{m}]"}),
    "a setuid shell": frozenset({"every/test_no_file_is_world_writable_or_setuid[{m}]"}),
    "a key of the server": frozenset({"every/test_only_administrators_keys_open_accounts[{m}]"}),
}
"""Tests that name faults of the table of forty besides those of everything on a host."""


FAULTS = {
    "the portal is stopped": Fault(
        "front",
        "systemctl stop portal",
        "systemctl start portal; for n in $(seq 50); do"
        f" curl -fsS -o /dev/null http://127.0.0.1:{port_number('portal')}/api/health 2>/dev/null && exit 0; sleep 0.2; done; exit 1",
        frozenset(
            {
                "every/test_exactly_these_ports_listen[{m}]",
                "front/test_service_of_the_front_runs[{m}-portal]",
                "front/test_services_of_the_front_do_not_run_as_root[{m}]",
                "outside/test_the_portal_answers",
                "outside/test_a_wrong_code_is_refused",
                "outside/test_a_bad_name_is_refused",
            }
        ),
    ),
    "LiveKit is stopped": Fault(
        "media",
        "systemctl stop livekit",
        f"systemctl start livekit; for n in $(seq 50); do ss -Hltn sport = :{port_number('turn-tls')} | grep -q . && exit 0;"
        " sleep 0.2; done; exit 1",
        # The relay stops with LiveKit.
        frozenset(
            {
                "every/test_exactly_these_ports_listen[{m}]",
                "media/test_livekit_runs[{m}]",
                "media/test_relay_runs[{m}]",
            }
        ),
    ),
    "a port is opened": Fault(
        "media",
        "nft insert rule inet classroom ingress tcp dport 8022 accept",
        "systemctl reload nftables",
        frozenset({"every/test_the_firewall_has_exactly_the_declared_rules[{m}]"}),
    ),
    "an undeclared program listens": Fault(
        "media",
        "systemd-run --quiet --collect --uid=nobody --unit=fault-listener python3 -m http.server 8022;"
        " for n in $(seq 50); do ss -Hltn sport = :8022 | grep -q . && exit 0; sleep 0.2; done; exit 1",
        "systemctl stop fault-listener",
        frozenset({"every/test_exactly_these_ports_listen[{m}]"}),
        everything(unit="^fault-listener.service: ", file="^/run/systemd/transient/fault-listener.service: "),
    ),
    "the certificate's key is world-readable": Fault(
        "front",
        "chmod 0644 /etc/classroom/secrets/tls.key",
        "chmod 0640 /etc/classroom/secrets/tls.key",
        frozenset({"every/test_secrets_are_exactly_these[{m}]"}),
        everything(file="^/etc/classroom/secrets/tls.key: "),
    ),
    "the certificate is swapped": Fault(
        "front",
        OWN_CERTIFICATE,
        GIVEN_CERTIFICATE,
        frozenset(
            {
                "front/test_the_certificate_is_the_configured_one_and_valid[{m}]",
                "outside/test_the_served_certificate_is_the_configured_one[4]",
                "outside/test_the_served_certificate_is_the_configured_one[6]",
                "outside/test_the_page_is_served_with_a_strict_policy",
                "outside/test_every_file_of_the_page_is_what_was_built",
                "outside/test_the_pages_headers_are_those_of_the_roles",
                "outside/test_the_portal_answers",
                "outside/test_a_wrong_code_is_refused",
                "outside/test_a_bad_name_is_refused",
            }
        ),
        everything(file="^(/etc/classroom/(tls/fullchain.pem|secrets/tls.key)|/root/fault.*): "),
    ),
    "the verifier has more sudo rights": Fault(
        "front",
        "umask 0337; echo 'verifier ALL=(root) NOPASSWD: /usr/bin/cat /etc/shadow' > /etc/sudoers.d/fault",
        "rm /etc/sudoers.d/fault",
        frozenset(
            {
                "every/test_the_verifier_has_exactly_the_listed_rights[{m}]",
                "every/test_sudo_rights_are_exactly_these[{m}]",
            }
        ),
        everything(file="^/etc/sudoers.d/fault: "),
    ),
    "SSH accepts passwords": Fault(
        "media",
        "echo 'PasswordAuthentication yes' > /etc/ssh/sshd_config.d/00-fault.conf",
        "rm /etc/ssh/sshd_config.d/00-fault.conf",
        frozenset({"every/test_ssh_accepts_only_keys[{m}]"}),
        everything(file="^/etc/ssh/sshd_config.d/00-fault.conf: "),
    ),
    "the image's account gets its shell and groups back": Fault(
        "front",
        f"usermod --shell /bin/bash --append --groups sudo {IMAGE_ACCOUNT}",
        f"usermod --shell /usr/sbin/nologin --groups '' {IMAGE_ACCOUNT}",
        frozenset(
            {
                "every/test_only_declared_accounts_can_log_in[{m}]",
                "every/test_ordinary_accounts_are_only_the_declared_ones[{m}]",
                "every/test_only_administrators_are_in_privileged_groups[{m}]",
            }
        ),
        everything(account=f"^({IMAGE_ACCOUNT}|group sudo).*"),
    ),
    "an undeclared account is in the administrators' group": Fault(
        "media",
        "useradd --shell /usr/sbin/nologin --groups classroom-admins mallory",
        "userdel mallory",
        frozenset(
            {
                "every/test_ordinary_accounts_are_only_the_declared_ones[{m}]",
                "every/test_only_administrators_are_in_privileged_groups[{m}]",
            }
        ),
        everything(account="^(group )?(mallory|classroom-admins)|/etc/sub[ug]id: mallory"),
    ),
    "a home folder has a key": Fault(
        "media",
        "install -d -m 700 /root/.ssh; echo 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAA mallory' > /root/.ssh/authorized_keys",
        "rm /root/.ssh/authorized_keys",
        frozenset({"every/test_no_home_folder_has_keys[{m}]"}),
        everything(file="^/root/.ssh/authorized_keys: "),
    ),
    "the SSH server reads keys in home folders": Fault(
        "media",
        "echo 'AuthorizedKeysFile .ssh/authorized_keys' > /etc/ssh/sshd_config.d/00-fault.conf",
        "rm /etc/ssh/sshd_config.d/00-fault.conf",
        frozenset({"every/test_ssh_accepts_only_keys[{m}]"}),
        everything(file="^/etc/ssh/sshd_config.d/00-fault.conf: "),
    ),
    "an unknown key opens an account": Fault(
        "media",
        "echo 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAA unknown' > /etc/ssh/authorized_keys.d/unknown",
        "rm /etc/ssh/authorized_keys.d/unknown",
        frozenset({"every/test_only_administrators_keys_open_accounts[{m}]"}),
        everything(file="^/etc/ssh/authorized_keys.d/unknown: "),
    ),
}
TWELVE = {name: of_host(name, fault) for name, fault in HOST_FAULTS.items() if fault.every_time}
"""Faults of the table of forty that run each time; all of them run in the drills on a host of the role tests."""
FAULTS |= TWELVE


class QuickCheck:
    """Runs the quick check; the outcomes after one fault are those before the next."""

    def __init__(self, inventory: Path) -> None:
        self._inventory = inventory
        self.last: dict[str, str] | None = None
        self.messages: dict[str, str] = {}

    def run(self) -> dict[str, str]:
        """Run all tests again; return their outcomes by name."""
        found = details(self._inventory)
        self.last = {test: outcome for test, (outcome, _) in found.items()}
        self.messages = {test: message for test, (_, message) in found.items()}
        return self.last


@pytest.fixture(scope="module")
def quick_check(inventory: Path) -> QuickCheck:
    return QuickCheck(inventory)


ALWAYS = frozenset(
    {
        "the portal is stopped",
        "a port is opened",
        "the certificate is swapped",
        "the verifier has more sudo rights",
        *TWELVE,
    }
)
"""The other faults are drills: each group takes half a minute, as the quick check runs twice."""


def groups(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the names in groups that share one run: no test fails for two faults of a group, so each proves its own."""
    found: list[list[str]] = []
    for name in names:
        free = (group for group in found if all(apart(FAULTS[name], FAULTS[other]) for other in group))
        group = next(free, None)
        if group is None:
            found.append([name])
        else:
            group.append(name)
    return [tuple(group) for group in found]


def apart(one: Fault, other: Fault) -> bool:
    """Return whether the tests of two faults are different ones, on any machine; those in `named` say themselves for which they fail."""
    return not one.failing & (other.failing | other.named.keys()) and not other.failing & one.named.keys()


@pytest.mark.parametrize(
    "names",
    [
        *(pytest.param(group, id="; ".join(group)) for group in groups(n for n in FAULTS if n in ALWAYS)),
        *(
            pytest.param(group, id="; ".join(group), marks=pytest.mark.drill)
            for group in groups(n for n in FAULTS if n not in ALWAYS)
        ),
    ],
)
def test_faults_make_exactly_their_tests_fail(names: tuple[str, ...], inventory: Path, quick_check: QuickCheck) -> None:
    target = Deployment.read(inventory)
    machines = {name: target.group(FAULTS[name].group)[0].name for name in names}
    named = {name: {test.format(m=machines[name]): p for test, p in FAULTS[name].named.items()} for name in names}
    expected = {
        name: {test.format(m=machines[name]) for test in FAULTS[name].failing} | named[name].keys() for name in names
    }
    before = quick_check.last or quick_check.run()
    assert failed(before) == set()
    assert set().union(*expected.values()) <= before.keys()
    with contextlib.ExitStack() as reverts:
        for name in names:
            reverts.callback(run_as_admin, inventory, machines[name], FAULTS[name].revert)
            run_as_admin(inventory, machines[name], FAULTS[name].inject.format(domain=target.domain))
        during = failed(quick_check.run())
    unnamed = {
        (name, pattern)
        for name in names
        for test, pattern in named[name].items()
        if not any(re.search(pattern, re.sub(r"^E\s+", "", line)) for line in quick_check.messages[test].splitlines())
    }
    assert unnamed == set(), "faults that no line names"
    missed = {name: sorted(tests - during) for name, tests in expected.items() if tests - during}
    assert missed == {}, "faults that were not detected"
    assert during == set().union(*expected.values())
    after = quick_check.run()
    assert failed(after) == set()
    assert after.keys() == before.keys()
