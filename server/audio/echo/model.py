"""What is measured between a microphone and the system's sound. Pure values.

Times are seconds, levels decibels. Nothing here needs numpy: the process that serves requests
reads these, another one measures them.
"""

from dataclasses import dataclass
from typing import Literal

Wanted = Literal["auto", "on", "off"]


@dataclass(frozen=True, slots=True)
class Line:
    """How much later than the system channel the microphone hears the same: `delay` at the begin
    of the microphone's recording, and `drift` more for each second (two clocks are never equal).
    Negative: the system channel was recorded later, or the channels are swapped."""

    delay: float
    drift: float = 0.0

    def at(self, seconds: float) -> float:
        return self.delay + self.drift * seconds


@dataclass(frozen=True, slots=True)
class Leak:
    """What the two channels have in common.

    `line` is None when nothing was found in both. `blocks` are the stretches (8 s) in which the far
    side spoke, `clear` those of them that were found in the microphone too. `level` is the echo
    against the system channel, `share` its part of the microphone's energy while the far side
    spoke (0 to 1). `near_alone` is how much of what is heard in the microphone is heard there
    alone, `far_alone` the same of the system channel (0 to 1, of the time).
    """

    line: Line | None
    blocks: int
    clear: int
    level: float | None
    share: float
    near_alone: float
    far_alone: float
    near_heard: bool
    far_heard: bool
