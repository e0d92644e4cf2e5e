"""One participant as the network sees it: asks the portal for a token and holds a place in the class by signalling.

`python -m tests.roles.pupil AUTHORITY ADDRESS FROM CODE NAME` prints one line of JSON when it is in, and stays until its
standard input ends; then it prints how it went and leaves. No media flow, and LiveKit shows such a participant out after
a minute: it goes before that, when it has come in a second time.
"""

import asyncio
import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from livekit.protocol.rtc import JoinResponse, Ping, SignalRequest, SignalResponse

from classroom.common.paths import REPO
from tests.roles.fleet import CLIENT4, Fleet
from tests.roles.play import CODES, DOMAIN

PLACE_SECONDS, PING_SECONDS = 45, 2


class _Resolver(AbstractResolver):
    """Resolves every name to one address."""

    def __init__(self, address: str) -> None:
        self.address = address

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
        return [ResolveResult(hostname=host, host=self.address, port=port, family=family, proto=0, flags=0)]

    async def close(self) -> None:
        return None


async def _sit(session: aiohttp.ClientSession, code: str, name: str, entered: asyncio.Future[JoinResponse]) -> str:
    """Come in and stay for `PLACE_SECONDS`; return why the place was lost before, nothing if it was not."""
    async with session.post(f"https://{DOMAIN}/api/join", json={"code": code, "name": name}) as answer:
        assert answer.status == 200, await answer.text()
        token = (await answer.json())["token"]
    url = f"wss://{DOMAIN}/rtc?access_token={token}&auto_subscribe=1&protocol=15&sdk=js&version=2.23.0"
    async with session.ws_connect(url) as place:
        entered.set_result(SignalResponse.FromString((await place.receive()).data).join)
        clock = asyncio.get_running_loop().time
        end, ping = clock() + PLACE_SECONDS, 0.0
        while clock() < end:
            try:
                # Each is answered by two messages: it is not sent at every one, which would be a flood.
                if clock() > ping:
                    ping = clock() + PING_SECONDS
                    await place.send_bytes(SignalRequest(ping_req=Ping(timestamp=1, rtt=1)).SerializeToString())
                message = await place.receive(timeout=PING_SECONDS)
            except TimeoutError:
                continue
            except OSError as error:
                return f"{type(error).__name__}: {error}"
            if message.type != aiohttp.WSMsgType.BINARY:
                return f"{message.type.name} {place.close_code} {message.extra or ''}"
            said = SignalResponse.FromString(message.data)
            if said.HasField("leave"):
                return f"leave: {said.leave}"
    return ""


async def _attend(authority: str, address: str, source: str, code: str, name: str) -> None:
    trust = ssl.create_default_context(cafile=authority)
    connector = aiohttp.TCPConnector(ssl=trust, resolver=_Resolver(address), local_addr=(source, 0))
    loop = asyncio.get_running_loop()
    leaving = loop.run_in_executor(None, sys.stdin.read)
    lost: list[str] = []
    told = False
    async with aiohttp.ClientSession(connector=connector) as session:
        places: list[asyncio.Task[str]] = []
        while not lost and not leaving.done():
            entered: asyncio.Future[JoinResponse] = loop.create_future()
            places.append(loop.create_task(_sit(session, code, name, entered)))
            await asyncio.wait([entered, places[-1]], return_when=asyncio.FIRST_COMPLETED)
            if not told and entered.done():
                told, first = True, entered.result()
                servers = [url for server in first.ice_servers for url in server.urls]
                turn = {"username": first.ice_servers[0].username, "credential": first.ice_servers[0].credential}
                others = [other.name for other in first.other_participants]
                entry = {"room": first.room.name, "servers": servers, "turn": turn, "others": others}
                print(json.dumps(entry), flush=True)
            await asyncio.wait([leaving, places[-1]], timeout=PLACE_SECONDS / 2, return_when=asyncio.FIRST_COMPLETED)
            lost = [why for place in places if place.done() and (why := place.result())]
        for place in places:
            place.cancel()
    print(json.dumps({"lost": lost}), flush=True)


@contextmanager
def pupil(fleet: Fleet, host: str, name: str = "Ada", role: str = "pupil", source: str = CLIENT4) -> Iterator[Any]:
    """Have a participant in the class while the context lasts; yields what it was told on entry, as a dictionary.

    After the context the dictionary has `lost`, why it did not keep its place to the end: empty if it did.
    """
    arguments = [str(fleet.state / "authority.pem"), fleet.hosts[host].address4, source, CODES[role], name]
    with fleet.network():
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.roles.pupil", *arguments],
            cwd=REPO,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    assert process.stdin and process.stdout
    try:
        first = process.stdout.readline()
        assert first, f"{name} did not get into the class on {host}"
        told = json.loads(first)
        yield told
        process.stdin.close()
        told |= json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


if __name__ == "__main__":
    asyncio.run(_attend(*sys.argv[1:]))
