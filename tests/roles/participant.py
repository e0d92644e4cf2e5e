"""Simulates a participant: enters the class through the join service and stays in it by signalling, without media.

`python -m tests.roles.participant AUTHORITY ADDRESS FROM CODE NAME` prints one line of JSON after it has joined. It stays until its
standard input ends; then it prints whether it lost the connection, and leaves. LiveKit removes a participant without media
after a minute, so the program joins a second time before that, and then closes the first connection.
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
from tests.signalling import signalling_url

STAY_SECONDS, PING_SECONDS, ENTER_SECONDS = 45, 2, 10


class _Resolver(AbstractResolver):
    """Resolves every name to one address."""

    def __init__(self, address: str) -> None:
        self.address = address

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
        return [ResolveResult(hostname=host, host=self.address, port=port, family=family, proto=0, flags=0)]

    async def close(self) -> None:
        return None


async def _stay(session: aiohttp.ClientSession, code: str, name: str, entered: asyncio.Future[JoinResponse]) -> str:
    """Join and stay for `STAY_SECONDS`; return why the connection was lost before that, or an empty string."""
    async with session.post(f"https://{DOMAIN}/api/join", json={"code": code, "name": name}) as answer:
        assert answer.status == 200, await answer.text()
        ticket = (await answer.json())["ticket"]
    async with session.ws_connect(f"wss://{DOMAIN}/api/class") as place:
        await place.send_json({"type": "hello", "ticket": ticket})
        async with asyncio.timeout(ENTER_SECONDS):
            while (frame := await place.receive_json())["type"] != "enter":
                pass
        return await _signal(session, frame["token"], entered)


async def _signal(session: aiohttp.ClientSession, token: str, entered: asyncio.Future[JoinResponse]) -> str:
    async with session.ws_connect(signalling_url(f"wss://{DOMAIN}", token)) as signalling:
        entered.set_result(SignalResponse.FromString((await signalling.receive()).data).join)
        clock = asyncio.get_running_loop().time
        end, ping = clock() + STAY_SECONDS, 0.0
        while clock() < end:
            try:
                # LiveKit answers a ping with two messages: a ping per message would flood it.
                if clock() > ping:
                    ping = clock() + PING_SECONDS
                    await signalling.send_bytes(SignalRequest(ping_req=Ping(timestamp=1, rtt=1)).SerializeToString())
                message = await signalling.receive(timeout=PING_SECONDS)
            except TimeoutError:
                continue
            except OSError as error:
                return f"{type(error).__name__}: {error}"
            if message.type != aiohttp.WSMsgType.BINARY:
                return f"{message.type.name} {signalling.close_code} {message.extra or ''}"
            response = SignalResponse.FromString(message.data)
            if response.HasField("leave"):
                return f"leave: {response.leave}"
    return ""


async def _attend(authority: str, address: str, source: str, code: str, name: str) -> None:
    trust = ssl.create_default_context(cafile=authority)
    connector = aiohttp.TCPConnector(ssl=trust, resolver=_Resolver(address), local_addr=(source, 0))
    loop = asyncio.get_running_loop()
    leaving = loop.run_in_executor(None, sys.stdin.read)
    lost: list[str] = []
    reported = False
    async with aiohttp.ClientSession(connector=connector) as session:
        connections: list[asyncio.Task[str]] = []
        while not lost and not leaving.done():
            entered: asyncio.Future[JoinResponse] = loop.create_future()
            connections.append(loop.create_task(_stay(session, code, name, entered)))
            await asyncio.wait([entered, connections[-1]], return_when=asyncio.FIRST_COMPLETED)
            if not reported and entered.done():
                reported, first = True, entered.result()
                servers = [url for server in first.ice_servers for url in server.urls]
                turn = {"username": first.ice_servers[0].username, "credential": first.ice_servers[0].credential}
                others = [other.name for other in first.other_participants]
                entry = {"room": first.room.name, "servers": servers, "turn": turn, "others": others}
                print(json.dumps(entry), flush=True)
            await asyncio.wait(
                [leaving, connections[-1]], timeout=STAY_SECONDS / 2, return_when=asyncio.FIRST_COMPLETED
            )
            lost = [why for one in connections if one.done() and (why := one.result())]
        for one in connections:
            one.cancel()
    print(json.dumps({"lost": lost}), flush=True)


@contextmanager
def participant(
    fleet: Fleet, host: str, name: str = "Ada", role: str = "teacher", source: str = CLIENT4
) -> Iterator[Any]:
    """Run a participant in the class for the duration of the context; yield what it received on joining, as a dictionary.

    A pupil enters only while a teacher is there.

    After the context the dictionary has `lost`, the reasons why connections were lost: empty if none was.
    """
    arguments = [str(fleet.state / "authority.pem"), fleet.hosts[host].address4, source, CODES[role], name]
    with fleet.network():
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.roles.participant", *arguments],
            cwd=REPO,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    assert process.stdin and process.stdout
    try:
        first = process.stdout.readline()
        assert first, f"{name} could not join the class on {host}"
        received = json.loads(first)
        yield received
        process.stdin.close()
        received |= json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


if __name__ == "__main__":
    asyncio.run(_attend(*sys.argv[1:]))
