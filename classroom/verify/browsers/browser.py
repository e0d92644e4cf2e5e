"""Real browsers in one class, run as an ordinary user, in this machine's network or in a restricted client's."""

import contextlib
import os
import pwd
import secrets
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from playwright.sync_api import Error as BrowserError
from playwright.sync_api import sync_playwright

from classroom.common.errors import ClassroomError
from classroom.verify.browsers.client_network import Client
from classroom.verify.browsers.media_signal import READER, SENDERS, Sender, write_audio, write_video
from classroom.verify.controls.page_requests import Request

USER = "nobody"
"""Browsers never run as root; this account exists everywhere and owns nothing."""

FLAGS = (
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--auto-select-desktop-capture-source=Entire screen",
    "--auto-accept-this-tab-capture",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
)
WATCH_CONNECTIONS = """
window.__connections = [];
window.RTCPeerConnection = new Proxy(window.RTCPeerConnection, {
  construct(target, args) { const made = new target(...args); window.__connections.push(made); return made; },
});
"""
STATISTICS = """
async () => { const found = {pairs: [], servers: []};
  for (const connection of window.__connections) { if (connection.connectionState === 'closed') continue;
    const stats = await connection.getStats();
    found.servers.push(...connection.getConfiguration().iceServers.flatMap(s => s.urls));
    for (const report of stats.values()) if (report.type === 'transport' && report.selectedCandidatePairId) {
      const pair = stats.get(report.selectedCandidatePairId);
      const local = stats.get(pair.localCandidateId), remote = stats.get(pair.remoteCandidateId);
      found.pairs.push({kind: local.candidateType, protocol: local.protocol, relay: local.relayProtocol ?? null, url: local.url ?? null,
        remote: remote.address ?? null, port: remote.port}); } }
  return found; }
"""
CREDENTIALS = """
() => window.__connections.filter(c => c.connectionState !== 'closed').flatMap(c => c.getConfiguration().iceServers)
  .filter(s => s.username).map(s => ({urls: [s.urls].flat(), username: s.username, credential: s.credential}))
"""
NEUTRAL = '<!doctype html><html lang="fr"><title>.</title><form><input name="name"><button>.</button></form>'
NEUTRAL_HOST = "no-class.example"
"""A page of no class, and its host, given to the browser without any network: what is asked from there, it asks by itself."""
LEAVE = "[data-testid=leave]"
PATIENCE = 8
"""Seconds to wait for the first sound of everybody before counting begins all the same."""


def _command(*argv: object) -> None:
    answer = subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=False)
    if answer.returncode:
        raise ClassroomError(f"`{shlex.join(map(str, argv))}` failed: {answer.stderr.strip()[-300:]}")


def _give(folder: Path) -> None:
    """Make the ordinary user the owner of a folder and all in it."""
    if os.geteuid() == 0:
        account = pwd.getpwnam(USER)
        for path in (folder, *folder.rglob("*")):
            os.chown(path, account.pw_uid, account.pw_gid)


