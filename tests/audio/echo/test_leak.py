"""Whether the microphone hears the loudspeaker."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from server.audio.echo.decide import choose, lag, same, swapped, warnings
from server.audio.echo.leak import measure
from tests.audio.echo.conftest import Files, Meeting
from tests.audio.echo.rooms import RATE, moved, write


@pytest.mark.parametrize(
    ("level", "room", "delay"),
    [
        (-10, {}, 0.02),
        (-10, {"delay": 0.2}, 0.2),
        (0, {"delay": 0.003}, 0.003),
        (-20, {"rt60": 0.6}, 0.02),
        (-10, {"drive": 4}, 0.02),
    ],
)
def test_delay_and_level_of_an_echo_are_found(
    files: Files, level: float, room: dict[str, Any], delay: float
) -> None:
    """To a millisecond and two decibels, also while the near side speaks."""
    found = measure(*files(level, **room))
    assert found.line is not None
    assert found.line.delay == pytest.approx(delay, abs=1e-3)
    assert found.level == pytest.approx(level, abs=2)
    assert found.clear == found.blocks
    assert choose("auto", found).on
    assert warnings(found, one_file=True) == ()


def test_a_microphone_that_runs_faster_is_seen_as_drift(files: Files) -> None:
    """Within a few millionths over half a minute."""
    found = measure(*files(-10, ppm=50))
    assert found.line is not None
    assert found.line.drift == pytest.approx(50e-6, abs=10e-6)


def test_headphones_leave_nothing_to_find(files: Files) -> None:
    """So auto stays off, and on is still obeyed."""
    found = measure(*files(-200))
    assert (found.line, found.clear) == (None, 0)
    assert found.blocks > 0
    assert not choose("auto", found).on
    assert choose("on", found).on


@pytest.mark.parametrize("seconds", [5.0, -5.0])
def test_recordings_that_began_apart_are_laid_over_each_other(
    meeting: Meeting, tmp_path: Path, seconds: float
) -> None:
    """Whichever began first; and the caller hears of it."""
    mic = write(tmp_path / "mic", meeting.microphone(-10))
    system = write(tmp_path / "system", moved(meeting.far.wave, round(seconds * RATE)))
    found = measure(mic, system)
    assert found.line is not None
    assert found.line.delay == pytest.approx(0.02 - seconds, abs=1e-3)
    assert lag(found, 36, one_file=False) == found.line
    assert lag(found, 36, one_file=True) is None
    assert "did not begin together" in warnings(found, one_file=False)[0]


def test_channels_the_wrong_way_round_are_noticed(files: Files) -> None:
    """The one that is called the microphone holds the far side alone, and holds it first."""
    mic, system = files(-10)
    found = measure(system, mic)
    assert swapped(found)
    assert "look swapped" in warnings(found, one_file=True)[0]
    assert not choose("auto", found).on


def test_the_same_recording_twice_is_noticed(files: Files) -> None:
    """It would leave nothing of the microphone, which is right, and surprising."""
    _, system = files(-10)
    found = measure(system, system)
    assert same(found)
    assert "twice" in warnings(found, one_file=False)[0]


def test_a_silent_channel_is_no_error(files: Files, tmp_path: Path) -> None:
    """Whichever it is."""
    mic, system = files(-10)
    quiet = write(tmp_path / "quiet", np.zeros(20 * RATE))
    assert choose("on", measure(mic, quiet)).why == "nobody speaks in the system channel"
    assert choose("on", measure(quiet, system)).why == "the microphone channel is silent"


@pytest.mark.parametrize("samples", [0, 1, 100, 20_000])
def test_recordings_of_any_length_are_measured(files: Files, tmp_path: Path, samples: int) -> None:
    """An empty one too."""
    mic, system = files(-10)
    short = write(tmp_path / "short", np.full(samples, 0.1))
    for found in (measure(mic, short), measure(short, system)):
        assert found.clear <= found.blocks


def test_a_microphone_that_was_recorded_longer_is_measured_where_both_are(
    meeting: Meeting, tmp_path: Path
) -> None:
    """What the other one lacks is silence."""
    mic = write(tmp_path / "mic", meeting.microphone(-10))
    system = write(tmp_path / "system", meeting.far.wave[: 12 * RATE])
    found = measure(mic, system)
    assert found.line is not None
    assert found.line.delay == pytest.approx(0.02, abs=1e-3)
