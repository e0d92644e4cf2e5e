"""Runs a LiveKit server and the join service on the loopback address, as real processes on free ports."""

import contextlib
import hashlib
import json
import os
import random
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from classroom.common.paths import REPO
from classroom.configure import artifacts

DOMAIN = "class.example"
ROOM = "cm2"
ROOMS = (ROOM, *(f"room-{number}" for number in range(90)))
"""The classes of a test run; tests that need one of their own take one after the other."""
SIZE = 60
SMALL = tuple(f"room-{number}" for number in range(90, 95))
GUARDED = tuple(f"room-{number}" for number in range(95, 100))
"""Classes of three people, and classes whose pupils wait for admission."""


def codes_of(room: str) -> dict[str, str]:
    """Return the codes of a class by role."""
    end = "" if room == ROOM else room.rpartition("-")[2].zfill(2)
    return {"teacher": f"TEACHERC0DE17{end}", "pupil": f"PVP11C0D{end}"}


CODES = codes_of(ROOM)


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """Return a free port below the ephemeral range, so that no client takes it while a server restarts."""
    while True:
        port = random.randint(10000, 32000)
        with socket.socket(socket.AF_INET, kind) as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@dataclass(frozen=True)
class Settings:
    """Ports, secret and folder of the servers of one test run."""

    livekit: int
    portal: int
    secret: str
    folder: Path


def settings(folder: Path) -> Settings:
    return Settings(free_port(), free_port(), secrets.token_hex(24), folder)


def codes(*rooms: str) -> list[dict[str, str]]:
    return [
        {"room": room, "class": room, "role": role, "sha256": hashlib.sha256(code.encode()).hexdigest()}
        for room in rooms or (*ROOMS, *SMALL, *GUARDED)
        for role, code in codes_of(room).items()
    ]


def classes() -> list[dict[str, object]]:
    return [
        {"room": room, "name": room, "size": 3 if room in SMALL else SIZE, "waiting_room": room in GUARDED}
        for room in (*ROOMS, *SMALL, *GUARDED)
    ]


@contextlib.contextmanager
def livekit(at: Settings) -> Iterator[subprocess.Popen]:
    stun = free_port(socket.SOCK_DGRAM)
    configuration = {
        "port": at.livekit,
        "bind_addresses": ["127.0.0.1"],
        "keys": {"classroom": at.secret},
        "rtc": {
            "udp_port": free_port(socket.SOCK_DGRAM),
            "tcp_port": free_port(),
            "use_external_ip": False,
            "node_ip": "127.0.0.1",
            "enable_loopback_candidate": True,
            "ips": {"includes": ["127.0.0.1/32"]},
            # Without this setting LiveKit would give browsers its vendor's STUN servers.
            "stun_servers": [f"127.0.0.1:{stun}"],
        },
        "room": {"auto_create": False},
        "logging": {"level": "warn", "pion_level": "error"},
    }
    path = at.folder / "livekit.json"
    path.write_text(json.dumps(configuration))
    with running([str(artifacts.LIVEKIT.built()), "--config", str(path)], at.folder / "livekit.log", at.livekit) as p:
        yield p


@contextlib.contextmanager
def portal(at: Settings, url: str = "", times: str = "") -> Iterator[subprocess.Popen]:
    """Run the join service; `times` are other durations of a class, as tests/unit/portal/run_portal.py takes them."""
    configure_portal(at, url)
    command = [sys.executable, "-m", *(["tests.unit.portal.run_portal", times] if times else ["portal"])]
    with running(command, at.folder / "portal.log", at.portal, **environment(at)) as p:
        yield p


def configure_portal(at: Settings, url: str = "") -> None:
    (at.folder / "secrets").mkdir(exist_ok=True)
    public_settings = {
        "domain": DOMAIN,
        "url": url or f"ws://127.0.0.1:{at.livekit}",
        "livekit_key": "classroom",
        "livekit": [f"http://127.0.0.1:{at.livekit}"],
        "classes": classes(),
    }
    (at.folder / "portal.json").write_text(json.dumps(public_settings))
    secret_settings = {"livekit_secret": at.secret, "codes": codes()}
    (at.folder / "secrets" / "portal.json").write_text(json.dumps(secret_settings))


def environment(at: Settings) -> dict[str, str]:
    return {"PORTAL_CONFIG": str(at.folder), "PORTAL_PORT": str(at.portal), "PYTHONPATH": str(REPO)}


@contextlib.contextmanager
def running(argv: list[str], log: Path, port: int, **extra: str) -> Iterator[subprocess.Popen]:
    """Run a server until the context ends; enter the context when it accepts connections on its port."""
    with log.open("ab") as out:
        process = subprocess.Popen(argv, stdout=out, stderr=out, env=os.environ | extra)
    try:
        end = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert process.poll() is None and time.monotonic() < end, log.read_text()[-2000:]
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def post(at: Settings, path: str, body: object, address: str = "198.51.100.7", **headers: str) -> tuple[int, dict]:
    """POST JSON to the join service as if from `address`; return status and parsed body."""
    sent = {"Content-Type": "application/json", "X-Real-IP": address} | headers
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{at.portal}/api/{path}", data, sent)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"{}")
