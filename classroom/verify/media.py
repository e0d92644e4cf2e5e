"""What the test's participants send: a picture that says who sends it and when, and a pulsed tone."""

import math
import struct
import wave
from pathlib import Path

WIDTH, HEIGHT, FPS = 640, 360, 10
SECONDS = 30
CELLS = 8
"""The picture's lower half holds two rows of eight cells, light for 1 and dark for 0: the sender and a running number."""
TONES = {1: 440.0, 2: 1000.0}
"""Hertz by sender. Half a second on, half a second off: a browser's noise suppression removes a steady tone."""
RATE = 48000


def _frame(sender: int, number: int) -> bytes:
    """Return one frame, I420, for sender 0 to 255 and a running number of which 8 bits are shown."""
    rows = []
    cell, band = WIDTH // CELLS, HEIGHT // 3
    for row in range(3):
        line = bytearray()
        for column in range(CELLS):
            if row == 0:
                # Something that moves for people, too.
                value = 200 if (number // 2) % CELLS == column else 70
            else:
                bits = sender if row == 1 else number % 256
                value = 225 if bits >> (CELLS - 1 - column) & 1 else 25
            line += bytes([value]) * cell
        rows.append(bytes(line) * band)
    grey = b"\x80" * (WIDTH * HEIGHT // 4)
    return b"".join(rows) + grey + grey


def write_video(path: Path, sender: int) -> None:
    """Write what a camera sees: YUV4MPEG2, which Chromium plays in a loop as its fake camera."""
    with path.open("wb") as out:
        out.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{FPS}:1 Ip A1:1 C420jpeg\n".encode())
        for number in range(FPS * 25):
            out.write(b"FRAME\n" + _frame(sender, number))


def write_audio(path: Path, sender: int) -> None:
    """Write what a microphone hears: a tone of the sender's own, half a second on, half a second off."""
    tone = TONES[sender]
    samples = bytearray()
    for index in range(RATE):
        on = index < RATE // 2
        # Soft edges, so that the pulse is a tone and not a click.
        edge = min(1.0, index / 960, max(0.0, (RATE // 2 - index) / 960)) if on else 0.0
        samples += struct.pack("<h", int(16000 * edge * math.sin(2 * math.pi * tone * index / RATE)))
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(bytes(samples) * SECONDS)


READER = """
async ({seconds, tones}) => {
  // Once a second: what the remote picture shows, and which tones the remote sound has held since the last look.
  const videos = () => [...document.querySelectorAll('video[data-local="false"][data-source="camera"]')];
  const audios = () => [...document.querySelectorAll('audio[data-participant]')];
  const canvas = document.createElement('canvas'); canvas.width = 160; canvas.height = 90;
  const pen = canvas.getContext('2d', {willReadFrequently: true});
  const context = new AudioContext(); await context.resume();
  const ears = new Map();
  const listen = () => { for (const audio of audios()) { if (!audio.srcObject || ears.has(audio)) continue;
    const analyser = context.createAnalyser(); analyser.fftSize = 4096; analyser.smoothingTimeConstant = 0;
    context.createMediaStreamSource(audio.srcObject).connect(analyser); ears.set(audio, analyser); } };
  const read = video => { pen.drawImage(video, 0, 0, 160, 90); const bits = row => { let value = 0;
      for (let c = 0; c < 8; c++) { const d = pen.getImageData(c * 20 + 6, row * 30 + 10, 8, 10).data; let sum = 0;
        for (let i = 0; i < d.length; i += 4) sum += d[i + 1]; value = value * 2 + (sum / (d.length / 4) > 125 ? 1 : 0); }
      return value; };
    return {sender: bits(1), number: bits(2), width: video.videoWidth, time: video.currentTime}; };
  const found = [];
  // The first second is the first with sound in it: that starts a little after the picture.
  for (let s = -8; s < seconds; s++) {
    const heard = {}, end = performance.now() + 1000;
    while (performance.now() < end) { listen();
      for (const analyser of ears.values()) { const spectrum = new Float32Array(analyser.frequencyBinCount);
        analyser.getFloatFrequencyData(spectrum); const hertz = context.sampleRate / analyser.fftSize;
        const level = f => Math.max(...[-1, 0, 1].map(k => spectrum[Math.round(f / hertz) + k]));
        const sorted = [...spectrum].filter(Number.isFinite).sort((a, b) => a - b); const floor = sorted[sorted.length >> 1] ?? -200;
        for (const [name, tone] of Object.entries(tones)) if (level(tone) > -70 && level(tone) > floor + 25) heard[name] = (heard[name] ?? 0) + 1; }
      await new Promise(r => setTimeout(r, 45)); }
    if (s < 0) { if (Object.keys(heard).length) s = -1; continue; }
    found.push({videos: videos().filter(v => v.videoWidth > 0).map(read), heard});
  }
  await context.close();
  return found;
}
"""
"""Runs in the page: returns for each second what was read from every remote picture, and how often each tone was heard."""
