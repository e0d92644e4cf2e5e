"""Call the API of the media servers; any of them serves all rooms."""

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from google.protobuf.message import DecodeError
from livekit import api

from portal.config import Config

NO_ANSWER = (aiohttp.ClientError, TimeoutError, DecodeError, AttributeError)
"""No connection, or a response that is not a media server's: the client parses every error body as a JSON object."""
TIMEOUT = aiohttp.ClientTimeout(total=5, connect=2)


class Unreachable(Exception):
    """No media server answered."""


class Media:
    """A client that calls the first media server that answers."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._session: aiohttp.ClientSession | None = None
        self._servers: list[Any] = []

    async def open(self) -> None:
        """Open the HTTP session; call it within the event loop."""
        self._session = aiohttp.ClientSession(timeout=TIMEOUT)
        # `failover` would query other regions, which only the vendor's own service has.
        self._servers = [
            api.LiveKitAPI(url, self._config.key, self._config.secret, session=self._session, failover=False)
            for url in self._config.livekit
        ]

    async def close(self) -> None:
        """Close the HTTP session."""
        if self._session:
            await self._session.close()

    async def ask(self, call: Callable[[Any], Awaitable[Any]]) -> Any:
        """Return the result of `call` with the room service of the first server that answers.

        Raises Unreachable, or api.TwirpError if a server refuses the request.
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
