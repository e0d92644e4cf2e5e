"""One participant as the network sees it: asks the portal for a token and holds a place in the class by signalling.

`python -m tests.roles.pupil AUTHORITY ADDRESS FROM CODE NAME` prints one line of JSON when it is in, and stays until its
standard input ends; then it prints how it went and leaves.
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
from livekit.protocol.rtc import Ping, SignalRequest, SignalResponse

from classroom.paths import REPO
from tests.roles.fleet import CLIENT4, Fleet
from tests.roles.play import CODES, DOMAIN


class _Resolver(AbstractResolver):
    """Resolves every name to one address."""

    def __init__(self, address: str) -> None:
        self.address = address

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        return [ResolveResult(hostname=host, host=self.address, port=port, family=family, proto=0, flags=0)]

    async def close(self) -> None:
        return None


async def _attend(authority: str, address: str, source: str, code: str, name: str) -> None:
    trust = ssl.create_default_context(cafile=authority)
    connector = aiohttp.TCPConnector(ssl=trust, resolver=_Resolver(address), local_addr=(source, 0))
    async with aiohttp.ClientSession(connector=connector) as session:
        async with session.post(f"https://{DOMAIN}/api/join", json={"code": code, "name": name}) as answer:
            assert answer.status == 200, await answer.text()
            token = (await answer.json())["token"]
        url = f"wss://{DOMAIN}/rtc?access_token={token}&auto_subscribe=1&protocol=15&sdk=js&version=2.23.0"
        async with session.ws_connect(url) as place:
            first = SignalResponse.FromString((await place.receive()).data)
            servers = [url for server in first.join.ice_servers for url in server.urls]
            others = [other.name for other in first.join.other_participants]
            print(json.dumps({"room": first.join.room.name, "servers": servers, "others": others}), flush=True)
            leaving = asyncio.ensure_future(asyncio.get_running_loop().run_in_executor(None, sys.stdin.read))
            while not leaving.done() and not place.closed:
                await place.send_bytes(SignalRequest(ping_req=Ping(timestamp=1, rtt=1)).SerializeToString())
                try:
                    message = await place.receive(timeout=1)
                except TimeoutError:
                    continue
                if message.type != aiohttp.WSMsgType.BINARY:
                    break
                if SignalResponse.FromString(message.data).HasField("leave"):
                    break
            print(json.dumps({"stayed": leaving.done()}), flush=True)


@contextmanager
def pupil(fleet: Fleet, host: str, name: str = "Ada", role: str = "pupil", source: str = CLIENT4) -> Iterator[dict[str, Any]]:
    """Have a participant in the class while the context lasts; yields what it was told on entry.

    After the context the dictionary has `stayed`, whether it kept its place to the end.
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
