"""Each role alone on a plain host: check mode, converge, idempotence, and the resulting state."""

import json
import re
import shlex
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as trials

from classroom.config import guest
from classroom.config.endpoints import faults_of
from classroom.config.guest import IMAGE_ACCOUNT
from classroom.config.ports import local_tls, port_number
from classroom.config.settings import RESERVED_ACCOUNTS, Settings, load
from tests.roles.fleet import Fleet
from tests.roles.play import CODES, CODES_KEY, DOMAIN, NEEDS, Play
from tests.roles.rendering import Rendered, render
from tests.unit.config.generated import accepted

SERVICES = {
    "base": ["chrony", "unbound"],
    "firewall": ["ulogd2"],
    "media": ["livekit", "relay"],
    "portal": ["portal"],
    "web": ["nginx"],
    "valkey": ["valkey-server"],
}
"""Services of each role."""
EXPOSURE = 40
"""Highest exposure of a service, ten times what `systemd-analyze security` shows."""
MOST_TASKS = 1024
ROLES = ("access", "acme", "base", "firewall", "tls", "media", "portal", "web", "valkey")


@pytest.fixture(scope="module")
def fleet(fleet_of: Callable[..., Fleet]) -> Fleet:
    return fleet_of(*(f"on-{role}" for role in ROLES))


@pytest.fixture(scope="module", params=ROLES)
def role(request: pytest.FixtureRequest, fleet: Fleet, login: Callable[..., Any]) -> tuple[str, Play, Any]:
    """Return a role's name, its play and its host, after the first run of the role."""
    name = request.param
    play = Play(fleet, hosts=[f"on-{name}"])
    if name == "valkey":
        play.extra["valkey_wanted"] = True
    play.run(name, check=True).good()
    first = play.run(name).good()
    assert first.changed > 0
    return name, play, login(fleet, f"on-{name}")


def test_second_run_changes_nothing(role: tuple[str, Play, Any]) -> None:
    name, play, _ = role
    second = play.run(name).good()
    assert second.changed == 0, second.output


def test_services_are_confined(role: tuple[str, Play, Any]) -> None:
    name, _, host = role
    for service in SERVICES.get(name, []):
        judged = host.run(f"systemd-analyze security --no-pager --threshold={EXPOSURE} {service}")
        assert judged.rc == 0, judged.stdout
        limits = host.check_output(f"systemctl show --property=MemoryMax,TasksMax {service}").splitlines()
        given = dict(line.split("=") for line in limits)
        assert given["MemoryMax"] != "infinity", f"{service} has no limit of memory"
        assert int(given["TasksMax"]) <= MOST_TASKS, f"{service} has no limit of its own for processes and threads"


def test_the_role_reaches_its_state(role: tuple[str, Play, Any], fleet: Fleet, login: Callable[..., Any]) -> None:
    name, play, host = role
    {
        "access": check_access,
        "acme": check_acme,
        "base": check_base,
        "firewall": check_firewall,
        "tls": check_tls,
        "media": check_media,
        "portal": check_portal,
        "web": check_web,
        "valkey": check_valkey,
    }[name](play, host)
    assert host.check_output("systemctl --failed --plain --no-legend") == ""


class Check(NamedTuple):
    """How the programs of a role check their own settings.

    `templates` are the role's, each with its group of machines; `command` checks those in the folder `$d` on the role's host;
    `damage` (pattern, replacement) makes the settings with the longest domain invalid, which proves that the command finds faults.
    """

    templates: dict[str, str]
    command: str
    damage: tuple[str, str]


