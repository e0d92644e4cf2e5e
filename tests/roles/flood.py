"""An attacker with one machine: opens many connections to the port of HTTPS and keeps them open, each with a part of a request.

`python -m tests.roles.flood KIND ADDRESS FROM NUMBER SECONDS` prints `ready` when it has tried to open NUMBER connections, opens a new one
for each that the server closes, at most PER_SECOND, and ends after SECONDS.
"""

import asyncio
import contextlib
import itertools
import os
import resource
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from classroom.common.paths import REPO
from classroom.config.ports import port_number
from tests.roles.fleet import Fleet
from tests.roles.play import DOMAIN

PER_SECOND = 1000
SLOW_SECONDS = 1.0
"""Seconds between two bytes of a slow request."""
GET = f"GET / HTTP/1.1\r\nHost: {DOMAIN}\r\n"
POST = f"POST /api/join HTTP/1.1\r\nHost: {DOMAIN}\r\nContent-Type: application/json\r\nContent-Length: 8000\r\n\r\n"
HEADERS = GET + "a:b\n" * 5000


def greeting(name: str) -> bytes:
    """Return the first message of a TLS handshake for `name`."""
    out = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        _trust().wrap_bio(ssl.MemoryBIO(), out, server_hostname=name).do_handshake()
    return out.read()


def _trust(*protocols: str) -> ssl.SSLContext:
    trust = ssl.create_default_context()
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    if protocols:
        trust.set_alpn_protocols(protocols)
    return trust


def http2_headers(number: int) -> bytes:
    """Return the beginning of an HTTP/2 connection with a request of `number` headers of one byte each (RFC 9113, RFC 7541)."""

    def frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
        return len(body).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + body

    def text(value: bytes) -> bytes:
        return bytes([len(value)]) + value

    # Indexed fields: POST and https; a path; a field that enters the dynamic table, and its index again and again.
    block = bytes([0x83, 0x87, 0x44]) + text(b"/api/join") + bytes([0x41]) + text(DOMAIN.encode())
    block += bytes([0x40]) + text(b"a") + text(b"") + bytes([0xBE]) * number
    pieces = [block[at : at + 16000] for at in range(0, len(block), 16000)]
    start = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"")
    found = start
    for stream in range(1, 128, 2):
        for at, piece in enumerate(pieces):
            found += frame(9 if at else 1, 4 if at == len(pieces) - 1 else 0, stream, piece)
    return found


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What a connection sends: at first, then once in SLOW_SECONDS; over TLS if `protocols` are given (of ALPN)."""

    first: bytes = b""
    slow: bytes = b""
    protocols: tuple[str, ...] = ()


def kinds() -> dict[str, Kind]:
    """Return the kinds of connections by name."""
    http = ("http/1.1",)
    return {
        "silent": Kind(),
        "page-handshake": Kind(first=greeting(DOMAIN)),
        "turn-handshake": Kind(first=greeting(f"turn.{DOMAIN}")),
        "slow-header": Kind(first=GET.encode(), slow=b"x", protocols=http),
        "slow-body": Kind(first=POST.encode(), slow=b"x", protocols=http),
        "many-headers": Kind(first=HEADERS.encode(), slow=b"a:b\n", protocols=http),
        "http2-headers": Kind(first=http2_headers(20000), protocols=("h2",)),
    }


async def _connection(kind: Kind, address: str, source: str, tried: Callable[[], object]) -> None:
    """Open one connection and keep it until the server closes it; call `tried` when it is open or refused."""
    tls = {"ssl": _trust(*kind.protocols), "server_hostname": DOMAIN} if kind.protocols else {}
    try:
        reader, writer = await asyncio.open_connection(address, port_number("https"), local_addr=(source, 0), **tls)
    finally:
        tried()
    closed = asyncio.ensure_future(reader.read())
    try:
        writer.write(kind.first)
        while not closed.done():
            await asyncio.wait([closed], timeout=SLOW_SECONDS if kind.slow else None)
            writer.write(kind.slow)
    finally:
        closed.cancel()
        writer.transport.abort()


async def _flood(kind: Kind, address: str, source: str, number: int, seconds: float) -> None:
    clock = asyncio.get_running_loop().time
    end, tried = clock() + seconds, itertools.count(1)

    def count() -> None:
        if next(tried) == number:
            print("ready", flush=True)

    tasks: set[asyncio.Task[None]] = set()
    while clock() < end:
        for _ in range(min(number - len(tasks), PER_SECOND // 20)):
            task = asyncio.create_task(_connection(kind, address, source, count))
            tasks.add(task)
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            task.add_done_callback(tasks.discard)
        await asyncio.sleep(0.05)
    os._exit(0)  # the kernel closes all connections


@contextmanager
def flood(fleet: Fleet, host: str, kind: str, source: str, number: int, seconds: float = 60) -> Iterator[None]:
    """Run the attacker against a host for the duration of the context, which begins when its connections have begun."""
    address = getattr(fleet.hosts[host], "address6" if ":" in source else "address4")
    command = [sys.executable, "-m", "tests.roles.flood", kind, address, source, str(number), str(seconds)]
    with fleet.network():
        process = subprocess.Popen(["nice", *command], cwd=REPO, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        assert process.stdout.readline() == "ready\n", f"{kind}: the attacker could not open {number} connections"
        yield
        assert process.poll() is None, f"{kind}: the attacker ended too early"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


if __name__ == "__main__":
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    name, address, source, number, seconds = sys.argv[1:]
    asyncio.run(_flood(kinds()[name], address, source, int(number), float(seconds)))
