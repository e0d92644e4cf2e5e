"""Egress of a host: only to the table of endpoints, over IPv4 and IPv6; dropped packets are counted and logged."""

import ipaddress
import json
import re
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from classroom.config.ports import RELAY, port_number
from classroom.verify.deployment import Deployment
from classroom.verify.network.firewall import effective, expected
from classroom.verify.text_diff import assert_same_lines
from tests.roles import outside
from tests.roles.fleet import CLIENT4, CLIENT6, Fleet
from tests.roles.play import Play

LEAK4, LEAK6 = outside.NAMES["leak.example"]
SEND = """
import socket, sys
kind, address, port, own = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, getattr(socket, "SOCK_" + kind))
s.settimeout(1)
s.bind(("", own))
try:
    where = address + "%host0" if address.startswith("fe80:") else address
    s.connect(socket.getaddrinfo(where, port, type=s.type)[0][4])
    s.send(b"x")
    print("sent")
except OSError as error:
    print(error)
"""
CALL = """
import socket, sys
address, port, own = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(2)
s.bind((address, own))
s.connect((address, port))
s.send(b"hello")
print(s.recv(100).decode())
"""
ASK = """
import socket, struct, sys
name, kind = sys.argv[1], int(sys.argv[2])
words = b"".join(bytes([len(w)]) + w.encode() for w in name.split("."))
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.connect(("127.0.0.1", 53))
s.send(struct.pack("!HHHHHH", 7, 256, 1, 0, 0, 0) + words + b"\\0" + struct.pack("!HH", kind, 1))
answer = s.recv(1500)
print(answer[3] & 15, struct.unpack("!H", answer[6:8])[0])
"""
ECHO = f"""
import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(("::", {port_number("ice-udp")}))
print("ready", flush=True)
for _ in range(2):
    data, who = s.recvfrom(100)
    s.sendto(data, who)
"""


@pytest.fixture(scope="module")
def play(fleet_of: Callable[..., Fleet]) -> Play:
    """Return the play of one host with base services and closed egress."""
    play = Play(fleet_of("class"))
    play.run("base").good()
    play.run("firewall", "base").good()
    return play


@pytest.fixture(scope="module")
def host(play: Play, login: Callable[..., Any]) -> Any:
    return login(play.fleet, "class")


def counters(host: Any) -> dict[str, int]:
    rules = json.loads(host.check_output("nft -j list counters table inet classroom"))["nftables"]
    return {r["counter"]["name"]: r["counter"]["packets"] for r in rules if "counter" in r}


def script(host: Any, user: str, text: str, *arguments: object) -> str:
    """Run a Python script as `user` and return what it prints."""
    words = " ".join(str(a) for a in arguments)
    return str(host.check_output(f"runuser -u {user} -- python3 -c '{text}' {words}"))


def send(host: Any, user: str, address: str, port: int, kind: str = "STREAM", own: int = 0) -> str:
    """Send to `address` as `user`, from the local port `own` if given; return `sent` or the error."""
    return script(host, user, SEND, kind, address, port, own)


def logged_drops(host: Any) -> list[str]:
    """Return the journal lines about dropped packets."""
    return [line for line in host.check_output("journalctl --no-pager -o cat -t ulogd").splitlines() if "-drop" in line]


def test_the_verification_expects_exactly_these_rules(play: Play, host: Any) -> None:
    given = play.inventory()
    for values in given["_meta"]["hostvars"].values():
        values["classroom_host_keys"] = ["ssh-ed25519 AAAA"]
    target = Deployment(given)
    found = json.loads(host.check_output("nft -j -u list ruleset"))["nftables"]
    assert_same_lines(expected(target, target.machines[0]), effective(found), "the firewall")