CHECKS = {
    "web": Check({"nginx.conf.j2": "front"}, "nginx -t -q -c $d/nginx.conf", (r".*hash_bucket_size.*\n", "")),
    "base": Check(
        {"unbound.conf.j2": "front", "classroom.rpz.j2": "front", "chrony.conf.j2": "front"},
        "unbound-checkconf $d/unbound.conf && chronyd -p -f $d/chrony.conf && sshd -t && ssh-keygen -l -f $d/keys",
        ("forward-addr: .*", "forward-addr: nowhere"),
    ),
    "firewall": Check(
        {"nftables.conf.j2": "all"},
        # The role creates the accounts that its rules name.
        r"for a in $(grep -oP 'skuid \K[a-z]+' $d/nftables.conf | sort -u); do id $a || useradd --system $a; done;"
        " nft -c -f $d/nftables.conf",
        ("dport", "deport"),
    ),
    "media": Check(
        {"livekit.yaml.j2": "media"},
        f"livekit-server --config $d/livekit.yaml ports | grep -q '^{port_number('signal')} '",
        ("rtc:", "rct:"),
    ),
}
"""For each role with settings that depend on the stack file: how its programs check them themselves."""
RANDOM = 100
"""Number of random settings."""


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Settings, list[Rendered]]]:
    """Return random settings that the plan accepts, with the templates of all roles in CHECKS; the longest domain comes last."""
    found: list[Settings] = []

    @trials(
        deadline=None,
        max_examples=RANDOM,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(accepted())
    def collect(values: dict[str, Any]) -> None:
        found.append(load(values))
        assert faults_of(found[-1].endpoints) == []

    collect()
    templates = {name: (role, group) for role, check in CHECKS.items() for name, group in check.templates.items()}
    folder = tmp_path_factory.mktemp("rendered")
    found.sort(key=lambda settings: len(settings.domain))
    assert len(found) >= RANDOM and len(found[-1].domain) > 240
    return [(settings, list(render(settings, templates, folder))) for settings in found]


def write(folder: Path, settings: Settings, found: Rendered, damage: tuple[str, str] | None = None) -> None:
    """Write a template of a machine with what it refers to, for the folder of the same name on the host."""
    folder.mkdir(parents=True, exist_ok=True)
    here = f"/root/all/{folder.name}"
    text = found.text.replace("/etc/classroom/tls/fullchain.pem", f"{here}/chain.pem")
    text = text.replace("/etc/classroom/secrets/tls.key", f"{here}/tls.key").replace("/etc/unbound/", f"{here}/")
    if damage:
        text, count = re.subn(*damage, text)
        assert count
    (folder / found.template.removesuffix(".j2")).write_text(text)
    (folder / "chain.pem").write_text(f"{settings.certificate}\n")
    (folder / "tls.key").write_text(f"{settings.certificate_key.get_secret_value()}\n")
    (folder / "keys").write_text("".join(f"{admin.public_key}\n" for admin in settings.admins))


def test_what_the_plan_accepts_passes_the_checks_of_the_programs_on_the_hosts(
    role: tuple[str, Play, Any], fleet: Fleet, rendered: list[tuple[Settings, list[Rendered]]], tmp_path: Path
) -> None:
    name, _, _ = role
    if name not in CHECKS:
        return  # its settings do not depend on the stack file
    check = CHECKS[name]
    for number, (settings, texts) in enumerate(rendered):
        for found in texts:
            if found.template in check.templates:
                write(tmp_path / "all" / f"{number:03}-{found.machine}", settings, found)
    for found in texts:
        if found.template == next(iter(check.templates)):
            write(tmp_path / "all" / "damaged", settings, found, check.damage)
    folders = len(list((tmp_path / "all").iterdir()))
    with tarfile.open(tmp_path / "all.tar", "w") as tar:
        tar.add(tmp_path / "all", "all")
    each = f'{{ {check.command}; }} >/tmp/out 2>&1 || {{ echo "$d"; cat /tmp/out; }}; n=$((n + 1))'
    script = f"set -u; rm -rf /root/all; tar -x -C /root; n=0; for d in /root/all/*; do {each}; done; rm -rf /root/all; echo $n"
    words = ["ssh", "-F", str(fleet.ssh_config), "-l", fleet.account(f"on-{name}"), f"on-{name}", "sudo", "sh", "-c"]
    with (tmp_path / "all.tar").open("rb") as archive:
        answer = subprocess.run([*words, shlex.quote(script)], stdin=archive, capture_output=True, check=False)
    output = answer.stdout.decode(errors="replace")
    refused = re.findall(r"^/root/all/(\S+)$", output, re.M)
    assert refused == ["damaged"] and output.splitlines()[-1:] == [str(folders)], output[:4000] + str(answer.stderr)


def test_the_accounts_of_the_guest_are_taken(role: tuple[str, Play, Any]) -> None:
    """No administrator gets the name of an account or group that exists on a host with the packages of the roles."""
    _, play, host = role
    present = set(host.check_output("cut -d : -f 1 /etc/passwd /etc/group").split())
    own = {admin["name"] for admin in play.vars["classroom_admins"]}
    assert present - own - guest.TAKEN_NAMES - RESERVED_ACCOUNTS == set()


def check_access(play: Play, host: Any) -> None:
    assert host.check_output("ls /etc/ssh/authorized_keys.d").split() == ["ada", "verifier"]
    shells = host.check_output("getent passwd | grep -v -e nologin -e /bin/sync -e /bin/false | cut -d : -f 1 | sort")
    assert shells.split() == ["ada", "root", "verifier"]


def check_acme(play: Play, host: Any) -> None:
    """Without an ACME server there is nothing of it; test_acme.py tries it with one."""
    assert host.run("systemctl cat acme.service acme.timer").rc != 0
    assert not host.package("certbot").is_installed


def check_base(play: Play, host: Any) -> None:
    for account, groups in {"ada": ["ada", "classroom-admins"], "verifier": ["verifier"]}.items():
        assert sorted(host.user(account).groups) == groups
        assert host.user(account).password.startswith(("!", "*"))
        keys = host.file(f"/etc/ssh/authorized_keys.d/{account}")
        assert (keys.user, keys.group, keys.mode) == ("root", "root", 0o644)
        assert keys.content_string.strip() == play.vars["classroom_admins"][0]["public_key"]
    # The image's account remains open until role access has verified an administrator's login.
    assert host.check_output("ls /etc/ssh/authorized_keys.d").split() == ["ada", IMAGE_ACCOUNT, "verifier"]
    settings = set(host.check_output("/usr/sbin/sshd -T").splitlines())
    assert {"authorizedkeysfile /etc/ssh/authorized_keys.d/%u", "authorizedkeyscommand none"} <= settings
    assert {"trustedusercakeys none", "permituserrc no", "permituserenvironment no"} <= settings
    assert {"passwordauthentication no", "kbdinteractiveauthentication no", "permitrootlogin no"} <= settings
    assert "authenticationmethods publickey" in settings
    assert host.package("unattended-upgrades").is_installed
    for timer in ("apt-daily.timer", "apt-daily-upgrade.timer"):
        assert host.service(timer).is_enabled
        assert host.service(timer).is_running
    tried = host.check_output("unattended-upgrade --dry-run --debug 2>&1")
    (allowed,) = (line for line in tried.splitlines() if line.startswith("Allowed origins are:"))
    assert f"{guest.CODENAME}-security" in allowed
    assert f"{guest.CODENAME}," not in allowed and "-updates" not in allowed
    assert ":5355" not in host.check_output("ss -H -l -n -t -u")
    assert listens(host, "unbound") == {(protocol, "127.0.0.1:53") for protocol in ("tcp", "udp")}
    assert starts(host, "chrony") == starts(host, "unbound") == 1


def starts(host: Any, unit: str) -> int:
    """Return how often a service was started; more than once means that it first ran with its package's settings."""
    return int(host.check_output("journalctl -o cat _PID=1 UNIT=%s.service | grep -c '^Started '", unit))


def check_firewall(play: Play, host: Any) -> None:
    rules = json.loads(host.check_output("nft -j list table inet classroom"))["nftables"]
    chains = {(r["chain"]["hook"], r["chain"]["policy"], r["chain"]["type"]) for r in rules if "chain" in r}
    assert chains == {("input", "drop", "filter"), ("output", "drop", "filter")}
    counters = {r["counter"]["name"] for r in rules if "counter" in r}
    assert counters >= {"ssh", "http", "https", "turn_udp", "ice_tcp", "ice_udp", "invalid", "dropped"}
    assert counters >= {"out_dns", "out_ntp", "out_packages", "out_metadata", "out_dropped", "media_dropped"}
    assert host.service("ulogd2").is_running
    assert starts(host, "ulogd2") == 1
    assert host.service("nftables").is_enabled


def check_tls(play: Play, host: Any) -> None:
    assert host.file("/etc/classroom/tls/fullchain.pem").content_string == play.vars["classroom_certificate"]
    key = host.file("/etc/classroom/secrets/tls.key")
    assert (key.user, key.group, key.mode) == ("root", "root", 0o640)
    assert not login_can_read(host, "/etc/classroom/secrets/tls.key")


def login_can_read(host: Any, path: str) -> bool:
    return bool(host.run(f"su -s /bin/sh nobody -c 'cat {path}'").rc == 0)


def check_media(play: Play, host: Any) -> None:
    assert host.service("livekit").is_enabled
    listening = listens(host, "livekit-server")
    address4, address6 = (getattr(play.fleet.hosts["on-media"], f"address{v}") for v in (4, 6))
    assert listening == {
        ("tcp", f"127.0.0.1:{port_number('signal')}"),
        ("tcp", f"*:{port_number('ice-tcp')}"),
        *(("udp", f"{a}:{port_number('ice-udp')}") for a in (address4, f"[{address6}]")),
    }
    assert listens(host, "classroom-relay") == {
        (protocol, f"{a}:{port_number(port)}")
        for a in (address4, f"[{address6}]")
        for protocol, port in (("udp", "turn-udp"), ("tcp", "turn-tls"))
    }
    keys = host.file("/etc/classroom/secrets/livekit-keys")
    assert (keys.user, keys.group, keys.mode) == ("root", "livekit", 0o640)
    shared = {name: host.file(f"/etc/classroom/secrets/{name}") for name in ("relay", "livekit-relay")}
    assert {name: (one.user, one.group, one.mode) for name, one in shared.items()} == {
        "relay": ("root", "relay", 0o640),
        "livekit-relay": ("root", "livekit", 0o640),
    }
    assert shared["relay"].content_string == shared["livekit-relay"].content_string
    assert shared["relay"].content_string.strip() not in host.check_output(
        "cat /etc/classroom/*.yaml /etc/classroom/*.json"
    )
    assert play.secret not in host.check_output("cat /etc/classroom/livekit.yaml /etc/systemd/system/livekit.service")
    exposure = json.loads(host.check_output("systemd-analyze security --no-pager --json=short livekit"))
    assert {e["name"]: e["set"] for e in exposure}["NoNewPrivileges="] is True


def listens(host: Any, program: str) -> set[tuple[str, str]]:
    lines = [line.split() for line in host.check_output("ss -H -l -n -t -u -p").splitlines()]
    return {(line[0], line[4]) for line in lines if f'"{program}"' in line[-1]}


def check_portal(play: Play, host: Any) -> None:
    assert host.service("portal").is_enabled
    assert listens(host, "python3") == {("tcp", f"127.0.0.1:{port_number('portal')}")}
    secrets = host.file("/etc/classroom/secrets/portal.json")
    assert (secrets.user, secrets.group, secrets.mode) == ("root", "portal", 0o640)
    assert json.loads(secrets.content_string) == {"livekit_secret": play.secret}
    settings = json.loads(host.file("/etc/classroom/portal.json").content_string)
    assert settings["domain"] == DOMAIN and settings["classes"] == play.vars["classroom_classes"]
    key = host.file("/etc/classroom/secrets/class-codes.key")
    assert (key.user, key.group, key.mode, key.content_string.strip()) == ("portal", "portal", 0o600, CODES_KEY)
    # The group reads the secret of the media servers' API, but not the key, which is the service's own.
    for account, path, readable in (
        ("nobody", secrets.path, True),
        ("nobody", key.path, False),
        ("portal", key.path, True),
    ):
        assert (host.run(f"setpriv --reuid={account} --regid=portal --clear-groups cat {path}").rc == 0) is readable
    place = f"http://127.0.0.1:{port_number('portal')}/api/join"
    for role, code in CODES.items():
        job = json.dumps({"code": code, "name": "Ada"})
        answer = host.check_output(f"curl -s --json '{job}' {place}")
        assert json.loads(answer)["role"] == role
    assert host.file("/usr/local/lib/classroom-portal").is_symlink


def check_web(play: Play, host: Any) -> None:
    assert NEEDS["web"] == ["tls"]
    public = {
        ("tcp", f"{address}:{port_number(port)}") for address in ("0.0.0.0", "[::]") for port in ("http", "https")
    }
    assert listens(host, "nginx") == public | {("tcp", f"127.0.0.1:{port}") for port in local_tls(1)}
    here = " ".join(f"--resolve {DOMAIN}:{port_number(port)}:127.0.0.1" for port in ("http", "https"))
    fetch = f"curl -s -i --cacert /etc/classroom/tls/fullchain.pem {here}"
    page = host.check_output(f"{fetch} https://{DOMAIN}/").replace("\r", "")
    assert page.startswith("HTTP/1.1 200")
    for header in (
        "Content-Security-Policy: default-src 'none'",
        "Strict-Transport-Security:",
        "Referrer-Policy: no-referrer",
    ):
        assert header in page
    assert "unsafe" not in page
    onward = host.check_output(f"{fetch} http://{DOMAIN}/x").replace("\r", "")
    assert onward.startswith("HTTP/1.1 301") and f"Location: https://{DOMAIN}/x\n" in onward
    assert host.run(f"{fetch} https://{DOMAIN}/.complete").stdout.startswith("HTTP/1.1 404")
    assert (
        host.run(
            f"curl -s --insecure --resolve other.example:{port_number('https')}:127.0.0.1 https://other.example/"
        ).rc
        == 35
    )
    assert host.file("/var/log/nginx/access.log").size == 0  # the package creates it


def check_valkey(play: Play, host: Any) -> None:
    assert host.service("valkey-server").is_enabled
    address = play.fleet.hosts["on-valkey"].address4
    assert listens(host, "valkey-server") == {("tcp", f"{address}:{port_number('valkey')}")}
    assert starts(host, "valkey-server") == 1
    assert "NOAUTH" in host.check_output(f"valkey-cli -h {address} ping")
    secret = host.file("/etc/classroom/secrets/valkey.conf")
    assert (secret.user, secret.group, secret.mode) == ("root", "valkey", 0o640)
    password = secret.content_string.split()[3].removeprefix(">")
    assert host.check_output(f"valkey-cli -h {address} --no-auth-warning -a {password} ping") == "PONG"
    for command in (
        "config get save",
        "keys x",
        "flushall",
        "acl list",
        "replicaof no one",
        "shutdown",
    ):
        answer = host.run(f"valkey-cli -h {address} --no-auth-warning -a {password} {command}")
        assert answer.stdout.startswith("NOPERM"), (command, answer.stdout)
    assert host.check_output("ls -A /var/lib/valkey") == ""  # nothing is written to the disk
    # With a single media host, Valkey is stopped.
    assert play.run("valkey", valkey_wanted=False).good().changed
    assert listens(host, "valkey-server") == set()
    assert not host.package("valkey-server").is_installed and not host.user("valkey").exists
    assert host.check_output("find /etc /var/lib/valkey /var/log -name '*valkey*' 2>/dev/null || true") == ""
    assert not secret.exists
    assert play.run("valkey", valkey_wanted=False).good().changed == 0
