"""Real browsers in one class, run as an unprivileged user, in this machine's network or in a client network."""

import contextlib
import os
import pwd
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Error as BrowserError
from playwright.sync_api import Playwright, sync_playwright

from classroom.common.errors import ClassroomError
from classroom.verify.browsers.client_network import Client
from classroom.verify.browsers.kinds import CHROMIUM, BrowserKind, Place, trust
from classroom.verify.browsers.media_signal import READER, SENDERS, Sender
from classroom.verify.controls.page_requests import Request

AUTHORITIES = "CLASSROOM_EXTRA_CA"
"""Environment variable: a PEM file with certificate authorities that the browsers trust besides their own."""
USER = "nobody"
"""Account of the browsers, which never run as root; it exists on every system and owns no file."""

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
"""A page outside any class, and its host, served without network: all traffic of this browser is the browser's own."""
LEAVE = "[data-testid=leave]"
JOIN_SECONDS = 40
"""Maximum seconds from the click on "join" to the class."""
PATIENCE = 8
"""Maximum seconds to wait for everyone's first sound before measuring starts."""


def _unprivileged() -> list[str]:
    """Return the command that changes to the unprivileged user."""
    if os.geteuid() != 0:
        return []
    account = pwd.getpwnam(USER)
    return ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups", "--inh-caps=-all"]


def _give(folder: Path) -> None:
    """Make the unprivileged user the owner of a folder and its content."""
    if os.geteuid() == 0:
        account = pwd.getpwnam(USER)
        for path in (folder, *folder.rglob("*")):
            os.chown(path, account.pw_uid, account.pw_gid)


