"""The media servers, as the join service asks them: any of them answers for all."""

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from google.protobuf.message import DecodeError
from livekit import api

from portal.config import Config

NO_ANSWER = (aiohttp.ClientError, TimeoutError, DecodeError, AttributeError)
"""No connection, or an answer that is none of a media server; the client takes every error for an object."""
TIMEOUT = aiohttp.ClientTimeout(total=5, connect=2)


class Unreachable(Exception):
    """No media server answered."""


class Media:
    """Asks the first media server that answers."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._session: aiohttp.ClientSession | None = None
        self._servers: list[Any] = []

    async def open(self) -> None:
        """Be ready; to be called within the event loop."""
        self._session = aiohttp.ClientSession(timeout=TIMEOUT)
        # `failover` would ask for other regions, as the vendor's own service has them.
        self._servers = [
            api.LiveKitAPI(url, self._config.key, self._config.secret, session=self._session, failover=False)
            for url in self._config.livekit
        ]

    async def close(self) -> None:
        """End what is open."""
        if self._session:
            await self._session.close()

    async def ask(self, call: Callable[[Any], Awaitable[Any]]) -> Any:
        """Return what `call` returns for the room service of the first server that answers.

        Raises Unreachable, or api.TwirpError where a server answered no.
        """
        for server in self._servers:
            try:
                return await call(server.room)
            except NO_ANSWER:
                continue
            except api.TwirpError as error:
                if error.status < 500:
                    raise
        raise Unreachable
