"""`classroom dns check` against a name server on the loopback address: what is right, missing, wrong, or a leftover."""

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import dns.message
import dns.rcode
import dns.rrset
import pytest

from classroom.cli import dns as dns_command
from classroom.clients import name_servers
from classroom.clients.name_servers import NameServer
from tests.unit.command import Done, classroom

FOUR, SIX = "203.0.113.10", "2001:db8:30::10"
NAMES = ("class.example", "turn.class.example")


@dataclass
class Zone:
    """A name server; `records` maps name and type to addresses, `lose` questions are dropped, `rcode` is answered if it is set."""

    port: int
    records: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    lose: int = 0
    rcode: int = dns.rcode.NOERROR
    asked: int = 0

    def answer(self, data: bytes) -> bytes | None:
        self.asked += 1
        if self.asked <= self.lose:
            return None
        query = dns.message.from_wire(data)
        (question,) = query.question
        kind = question.to_text().split()[-1]
        found = self.records.get((str(question.name).rstrip("."), kind), [])
        reply = dns.message.make_response(query)
        reply.set_rcode(dns.rcode.Rcode(self.rcode))
        if found:
            reply.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *found))
        return reply.to_wire()


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Zone]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        found = Zone(listening.getsockname()[1])
        for name in NAMES:
            found.records[name, "A"], found.records[name, "AAAA"] = [FOUR], [SIX]

        def serve() -> None:
            while True:
                try:
                    data, client = listening.recvfrom(2048)
                except OSError:
                    return
                if reply := found.answer(data):
                    listening.sendto(reply, client)

        threading.Thread(target=serve, daemon=True).start()
        monkeypatch.setattr(name_servers, "SECONDS", 0.3)
        records = [
            {"name": name, "type": kind, "value": value}
            for name in NAMES
            for kind, value in (("A", FOUR), ("AAAA", SIX))
        ]
        monkeypatch.setattr(dns_command, "output", lambda stack, name: records)
        yield found


def check(zone: Zone, *words: str) -> Done:
    return classroom("dns", "check", "--stack", "academy", "--server", f"127.0.0.1:{zone.port}", *words)


def test_right_records_are_status_0(zone: Zone) -> None:
    done = check(zone)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 4


@pytest.mark.parametrize(
    ("kind", "there", "sentence"),
    [
        ("A", [], f"class.example A: missing; add {FOUR} to the DNS zone"),
        ("A", ["192.0.2.1"], f"class.example A: is 192.0.2.1, must be {FOUR}"),
        ("A", [FOUR, "192.0.2.1"], f"class.example A: is 192.0.2.1, {FOUR}, must be {FOUR}"),
        ("AAAA", [], f"class.example AAAA: missing; add {SIX}"),
        ("AAAA", ["2001:db8::1"], f"class.example AAAA: is 2001:db8::1, must be {SIX}"),
    ],
)
def test_what_differs_is_status_1_and_named_with_its_fix(
    zone: Zone, kind: str, there: list[str], sentence: str
) -> None:
    zone.records["class.example", kind] = there
    done = check(zone)
    assert done.returncode == 1 and done.stderr == ""
    (line,) = done.stdout.splitlines()
    assert line.startswith(sentence)
    found = json.loads(check(zone, "--json").stdout)
    assert [list(one) for one in found] == [["name", "type", "server", "state", "wanted", "found"]] * 4
    assert [one["state"] for one in found if one["state"] != "right"] == ["wrong" if there else "missing"]


def test_a_leftover_of_the_other_family_is_named(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    only_four = [{"name": "class.example", "type": "A", "value": FOUR}]
    monkeypatch.setattr(dns_command, "output", lambda stack, name: only_four)
    done = check(zone)
    assert done.returncode == 1
    assert done.stdout.startswith(f"class.example AAAA: is {SIX}, but the classroom has no such address")
    zone.records["class.example", "AAAA"] = []
    assert check(zone).returncode == 0


def test_lost_packets_are_asked_again_and_a_server_that_refuses_is_named(zone: Zone) -> None:
    zone.lose = 2
    assert check(zone).returncode == 0
    zone.rcode = dns.rcode.REFUSED
    done = check(zone)
    assert done.returncode == 1 and "does not answer for class.example A (REFUSED)" in done.stderr


@pytest.mark.parametrize("text", ["dns.example", "192.0.2.53:x", "", ":53"])
def test_a_server_that_is_no_address_is_wrong_use(zone: Zone, text: str) -> None:
    done = classroom("dns", "check", "--stack", "academy", "--server", text or " ")
    assert done.returncode == 2 and "--server:" in done.stderr


def test_servers_are_parsed_in_both_families() -> None:
    assert dns_command.named("192.0.2.53").address == "192.0.2.53"
    assert dns_command.named("2001:db8::53") == NameServer("2001:db8::53", "2001:db8::53")
    assert dns_command.named("[2001:db8::53]:9053") == NameServer("[2001:db8::53]:9053", "2001:db8::53", 9053)


def test_each_server_of_the_zone_is_asked(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secondary server that has not got the change yet is named."""
    other = {("class.example", "A"): [], ("class.example", "AAAA"): [SIX]}
    servers = [NameServer("ns1.example", "127.0.0.1", zone.port), NameServer("ns2.example", "192.0.2.2")]
    real = name_servers.ask

    def ask(server: NameServer, name: str, kind: str) -> set[str]:
        return (
            set(other.get((name, kind), zone.records[name, kind])) if server is servers[1] else real(server, name, kind)
        )

    monkeypatch.setattr(name_servers, "of_zone", lambda name: servers)
    monkeypatch.setattr(name_servers, "ask", ask)
    done = classroom("dns", "check", "--stack", "academy")
    assert done.returncode == 1
    assert done.stdout.startswith("class.example A: missing") and "(at ns2.example 192.0.2.2)" in done.stdout


def test_without_name_servers_the_status_is_4(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(name_servers.dns.resolver, "zone_for_name", _no_zone)
    done = classroom("dns", "check", "--stack", "academy")
    assert done.returncode == 4 and "name servers of class.example are not found" in done.stderr


def _no_zone(*_: object, **__: object) -> None:
    raise name_servers.dns.resolver.NoNameservers