class Participant:
    """One browser in the class, with its own name and test signal."""

    def __init__(
        self,
        playwright: Any,
        home: Path,
        base: str,
        name: str,
        sender: Sender,
        client: Client | None,
        kind: BrowserKind = CHROMIUM,
    ) -> None:
        self.name, self.sender, self.client, self._base = name, sender, client, base
        self.hosts: set[str] = set()
        self._requests: dict[object, Request] = {}
        self.console: list[str] = []
        folder = home / name
        folder.mkdir()
        place = Place(folder, sender, os.environ.get(AUTHORITIES))
        kind.prepare(place)
        launcher = kind.launcher(place, client.command([]) if client else [], _unprivileged())
        _give(folder)
        env = {"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TMPDIR": str(folder)}
        self.context = kind.launch(playwright, place, launcher, env)
        self.page = self.context.pages[0] if self.context.pages else self.context.new_page()
        self.page.set_default_timeout(20000)
        self._listen() if kind is CHROMIUM else self._listen_without_devtools()
        self.page.on("console", lambda m: self.console.append(m.text[:200]) if m.type in {"error", "warning"} else None)
        self.page.on("pageerror", lambda error: self.console.append(str(error)[:200]))
        self.page.add_init_script(WATCH_CONNECTIONS)

    def _listen(self) -> None:
        """Record every request (answered, failed or blocked) from events of the Chrome DevTools Protocol."""
        protocol = self.context.new_cdp_session(self.page)
        protocol.on(
            "Network.requestWillBeSent", lambda e: self._add_request(e["requestId"], e["request"]["url"], e.get("type"))
        )
        protocol.on("Network.webSocketCreated", lambda e: self._add_request(e["requestId"], e["url"], "WebSocket"))
        protocol.on(
            "Network.webTransportCreated", lambda e: self._add_request(e["transportId"], e["url"], "WebTransport")
        )
        protocol.on(
            "Network.webSocketHandshakeResponseReceived", lambda e: self._set_result(e["requestId"], "answered")
        )
        protocol.on(
            "Network.responseReceived",
            lambda e: self._set_result(e["requestId"], "answered", e["response"].get("remoteIPAddress", "")),
        )
        protocol.on(
            "Network.loadingFailed",
            lambda e: self._set_result(e["requestId"], "blocked" if e.get("blockedReason") else "failed"),
        )
        protocol.send("Network.enable")

    def _listen_without_devtools(self) -> None:
        """Record every request from Playwright's events, which know no address."""
        self.page.on("request", lambda request: self._add_request(request, request.url, request.resource_type))
        self.page.on("response", lambda response: self._set_result(response.request, "answered"))
        self.page.on("requestfailed", lambda request: self._set_result(request, "failed"))

    def _add_request(self, key: object, url: str, kind: str | None) -> None:
        host = urlsplit(url).hostname or ""
        if urlsplit(url).scheme in {"data", "blob", "about"}:
            return
        # A redirected request keeps its id.
        if key in self._requests:
            self._requests[f"{key} {len(self._requests)}"] = self._requests.pop(key)
        self.hosts.add(host)
        self._requests[key] = Request(host, kind or "Other", "unanswered")

    def _set_result(self, key: object, result: str, address: str = "") -> None:
        if key in self._requests:
            before = self._requests[key]
            kept = before.result if before.result == "answered" else result
            self._requests[key] = replace(before, result=kept, address=address.strip("[]") or before.address)

    def name_hints(self) -> None:
        """Record the hosts of `<link>` elements, to which a browser may connect without a request event."""
        hosts: list[str] = self.page.evaluate("[...document.querySelectorAll('link[href]')].map(l => l.href)")
        for href in hosts:
            if (urlsplit(href).hostname or "") not in self.hosts | {""}:
                self._add_request(f"link {href}", href, "Link")

    @property
    def requests(self) -> list[Request]:
        """All requests of the page so far."""
        return list(self._requests.values())

    def join(self, code: str, *, microphone: bool = True) -> None:
        """Join the class through its page and wait until it is shown; `opened` is the Unix time of the request."""
        self.opened = time.time()
        for left in (2, 1, 0):
            try:
                self.page.goto(f"{self._base}/#{code}", wait_until="load")
                break
            except BrowserError as error:
                # The network of this machine changed during the request: retry.
                if "ERR_NETWORK_CHANGED" not in str(error) or not left:
                    raise
        # Playwright's `fill` reaches no React component in Firefox.
        self.page.locator("#name").press_sequentially(self.name)
        if not microphone:
            self.page.uncheck("[data-testid=with-microphone]")
        self.page.click("#join")
        self.page.wait_for_selector(LEAVE, timeout=1000 * JOIN_SECONDS)

    def leave(self) -> None:
        """Leave the class; the browser runs until `end`."""
        self._leaving(lambda: self.page.dispatch_event(LEAVE, "click", timeout=2000))

    def end(self) -> None:
        """Close the browser after its page has left: otherwise it stays in the room with black video for a while."""
        try:
            self._leaving(lambda: self.page.wait_for_selector(LEAVE, state="detached", timeout=3000))
        finally:
            self.context.close()

    def _leaving(self, step: Callable[[], object]) -> None:
        try:
            if self.page.locator(LEAVE).count():
                step()
        except BrowserError as error:
            self.console.append(f"leaving failed: {str(error)[:200]}")

    @property
    def screen(self) -> str:
        """Return the selector of this participant's shared screen on the pages of others."""
        return f'video[data-participant="{self.name}"][data-source="screen"][data-local="false"]'

    def sees(self, other: "Participant", seconds: float = 40) -> float | None:
        """Wait until a video frame of the other is decoded; return the Unix time of that, or None after `seconds`."""
        selector = f'video[data-participant="{other.name}"][data-source="camera"][data-local="false"]'
        return time.time() if self.shows(selector, seconds) else None

    def shows(self, selector: str, seconds: float) -> bool:
        """Wait until the video element `selector` has a frame (the page's CSP forbids the library's wait function)."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.page.evaluate("selector => (document.querySelector(selector)?.videoWidth ?? 0) > 0", selector):
                return True
            time.sleep(0.1)
        return False

    def appears(self, selector: str, seconds: float = 10) -> bool:
        """Wait until `selector` matches an element; return whether it does within `seconds`."""
        try:
            self.page.wait_for_selector(selector, timeout=seconds * 1000, state="attached")
        except BrowserError:
            return False
        return True

    def connections(self) -> dict[str, Any]:
        """Return `servers` (URLs of STUN and TURN received from the class) and `pairs` (selected ICE candidate pairs)."""
        found: dict[str, Any] = self.page.evaluate(STATISTICS)
        return found

    def credentials(self) -> list[dict[str, Any]]:
        """Return the TURN servers received from the class, each with `urls`, `username` and `credential`."""
        found: list[dict[str, Any]] = self.page.evaluate(CREDENTIALS)
        return found


class Meeting:
    """Browsers in the class at `base` (https://…), as a context manager that lets all participants leave at the end."""

    def __init__(self, base: str, playwright: Playwright | None = None) -> None:
        """Use a running Playwright if one is given, as a thread can run only one; otherwise start one."""
        self.base, self._given = base.rstrip("/"), playwright
        self.people: list[Participant] = []
        self.word = f"verif-{secrets.token_hex(3)}"
        """Prefix of all participants' names."""

    def __enter__(self) -> "Meeting":
        """Create a home folder for the browsers, which trusts the certificate authorities in $CLASSROOM_EXTRA_CA, if set."""
        self._home = Path(tempfile.mkdtemp(prefix="classroom-browsers-"))
        try:
            self._home.chmod(0o755)
            trust(self._home / ".pki" / "nssdb", os.environ.get(AUTHORITIES))
            _give(self._home)
            self._playwright = self._given or sync_playwright().start()
        except BaseException:
            shutil.rmtree(self._home, ignore_errors=True)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Let all participants leave, close the browsers and delete their files."""
        try:
            self.dismiss(*self.people)
        finally:
            if not self._given:
                self._playwright.stop()
            shutil.rmtree(self._home, ignore_errors=True)

    def start(self, client: Client | None = None, kind: BrowserKind = CHROMIUM) -> Participant:
        """Start a browser without a page, in the client's network if one is given; ClassroomError if it does not start."""
        number = next(n for n in range(len(SENDERS)) if all(p.sender is not SENDERS[n] for p in self.people))
        name = f"{self.word}-{number + 1}"
        try:
            person = Participant(self._playwright, self._home, self.base, name, SENDERS[number], client, kind)
        except BrowserError as error:
            raise ClassroomError(f"{kind.name} does not start: {error}") from None
        self.people.append(person)
        return person

    def enter(
        self, code: str, client: Client | None = None, *, microphone: bool = True, kind: BrowserKind = CHROMIUM
    ) -> Participant:
        """Start a browser, in the client's network if one is given, and join the class with `code`.

        ClassroomError with the console output if the browser does not start or cannot join.
        """
        person = self.start(client, kind)
        try:
            person.join(code, microphone=microphone)
        except BrowserError as error:
            raise ClassroomError(
                f"{person.name} could not join {self.base}: {error}; console: {person.console}"
            ) from None
        return person

    def idle(self, client: Client | None = None) -> Participant:
        """Start a browser with a page outside any class, with a form and no request; close it with `end`."""
        try:
            person = Participant(self._playwright, self._home, self.base, f"{self.word}-idle", SENDERS[0], client)
            person.page.route("**/*", lambda route: route.fulfill(content_type="text/html", body=NEUTRAL))
            person.page.goto(f"https://{NEUTRAL_HOST}/")
            return person
        except BrowserError as error:
            raise ClassroomError(f"Chromium does not start: {error}") from None

    def dismiss(self, *people: Participant) -> None:
        """Let participants leave at the same time, and close their browsers."""
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
        """Measure at the same time what each of `people` receives from all others for `seconds`; return the results of `reader.js`.

        Measuring starts when all senders in `of` have been heard.
        """
        tones = [sender.tone for sender in SENDERS]
        for person in people:
            names = [other.name for other in of if other is not person]
            argument = {"names": names, "seconds": seconds, "tones": tones, "patience": PATIENCE}
            person.page.evaluate(f"argument => {{ window.__seen = ({READER})(argument); }}", argument)
        return [person.page.evaluate("window.__seen") for person in people]


def save_screenshot(base: str, code: str, out: str) -> None:
    """Join a class and save a screenshot of the page as the PNG file `out`; ClassroomError if no video appears."""
    with Meeting(base) as meeting:
        person = meeting.enter(code)
        if not person.shows('video[data-local="true"]', 30):
            raise ClassroomError(f"the page shows no video within 30 s; console: {person.console}")
        time.sleep(1)
        person.page.screenshot(path=out)
