"""Raid a class with fifty bots while four real browsers are in it, and let the teacher end the raid with one button.

`python -m tests.rehearsal.raid` runs in the outside network. It reads JSON from standard input (`url`, `teacher_code`, `pupil_code`) and
prints one line of JSON: for each minute and each video that a browser shows its `frames` and the longest `freeze` in seconds, how many
`attacks` of each kind were made, and the `seconds` until only the four were in the class again.
"""

import asyncio
import contextlib
import itertools
import json
import os
import secrets
import ssl
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from classroom.config.ports import port_number
from classroom.verify.browsers.browser import AUTHORITIES, Meeting, Participant
from tests.signalling import signalling_url

BOTS, SECONDS, PAUSE, BEHIND = 50, 60, 0.25, 5
SAMPLER = """
() => { const found = {}; window.__frames = found; const last = {};
  window.__sampler = setInterval(() => { const now = performance.now();
    for (const video of document.querySelectorAll('video[data-local="false"][data-source="camera"]')) {
      const name = video.dataset.participant, count = video.getVideoPlaybackQuality().totalVideoFrames;
      const one = (found[name] ??= {frames: 0, freeze: 0}), before = (last[name] ??= {count, at: now, video});
      if (before.video !== video) last[name] = {count: 0, at: before.at, video};
      const grown = count - last[name].count;
      one.freeze = Math.max(one.freeze, (now - last[name].at) / 1000);
      if (grown > 0) { one.frames += grown; last[name] = {count, at: now, video}; } } }, 100); }
"""
STOP = "() => { clearInterval(window.__sampler); return window.__frames; }"


class Raid:
    """Fifty bots with the pupils' code, in a thread of their own."""

    def __init__(self, url: str, code: str, teacher: str) -> None:
        self._url, self._code = url.rstrip("/"), code
        self._sockets = self._url.replace("https", "wss")
        self._host = urlsplit(url).hostname or ""
        self._names = itertools.cycle(
            [teacher, teacher.upper(), "a" + "\u0301" * 9, "Intruder", "\u202eabc", "x" * 5000]
        )
        self._trust = ssl.create_default_context(cafile=os.environ[AUTHORITIES])
        self.attacks: Counter[str] = Counter()
        self._tokens: list[str] = []

    def __enter__(self) -> "Raid":
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(20)

    def _run(self) -> None:
        # The bots stand for other machines: they give way to the browsers, which have the same processors here.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BEHIND)
        asyncio.run(self._attack())

    async def _attack(self) -> None:
        connector = aiohttp.TCPConnector(ssl=self._trust, limit=0)
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=10)) as http:
            bots = [asyncio.create_task(self._bot(http, number)) for number in range(BOTS)]
            while not self._end.is_set():
                await asyncio.sleep(0.2)
            for bot in bots:
                bot.cancel()
            await asyncio.gather(*bots, return_exceptions=True)

    async def _bot(self, http: aiohttp.ClientSession, number: int) -> None:
        await asyncio.sleep(number * PAUSE / BOTS)
        kinds: list[Callable[[aiohttp.ClientSession], Awaitable[None]]] = [
            self._guess, self._silence, self._come, self._hoarded, self._other_site,
        ]  # fmt: skip
        for attack in itertools.cycle(kinds[number % len(kinds) :] + kinds[: number % len(kinds)]):
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError, ValueError, TypeError):
                await attack(http)
            await asyncio.sleep(PAUSE)

    async def _guess(self, http: aiohttp.ClientSession) -> None:
        for _ in range(5):
            body = {"code": secrets.token_hex(5), "name": "x"}
            async with http.post(f"{self._url}/api/join", json=body) as answer:
                self.attacks[f"wrong code: {answer.status}"] += 1

    async def _other_site(self, http: aiohttp.ClientSession) -> None:
        headers = {"Origin": "https://elsewhere.example"}
        async with http.post(f"{self._url}/api/join", data=b"[" * 4000, headers=headers) as answer:
            self.attacks[f"other site: {answer.status}"] += 1

    async def _silence(self, http: aiohttp.ClientSession) -> None:
        _, writer = await asyncio.wait_for(asyncio.open_connection(self._host, port_number("https")), 5)
        self.attacks["silent connection"] += 1
        await asyncio.sleep(5)
        writer.close()

    async def _come(self, http: aiohttp.ClientSession) -> None:
        """Join, flood the WebSocket, enter the room with an identity made by `publish`, and stay for ten seconds."""
        body = {"code": self._code, "name": next(self._names)}
        async with http.post(f"{self._url}/api/join", json=body) as answer:
            self.attacks[f"join: {answer.status}"] += 1
            ticket = (await answer.json())["ticket"]
        async with http.ws_connect(f"{self._sockets}/api/class") as place:
            await place.send_json({"type": "hello", "ticket": ticket})
            frame: dict[str, Any] = await place.receive_json(timeout=10)
            self.attacks[f"hello: {frame['type']}"] += 1
            if frame["type"] != "enter":
                return
            self._tokens.append(frame["token"])
            async with contextlib.AsyncExitStack() as rooms:
                for more in ("", "&publish=raid"):
                    await rooms.enter_async_context(http.ws_connect(self._room(frame["token"], more)))
                    self.attacks["entered the room"] += 1
                for number in range(200):
                    await place.send_json({"type": "chat", "re": number, "text": "spam " * 190})
                    await place.send_json({"type": "hand", "re": number, "raised": number % 2 == 0})
                    self.attacks["chat and hands"] += 2
                await place.send_bytes(b"\xff" * 100)
                await place.send_str("[" * 60_000)
                await asyncio.sleep(10)

    async def _hoarded(self, http: aiohttp.ClientSession) -> None:
        if self._tokens:
            async with http.ws_connect(self._room(secrets.choice(self._tokens))) as room:
                self.attacks["hoarded token"] += 1
                await room.receive(timeout=5)

    def _room(self, token: str, more: str = "") -> str:
        return signalling_url(self._sockets, token, subscribe=False, more=more)


