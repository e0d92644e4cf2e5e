"""Two real browsers in one class, run as an ordinary user, in this machine's network or a restricted client's."""

import os
import pwd
import shlex
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, Page, sync_playwright

from classroom.errors import ClassroomError
from classroom.verify.media import READER, TONES, write_audio, write_video
from classroom.verify.namespaces import Client

USER = "nobody"
"""Browsers never run as root; this account exists everywhere and owns nothing."""

FLAGS = [
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--auto-select-desktop-capture-source=Entire screen",
    "--auto-accept-this-tab-capture",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]
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

SETTLE = 2.0
"""Seconds between the first picture and the count: sound starts a little later, and pictures sharpen."""


def _trust(home: Path, authority: str | None) -> None:
    """Let Chromium trust one more authority: its own store in the user's home is where it looks."""
    store = home / ".pki" / "nssdb"
    store.mkdir(parents=True)
    database = f"sql:{store}"
    subprocess.run(["certutil", "-d", database, "-N", "--empty-password"], check=True, capture_output=True)
    if authority:
        argv = ["certutil", "-d", database, "-A", "-t", "C,,", "-n", "extra", "-i", authority]
        subprocess.run(argv, check=True, capture_output=True)


def _launcher(home: Path, client: Client | None) -> Path:
    """Write the program that starts Chromium: as an ordinary user, and in the client's network if there is one."""
    words = client.command([]) if client else []
    if os.geteuid() == 0:
        account = pwd.getpwnam(USER)
        ids = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups", "--inh-caps=-all"]
        words += ["setpriv", *ids]
    chromium = shutil.which("chromium") or "chromium"
    path = home / "chromium"
    path.write_text(f'#!/bin/sh\nexec {shlex.join([*words, chromium])} "$@"\n')
    path.chmod(0o755)
    return path


def _give(folder: Path) -> None:
    """Make the ordinary user the owner of a folder and all in it."""
    if os.geteuid() == 0:
        account = pwd.getpwnam(USER)
        for path in (folder, *folder.rglob("*")):
            os.chown(path, account.pw_uid, account.pw_gid)


