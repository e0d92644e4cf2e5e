"""The kinds of browser in a class, Chromium and Firefox: how each starts, and how it gets its test signals."""

import shlex
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from classroom.common.errors import ClassroomError
from classroom.verify.browsers.media_signal import CAMERA, FPS, HEIGHT, WIDTH, Sender, write_audio, write_video

RELAY = Path(__file__).parent / "bidi_relay.py"
COMMON: dict[str, Any] = {"headless": True, "locale": "fr-FR", "viewport": {"width": 1100, "height": 700}}
"""Playwright's options for every kind of browser."""


def trust(store: Path, authorities: str | None) -> None:
    """Create an NSS store with the certificate authorities of a PEM file, if one is named."""
    store.mkdir(parents=True, exist_ok=True)
    _command("certutil", "-d", f"sql:{store}", "-N", "--empty-password")
    found = x509.load_pem_x509_certificates(Path(authorities).read_bytes()) if authorities else []
    for number, certificate in enumerate(found):
        one = store / "extra.pem"
        one.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        _command("certutil", "-d", f"sql:{store}", "-A", "-t", "C,,", "-n", f"extra {number}", "-i", one)


def _command(*argv: object) -> None:
    answer = subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=False)
    if answer.returncode:
        raise ClassroomError(f"`{shlex.join(map(str, argv))}` failed: {answer.stderr.strip()[-300:]}")


@dataclass(frozen=True)
class Place:
    """What one browser runs with: a new folder of its own, a test signal, and a PEM file of authorities to trust, if any."""

    folder: Path
    sender: Sender
    authorities: str | None

    @property
    def profile(self) -> Path:
        """Return the folder of the browser's profile."""
        return self.folder / "profile"


class BrowserKind(ABC):
    """A kind of browser."""

    name: ClassVar[str]
    program: ClassVar[str]

    @abstractmethod
    def prepare(self, place: Place) -> None:
        """Create the profile and the files that the browser reads, before the unprivileged user owns the folder."""

    def launcher(self, place: Place, network: Sequence[str], user: Sequence[str]) -> Path:
        """Write the script that starts the browser with the commands that enter a network and change the user."""
        path = place.folder / self.program
        path.write_text(f'#!/bin/sh\nexec {shlex.join(self._words(network, user))} "$@"\n')
        path.chmod(0o755)
        return path

    def _words(self, network: Sequence[str], user: Sequence[str]) -> list[str]:
        return [*network, *user, shutil.which(self.program) or self.program]

    @abstractmethod
    def launch(self, playwright: Any, place: Place, launcher: Path, env: dict[str, str]) -> Any:
        """Start the browser; return Playwright's context."""


class Chromium(BrowserKind):
    """Chromium; it plays files as its camera and microphone."""

    name, program = "Chromium", "chromium"
    flags = (
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

    def prepare(self, place: Place) -> None:
        """Write camera and microphone; the certificate authorities are in the home folder."""
        place.profile.mkdir()
        write_video(place.folder / "camera.y4m", place.sender)
        write_audio(place.folder / "microphone.wav", place.sender)

    def launch(self, playwright: Any, place: Place, launcher: Path, env: dict[str, str]) -> Any:
        """Start Chromium with its own sandbox."""
        media = [
            f"--use-file-for-fake-video-capture={place.folder / 'camera.y4m'}",
            f"--use-file-for-fake-audio-capture={place.folder / 'microphone.wav'}",
        ]
        return playwright.chromium.launch_persistent_context(
            str(place.profile),
            executable_path=str(launcher),
            env=env,
            chromium_sandbox=True,
            permissions=["camera", "microphone"],
            args=[*self.flags, *media],
            **COMMON,
        )


@dataclass
class Firefox(BrowserKind):
    """Firefox, controlled by WebDriver BiDi; `preferences` are added to its own.

    Its fake microphone is a tone. Its fake camera shows no marks, and without a display it has no screen to share: a script
    in the page replaces the former by a drawn picture and the latter by the capture of its tab.
    """

    name, program = "Firefox", "firefox-esr"
    preferences: dict[str, Any] = field(default_factory=dict)
    fixed: ClassVar[dict[str, Any]] = {
        "media.navigator.streams.fake": True,
        "media.navigator.permission.disabled": True,
        "media.getusermedia.browser.enabled": True,
        "media.autoplay.default": 0,
        "media.autoplay.blocking_policy": 0,
    }

    def prepare(self, place: Place) -> None:
        """Create a profile with the certificate authorities, which Firefox reads from there."""
        trust(place.profile, place.authorities)

    def _words(self, network: Sequence[str], user: Sequence[str]) -> list[str]:
        words = super()._words(network, user)
        return [sys.executable, str(RELAY), str(len(network)), *words] if network else words

    def launch(self, playwright: Any, place: Place, launcher: Path, env: dict[str, str]) -> Any:
        """Start Firefox with the fake devices of this sender."""
        tone = {"media.navigator.audio.fake_frequency": int(place.sender.tone)}
        context = playwright.firefox.launch_persistent_context(
            str(place.profile),
            channel="moz-firefox",
            executable_path=str(launcher),
            env=env,
            firefox_user_prefs={**self.fixed, **tone, **self.preferences},
            **COMMON,
        )
        context.add_init_script(
            f"({CAMERA})({{mark: {place.sender.mark}, width: {WIDTH}, height: {HEIGHT}, fps: {FPS}}});"
        )
        return context


CHROMIUM, FIREFOX = Chromium(), Firefox()
