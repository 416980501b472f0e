"""By how much each word of the microphone is the loudspeaker's."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from server.audio.echo.canceller import LATE
from server.audio.echo.decide import judged
from server.audio.echo.leak import measure
from server.audio.echo.levels import Levels
from server.audio.echo.loudness import Loudness
from server.audio.echo.model import Line
from server.audio.echo.samples import Samples
from server.audio.echo.suppress import suppress
from tests.audio.echo.conftest import BOTH_FROM, NEAR_FROM, SECONDS, Files, Meeting
from tests.audio.echo.rooms import voice, write

AGREED, CERTAIN = 6.0, 20.0
ROOMS: dict[str, tuple[float, dict[str, Any]]] = {
    "late, with two clocks": (-10, {"delay": 0.2, "ppm": 50}),
    "as loud as the voice": (0, {}),
    "a small loudspeaker in a large room": (-10, {"drive": 4, "rt60": 0.6}),
    "faint": (-20, {}),
}


@pytest.mark.parametrize("name", ROOMS)
def test_the_far_sides_words_are_told_from_the_near_sides(
    files: Files, meeting: Meeting, tmp_path: Path, name: str
) -> None:
    """Far words lose more than text needs beside it; near ones lose less, and hardly one as much
    as would take it away alone, also while both speak."""
    level, room = ROOMS[name]
    mic, system = files(level, **room)
    line = measure(mic, system).line
    assert line is not None
    gain = suppress(mic, system, tmp_path / "levels", line)
    late = room.get("delay", 0.02)
    with Levels(tmp_path / "levels") as levels:

        def decibels(side: str, start: float, end: float) -> list[float]:
            later = late if side == "far" else 0.0
            words = meeting.words(side, start, end)
            assert words
            return [judged(levels.over(a + later, b + later), gain)[0] for a, b in words]

        far = decibels("far", 0, NEAR_FROM)
        alone = decibels("near", NEAR_FROM, BOTH_FROM - 1)
        both = decibels("near", BOTH_FROM, SECONDS)
    assert np.mean(np.array(far) > AGREED) > 0.95
    assert np.median(far) > CERTAIN
    assert max(alone) < AGREED
    assert np.mean(np.array(both) > CERTAIN) < 0.03


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    """Three times as long, not half a megabyte more; and the file is 32 bytes for each 10 ms."""
    most = []
    for seconds in (10, 30):
        wave = np.tile(voice(10, 120, 1).wave, seconds // 10)
        mic, out = write(tmp_path / f"mic-{seconds}", wave), tmp_path / f"out-{seconds}"
        tracemalloc.start()
        suppress(mic, mic, out, Line(0.0), canceller=lambda: lambda _far, near: near)
        most.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert out.stat().st_size == pytest.approx(seconds * 3200, abs=6000)
    assert most[1] - most[0] < 500_000


class Late:
    """A canceller that takes nothing away, and is late as the real one is."""

    def __init__(self) -> None:
        self._held: Samples = np.zeros(LATE, dtype=np.int16)

    def __call__(self, far: Samples, mic: Samples) -> Samples:
        del far
        whole = np.concatenate((self._held, mic))
        self._held = whole[len(mic) :]
        return whole[: len(mic)]


def test_the_cancellers_own_delay_is_taken_out(files: Files, tmp_path: Path) -> None:
    """What it leaves as it is has the same level in each frame, to the last sample."""
    mic, system = files(-10)
    suppress(mic, system, tmp_path / "levels", Line(0.02), canceller=Late)
    with Levels(tmp_path / "levels") as levels:
        for frame in range(SECONDS * 100 - 1):
            level = levels.over(frame / 100, (frame + 1) / 100)
            assert level.mic == pytest.approx(level.cancelled, abs=1e-6)


@pytest.mark.parametrize("samples", [0, 1, 159, 30_000])
def test_a_recording_of_any_length_has_levels(tmp_path: Path, samples: int) -> None:
    """The last piece is filled up with silence; nothing at all gives nothing."""
    mic = write(tmp_path / "mic", np.full(samples, 0.1))
    system = write(tmp_path / "system", np.full(samples // 2, 0.1))
    suppress(mic, system, tmp_path / "levels", Line(0.02), canceller=Late)
    with Levels(tmp_path / "levels") as levels:
        assert levels.over(0, 1).mic >= 0
        assert levels.over(1e6, 1e6 + 1).mic >= 0


def test_times_that_lie_outside_or_run_backwards_are_no_error(files: Files, tmp_path: Path) -> None:
    """A recogniser may say anything."""
    mic, system = files(-10)
    suppress(mic, system, tmp_path / "levels", Line(0.02), canceller=Late)
    with Levels(tmp_path / "levels") as levels:
        for start, end in ((-5, -1), (3, 2), (0, 1e9), (40_000, 1)):
            assert np.isfinite(levels.over(start, end)).all()
    assert judged(levels_of(60, 60 - 35), gain=0.0) == (35, False)


def levels_of(mic: float, cancelled: float) -> Loudness:
    return Loudness(mic, cancelled, mic, 60.0)
