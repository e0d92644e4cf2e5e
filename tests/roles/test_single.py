"""The whole site.yml on one host: an open class, and later runs while a class is live."""

import json
import re
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from classroom.config.ports import local_tls, port_number
from classroom.verify.browsers.browser import AUTHORITIES, Meeting
from classroom.verify.browsers.client_network import Client
from classroom.verify.browsers.kinds import FIREFOX
from classroom.verify.browsers.media_assertions import ENOUGH_SHORT, SHORT, Pair, assert_both_receive
from classroom.verify.network.turn import WORD, Turn, exceeded_limits
from tests.roles.fleet import CLIENT4, CLIENT6, Fleet
from tests.roles.participant import participant
from tests.roles.play import ANSIBLE, CODES, DOMAIN, Authority, Play
from tests.roles.probes import counted, listening, mapped_address, served, stun

TURN = f"turn.{DOMAIN}"


@pytest.fixture(scope="module")
def play(fleet_of: Callable[..., Fleet]) -> Play:
    """Return the play of one host after a run in check mode and a run that opened the class."""
    play = Play(fleet_of("class"))
    play.run(check=True).good()
    opened = play.run().good()
    assert opened.changed > 20
    return play


@pytest.fixture(scope="module")
def host(play: Play, login: Callable[..., Any]) -> Any:
    return login(play.fleet, "class")


def test_second_run_changes_nothing(play: Play) -> None:
    again = play.run().good()
    assert again.changed == 0, again.output
    check = play.run(check=True).good()
    assert check.changed == 0, check.output


def test_a_check_by_hand_needs_no_secret(play: Play) -> None:
    given, play.extra = play.extra, {}
    check = play.run(check=True)
    play.extra = given
    assert check.good().changed == 0, check.output


def test_exactly_these_ports_listen(play: Play, host: Any) -> None:
    address4, address6 = play.fleet.hosts["class"].address4, f"[{play.fleet.hosts['class'].address6}]"
    own = {("tcp", f"127.0.0.1:{port}") for port in (port_number("signal"), port_number("portal"), *local_tls(1))}
    resolver = {(protocol, a) for protocol in ("tcp", "udp") for a in (f"127.0.0.1:{port_number('resolver')}",)}
    public = {("tcp", f"{a}:{port_number(port)}") for a in ("0.0.0.0", "[::]") for port in ("ssh", "http", "https")}
    public |= {("tcp", f"*:{port_number('ice-tcp')}")}
    media = {
        (kind, f"{a}:{port_number(port)}")
        for a in (address4, address6)
        for kind, port in (("udp", "turn-udp"), ("udp", "ice-udp"), ("tcp", "turn-tls"))
    }
    assert listening(host) == own | resolver | public | media


def test_the_firewall_counts_what_it_drops(play: Play, host: Any) -> None:
    for target in (play.fleet.hosts["class"].address4, play.fleet.hosts["class"].address6):
        before = counted(host, "dropped")
        with pytest.raises(TimeoutError):
            socket.create_connection((target, port_number("turn-tls")), timeout=0.5)
        assert counted(host, "dropped") > before


@pytest.mark.parametrize("source", [CLIENT4, CLIENT6])
def test_stun_answers_by_udp(play: Play, source: str) -> None:
    host = play.fleet.hosts["class"]
    six = ":" in source
    with socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.bind((source, 0))
        client.sendto(stun(), (host.address6 if six else host.address4, port_number("turn-udp")))
        assert mapped_address(client.recv(1500)) == source


def test_turn_shares_port_443_by_name(play: Play) -> None:
    with served(play, TURN) as connection:
        connection.sendall(stun())
        # LiveKit sees nginx, not the participant: the address in the answer is the host's own.
        assert mapped_address(connection.recv(1500)) == play.fleet.hosts["class"].address4
    with served(play, DOMAIN) as connection:
        connection.sendall(b"GET /api/health HTTP/1.1\r\nHost: " + DOMAIN.encode() + b"\r\nConnection: close\r\n\r\n")
        assert connection.recv(15) == b"HTTP/1.1 200 OK"
    with pytest.raises(ssl.SSLError):
        served(play, "other.example")


