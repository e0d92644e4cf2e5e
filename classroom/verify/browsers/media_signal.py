"""What the test's participants send and how the others' reading of it is judged: pictures that say who sends them and when, and tones.

The picture holds three rows of eight cells, light for 1 and dark for 0: the sender's mark, a running number, and the
number's complement, so that a picture that is black, frozen or another's is never taken for the sender's. The sound is a
tone of the sender's own, in pulses: a browser's noise suppression removes a steady tone.
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
"""Runs in the page: see its first lines."""


@dataclass(frozen=True)
class Sender:
    """One participant's signature: the mark in the picture (one byte) and the tone (hertz; pulses a second)."""

    mark: int
    tone: float
    pulses: int


SENDERS = (Sender(0xA5, 440.0, 2), Sender(0x3C, 1000.0, 2), Sender(0x96, 640.0, 2), Sender(0x5A, 1480.0, 2))
"""No tone is a multiple of another; marks differ in at least four bits, also from black and from white."""


def frame(sender: Sender, number: int) -> bytes:
    """Return one picture, I420, of WIDTH by HEIGHT, with the lowest eight bits of `number`."""
    bands = []
    for value in (sender.mark, number % 256, ~number % 256):
        bits = [value >> (CELLS - 1 - cell) & 1 for cell in range(CELLS)]
        line = b"".join(bytes([LIGHT if bit else DARK]) * (WIDTH // CELLS) for bit in bits)
        bands.append(line * (HEIGHT // 3))
    return b"".join(bands) + b"\x80" * (WIDTH * HEIGHT // 2)


def write_video(path: Path, sender: Sender) -> None:
    """Write what a camera sees: YUV4MPEG2, which Chromium plays in a loop as its fake camera."""
    with path.open("wb") as out:
        out.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{FPS}:1 Ip A1:1 C420jpeg\n".encode())
        for number in range(FRAMES):
            out.write(b"FRAME\n" + frame(sender, number))


def write_audio(path: Path, sender: Sender) -> None:
    """Write what a microphone hears: one second (played in a loop) of the sender's pulses, half on and half off."""
    length = RATE // sender.pulses
    samples = bytearray()
    for index in range(RATE):
        within = index % length
        # Soft edges, so that a pulse is a tone and not a click.
        edge = max(0.0, min(1.0, within / 480, (length / 2 - within) / 480))
        samples += struct.pack("<h", int(16000 * edge * math.sin(2 * math.pi * sender.tone * index / RATE)))
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(bytes(samples) * 10)


def judge(seconds: Sequence[Mapping[str, Any]], name: str, sender: Sender) -> tuple[int, int]:
    """Return in how many seconds the picture of `name` was read, going on, and in how many its tone, and no other's, was heard.

    `seconds` is what the reader returns: for each second, by participant, `picture` ([mark, number] or None) and `tones`
    (hertz as text → how often that tone was the one that was heard).
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
