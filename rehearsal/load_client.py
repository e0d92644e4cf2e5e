"""Put load on an open class, as a client of the outside network: `python -m rehearsal.load_client KIND`.

It reads JSON from the first line of standard input and prints one line of JSON for each result. Kinds and their input, beside `url` (of
the class page):

- `waiting`: `codes`, `people`; prints `waiting` (number) when everybody waits, and leaves at the end of standard input.
- `lecture`: `teacher_code`, `codes` (the first is used), `people`, `program` (path of the load generator of `engine/load`); a teacher
  publishes video and `people` pupils receive it. Prints `ready`, then for each further line of standard input what they received since the
  last one.
"""

import asyncio
import contextlib
import json
import os
import ssl
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from classroom.verify.browsers.browser import AUTHORITIES

TIMEOUT, STEPS = 10.0, 20
"""Seconds after which a step of a join has failed; number of people who join at once."""
ANSWERS = ("enter", "waiting")
"""What the portal says after a join: the token of the media server, or that the person waits."""


class PageClient:
    """A client of the class page at `url`."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._trust = ssl.create_default_context(cafile=os.environ[AUTHORITIES])

    def _session(self) -> aiohttp.ClientSession:
        # A connection of its own for each request, as those of different people.
        connector = aiohttp.TCPConnector(ssl=self._trust, limit=0, force_close=True)
        return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=TIMEOUT))

    async def __aenter__(self) -> "PageClient":
        self._http = await self._session().__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    @contextlib.asynccontextmanager
    async def joined(self, code: str, name: str, kinds: tuple[str, ...] = ANSWERS) -> AsyncIterator[dict[str, Any]]:
        """Join; provide the portal's first message of one of the `kinds`, and stay while the context is open."""
        async with self._http.post(f"{self._url}/api/join", json={"code": code, "name": name}) as answer:
            if answer.status != 200:
                raise ValueError(f"status {answer.status}")
            ticket = (await answer.json())["ticket"]
        async with self._http.ws_connect(f"{self._url.replace('https', 'wss', 1)}/api/class") as place:
            await place.send_json({"type": "hello", "ticket": ticket})
            while True:
                frame: dict[str, Any] = await place.receive_json(timeout=TIMEOUT)
                if frame["type"] in kinds:
                    break
            reader = asyncio.create_task(_read(place))
            yield frame
            reader.cancel()


async def _read(place: aiohttp.ClientWebSocketResponse) -> None:
    async for _ in place:
        pass


async def waiting(job: dict[str, Any]) -> None:
    """Let people wait for their teacher until the end of standard input."""
    async with PageClient(job["url"]) as client, contextlib.AsyncExitStack() as stack:
        for first in range(0, job["people"], STEPS):
            numbers = range(first, min(first + STEPS, job["people"]))
            frames = await asyncio.gather(
                *(
                    stack.enter_async_context(
                        client.joined(job["codes"][number % len(job["codes"])], f"Pupil {number}")
                    )
                    for number in numbers
                )
            )
            assert {frame["type"] for frame in frames} == {"waiting"}
        say({"waiting": job["people"]})
        await asyncio.to_thread(sys.stdin.readline)


async def lecture(job: dict[str, Any]) -> None:
    """Let a teacher publish and pupils receive, by the load generator; pass its lines on."""
    async with PageClient(job["url"]) as client, contextlib.AsyncExitStack() as stack:
        teacher = await stack.enter_async_context(client.joined(job["teacher_code"], "Teacher", ("enter",)))
        # The class opens with the teacher's connection to the media server, which the load generator makes.
        generator = await asyncio.create_subprocess_exec(
            job["program"], "lecture", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        source, sink = generator.stdout, generator.stdin
        assert source and sink

        async def ask(text: str) -> str:
            sink.write(f"{text}\n".encode())
            return (await source.readline()).decode()

        answer = await ask(json.dumps({"url": teacher["url"], "publisher": teacher["token"]}))
        tokens = []
        for number in range(job["people"]):
            frame = await stack.enter_async_context(client.joined(job["codes"][0], f"Pupil {number}", ("enter",)))
            tokens.append(frame["token"])
        answer = await ask(json.dumps({"subscribers": tokens}))
        while answer:
            print(answer, end="", flush=True)
            if not await asyncio.to_thread(sys.stdin.readline):
                break
            answer = await ask("")
        sink.close()
        await generator.wait()


def say(found: dict[str, Any]) -> None:
    """Print a result."""
    print(json.dumps(found), flush=True)


KINDS = {"waiting": waiting, "lecture": lecture}


if __name__ == "__main__":
    asyncio.run(KINDS[sys.argv[1]](json.loads(sys.stdin.readline())))