@pytest.mark.parametrize("address", [LEAK4, LEAK6])
@pytest.mark.parametrize("user", ["nobody", "root", "livekit"])
@pytest.mark.parametrize(
    ("kind", "port"), [("STREAM", port_number("https")), ("DGRAM", 53), ("DGRAM", 123), ("DGRAM", 19302)]
)
def test_undeclared_egress_is_dropped_counted_and_logged(
    host: Any, address: str, user: str, kind: str, port: int
) -> None:
    before, lines = counters(host), len(logged_drops(host))
    result = send(host, user, address, port, kind)
    after = counters(host)
    assert after["out_dropped"] > before["out_dropped"], result
    wanted = {f"DST={a} " for a in (address, ipaddress.ip_address(address).exploded)}
    deadline = time.monotonic() + 5  # the kernel delivers its log records about once a second
    while not (new := [x for x in logged_drops(host)[lines:] if f"DPT={port} " in x]) and time.monotonic() < deadline:
        time.sleep(0.3)
    assert new and all(x.startswith("classroom-drop") and any(w in x for w in wanted) for x in new), new


@pytest.mark.parametrize("address", [outside.DNS4, outside.DNS6])
@pytest.mark.parametrize("user", ["nobody", "root", "_chrony", "_apt"])
def test_only_unbound_reaches_the_resolver_of_the_table(host: Any, address: str, user: str) -> None:
    before = counters(host)
    send(host, user, address, 53, "DGRAM")
    after = counters(host)
    assert (after["out_dropped"] > before["out_dropped"], after["out_dns"]) == (True, before["out_dns"])


@pytest.mark.parametrize(
    ("address", "port", "kind"),
    [
        (outside.MIRROR4, outside.MIRROR_PORT, "STREAM"),
        (outside.MIRROR6, outside.MIRROR_PORT, "STREAM"),
        (outside.TIME4, 123, "DGRAM"),
        (outside.TIME6, 123, "DGRAM"),
    ],
)
def test_an_endpoint_is_open_only_to_its_account(host: Any, address: str, port: int, kind: str) -> None:
    before = counters(host)["out_dropped"]
    assert send(host, "nobody", address, port, kind) != "sent" or kind == "DGRAM"
    assert counters(host)["out_dropped"] > before
    before = counters(host)["out_dropped"]
    assert send(host, "_chrony" if port == 123 else "_apt", address, port, kind) == "sent"
    assert counters(host)["out_dropped"] == before


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::a9fe:a9fe"])
def test_only_root_reaches_the_metadata_service(host: Any, address: str) -> None:
    before = counters(host)
    send(host, "nobody", address, 80)
    between = counters(host)
    assert between["out_metadata"] == before["out_metadata"] and between["out_dropped"] > before["out_dropped"]
    send(host, "root", address, 80)
    assert counters(host)["out_metadata"] > between["out_metadata"]


def test_the_resolver_answers_only_for_names_of_the_table(play: Play, host: Any) -> None:
    before = counters(host)["out_dns"]
    for name in ("mirror.example", "ntp.example"):
        for kind in (1, 28):
            assert script(host, "nobody", ASK, name, kind) == "0 1"
    assert script(host, "nobody", ASK, "mirror.example", 16) == "0 0"
    for name in ("leak.example", "dns.example", "class.example", "org", "secret.example"):
        assert script(host, "nobody", ASK, name, 1) == "5 0", name
    assert script(host, "nobody", ASK, "c2VjcmV0.mirror.example", 1) == "3 0"
    assert counters(host)["out_dns"] > before
    queried = set((play.fleet.state / "queries").read_text().split())
    assert queried & {"leak.example", "org", "secret.example", "c2vjcmv0.mirror.example"} == set()
    assert host.check_output("grep -v '^#' /etc/resolv.conf") == "nameserver 127.0.0.1"


def test_other_resolvers_are_disabled_and_no_fallback_is_set(host: Any) -> None:
    for unit in ("systemd-resolved", "systemd-timesyncd"):
        assert host.run(f"systemctl start {unit}").rc != 0
        assert host.run(f"systemctl is-enabled {unit}").stdout.strip() == "masked"
    settings = host.check_output("systemd-analyze cat-config systemd/resolved.conf").splitlines()
    assert [line for line in settings if line.startswith("FallbackDNS")] == ["FallbackDNS="]
    listening = host.check_output("ss -H -l -n -t -u")
    assert {line.split()[4] for line in listening.splitlines() if ":53" in line} == {"127.0.0.1:53"}


