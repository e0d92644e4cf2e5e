"""Users of the class page: headless browsers with a fake camera and microphone."""

import time
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page

from classroom.common.paths import REPO
from tests.page.server import ROOM, codes_of
from tests.page.site import Site

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream=fps=10",
    "--autoplay-policy=no-user-gesture-required",
    "--auto-select-desktop-capture-source=Entire screen",
    "--auto-accept-this-tab-capture",
    "--host-resolver-rules=MAP * ~NOTFOUND,EXCLUDE 127.0.0.1",
]
AXE = REPO / "web" / "node_modules" / "axe-core" / "axe.min.js"

HEARD = """
async ({name, seconds}) => {
  const element = [...document.querySelectorAll('audio')].find(a => a.dataset.participant === name);
  if (!element?.srcObject) return -1;
  const context = new AudioContext(), analyser = context.createAnalyser();
  context.createMediaStreamSource(element.srcObject).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  let loudest = 0;
  for (const end = performance.now() + seconds * 1000; performance.now() < end && loudest < 0.01;) {
    analyser.getFloatTimeDomainData(samples);
    loudest = Math.max(loudest, ...samples.map(Math.abs));
    await new Promise(r => setTimeout(r, 50));
  }
  await context.close();
  return loudest;
}
"""


def isolated(name: str) -> str:
    """Return a name as it is in labels of the page: between FIRST STRONG ISOLATE and POP DIRECTIONAL ISOLATE."""
    return f"\u2068{name}\u2069"


class PageUser:
    """One browser, with the hosts that it requested and the errors on its console."""

    def __init__(
        self,
        browser: Browser,
        site: Site,
        name: str,
        *,
        room: str = ROOM,
        locale: str = "fr-FR",
        allowed: bool = True,
        **options: Any,
    ) -> None:
        self.site, self.name, self.codes = site, name, codes_of(room)
        self.context: BrowserContext = browser.new_context(
            locale=locale,
            permissions=["camera", "microphone"] if allowed else [],
            viewport=options.pop("viewport", {"width": 1100, "height": 720}),
            **options,
        )
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(20000)
        self.requested_hosts: set[str] = set()
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.requested_hosts.add(request.url.split("/")[2]))
        self.page.on("websocket", lambda socket: self.requested_hosts.add(socket.url.split("/")[2]))
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self, code: str = "") -> "PageUser":
        self.page.goto(f"{self.site.base}/#{code}" if code else self.site.base)
        self.page.wait_for_selector("#join")
        return self

    def knock(self, role: str, *, camera: bool = True) -> "PageUser":
        """Open the class's link, enter a name and join, whether it is the class or the waiting room that follows."""
        self.open(self.codes[role])
        if not camera:
            self.page.uncheck("[data-testid=with-camera]")
        self.page.fill("#name", self.name)
        self.page.click("#join")
        return self

    def enter(self, role: str, *, camera: bool = True) -> "PageUser":
        """Join, and wait until the class is shown; without a camera a browser needs far less of the processor."""
        return self.knock(role, camera=camera).inside()

    def inside(self) -> "PageUser":
        """Wait until the class is shown."""
        self.page.wait_for_selector("[data-testid=leave]")
        return self

    def waits(self, why: str) -> bool:
        """Wait until the waiting view with this reason is shown; return whether it is."""
        return wait(lambda: self.page.locator(f"[data-testid=waiting][data-why={why}]").count() == 1)

    def click(self, test_id: str) -> None:
        self.page.click(f"[data-testid={test_id}]")

    def is_shown(self, test_id: str) -> bool:
        return self.page.locator(f"[data-testid={test_id}]").count() > 0

    def text(self, test_id: str) -> str:
        """Return the visible text of an element, without the isolation of names."""
        text = self.page.locator(f"[data-testid={test_id}]").first.inner_text()
        return text.replace("\u2068", "").replace("\u2069", "")

    def pressed(self, test_id: str) -> bool:
        return self.page.locator(f"[data-testid={test_id}]").get_attribute("aria-pressed") == "true"

    def focused(self) -> str:
        """Return the test ID of the focused element, or its `id`."""
        script = "document.activeElement.dataset.testid || document.activeElement.id"
        return str(self.page.evaluate(script))

    def sees(self, name: str, source: str = "camera") -> bool:
        """Return whether a remote video of `name` is shown and receives frames."""
        return bool(
            self.page.evaluate(
                """async selector => {
                  const video = document.querySelector(selector);
                  if (!video?.videoWidth) return false;
                  const before = video.getVideoPlaybackQuality().totalVideoFrames;
                  await new Promise(r => setTimeout(r, 600));
                  return video.getVideoPlaybackQuality().totalVideoFrames > before; }""",
                f'video[data-participant="{name}"][data-source="{source}"][data-local="false"]',
            )
        )

    def hears(self, name: str, seconds: float = 4) -> bool:
        return float(self.page.evaluate(HEARD, {"name": name, "seconds": seconds})) >= 0.01

    def accessibility_faults(self) -> list[str]:
        """Return what axe finds, moderate or worse; it runs through the debugger, as the content security policy forbids scripts."""
        if not self.page.evaluate("typeof axe === 'object'"):
            self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{v['id']} ({v['impact']}): {v['nodes'][0]['html'][:120]}"
            for v in found["violations"]
            if v["impact"] in {"serious", "critical", "moderate"}
        ]

    def overflow(self) -> int:
        """Return by how many pixels the page is wider than its window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - innerWidth"))

    def leave(self) -> None:
        """Leave the class and close the browser, if it is not closed yet."""
        if self.page.is_closed():
            return
        for button in ("leave", "stop-waiting"):
            if self.is_shown(button):
                self.click(button)
                self.page.wait_for_selector("[data-testid=goodbye]")
        self.context.close()


def wait(done: Callable[[], bool], seconds: float = 12) -> bool:
    """Wait until `done` returns true; return whether it did within `seconds`."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True
