"""Where a long recording is cut into parts: in its quietest places, with an overlap. Pure.

    0 ────────────── m1 ─────────────── m2 ────────────── end
    [ part 0          ]
                   [ part 1              ]        each overlaps the next by `overlap_seconds`,
                                      [ part 2      ]   and m1, m2 are the middles of the overlaps

A middle is looked for in the last `reach_seconds` before a part would be too long. The quietest
place wins: the mean of the envelope over `quiet_seconds` around it, so that a gap between two words
is taken before the closure of a stop, and of places alike the one in the middle of the longest
silence. What two parts both heard is woven there (`server.audio.weave`), at best in a pause.
Owns these places. Refuses to know what is in a part.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from server.audio.sound.model import FRAMES_PER_SECOND

Cut = tuple[float, float]
"""Start and end of a part, in seconds."""

LEAST_OVERLAP = 2.0


@dataclass(frozen=True, slots=True)
class CutRules:
    """`part_seconds` is the longest that a part becomes, its overlaps included."""

    part_seconds: float = 300.0
    overlap_seconds: float = 2.0
    reach_seconds: float = 60.0
    quiet_seconds: float = 0.5


def cuts(envelope: Sequence[int], seconds: float, rules: CutRules) -> tuple[Cut, ...]:
    """The parts in order. The first begins at 0, the last ends at `seconds`; one part when it is
    short enough. An envelope that is too short counts as silence where it has no value."""
    raise NotImplementedError