def test_time_comes_only_from_the_table(host: Any) -> None:
    before = counters(host)["out_ntp"]
    host.check_output("chronyc burst 1/1")  # by itself it polls about once a minute
    deadline = time.monotonic() + 10
    while counters(host)["out_ntp"] == before and time.monotonic() < deadline:
        time.sleep(0.3)
    assert counters(host)["out_ntp"] > before
    sources = {line.split(",")[2] for line in host.check_output("chronyc -n -c sources").splitlines()}
    assert sources == {outside.TIME4, outside.TIME6}
    assert (
        re.findall(r"^(?:pool|sourcedir|confdir|peer)\b.*", host.file("/etc/chrony/chrony.conf").content_string, re.M)
        == []
    )


def test_packages_come_only_from_the_mirror(host: Any) -> None:
    before = counters(host)
    host.check_output("apt-get update")
    after = counters(host)
    assert after["out_packages"] > before["out_packages"]
    uris = set(re.findall(r"'?(https?://\S+?)/(?:dists|pool)", host.check_output("apt-get indextargets")))
    mirror = f"http://mirror.example:{outside.MIRROR_PORT}/debian"
    assert uris == {mirror, f"{mirror}-security"}
    assert host.run("grep -r -i 'debian\\.org' /etc/apt").stdout == ""
    assert host.check_output("ls /etc/apt/sources.list.d") == "debian.sources"


@pytest.mark.parametrize("client", [CLIENT4, CLIENT6])
def test_media_cannot_open_connections_and_is_never_logged(play: Play, host: Any, client: str) -> None:
    before = counters(host)
    for port in (port_number("ice-udp"), port_number("turn-udp"), RELAY[0] + 500):
        send(host, "livekit", client, 5000, "DGRAM", port)
    after = counters(host)
    assert after["media_dropped"] >= before["media_dropped"] + 3
    assert after["out_dropped"] == before["out_dropped"]
    time.sleep(1.5)  # until the kernel would have delivered its log records
    assert not [line for line in logged_drops(host) if client in line or ipaddress.ip_address(client).exploded in line]


def test_answers_to_participants_are_counted(play: Play, host: Any) -> None:
    host.check_output(f"systemd-run --quiet --collect --unit=echo -p User=livekit python3 -c '{ECHO}'")
    host.check_output(
        f"timeout 10 sh -c 'until ss -H -l -n -u | grep -q :{port_number('ice-udp')}; do sleep 0.1; done'"
    )
    before = counters(host)
    for client, address in ((CLIENT4, "address4"), (CLIENT6, "address6")):
        with socket.socket(socket.AF_INET6 if ":" in client else socket.AF_INET, socket.SOCK_DGRAM) as person:
            person.settimeout(5)
            person.bind((client, 0))
            person.sendto(b"hello", (getattr(play.fleet.hosts["class"], address), port_number("ice-udp")))
            assert person.recv(100) == b"hello"
    assert counters(host)["media_udp"] == before["media_udp"] + 2


OWN = ["own4", "own6", "127.0.0.1", "::1"]


@pytest.mark.parametrize("own", OWN)
@pytest.mark.parametrize(
    ("kind", "port", "source"),
    [
        ("STREAM", port_number("ssh"), RELAY[0]),
        ("STREAM", port_number("https"), RELAY[0] + 1),
        ("STREAM", port_number("turn-tls"), RELAY[0] + 2),
        ("STREAM", port_number("ice-udp"), RELAY[0] + 3),
        ("STREAM", RELAY[0] + 500, RELAY[0] + 400),  # to another relay socket
        ("STREAM", RELAY[0] + 401, RELAY[0] + 401),  # to itself
        ("DGRAM", port_number("turn-udp"), RELAY[0] + 4),
        ("DGRAM", port_number("resolver"), RELAY[0] + 5),
        ("DGRAM", RELAY[0] + 500, RELAY[1]),
    ],
)
def test_relay_sockets_reach_no_other_port_of_their_own_host(
    play: Play, host: Any, own: str, kind: str, port: int, source: int
) -> None:
    address = addresses(play).get(own, own)
    before, lines = counters(host), logged_drops(host)
    result = send(host, "livekit", address, port, kind, source)
    after = counters(host)
    assert result == {"STREAM": "[Errno 111] Connection refused", "DGRAM": "[Errno 1] Operation not permitted"}[kind]
    assert after["media_dropped"] == before["media_dropped"] + 1
    assert (after["out_dropped"], logged_drops(host)) == (before["out_dropped"], lines)


