"""The TURN relay, run on loopback addresses with a peer in place of the media server."""

import asyncio
import base64
import contextlib
import hmac
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from livekit.api import AccessToken, VideoGrants

from classroom.common.errors import ClassroomError
from classroom.config.ports import RELAY as PORTS
from classroom.configure.artifacts import LIVEKIT, RELAY
from classroom.verify.network import turn
from classroom.verify.network.turn import MOST_RELAYS, WORD, RelayRefused, Turn, exceeded_limits
from tests.page.server import Settings, free_port, running, settings
from tests.unit.portal.person import Person

SECRET = "s" * 43
OWN = ("127.0.0.9", "::1")
"""Addresses of the relay and of its peer."""


@dataclass
class Server:
    """A running relay: its port, and the peer's socket of each address."""

    port: int
    peers: dict[str, socket.socket]

    def port_of_peer(self, own: str) -> int:
        return int(self.peers[own].getsockname()[1])

    def client(self, own: str, name: str = "PA_ada", seconds: int = 60, **options: bytes) -> Turn:
        return Turn(own, self.port, credential(name, seconds), **options)


def credential(name: str, seconds: int = 60) -> dict[str, str]:
    """Return credentials as the media server makes them, which expire in `seconds`."""
    username = f"{int(time.time()) + seconds}:{name}"
    code = hmac.digest(SECRET.encode(), username.encode(), "sha1")
    return {"username": username, "credential": base64.b64encode(code).decode()}


@pytest.fixture
def media_server(server: Server, tmp_path: Path) -> Iterator[Settings]:
    """Run a media server that names the relay to participants, as role media configures it."""
    here = settings(tmp_path)
    secret = tmp_path / "secret"
    secret.write_text(SECRET + "\n")
    secret.chmod(0o640)
    servers = [
        {"host": host, "port": server.port, "protocol": "udp", "secret_file": str(secret), "ttl": 300}
        for host in (OWN[0], f"[{OWN[1]}]")
    ]
    path = tmp_path / "livekit.json"
    path.write_text(
        json.dumps(
            {
                "port": here.livekit,
                "bind_addresses": ["127.0.0.1"],
                "keys": {"classroom": here.secret},
                "rtc": {"udp_port": free_port(socket.SOCK_DGRAM), "node_ip": "127.0.0.1", "turn_servers": servers},
                "turn": {"enabled": False},
            }
        )
    )
    with running([str(LIVEKIT.built()), "--config", str(path)], tmp_path / "livekit.log", here.livekit):
        yield here


def test_the_media_servers_credentials_are_for_one_participant(server: Server, media_server: Settings) -> None:
    async def join(name: str) -> list[dict[str, str]]:
        grants = VideoGrants(room_join=True, room="cm2")
        token = AccessToken("classroom", media_server.secret).with_identity(name).with_grants(grants).to_jwt()
        async with Person(media_server.livekit, token) as person:
            return [
                {"url": url, "username": one.username, "credential": one.credential}
                for one in person.joined.ice_servers
                for url in one.urls
            ]

    ada, eve = (asyncio.run(join(name)) for name in ("ada", "eve"))
    hosts = (OWN[0], f"[{OWN[1]}]")
    # No server of the media server's vendor is among them.
    assert [one["url"] for one in ada] == [f"turn:{host}:{server.port}?transport=udp" for host in hosts]
    with contextlib.ExitStack() as stack:

        def relay(own: str, given: dict[str, str]) -> None:
            stack.enter_context(contextlib.closing(Turn(own, server.port, given))).allocate()

        for number in range(MOST_RELAYS):
            relay(OWN[number % 2], ada[number % 2])
        for given in ada:
            with pytest.raises(RelayRefused, match="error 486"):
                relay(OWN[0], given)
        relay(OWN[0], eve[0])


def udp(address: str, port: int = 0) -> socket.socket:
    found = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    found.bind((address, port))
    found.settimeout(2)
    return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from run(tmp_path_factory.mktemp("relay"))