class Participant:
    """One browser in the class."""

    def __init__(self, playwright: Any, folder: Path, sender: int, base: str, launcher: Path) -> None:
        self.sender, self._base = sender, base
        video, audio = folder / f"camera{sender}.y4m", folder / f"microphone{sender}.wav"
        write_video(video, sender)
        write_audio(audio, sender)
        profile = folder / f"profile{sender}"
        profile.mkdir()
        _give(profile)
        flags = [
            *FLAGS,
            "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-video-capture={video}",
            f"--use-file-for-fake-audio-capture={audio}",
        ]
        self.context: BrowserContext = playwright.chromium.launch_persistent_context(
            str(profile),
            executable_path=str(launcher),
            env={"HOME": str(folder), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TMPDIR": str(folder)},
            headless=True,
            chromium_sandbox=True,
            locale="fr-FR",
            permissions=["camera", "microphone"],
            viewport={"width": 1100, "height": 700},
            args=flags,
        )
        self.page: Page = self.context.pages[0] if self.context.pages else self.context.new_page()
        self.hosts: set[str] = set()
        self.console: list[str] = []
        self.page.on("request", lambda request: self.hosts.add(request.url.split("/")[2]))
        self.page.on("websocket", lambda socket: self.hosts.add(socket.url.split("/")[2]))
        self.page.on("console", lambda m: self.console.append(m.text[:200]) if m.type in {"error", "warning"} else None)
        self.page.on("pageerror", lambda error: self.console.append(str(error)[:200]))
        self.page.add_init_script(WATCH_CONNECTIONS)
        self.name = f"verif-{sender}"

    def join(self, code: str) -> None:
        """Enter the class through its page, as people do."""
        self.page.goto(f"{self._base}/#{code}", wait_until="load", timeout=20000)
        self.page.fill("#name", self.name)
        self.page.click("#join")

    def leave(self) -> None:
        """Leave the class first: a browser that is just ended stays in the room as a black picture for a while."""
        try:
            if self.page.locator("[data-testid=leave]").count():
                self.page.click("[data-testid=leave]", timeout=2000)
                self.page.wait_for_selector("[data-testid=leave]", state="detached", timeout=3000)
        finally:
            self.context.close()

    def sees(self, other: "Participant", seconds: float) -> float | None:
        """Wait until a picture of the other is decoded; return the seconds it took, or None."""
        start = time.monotonic()
        selector = f'video[data-participant="{other.name}"][data-source="camera"][data-local="false"]'
        return time.monotonic() - start if self.shows(selector, seconds) else None

    def shows(self, selector: str, seconds: float) -> bool:
        """Wait until a video that `selector` finds has a picture (the page's policy forbids the library's own way)."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.page.evaluate("selector => (document.querySelector(selector)?.videoWidth ?? 0) > 0", selector):
                return True
            time.sleep(0.1)
        return False


def meet(
    base: str,
    codes: list[str],
    *,
    client: Client | None = None,
    seconds: int = 20,
    features: bool = False,
    camera_off: bool = False,
    screenshot: Path | None = None,
) -> dict[str, Any]:
    """Let a teacher and a pupil meet in a class for `seconds`, and return what each saw, heard and did.

    `codes` are the teacher's and the pupil's. With `features` they chat and share a screen; with `camera_off` the pupil
    turns the camera off first. Keys: `first_frame` (seconds, teacher's and pupil's, or None), `first_frame_at` (Unix time),
    `seen` (for each, second by second, what was read), `features`, `connections`, `hosts`, `console`.
    """
    home = Path(tempfile.mkdtemp(prefix="classroom-browsers-"))
    home.chmod(0o755)
    result: dict[str, Any] = {}
    try:
        _trust(home, os.environ.get("CLASSROOM_EXTRA_CA"))
        _give(home)
        launcher = _launcher(home, client)
        with sync_playwright() as playwright:
            people = [Participant(playwright, home, sender, base, launcher) for sender in TONES]
            try:
                for person, code in zip(people, codes, strict=True):
                    person.join(code)
                teacher, pupil = people
                result["first_frame"] = [teacher.sees(pupil, 40), pupil.sees(teacher, 40)]
                result["first_frame_at"] = time.time()
                if camera_off:
                    pupil.page.click("[data-testid=camera]")
                time.sleep(SETTLE)
                if screenshot:
                    teacher.page.screenshot(path=screenshot)
                result["seen"] = _watch(people, seconds)
                result["features"] = _features(teacher, pupil) if features else {}
                result["connections"] = [person.page.evaluate(STATISTICS) for person in people]
            finally:
                result["hosts"] = sorted(set().union(*(person.hosts for person in people)))
                result["console"] = [person.console[:20] for person in people]
                for person in people:
                    person.leave()
        return result
    finally:
        shutil.rmtree(home, ignore_errors=True)


def look(base: str, code: str, out: str) -> None:
    """Join a class as somebody who only looks, and save what such a participant sees as a PNG file."""
    home = Path(tempfile.mkdtemp(prefix="classroom-browsers-"))
    home.chmod(0o755)
    try:
        _trust(home, os.environ.get("CLASSROOM_EXTRA_CA"))
        _give(home)
        with sync_playwright() as playwright:
            person = Participant(playwright, home, 1, base.rstrip("/"), _launcher(home, None))
            try:
                person.join(code)
                if not person.shows('video[data-local="true"]', 30):
                    raise ClassroomError(f"the class showed no picture within 30 s: {person.console}")
                time.sleep(1)
                person.page.screenshot(path=out)
            finally:
                person.leave()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _watch(people: list[Participant], seconds: int) -> list[Any]:
    """Read both remote pictures and sounds at once: each page collects by itself while the other does."""
    tones = {str(k): v for k, v in TONES.items()}
    argument = {"seconds": seconds, "tones": tones}
    for person in people:
        person.page.evaluate(f"argument => {{ window.__seen = ({READER})(argument); }}", argument)
    return [person.page.evaluate("window.__seen") for person in people]


def _features(teacher: Participant, pupil: Participant) -> dict[str, Any]:
    done: dict[str, Any] = {}
    for person in (teacher, pupil):
        person.page.click("[data-testid=chat-toggle]")
    pupil.page.fill("[data-testid=chat-input]", "Bonjour Madame")
    pupil.page.click("[data-testid=chat-send]")
    done["chat"] = _appears(teacher, '[data-testid=chat-message]:has-text("Bonjour Madame")')
    teacher.page.click("[data-testid=screen]", timeout=4000)
    done["screen"] = pupil.shows('video[data-source="screen"][data-local="false"]', 10)
    done["pupil_may_share"] = pupil.page.locator("[data-testid=screen]").count() > 0
    return done


def _appears(person: Participant, selector: str) -> bool:
    try:
        person.page.wait_for_selector(selector, timeout=10000, state="attached")
    except Exception:
        return False
    return True