class Participant:
    """One browser in the class, with a name and a signature of its own."""

    def __init__(
        self, playwright: Any, home: Path, base: str, name: str, sender: Sender, client: Client | None
    ) -> None:
        self.name, self.sender, self.client, self._base = name, sender, client, base
        self.hosts: set[str] = set()
        self._requests: dict[str, Request] = {}
        self.console: list[str] = []
        folder = home / name
        folder.mkdir()
        video, audio = folder / "camera.y4m", folder / "microphone.wav"
        write_video(video, sender)
        write_audio(audio, sender)
        flags = [f"--use-file-for-fake-video-capture={video}", f"--use-file-for-fake-audio-capture={audio}"]
        launcher = self._launcher(folder, client)
        (folder / "profile").mkdir()
        _give(folder)
        self.context = playwright.chromium.launch_persistent_context(
            str(folder / "profile"),
            executable_path=str(launcher),
            env={"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TMPDIR": str(folder)},
            headless=True,
            chromium_sandbox=True,
            locale="fr-FR",
            permissions=["camera", "microphone"],
            viewport={"width": 1100, "height": 700},
            args=[*FLAGS, *flags],
        )
        self.page = self.context.pages[0] if self.context.pages else self.context.new_page()
        self.page.set_default_timeout(20000)
        self._listen()
        self.page.on("console", lambda m: self.console.append(m.text[:200]) if m.type in {"error", "warning"} else None)
        self.page.on("pageerror", lambda error: self.console.append(str(error)[:200]))
        self.page.add_init_script(WATCH_CONNECTIONS)

    def _listen(self) -> None:
        """Keep every request, as the browser's own protocol tells it: answered, failed and blocked ones."""
        protocol = self.context.new_cdp_session(self.page)
        protocol.on(
            "Network.requestWillBeSent", lambda e: self._asked(e["requestId"], e["request"]["url"], e.get("type"))
        )
        protocol.on("Network.webSocketCreated", lambda e: self._asked(e["requestId"], e["url"], "WebSocket"))
        protocol.on("Network.webTransportCreated", lambda e: self._asked(e["transportId"], e["url"], "WebTransport"))
        protocol.on("Network.webSocketHandshakeResponseReceived", lambda e: self._told(e["requestId"], "answered"))
        protocol.on(
            "Network.responseReceived",
            lambda e: self._told(e["requestId"], "answered", e["response"].get("remoteIPAddress", "")),
        )
        protocol.on(
            "Network.loadingFailed",
            lambda e: self._told(e["requestId"], "blocked" if e.get("blockedReason") else "failed"),
        )
        protocol.send("Network.enable")

    def _asked(self, key: str, url: str, kind: str | None) -> None:
        host = urlsplit(url).hostname or ""
        if urlsplit(url).scheme in {"data", "blob", "about"}:
            return
        # A request that is sent on keeps its key.
        if key in self._requests:
            self._requests[f"{key} {len(self._requests)}"] = self._requests.pop(key)
        self.hosts.add(host)
        self._requests[key] = Request(host, kind or "Other", "unanswered")

    def _told(self, key: str, result: str, address: str = "") -> None:
        if key in self._requests:
            before = self._requests[key]
            kept = before.result if before.result == "answered" else result
            self._requests[key] = replace(before, result=kept, address=address.strip("[]") or before.address)

    def name_hints(self) -> None:
        """Keep what the page only announces: hosts of its links, which a browser may ask before any request is seen."""
        hosts: list[str] = self.page.evaluate("[...document.querySelectorAll('link[href]')].map(l => l.href)")
        for href in hosts:
            if (urlsplit(href).hostname or "") not in self.hosts | {""}:
                self._asked(f"link {href}", href, "Link")

    @property
    def requests(self) -> list[Request]:
        """Every request of the page so far."""
        return list(self._requests.values())

    @staticmethod
    def _launcher(folder: Path, client: Client | None) -> Path:
        """Write the program that starts Chromium: as an ordinary user, and in the client's network if there is one."""
        words = client.command([]) if client else []
        if os.geteuid() == 0:
            account = pwd.getpwnam(USER)
            ids = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups", "--inh-caps=-all"]
            words += ["setpriv", *ids]
        path = folder / "chromium"
        path.write_text(f'#!/bin/sh\nexec {shlex.join([*words, shutil.which("chromium") or "chromium"])} "$@"\n')
        path.chmod(0o755)
        return path

    def join(self, code: str, *, microphone: bool = True) -> None:
        """Enter the class through its page, as people do; `opened` is the moment at which the page was asked for."""
        self.opened = time.time()
        for left in (2, 1, 0):
            try:
                self.page.goto(f"{self._base}/#{code}", wait_until="load")
                break
            except BrowserError as error:
                # This machine's own network changed just then: the page is asked for again, as a browser's user does.
                if "ERR_NETWORK_CHANGED" not in str(error) or not left:
                    raise
        self.page.fill("#name", self.name)
        if not microphone:
            self.page.uncheck("[data-testid=with-microphone]")
        self.page.click("#join")

    def leave(self) -> None:
        """Leave the class; the browser goes on until its `end`."""
        self._leaving(lambda: self.page.dispatch_event(LEAVE, "click", timeout=2000))

    def end(self) -> None:
        """End the browser, once its page has left: one that is just ended stays in the room as a black picture for a while."""
        try:
            self._leaving(lambda: self.page.wait_for_selector(LEAVE, state="detached", timeout=3000))
        finally:
            self.context.close()

    def _leaving(self, step: Callable[[], object]) -> None:
        try:
            if self.page.locator(LEAVE).count():
                step()
        except BrowserError as error:
            self.console.append(f"it could not leave: {str(error)[:200]}")

    def sees(self, other: "Participant", seconds: float = 40) -> float | None:
        """Wait until a picture of the other is decoded; return the Unix time when it was, or None."""
        selector = f'video[data-participant="{other.name}"][data-source="camera"][data-local="false"]'
        return time.time() if self.shows(selector, seconds) else None

    def shows(self, selector: str, seconds: float) -> bool:
        """Wait until a video that `selector` finds has a picture (the page's policy forbids the library's own way)."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.page.evaluate("selector => (document.querySelector(selector)?.videoWidth ?? 0) > 0", selector):
                return True
            time.sleep(0.1)
        return False

    def appears(self, selector: str, seconds: float = 10) -> bool:
        """Wait until `selector` finds something; return whether it did."""
        try:
            self.page.wait_for_selector(selector, timeout=seconds * 1000, state="attached")
        except BrowserError:
            return False
        return True

    def connections(self) -> dict[str, Any]:
        """Return `servers` (URLs that the class gave for STUN and TURN) and `pairs` (the ways that media really take)."""
        found: dict[str, Any] = self.page.evaluate(STATISTICS)
        return found

    def credentials(self) -> list[dict[str, Any]]:
        """Return the TURN servers that the class gave, each with `urls`, `username` and `credential`."""
        found: list[dict[str, Any]] = self.page.evaluate(CREDENTIALS)
        return found


class Meeting:
    """Browsers that meet in the class at `base` (https://…). Use it in a `with`: everybody has left afterwards."""

    def __init__(self, base: str) -> None:
        self.base = base.rstrip("/")
        self.people: list[Participant] = []
        self.word = f"verif-{secrets.token_hex(3)}"
        """With this all participants' names begin."""

    def __enter__(self) -> "Meeting":
        """Make a home for the browsers, in which the extra authorities of $CLASSROOM_EXTRA_CA are trusted, if there are any."""
        self._home = Path(tempfile.mkdtemp(prefix="classroom-browsers-"))
        try:
            self._home.chmod(0o755)
            self._trust(os.environ.get("CLASSROOM_EXTRA_CA"))
            _give(self._home)
            self._manager = sync_playwright()
            self._playwright = self._manager.start()
        except BaseException:
            shutil.rmtree(self._home, ignore_errors=True)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Let everybody leave, end the browsers, and drop all they had."""
        try:
            self.dismiss(*self.people)
        finally:
            self._playwright.stop()
            shutil.rmtree(self._home, ignore_errors=True)

    def _trust(self, authorities: str | None) -> None:
        """Let Chromium trust the authorities of a PEM file too: its own store in the user's home is where it looks."""
        store = self._home / ".pki" / "nssdb"
        store.mkdir(parents=True)
        _command("certutil", "-d", f"sql:{store}", "-N", "--empty-password")
        found = x509.load_pem_x509_certificates(Path(authorities).read_bytes()) if authorities else []
        for number, certificate in enumerate(found):
            one = self._home / "extra.pem"
            one.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
            _command("certutil", "-d", f"sql:{store}", "-A", "-t", "C,,", "-n", f"extra {number}", "-i", one)

    def start(self, client: Client | None = None) -> Participant:
        """Start a browser, in the client's network if one is given; it shows nothing yet. ClassroomError if it does not start."""
        number = next(n for n in range(len(SENDERS)) if all(p.sender is not SENDERS[n] for p in self.people))
        name = f"{self.word}-{number + 1}"
        try:
            person = Participant(self._playwright, self._home, self.base, name, SENDERS[number], client)
        except BrowserError as error:
            raise ClassroomError(f"the browser did not start: {error}") from None
        self.people.append(person)
        return person

    def enter(self, code: str, client: Client | None = None, *, microphone: bool = True) -> Participant:
        """Start a browser, in the client's network if one is given, and join the class with `code`.

        ClassroomError when the browser does not start or cannot join, with what it says.
        """
        person = self.start(client)
        try:
            person.join(code, microphone=microphone)
        except BrowserError as error:
            raise ClassroomError(
                f"{person.name} could not join {self.base}: {error}; the page said {person.console}"
            ) from None
        return person

    def idle(self, client: Client | None = None) -> Participant:
        """Start a browser that shows a page of no class, with a form and no request; end it with its own `end`."""
        try:
            person = Participant(self._playwright, self._home, self.base, f"{self.word}-idle", SENDERS[0], client)
            person.page.route("**/*", lambda route: route.fulfill(content_type="text/html", body=NEUTRAL))
            person.page.goto(f"https://{NEUTRAL_HOST}/")
            return person
        except BrowserError as error:
            raise ClassroomError(f"the browser did not start: {error}") from None

    def dismiss(self, *people: Participant) -> None:
        """Let people leave, all at once, and end their browsers."""
        with contextlib.ExitStack() as stack:
            for person in people:
                self.people.remove(person)
                stack.callback(shutil.rmtree, self._home / person.name, ignore_errors=True)
                stack.callback(person.end)
            for person in people:
                person.leave()

    def watch(
        self, people: Sequence[Participant], seconds: int, of: Sequence[Participant]
    ) -> list[list[dict[str, Any]]]:
        """Let each of `people` read what comes from all others in the class, at once; return the reader's result of each.

        Counting begins when all `of` whom something is expected have been heard.
        """
        tones = [sender.tone for sender in SENDERS]
        for person in people:
            names = [other.name for other in of if other is not person]
            argument = {"names": names, "seconds": seconds, "tones": tones, "patience": PATIENCE}
            person.page.evaluate(f"argument => {{ window.__seen = ({READER})(argument); }}", argument)
        return [person.page.evaluate("window.__seen") for person in people]


def look(base: str, code: str, out: str) -> None:
    """Join a class as somebody who only looks, and save what such a participant sees as a PNG file."""
    with Meeting(base) as meeting:
        person = meeting.enter(code)
        if not person.shows('video[data-local="true"]', 30):
            raise ClassroomError(f"the class showed no picture within 30 s: {person.console}")
        time.sleep(1)
        person.page.screenshot(path=out)
