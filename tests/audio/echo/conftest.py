"""One meeting for all tests: who is far speaks, then who is near, then both at once."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.audio.echo.rooms import RATE, Speech, Wave, echo, voice, write

SECONDS, NEAR_FROM, BOTH_FROM = 36, 16, 26


@dataclass(frozen=True)
class Meeting:
    """Far alone until 16 s, near alone until 26 s, then both."""

    far: Speech
    near: Speech

    def words(self, side: str, start: float, end: float) -> list[tuple[float, float]]:
        found = (self.far if side == "far" else self.near).words
        return [one for one in found if one[0] >= start and one[1] <= end]

    def microphone(self, level: float, **room: Any) -> Wave:
        noise = np.random.default_rng(5).normal(0, 10 ** (-65 / 20), len(self.far.wave))
        return self.near.wave + noise + echo(self.far.wave, level, **room)


@pytest.fixture(scope="session")
def meeting() -> Meeting:
    far, near = voice(SECONDS, 120, 1), voice(SECONDS, 210, 2)
    far.wave[NEAR_FROM * RATE : BOTH_FROM * RATE] = 0
    near.wave[: NEAR_FROM * RATE] = 0
    return Meeting(far, near)


Files = Callable[..., tuple[Path, Path]]


@pytest.fixture
def files(meeting: Meeting, tmp_path: Path) -> Files:
    """The microphone's file and the system's."""

    def made(level: float, **room: Any) -> tuple[Path, Path]:
        mic = write(tmp_path / "mic", meeting.microphone(level, **room))
        return mic, write(tmp_path / "system", meeting.far.wave)

    return made
