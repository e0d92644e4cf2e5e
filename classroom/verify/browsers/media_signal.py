"""Test signals that participants send, and their evaluation at the receivers.

A video frame contains three rows of eight cells, light for 1 and dark for 0: the sender's mark, a frame number, and its
complement, so that a black or frozen picture or that of another sender is not accepted. The audio is a pulsed tone with a
frequency of the sender's own: noise suppression in browsers removes a steady tone.
"""

import math
import struct
import wave
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WIDTH, HEIGHT, FPS, FRAMES = 640, 360, 5, 64
CELLS = 8
LIGHT, DARK = 225, 25
RATE = 48000

READER = (Path(__file__).parent / "reader.js").read_text()
CAMERA = (Path(__file__).parent / "camera.js").read_text()
"""JavaScript that runs in the page; the first lines of each describe it."""


@dataclass(frozen=True)
class Sender:
    """The signal of one participant: the mark in the video (one byte) and the tone (hertz; pulses per second)."""

    mark: int
    tone: float
    pulses: int


SENDERS = (Sender(0xA5, 440.0, 2), Sender(0x3C, 1000.0, 2), Sender(0x96, 640.0, 2), Sender(0x5A, 1480.0, 2))
"""No tone is a multiple of another; marks differ in at least four bits, also from black and from white."""


def frame(sender: Sender, number: int) -> bytes:
    """Return one video frame (I420, WIDTH by HEIGHT pixels) with the lowest eight bits of `number`."""
    bands = []
    for value in (sender.mark, number % 256, ~number % 256):
        bits = [value >> (CELLS - 1 - cell) & 1 for cell in range(CELLS)]
        line = b"".join(bytes([LIGHT if bit else DARK]) * (WIDTH // CELLS) for bit in bits)
        bands.append(line * (HEIGHT // 3))
    return b"".join(bands) + b"\x80" * (WIDTH * HEIGHT // 2)


def write_video(path: Path, sender: Sender) -> None:
    """Write a YUV4MPEG2 file, which Chromium plays in a loop as its fake camera."""
    with path.open("wb") as out:
        out.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{FPS}:1 Ip A1:1 C420jpeg\n".encode())
        for number in range(FRAMES):
            out.write(b"FRAME\n" + frame(sender, number))


def write_audio(path: Path, sender: Sender) -> None:
    """Write a WAV file of the sender's pulses, half on and half off, which Chromium plays in a loop as its fake microphone."""
    length = RATE // sender.pulses
    samples = bytearray()
    for index in range(RATE):
        within = index % length
        # Fade in and out to avoid clicks.
        edge = max(0.0, min(1.0, within / 480, (length / 2 - within) / 480))
        samples += struct.pack("<h", int(16000 * edge * math.sin(2 * math.pi * sender.tone * index / RATE)))
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(bytes(samples) * 10)


def judge(seconds: Sequence[Mapping[str, Any]], name: str, sender: Sender) -> tuple[int, int]:
    """Return in how many seconds new video frames of `name` arrived, and in how many only its tone was heard.

    `seconds` is the result of `reader.js`: for each second, by participant, `picture` ([mark, number] or None) and `tones`
    (hertz as text → how often that tone was detected).
    """
    pictures, tones, last = 0, 0, None
    for second in seconds:
        found = second.get(name, {})
        mark, number = found.get("picture") or (None, None)
        if mark == sender.mark:
            pictures += number != last
            last = number
        heard = found.get("tones", {})
        tones += set(heard) == {f"{sender.tone:g}"}
    return pictures, tones
