"""The whole site.yml on a front and two media hosts: port 443 shared with TURN, classes distributed over the hosts."""

import socket
from collections.abc import Callable
from typing import Any

import pytest

from classroom.config.ports import local_tls, port_number
from tests.roles.fleet import CLIENT4, Fleet
from tests.roles.participant import participant
from tests.roles.play import DOMAIN, Play
from tests.roles.probes import counted, listening, mapped_address, served, stun

MEDIA = ("media1", "media2")


@pytest.fixture(scope="module")
def play(fleet_of: Callable[..., Fleet]) -> Play:
    play = Play(fleet_of("front", *MEDIA), "split", ["front", *MEDIA])
    play.run(check=True).good()
    opened = play.run().good()
    assert set(opened.recap) == {"front", *MEDIA}
    return play


@pytest.fixture(scope="module")
def hosts(play: Play, login: Callable[..., Any]) -> dict[str, Any]:
    return {name: login(play.fleet, name) for name in ("front", *MEDIA)}


def test_second_run_changes_nothing(play: Play) -> None:
    again = play.run().good()
    assert again.changed == 0, again.output
    check = play.run(check=True).good()
    assert check.changed == 0, check.output


def test_exactly_these_ports_listen(play: Play, hosts: dict[str, Any]) -> None:
    ssh = {("tcp", f"{a}:{port_number('ssh')}") for a in ("0.0.0.0", "[::]")}
    resolver = {(protocol, a) for protocol in ("tcp", "udp") for a in (f"127.0.0.1:{port_number('resolver')}",)}
    front = {("tcp", f"{a}:{port_number(port)}") for a in ("0.0.0.0", "[::]") for port in ("http", "https")}
    front |= {("tcp", f"127.0.0.1:{port}") for port in (port_number("portal"), *local_tls(2))}
    front |= {("tcp", f"{play.fleet.hosts['front'].address4}:{port_number('valkey')}")}
    assert listening(hosts["front"]) == ssh | resolver | front
    for name in MEDIA:
        address4, address6 = play.fleet.hosts[name].address4, f"[{play.fleet.hosts[name].address6}]"
        media = {("tcp", f"*:{port_number('ice-tcp')}"), ("tcp", f"{address4}:{port_number('signal')}")}
        for address in (address4, address6):
            media |= {("udp", f"{address}:{port_number(name)}") for name in ("turn-udp", "ice-udp")}
            media |= {("tcp", f"{address}:{port_number('turn-tls')}")}
        assert listening(hosts[name]) == ssh | resolver | media


def test_each_host_has_only_the_secrets_and_programs_it_needs(play: Play, hosts: dict[str, Any]) -> None:
    secrets = {name: set(host.check_output("ls /etc/classroom/secrets").split()) for name, host in hosts.items()}
    assert secrets["front"] == {"portal.json", "tls.key", "valkey.conf"}
    for name in MEDIA:
        assert secrets[name] == {"livekit-keys", "livekit-valkey"}
        assert not hosts[name].package("nginx").is_installed
    assert not hosts["front"].file("/usr/local/bin/livekit-server").exists


@pytest.mark.parametrize("number", [1, 2])
def test_each_turn_name_reaches_its_media_host(play: Play, hosts: dict[str, Any], number: int) -> None:
    before = {name: counted(hosts[name], "turn_tls") for name in MEDIA}
    with served(play, f"turn{number}.{DOMAIN}") as connection:
        connection.sendall(stun())
        assert mapped_address(connection.recv(1500)) == play.fleet.hosts["front"].address4
    grown = {name for name in MEDIA if counted(hosts[name], "turn_tls") > before[name]}
    assert grown == {f"media{number}"}


@pytest.mark.parametrize("name", MEDIA)
@pytest.mark.parametrize("port", ["signal", "turn-tls"])
def test_media_hosts_drop_internal_ports_from_outside(play: Play, name: str, port: str) -> None:
    with pytest.raises(TimeoutError):
        socket.create_connection(
            (play.fleet.hosts[name].address4, port_number(port)), timeout=0.5, source_address=(CLIENT4, 0)
        )


def test_valkey_answers_only_media_hosts(play: Play, hosts: dict[str, Any]) -> None:
    with pytest.raises(TimeoutError):
        socket.create_connection((play.fleet.hosts["front"].address4, port_number("valkey")), timeout=0.5)
    nodes = "valkey-cli --no-auth-warning -a $(cut -d' ' -f2 /etc/classroom/secrets/valkey.conf)"
    known = hosts["front"].check_output(
        f"{nodes} -h {play.fleet.hosts['front'].address4} --raw hvals nodes | wc --chars"
    )
    count = hosts["front"].check_output(f"{nodes} -h {play.fleet.hosts['front'].address4} hlen nodes")
    assert (int(count), int(known) > 0) == (2, True)


def test_a_class_meets_and_its_host_refuses_an_interruption(play: Play) -> None:
    with (
        participant(play.fleet, "front", "Xanthippe") as first,
        participant(play.fleet, "front", "Zebulon", "pupil") as second,
    ):
        assert (first["room"], second["others"]) == ("cm2", ["Xanthippe"])
        https = port_number("https")
        which = next(n for n in (1, 2) if f"turns:turn{n}.{DOMAIN}:{https}?transport=tcp" in first["servers"])
        host = play.fleet.hosts[f"media{which}"]
        assert f"turn:{host.address4}:{port_number('turn-udp')}?transport=udp" in first["servers"]
        refused = play.run("media", media_relay_last=31000)
        assert refused.status == 2
        assert {name: n["failed"] for name, n in refused.recap.items()} == dict.fromkeys(MEDIA, 1)
    assert (first["lost"], second["lost"]) == ([], [])