@pytest.mark.parametrize(
    ("source", "reached"), [(RELAY[0] - 1, True), (RELAY[0], False), (RELAY[1], False), (RELAY[1] + 1, True)]
)
def test_the_rule_for_relay_sockets_ends_with_their_ports(host: Any, source: int, reached: bool) -> None:
    assert (send(host, "livekit", "::1", port_number("ssh"), own=source) == "sent") == reached


@pytest.mark.parametrize("own", ["own4", "own6"])
def test_loopback_drops_packets_from_relay_ports_of_every_account(play: Play, host: Any, own: str) -> None:
    before = counters(host)["media_dropped"]
    assert send(host, "nobody", addresses(play)[own], port_number("ssh"), own=RELAY[0] + 600) == "timed out"
    assert send(host, "nobody", addresses(play)[own], port_number("resolver"), "DGRAM", RELAY[0] + 601) == "sent"
    assert counters(host)["media_dropped"] >= before + 2


def test_relay_sockets_reach_the_media_port_of_their_own_host(play: Play, host: Any) -> None:
    host.check_output(f"systemd-run --quiet --collect --unit=peer -p User=livekit python3 -c '{ECHO}'")
    media, relay = port_number("ice-udp"), RELAY[0] + 700
    host.check_output(f"timeout 10 sh -c 'until ss -H -l -n -u | grep -q :{media}; do sleep 0.1; done'")
    before = counters(host)
    for address in addresses(play).values():
        assert script(host, "livekit", CALL, address, media, relay) == "hello"
    after = counters(host)
    assert after["media_relay"] == before["media_relay"] + 2
    assert after["media_dropped"] == before["media_dropped"]
    # Not at an address at which the media server does not listen.
    assert send(host, "livekit", "::1", media, "DGRAM", relay) == "[Errno 1] Operation not permitted"


def addresses(play: Play) -> dict[str, str]:
    """Return the host's public addresses."""
    return {"own4": play.fleet.hosts["class"].address4, "own6": play.fleet.hosts["class"].address6}


def test_egress_opens_to_a_whole_internal_range(play: Play, host: Any) -> None:
    first, last = port_number("signal"), port_number("signal") + 9
    inner = {"name": "signal", "protocol": "tcp", "first": first, "last": last, "group": "media"}
    play.run("firewall", firewall_inner=[inner]).good()
    rules = host.check_output("nft list chain inet classroom egress")
    assert f'tcp dport {first}-{last} counter name "to_signal" accept' in rules
    play.run("firewall").good()
    assert "to_signal" not in host.check_output("nft list chain inet classroom egress")


def test_egress_to_a_new_mirror_opens_before_it_is_used(play: Play, host: Any) -> None:
    port = outside.MIRROR_PORT + 1
    new = {"name": "other.example", "url": f"http://other.example:{port}/debian"}
    play.endpoints([row | new if row["use"] == "packages" else row for row in outside.ENDPOINTS])
    # Egress is closed: site.yml opens it for new endpoints before everything else.
    play.run(tags="firewall").good()
    assert "refused" in send(host, "_apt", outside.MIRROR4, port)
    assert send(host, "_apt", outside.MIRROR4, outside.MIRROR_PORT) == "timed out"
    play.endpoints(
        [
            row | {**new, "url": "http://other.example:3142/debian"} if row["use"] == "packages" else row
            for row in outside.ENDPOINTS
        ]
    )
    play.run("firewall", "base", classroom_closed=True).good()
    assert "http://other.example:3142/debian-security" in host.check_output("apt-get indextargets")
    play.endpoints(outside.ENDPOINTS)
    play.run("firewall", "base", classroom_closed=True).good()


def test_an_empty_table_is_refused(play: Play) -> None:
    play.endpoints([])
    refused = play.run("base")
    play.endpoints(outside.ENDPOINTS)
    assert refused.status == 2
    assert re.search(r"endpoints: .*dns, ntp, packages.* class\b", refused.output), refused.output


def test_second_run_changes_nothing(play: Play) -> None:
    again = play.run("firewall", "base").good()
    assert again.changed == 0, again.output
