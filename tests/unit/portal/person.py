"""A participant that only uses signalling, without media: for tests of what the media server permits with a token."""

import asyncio
from types import TracebackType
from typing import Any

import aiohttp
from livekit.protocol.rtc import SignalRequest, SignalResponse

from tests.signalling import signalling_url


class NotLetIn(Exception):
    pass


class Person:
    def __init__(self, port: int, token: str, more: str = "") -> None:
        """`more` is added to the query of the address."""
        self._url = signalling_url(f"ws://127.0.0.1:{port}", token, more=more)
        self.seen: list[SignalResponse] = []
        self.joined: Any = None

    async def __aenter__(self) -> "Person":
        self._session = aiohttp.ClientSession()
        try:
            self._socket = await self._session.ws_connect(self._url)
            self.joined = SignalResponse.FromString((await self._socket.receive(timeout=5)).data).join
        except aiohttp.WSServerHandshakeError as error:
            await self._session.close()
            raise NotLetIn(error.status) from None
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._reader.cancel()
        await self._socket.close()
        await self._session.close()

    async def _read(self) -> None:
        async for message in self._socket:
            if message.type == aiohttp.WSMsgType.BINARY:
                self.seen.append(SignalResponse.FromString(message.data))

    async def send(self, **request: Any) -> None:
        await self._socket.send_bytes(SignalRequest(**request).SerializeToString())

    async def gets(self, kind: str, seconds: float = 5.0) -> Any:
        """Return the first message of this kind, or None after `seconds`."""
        end = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < end:
            for message in self.seen:
                if message.WhichOneof("message") == kind:
                    return getattr(message, kind)
            await asyncio.sleep(0.05)
        return None

    @property
    def identity(self) -> str:
        return str(self.joined.participant.identity)