def test_a_class_meets(play: Play) -> None:
    with (
        participant(play.fleet, "class", "Xanthippe") as first,
        participant(play.fleet, "class", "Zebulon", "pupil") as second,
    ):
        assert (first["room"], second["others"]) == ("cm2", ["Xanthippe"])
    assert (first["lost"], second["lost"]) == ([], [])
    address4, address6 = play.fleet.hosts["class"].address4, play.fleet.hosts["class"].address6
    own = {f"turn:{a}:{port_number('turn-udp')}?transport=udp" for a in (address4, f"[{address6}]")}
    assert set(first["servers"]) == own | {f"turns:{TURN}:{port_number('https')}?transport=tcp"}


def test_firefox_and_chromium_meet_through_tcp_443_alone(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(AUTHORITIES, str(play.fleet.state / "authority.pem"))
    there = (socket.AF_INET, socket.SOCK_STREAM, 0, "", (play.fleet.hosts["class"].address4, port_number("https")))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [there])  # the fleet has no DNS records of the class
    with (
        Client(v4=True, v6=False, only_443=True, names=[DOMAIN, TURN]) as client,
        Meeting(f"https://{DOMAIN}") as meeting,
    ):
        teacher = meeting.enter(CODES["teacher"], client, kind=FIREFOX)
        pupil = meeting.enter(CODES["pupil"], client)
        people = [teacher, pupil]
        first = {teacher.name: teacher.sees(pupil), pupil.name: pupil.sees(teacher)}
        seen = meeting.watch(people, SHORT, of=people)
        assert_both_receive(
            Pair(teacher, pupil, first, {teacher.name: seen[0], pupil.name: seen[1]}), SHORT, ENOUGH_SHORT
        )
        teacher.page.click("[data-testid=screen]")
        assert pupil.shows(teacher.screen, 20), teacher.console
        for person in people:
            found = person.connections()["pairs"]
            assert found and all(pair["relay"] == "tls" for pair in found), found
            assert person.hosts == {DOMAIN}
        assert client.dropped()["dropped_udp"] > 0


@pytest.mark.parametrize("family", ["address4", "address6"])
def test_a_pupils_relay_reaches_only_the_media_port(play: Play, host: Any, family: str) -> None:
    own = getattr(play.fleet.hosts["class"], family)
    with participant(play.fleet, "class") as attending:
        assert exceeded_limits(own, attending["turn"]) == []
        relay = Turn(own, port_number("turn-udp"), attending["turn"])
        try:
            relay.allocate()
            assert relay.permit(own, port_number("ice-udp")) == ""
            before, relays = counted(host, "media_dropped"), counted(host, "media_relay")
            relay.send(own, port_number("turn-udp"), WORD)
            relay.send(own, port_number("ice-udp"), WORD)
            relay.permit(own, port_number("ice-udp"))  # answered after both were sent
            # The relay itself refuses the first packet; the firewall would drop it.
            assert (counted(host, "media_dropped"), counted(host, "media_relay")) == (before, relays + 1)
        finally:
            relay.close()
    assert attending["lost"] == []


def test_no_log_names_a_participant(play: Play, host: Any) -> None:
    """After the class of the test above, no log contains a participant's address or pseudonym."""
    everything = "{ journalctl --no-pager --output=verbose --all; tar -c -f - /var/log --exclude=/var/log/journal; }"
    host.check_output(f"logger 'canary: {CLIENT4} Nebuchadnezzar'")
    assert int(host.check_output(f"{everything} 2>/dev/null | grep --text --count -e Nebuchadnezzar")) >= 1
    for trace in (CLIENT4, CLIENT6, "Zebulon", "Xanthippe"):
        found = host.run(
            f"{everything} 2>/dev/null | grep --text -e '{trace}' | grep --text --invert-match -e canary: -e COMMAND= -e Invoked"
        )
        assert found.stdout == "", trace


def test_livekit_cannot_log_an_address(host: Any) -> None:
    patterns = host.check_output("systemctl cat livekit | grep ^LogFilterPatterns=").splitlines()
    messages = ["plain words", f"from {CLIENT4}:50000", f"from [{CLIENT6}]:50000", "from fe80::1%eth0"]
    options = " ".join(f"-p '{pattern}'" for pattern in patterns)
    script = "; ".join(f"echo {line!r}" for line in messages)
    host.check_output(f"systemd-run --wait --unit=filter-check {options} sh -c {json.dumps(script)}")
    logged = host.check_output(
        "journalctl --sync; journalctl --no-pager --output=cat --unit=filter-check _TRANSPORT=stdout"
    )
    assert logged.splitlines() == ["plain words"]


