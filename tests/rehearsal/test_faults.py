"""Faults made by hand on the hosts of an open class: each turns exactly its own tests red, and nothing else."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from classroom.config.guest import IMAGE_ACCOUNT
from classroom.config.ports import port_number
from classroom.verify.deployment import Group, Target
from tests.rehearsal.quick_check import administer, look, red

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
    """What is done as root on the first machine of a group, how it is undone, and the tests that have to be red.

    `{m}` stands for the machine's name, `{domain}` for the class's.
    """

    group: Group
    do: str
    undo: str
    red: frozenset[str]


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
                "front/test_services_of_the_front_are_no_root[{m}]",
                "outside/test_the_portal_answers",
                "outside/test_a_wrong_code_opens_nothing",
                "outside/test_a_bad_name_is_refused",
            }
        ),
    ),
    "LiveKit is stopped": Fault(
        "media",
        "systemctl stop livekit",
        f"systemctl start livekit; for n in $(seq 50); do ss -Hltn sport = :{port_number('turn-tls')} | grep -q . && exit 0;"
        " sleep 0.2; done; exit 1",
        frozenset({"every/test_exactly_these_ports_listen[{m}]", "media/test_livekit_runs[{m}]"}),
    ),
    "a port is opened": Fault(
        "media",
        "nft insert rule inet classroom ingress tcp dport 8022 accept",
        "systemctl reload nftables",
        frozenset({"every/test_the_firewall_is_exactly_the_tables[{m}]"}),
    ),
    "something more listens": Fault(
        "media",
        "systemd-run --quiet --collect --uid=nobody --unit=fault-listener python3 -m http.server 8022;"
        " for n in $(seq 50); do ss -Hltn sport = :8022 | grep -q . && exit 0; sleep 0.2; done; exit 1",
        "systemctl stop fault-listener",
        frozenset({"every/test_exactly_these_ports_listen[{m}]"}),
    ),
    "the certificate's key is readable for all": Fault(
        "front",
        "chmod 0644 /etc/classroom/secrets/tls.key",
        "chmod 0640 /etc/classroom/secrets/tls.key",
        frozenset({"every/test_secrets_are_exactly_these[{m}]"}),
    ),
    "the certificate is swapped": Fault(
        "front",
        OWN_CERTIFICATE,
        GIVEN_CERTIFICATE,
        frozenset(
            {
                "front/test_certificate_is_the_given_one_and_in_date[{m}]",
                "outside/test_the_certificate_that_is_served_is_the_given_one[4]",
                "outside/test_the_certificate_that_is_served_is_the_given_one[6]",
                "outside/test_the_page_is_served_with_a_strict_policy",
                "outside/test_the_portal_answers",
                "outside/test_a_wrong_code_opens_nothing",
                "outside/test_a_bad_name_is_refused",
            }
        ),
    ),
    "the verifier's sudo is widened": Fault(
        "front",
        "umask 0337; echo 'verifier ALL=(root) NOPASSWD: /usr/bin/cat /etc/shadow' > /etc/sudoers.d/fault",
        "rm /etc/sudoers.d/fault",
        frozenset(
            {
                "every/test_the_verifier_may_do_exactly_what_is_listed[{m}]",
                "every/test_sudo_rights_are_exactly_these[{m}]",
            }
        ),
    ),
    "SSH takes passwords": Fault(
        "media",
        "echo 'PasswordAuthentication yes' > /etc/ssh/sshd_config.d/00-fault.conf",
        "rm /etc/ssh/sshd_config.d/00-fault.conf",
        frozenset({"every/test_ssh_takes_keys_only[{m}]"}),
    ),
    "the image's account gets its shell and groups back": Fault(
        "front",
        f"usermod --shell /bin/bash --append --groups sudo {IMAGE_ACCOUNT}",
        f"usermod --shell /usr/sbin/nologin --groups '' {IMAGE_ACCOUNT}",
        frozenset(
            {
                "every/test_accounts_that_can_log_in[{m}]",
                "every/test_accounts_with_an_ordinary_number[{m}]",
                "every/test_groups_that_give_rights[{m}]",
            }
        ),
    ),
    "an account more is in the administrators' group": Fault(
        "media",
        "useradd --shell /usr/sbin/nologin --groups classroom-admins mallory",
        "userdel mallory",
        frozenset({"every/test_accounts_with_an_ordinary_number[{m}]", "every/test_groups_that_give_rights[{m}]"}),
    ),
    "a home folder has a key": Fault(
        "media",
        "install -d -m 700 /root/.ssh; echo 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAA somebody' > /root/.ssh/authorized_keys",
        "rm /root/.ssh/authorized_keys",
        frozenset({"every/test_no_home_folder_has_keys[{m}]"}),
    ),
    "the SSH server reads keys in home folders": Fault(
        "media",
        "echo 'AuthorizedKeysFile .ssh/authorized_keys' > /etc/ssh/sshd_config.d/00-fault.conf",
        "rm /etc/ssh/sshd_config.d/00-fault.conf",
        frozenset({"every/test_ssh_takes_keys_only[{m}]"}),
    ),
    "a stranger has a key": Fault(
        "media",
        "echo 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAA stranger' > /etc/ssh/authorized_keys.d/stranger",
        "rm /etc/ssh/authorized_keys.d/stranger",
        frozenset({"every/test_keys_that_open_accounts[{m}]"}),
    ),
}


class Eyes:
    """Looks at the class; what was seen after one fault is what is there before the next."""

    def __init__(self, inventory: Path) -> None:
        self._inventory = inventory
        self.last: dict[str, str] | None = None

    def look(self) -> dict[str, str]:
        """Return the outcome of every test, looked at anew."""
        self.last = look(self._inventory)
        return self.last


@pytest.fixture(scope="module")
def eyes(inventory: Path) -> Eyes:
    return Eyes(inventory)


ALWAYS = frozenset(
    {
        "the portal is stopped",
        "a port is opened",
        "the certificate's key is readable for all",
        "the certificate is swapped",
        "the verifier's sudo is widened",
    }
)
"""The other faults are drills: each takes half a minute, as everything is looked at twice."""


@pytest.mark.parametrize(
    "name", [name if name in ALWAYS else pytest.param(name, marks=pytest.mark.drill) for name in FAULTS]
)
def test_a_fault_turns_exactly_its_tests_red(name: str, inventory: Path, eyes: Eyes) -> None:
    fault, target = FAULTS[name], Target.read(inventory)
    machine = target.group(fault.group)[0].name
    expected = {test.format(m=machine) for test in fault.red}
    before = eyes.last or eyes.look()
    assert red(before) == set()
    assert expected <= before.keys()
    administer(inventory, machine, fault.do.format(domain=target.domain))
    try:
        during = eyes.look()
    finally:
        administer(inventory, machine, fault.undo)
    assert red(during) == expected
    after = eyes.look()
    assert red(after) == set()
    assert after.keys() == before.keys()
