"""One machine that opens thousands of connections to the port of HTTPS takes the page from no other client."""

import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from classroom.config.ports import port_number
from tests.roles.fleet import CLIENT4, CLIENT6, Fleet
from tests.roles.flood import flood, greeting
from tests.roles.play import DOMAIN, Play

PATIENCE = 2.0
"""Seconds within which another client gets the page."""
PATIENCE_OF_NGINX = 10
MOST_MEMORY = 600 << 20
"""Bytes of nginx with all connections that one network may have; it keeps them for later connections."""
NEIGHBOUR6 = CLIENT6.rpartition(":")[0] + ":8"
"""An address of the same 64 bits as CLIENT6."""
SCHOOL = "203.0.113.1"
TURN = f"turn.{DOMAIN}"


@pytest.fixture(scope="module")
def play(fleet_of: Callable[..., Fleet]) -> Play:
    """Return the play of one host with the web server."""
    play = Play(fleet_of("class"))
    play.run("web").good()
    return play


@pytest.fixture(scope="module")
def host(play: Play, login: Callable[..., Any]) -> Any:
    return login(play.fleet, "class")


def request(play: Play, source: str = SCHOOL, host: str = DOMAIN, path: str = "/") -> bytes:
    """Request a path over TLS; return the answer, or nothing if the server closes the connection without one."""
    trust = ssl.create_default_context(cafile=str(play.fleet.state / "authority.pem"))
    to = getattr(play.fleet.hosts["class"], "address6" if ":" in source else "address4")
    with (
        socket.create_connection((to, port_number("https")), 10, (source, 0)) as raw,
        trust.wrap_socket(raw, server_hostname=DOMAIN) as tls,
    ):
        tls.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        found = b""
        while part := tls.recv(65536):
            found += part
        return found


def seconds_for_the_page(play: Play, source: str = SCHOOL) -> float:
    start = time.monotonic()
    assert request(play, source).startswith(b"HTTP/1.1 200 OK")
    return time.monotonic() - start


def memory(host: Any) -> int:
    """Return the memory of the web server in bytes; shared memory counts once."""
    return 1024 * int(
        host.check_output(
            "for p in $(pgrep nginx); do grep ^Pss: /proc/$p/smaps_rollup; done | awk '{s += $2} END {print s}'"
        )
    )


@pytest.mark.parametrize(
    ("kind", "number", "source"),
    [
        ("silent", 6000, CLIENT4),
        ("page-handshake", 6000, CLIENT4),
        ("turn-handshake", 6000, CLIENT6),
        ("slow-header", 300, CLIENT4),
        ("slow-body", 300, CLIENT6),
        ("many-headers", 200, CLIENT4),
        ("http2-headers", 100, CLIENT6),
    ],
)
def test_another_client_gets_the_page(play: Play, host: Any, kind: str, number: int, source: str) -> None:
    workers = host.check_output("pgrep --uid www-data nginx")
    with flood(play.fleet, "class", kind, source, number):
        taken = []
        for _ in range(4):
            taken.append(seconds_for_the_page(play))
            time.sleep(0.5)
        assert max(taken) < PATIENCE, taken
        assert memory(host) < MOST_MEMORY
    assert host.check_output("pgrep --uid www-data nginx") == workers


def test_a_slow_client_is_dropped(play: Play) -> None:
    """The web server closes connections that are silent, or that send a header or a greeting too slowly."""
    to = (play.fleet.hosts["class"].address4, port_number("https"))

    def closes(first: bytes) -> bool:
        with socket.create_connection(to, 5, (SCHOOL, 0)) as one:
            one.sendall(first)
            one.settimeout(PATIENCE_OF_NGINX + 5)
            try:
                while one.recv(65536):
                    pass
            except ConnectionError:
                return True
            except TimeoutError:
                return False
            return True

    starts = {"silent": b"", "half a greeting": greeting(DOMAIN)[:50], "page": greeting(DOMAIN), "TURN": greeting(TURN)}
    with ThreadPoolExecutor(len(starts)) as pool:
        closed = dict(zip(starts, pool.map(closes, starts.values()), strict=True))
    assert all(closed.values()), closed


def test_one_network_has_a_limit(play: Play, host: Any) -> None:
    """Over the limit an address of the same 64 bits is refused as well, and another network is not."""
    add = ["ip", "-6", "address", "add", f"{NEIGHBOUR6}/64", "dev", "br0", "nodad"]
    subprocess.run(add, check=True)
    play.run("web", web_network_connections=50, web_patience=60).good()
    try:
        with flood(play.fleet, "class", "silent", CLIENT6, 50):
            with pytest.raises((ConnectionError, ssl.SSLError)):
                request(play, NEIGHBOUR6)
            assert request(play, CLIENT4)
    finally:
        play.run("web").good()
    assert request(play, NEIGHBOUR6)


def test_the_limits_leave_room_for_a_school(play: Play) -> None:
    """600 people behind one address each have eight connections, and then all load the page."""
    to = (play.fleet.hosts["class"].address4, port_number("https"))
    hello = greeting(TURN)
    opened = [socket.create_connection(to, 5, (SCHOOL, 0)) for _ in range(600 * 8)]
    try:
        for one in opened:
            one.sendall(hello)
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda _: request(play)[:15], range(600)))
        assert set(answers) == {b"HTTP/1.1 200 OK"}
        closed = [one for one in opened if not _open(one)]
        assert not closed
    finally:
        for one in opened:
            one.close()


def _open(connection: socket.socket) -> bool:
    """Return whether the server has sent its part of the handshake and keeps the connection."""
    return bool(connection.recv(65536))


def test_another_host_name_gets_no_page(play: Play) -> None:
    assert request(play, host="other.example") == b""
    assert request(play, host=TURN) == b""