def test_only_their_services_read_secrets(play: Play, host: Any) -> None:
    places = "/etc /home /opt /root /run /srv /tmp /usr/local /var"
    # The secret must not be an argument of a command: sudo logs arguments.
    host.check_output("sed 's/.*: //' /etc/classroom/secrets/livekit-keys | install -m 644 /dev/stdin /run/sought")
    assert host.file("/run/sought").content_string.strip() == play.secret
    search = f"grep -r --files-with-matches --devices=skip -f /run/sought {places} --exclude=sought 2>/dev/null"
    assert sorted(host.run(search).stdout.split()) == [
        "/etc/classroom/secrets/livekit-keys",
        "/etc/classroom/secrets/portal.json",
    ]
    assert sorted(host.run(search.replace("/run/sought", "/etc/classroom/secrets/class-codes.key")).stdout.split()) == [
        "/etc/classroom/secrets/class-codes.key",
    ]
    unprivileged = f"setpriv --reuid=nobody --regid=nogroup --clear-groups {search}"
    assert host.run(unprivileged).stdout == ""
    for source in ("cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ", "journalctl --no-pager --all --output=verbose"):
        assert host.run(f"{source} 2>/dev/null | grep --text --count -f /run/sought").stdout.strip() == "0"
    host.check_output("rm /run/sought")


def test_a_live_class_is_not_interrupted(play: Play, host: Any) -> None:
    def state() -> tuple[str, str]:
        return host.check_output("systemctl show --value -p MainPID livekit"), host.check_output(
            "sha256sum /etc/classroom/livekit.yaml"
        )

    before = state()
    with participant(play.fleet, "class") as attending:
        assert play.run("media").good().changed == 0
        refused = play.run("media", media_relay_last=31000)
        assert refused.status == 2
        assert re.search(r"\bclass\b.*\bcm2\b", refused.output), refused.output
        assert re.search(r"wait .*force", refused.output), refused.output
        assert state() == before
    assert attending["lost"] == []
    with participant(play.fleet, "class") as attending:
        play.run("media", media_relay_last=31000, classroom_force="true").good()
        assert state()[0] != before[0]
    assert attending["lost"]
    play.run("media").good()


def test_a_new_certificate_disconnects_no_participant(play: Play, host: Any) -> None:
    def number(name: str) -> str:
        with served(play, name) as connection:
            certificate = connection.getpeercert()
            assert certificate
            return str(certificate["serialNumber"])

    before = number(DOMAIN)
    assert number(TURN) == before
    authority = Authority()
    chain, key = authority.issue([DOMAIN, TURN], days=20)
    old = play.vars["classroom_certificate"]
    old_key = play.extra["classroom_secret_certificate_key"]
    with participant(play.fleet, "class") as attending, served(play, TURN) as relayed:
        play.vars["classroom_certificate"], play.extra["classroom_secret_certificate_key"] = chain, key
        changed = play.run("tls").good()
        assert re.search(r"TASK \[tls : Certificate WARNING: .*\d{4}-\d\d-\d\d.*\b20 days", changed.output)
        (play.fleet.state / "authority.pem").write_text(authority.pem)
        assert number(DOMAIN) != before
        assert number(TURN) == number(DOMAIN)
        relayed.sendall(stun())
        assert mapped_address(relayed.recv(1500))
    assert attending["lost"] == []
    play.vars["classroom_certificate"], play.extra["classroom_secret_certificate_key"] = old, old_key
    (play.fleet.state / "authority.pem").write_text(old[old.rindex("-----BEGIN") :])
    play.run("tls").good()
    assert number(DOMAIN) == before


@pytest.mark.parametrize(
    ("names", "days", "message"),
    [
        ([DOMAIN], 90, f"certificate: is issued for {DOMAIN}, but not for {TURN}"),
        ([DOMAIN, TURN], -2, "expired on"),
    ],
)
def test_a_bad_certificate_is_refused_before_any_change(
    play: Play, host: Any, names: list[str], days: int, message: str
) -> None:
    good = play.vars["classroom_certificate"], play.extra["classroom_secret_certificate_key"]
    play.vars["classroom_certificate"], play.extra["classroom_secret_certificate_key"] = Authority().issue(names, days)
    refused = play.run("tls")
    play.vars["classroom_certificate"], play.extra["classroom_secret_certificate_key"] = good
    assert refused.status == 2 and re.search(message, refused.output), refused.output
    assert host.file("/etc/classroom/tls/fullchain.pem").content_string == good[0]


