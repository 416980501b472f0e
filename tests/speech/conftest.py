"""The studio and the sounds, made once for all tests of a run."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import pytest

from tests.speech.call import Call, call
from tests.speech.scene import Scene, played
from tests.speech.scripts import MEETING, PAIR
from tests.speech.spoken import Spoken, Voices
from tests.speech.studio import Studio, running_studio

SHORT, LONG = 0.3, 1.2
"""Seconds by which one begins before the other has ended: as people do who listen, and as people do
who do not (3 and 15 % of the time two speak)."""


@dataclass(frozen=True)
class Scenes:
    """What the tests listen to. Each is put together when it is first asked for."""

    spoken: Spoken

    @cached_property
    def meeting(self) -> Scene:
        """Four voices in turn, about two minutes."""
        return played(MEETING, self.spoken)

    @cached_property
    def pair(self) -> Scene:
        """Two voices; every second line begins a little before the one before it ended."""
        return played(PAIR, self.spoken, overlap=SHORT)

    @cached_property
    def quarrel(self) -> Scene:
        """The same lines, over each other."""
        return played(PAIR, self.spoken, overlap=LONG)

    @cached_property
    def call(self) -> Call:
        """Two sides over loudspeakers."""
        return call(self.spoken)


@pytest.fixture(scope="session")
def scenes() -> Scenes:
    return Scenes(Voices())


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    with running_studio(tmp_path_factory.mktemp("studio")) as made:
        yield made