def measured(people: list[Participant]) -> dict[str, Any]:
    """Count the frames that all browsers show for a minute."""
    for person in people:
        person.page.evaluate(SAMPLER)
    people[0].page.wait_for_timeout(SECONDS * 1000)
    return {f"{person.name} sees {name}": one for person in people for name, one in person.page.evaluate(STOP).items()}


def ended(teacher: Participant, pupils: list[Participant]) -> float:
    """Let the teacher end the raid and keep the three pupils; return the seconds until the four see each other, alone."""
    start = time.monotonic()
    teacher.page.click("[data-testid=raid]")
    for pupil in pupils:
        teacher.page.locator("[data-testid=raid-dialog] li", has_text=pupil.name).locator("input").check()
    teacher.page.click("[data-testid=raid-confirm]")
    people = [teacher, *pupils]
    while time.monotonic() < start + 60:
        counts = [person.page.inner_text("[data-testid=count]") for person in people]
        if all(count.startswith("4 ") for count in counts) and all(
            one.sees(other, 0.1) for one in people for other in people if one is not other
        ):
            return time.monotonic() - start
        time.sleep(0.5)
    raise AssertionError(f"a minute after the teacher ended the raid, the pages count {counts}")


def main() -> None:
    """Run the raid."""
    job = json.load(sys.stdin)
    with Meeting(job["url"]) as meeting:
        codes = [job["teacher_code"], *[job["pupil_code"]] * 3]
        people = [meeting.enter(code, microphone=False) for code in codes]
        teacher, *pupils = people
        for one in people:
            for other in people:
                assert one is other or one.sees(other), f"{one.name} does not see {other.name}"
        before = measured(people)
        with Raid(job["url"], job["pupil_code"], teacher.name) as raid:
            time.sleep(1)
            during = measured(people)
            picture = os.environ.get("CLASSROOM_SCREENSHOT")
            if picture:
                teacher.page.screenshot(path=picture)
            seconds = ended(teacher, pupils)
        print(json.dumps({"before": before, "during": during, "attacks": raid.attacks, "seconds": seconds}))


if __name__ == "__main__":
    main()