@pytest.fixture(scope="module")
def lax(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a relay with the settings that the planted violations use."""
    changed = {"peers": ["0.0.0.0/0", "::/0"], "peer_ports": [1, 65535], "relays_per_person": 1000}
    yield from run(tmp_path_factory.mktemp("relay"), **changed)


def run(folder: Path, **changed: object) -> Iterator[Server]:
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(udp(OWN[0]))
        media = first.getsockname()[1]
        peers = {OWN[0]: first, OWN[1]: stack.enter_context(udp(OWN[1], media))}
        with udp(OWN[0]) as free:
            port = free.getsockname()[1]
        (folder / "secret").write_text(SECRET + "\n")
        settings = {
            "addresses": [{"listen": own, "public": own} for own in OWN],
            "udp_port": port,
            "tcp_port": port,
            "relay_ports": PORTS,
            "peers": [f"{OWN[0]}/32", f"{OWN[1]}/128"],
            "peer_ports": [media, media],
            "relays_per_person": MOST_RELAYS,
            "secret_file": str(folder / "secret"),
        }
        (folder / "relay.json").write_text(json.dumps(settings | changed))
        process = subprocess.Popen([RELAY.built(), folder / "relay.json"], stderr=subprocess.PIPE, text=True)
        try:
            deadline = time.monotonic() + 10
            while True:
                with contextlib.suppress(OSError), socket.create_connection((OWN[1], port), 1):
                    break
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.02)
            yield Server(port, peers)
        finally:
            process.terminate()
            assert process.stderr
            output = process.stderr.read()
            assert process.wait() == 0
        assert output == ""  # the library's messages contain addresses of participants


@pytest.mark.parametrize("own", OWN)
def test_it_relays_to_its_peer_and_back(server: Server, own: str) -> None:
    with contextlib.closing(server.client(own)) as client:
        address, port = client.allocate()
        assert (address, PORTS[0] <= port <= PORTS[1]) == (own, True)
        assert client.permit(own, server.port_of_peer(own)) == ""
        client.send(own, server.port_of_peer(own), WORD)
        found, sender = server.peers[own].recvfrom(100)
        assert (found, sender[:2]) == (WORD, (own, port))
        server.peers[own].sendto(b"answer", sender)
        assert b"answer" in client._socket.recv(1000)


@pytest.mark.parametrize("own", OWN)
def test_it_relays_neither_to_nor_from_another_port(server: Server, own: str) -> None:
    with contextlib.closing(server.client(own)) as client, udp(own) as other:
        relayed = client.allocate()
        assert client.permit(own, other.getsockname()[1]) == ""  # permissions are for addresses, not for ports
        client.send(own, other.getsockname()[1], WORD)
        other.sendto(WORD, relayed)
        client.send(own, server.port_of_peer(own), b"later")
        assert server.peers[own].recv(100) == b"later"
        for one in (other, client._socket):
            one.settimeout(0.2)
            with pytest.raises(TimeoutError):
                one.recv(1000)


@pytest.mark.parametrize("own", OWN)
def test_it_has_all_limits(server: Server, own: str) -> None:
    assert exceeded_limits(own, credential("PA_limits"), server.port) == []


@pytest.mark.parametrize("own", OWN)
def test_the_client_notices_missing_limits(lax: Server, own: str) -> None:
    assert exceeded_limits(own, credential("PA_limits"), lax.port) == ["peer", "many"]


def test_a_client_that_gets_no_answer_proves_no_limit() -> None:
    with udp(OWN[0]) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(ClassroomError, match="does not answer"):
            exceeded_limits(OWN[0], credential("PA_limits"), port)


def test_the_limit_is_for_one_participant_at_all_addresses(server: Server) -> None:
    with contextlib.ExitStack() as stack:

        def relay(name: str, own: str, seconds: int = 60) -> Turn:
            client = stack.enter_context(contextlib.closing(server.client(own, name, seconds)))
            client.allocate()
            return client

        for number in range(MOST_RELAYS):
            relay("PA_many", OWN[number % 2])
        for own in OWN:
            with pytest.raises(RelayRefused, match="error 486"):
                relay("PA_many", own, seconds=90)  # other credentials of the same participant
        relay("PA_another", OWN[0])
    # Closed relays make room for others.
    with contextlib.closing(server.client(OWN[0], "PA_many")) as client:
        client.allocate()


@pytest.mark.parametrize(
    "given",
    [
        credential("PA_ada", seconds=-1),
        credential("PA_ada") | {"credential": "wrong"},
        credential(""),
        {"username": "PA_ada", "credential": "x"},
        {"username": "soon:PA_ada", "credential": "x"},
    ],
    ids=["expired", "another password", "no participant", "no expiry", "no number"],
)
def test_other_credentials_are_refused(server: Server, given: dict[str, str]) -> None:
    with contextlib.closing(Turn(OWN[0], server.port, given)) as client, pytest.raises(RelayRefused):
        client.allocate()


def test_a_relay_outlives_its_credentials(server: Server) -> None:
    with contextlib.closing(server.client(OWN[0], seconds=1)) as client:
        client.allocate()
        time.sleep(2.1)
        kind, _, _ = client.ask(turn.REFRESH, turn.attribute(turn.LIFETIME, (600).to_bytes(4)))
        assert kind == turn.REFRESH | turn.SUCCESS


@pytest.mark.parametrize(("settings", "message"), [("", "unexpected end"), ('{"secret_file": "/missing"}', "/missing")])
def test_wrong_settings_are_an_error(tmp_path: Path, settings: str, message: str) -> None:
    path = tmp_path / "relay.json"
    path.write_text(settings)
    found = subprocess.run([RELAY.built(), path], capture_output=True, text=True, timeout=10, check=False)
    assert (found.returncode, message in found.stderr) == (1, True), found.stderr