def test_a_rule_that_locks_out_the_administrator_is_refused(play: Play, host: Any) -> None:
    before = host.check_output("nft list ruleset | grep -v packets")
    refused = play.run("firewall", firewall_ssh_from=["198.51.100.0/24"])
    assert refused.status == 2
    assert re.search(r"ssh_from.*198\.51\.100\.0/24.* 203\.0\.113\.1\b", refused.output), refused.output
    assert host.check_output("nft list ruleset | grep -v packets") == before


def test_ssh_is_reachable_only_from_ssh_from(play: Play, host: Any) -> None:
    play.run("firewall", firewall_ssh_from=["203.0.113.0/24", "2001:db8:30::/64"]).good()
    for source, target in (
        (CLIENT4, play.fleet.hosts["class"].address4),
        (CLIENT6, play.fleet.hosts["class"].address6),
    ):
        with pytest.raises(TimeoutError):
            socket.create_connection((target, port_number("ssh")), timeout=0.5, source_address=(source, 0))
    for source, target in (
        ("203.0.113.1", play.fleet.hosts["class"].address4),
        ("2001:db8:30::1", play.fleet.hosts["class"].address6),
    ):
        socket.create_connection((target, port_number("ssh")), timeout=2, source_address=(source, 0)).close()
    play.run("firewall").good()


def test_the_verifier_has_exactly_its_rights(play: Play, login: Callable[..., Any]) -> None:
    verifier = login(play.fleet, "class", user="verifier")
    listed = (ANSIBLE / "roles" / "base" / "files" / "verifier-sudoers").read_text()
    commands = re.findall(r"^    (/.*?),? ?\\?$", listed, re.M)
    assert len(commands) >= 5
    for command in commands:
        # Two quotes mean in sudo's file that a command has no argument.
        done = verifier.run("sudo -n {} > /dev/null".format(command.removesuffix(' ""')))
        assert done.rc == 0, (command, done.stderr)
    codes = json.loads(verifier.check_output("sudo -n -u portal /usr/local/bin/classroom-verification-codes"))
    assert {"room", "teacher_code", "pupil_code", "expires"} <= set(codes)
    for command in (
        "/bin/sh",
        "/usr/sbin/nft flush ruleset",
        "/usr/bin/cat /etc/shadow",
        "/usr/bin/journalctl",
        "-u portal /bin/sh",
    ):
        assert verifier.run(f"sudo -n {command}").rc != 0, command
    for path in ("/etc/classroom/secrets/tls.key", "/etc/classroom/secrets/class-codes.key", "/etc/shadow"):
        assert verifier.run(f"cat {path}").rc != 0, path


def test_a_removed_administrator_loses_access(play: Play, host: Any, tmp_path: Path) -> None:
    ada = play.vars["classroom_admins"]
    play.vars["classroom_admins"] = [*ada, {"name": "bob", "public_key": ada[0]["public_key"]}]
    play.run("access").good()
    assert host.file("/etc/ssh/authorized_keys.d/bob").exists
    play.vars["classroom_admins"] = ada
    play.run("access").good()
    assert not host.user("bob").exists
    assert not host.file("/etc/ssh/authorized_keys.d/bob").exists
    assert host.file("/etc/ssh/authorized_keys.d/ada").exists


def test_the_next_run_completes_an_interrupted_run(play: Play, host: Any) -> None:
    """Ansible is killed after it wrote the portal's unit and before it restarted the portal: the next run restarts it."""
    play.cut_off("portal : Write program, settings, secrets and unit", portal_port=8095)
    assert ("tcp", "127.0.0.1:8095") not in listening(host)
    play.run(portal_port=8095, web_portal="127.0.0.1:8095").good()
    assert {a for _, a in listening(host)} >= {"127.0.0.1:8095"}
    play.run().good()


def test_livekit_is_restarted_after_an_interrupted_run(play: Play, host: Any) -> None:
    play.cut_off("media : Write settings, secrets and unit", media_relay_last=31000)
    before = host.check_output("systemctl show --value -p MainPID livekit")
    play.run("media", media_relay_last=31000).good()
    assert host.check_output("systemctl show --value -p MainPID livekit") != before
    play.run().good()
    assert play.run().good().changed == 0
