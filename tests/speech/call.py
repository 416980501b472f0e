"""A conversation over loudspeakers: what the far side says comes into the near microphone again.

Three acts: the far side alone, the near side alone, then both at once. So the words of the far side
that are left in the microphone can be counted where nobody else speaks, and what the near side
loses is measured where it counts.
"""

from dataclasses import dataclass

import numpy as np

from tests.speech.room import RATE, Bleed, Sound, echo, loudness, pink
from tests.speech.scene import Scene, level, mixed, trimmed
from tests.speech.scripts import FAR, MEETING, NEAR, Line
from tests.speech.spoken import Spoken

PAUSE = 0.6
TOGETHER = tuple(line for line in MEETING if line.voice == FAR.voice)[:4]
"""What the far side says in the third act."""
NOISE_DB = -60.0


@dataclass(frozen=True, slots=True)
class Call:
    """Both sides as they were said, without each other. `alone` is in the pause after
    the first act."""

    far: Scene
    near: Scene
    alone: float

    def microphone(self, bleed: Bleed | None) -> Sound:
        """The near side, the room's noise and, with `bleed`, the loudspeaker."""
        heard = self.near.sound + pink(self.near.sound.size, NOISE_DB)
        if bleed is None:
            return np.asarray(heard, np.float32)
        return np.asarray(heard + echo(self.far.sound, bleed), np.float32)


def call(spoken: Spoken) -> Call:
    far_sound = level(trimmed(spoken(FAR)))
    at = 0.3
    far: list[tuple[Line, float, Sound]] = [(FAR, at, far_sound)]
    alone = at + far_sound.size / RATE + PAUSE / 2
    at = alone + PAUSE / 2
    near: list[tuple[Line, float, Sound]] = []
    for number, line in enumerate(NEAR):
        if number == len(NEAR) // 2:
            together = at
        sound = level(trimmed(spoken(line)))
        near.append((line, at, sound))
        at += sound.size / RATE + PAUSE
    over = together + 0.5
    for line in TOGETHER:
        sound = level(trimmed(spoken(line)))
        if over + sound.size / RATE > at:
            break
        far.append((line, over, sound))
        over += sound.size / RATE + PAUSE
    return Call(_lasting(mixed(far, 0.0), at), _lasting(mixed(near, 0.0), at), alone)


def _lasting(scene: Scene, seconds: float) -> Scene:
    whole = np.zeros(round(seconds * RATE), np.float32)
    kept = min(whole.size, scene.sound.size)
    whole[:kept] = scene.sound[:kept]
    return Scene(whole, scene.turns, scene.said)


def echo_db(call_: Call, bleed: Bleed) -> float:
    """How loud the echo is against the far sound, in decibels: what `Bleed.level_db` promises."""
    far = call_.far.sound
    return float(20 * np.log10(loudness(echo(far, bleed)) / loudness(far)))
