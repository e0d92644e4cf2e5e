"""Test signals of participants and their evaluation."""

import itertools
import wave
from pathlib import Path

from classroom.verify.browsers.media_signal import CELLS, HEIGHT, RATE, SENDERS, WIDTH, frame, judge, write_audio

NAME, SENDER = "verif-1", SENDERS[0]


def second(number: int, mark: int = SENDER.mark, tones: tuple[str, ...] = (f"{SENDER.tone:g}",)) -> dict:
    return {NAME: {"picture": [mark, number], "tones": dict.fromkeys(tones, 7), "levels": {}}}


def test_marks_and_tones_are_distinct() -> None:
    marks = [0x00, 0xFF, *(sender.mark for sender in SENDERS)]
    for one, other in itertools.combinations(marks, 2):
        assert (one ^ other).bit_count() >= 4
    for one, other in itertools.combinations([sender.tone for sender in SENDERS], 2):
        assert abs(one - other) > 150


def test_frame_contains_mark_number_and_complement() -> None:
    picture = frame(SENDER, 300)
    assert len(picture) == WIDTH * HEIGHT * 3 // 2

    def row(n: int) -> int:
        line = (n * HEIGHT // 3 + HEIGHT // 6) * WIDTH
        bits = [picture[line + c * WIDTH // CELLS + WIDTH // CELLS // 2] > 128 for c in range(CELLS)]
        return sum(bit << (CELLS - 1 - c) for c, bit in enumerate(bits))

    assert [row(0), row(1), row(2)] == [SENDER.mark, 300 % 256, 255 - 300 % 256]


def test_audio_is_half_silence(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", SENDER)
    with wave.open(str(tmp_path / "a.wav")) as sound:
        assert (sound.getnchannels(), sound.getframerate()) == (1, RATE)
        data = memoryview(sound.readframes(RATE)).cast("h")
    loud = sum(abs(value) > 100 for value in data) / len(data)
    assert 0.4 < loud < 0.5


def test_complete_signal_passes() -> None:
    assert judge([second(n) for n in range(20)], NAME, SENDER) == (20, 20)


def test_frozen_video_does_not_count() -> None:
    assert judge([second(5)] * 20, NAME, SENDER) == (1, 20)


def test_signal_of_another_sender_does_not_count() -> None:
    other = SENDERS[1]
    seen = [second(n, other.mark, (f"{other.tone:g}",)) for n in range(20)]
    assert judge(seen, NAME, SENDER) == (0, 0)


def test_mixed_audio_does_not_count() -> None:
    both = (f"{SENDER.tone:g}", f"{SENDERS[1].tone:g}")
    assert judge([second(n, tones=both) for n in range(20)], NAME, SENDER) == (20, 0)


def test_absent_participant_and_camera_off_do_not_count() -> None:
    assert judge([{}] * 20, NAME, SENDER) == (0, 0)
    off = [{NAME: {"picture": None, "tones": {f"{SENDER.tone:g}": 3}, "levels": {}}}] * 20
    assert judge(off, NAME, SENDER) == (0, 20)
