"""Where a long recording is cut into parts: in its quietest places, with an overlap. Pure.

    0 ────────────── m1 ─────────────── m2 ────────────── end
    [ part 0          ]
                   [ part 1              ]        each overlaps the next by `overlap_seconds`,
                                      [ part 2      ]   and m1, m2 are the middles of the overlaps

A middle is looked for in the last `reach_seconds` before a part would be too long; the last two
parts share what is left, so that none is a mere tail. The quietest place wins: the mean of the
envelope over `quiet_seconds` around it, so that a gap between two words is taken before the
closure of a stop, and of places about alike the middle of the longest stretch of them. What two
parts both heard is woven there (`server.audio.weave`), at best in a pause.
Owns these places. Refuses to know what is in a part.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby

from server.audio.sound.model import FRAMES_PER_SECOND

Cut = tuple[float, float]
"""Start and end of a part, in seconds."""

LEAST_OVERLAP = 2.0
"""Less costs words where parts are woven: what is heard at an edge is heard badly."""
_ALIKE = 1.25
"""Places up to this much louder than the quietest are as good."""


@dataclass(frozen=True, slots=True)
class CutRules:
    """`part_seconds` is the longest that a part becomes, its overlaps included; at least eight
    overlaps."""

    part_seconds: float = 300.0
    overlap_seconds: float = LEAST_OVERLAP
    reach_seconds: float = 60.0
    quiet_seconds: float = 0.5


def cuts(envelope: Sequence[int], seconds: float, rules: CutRules) -> tuple[Cut, ...]:
    """The parts in order. The first begins at 0, the last ends at `seconds`; one part when it is
    short enough. An envelope that is too short counts as silence where it has no value."""
    half = max(LEAST_OVERLAP, rules.overlap_seconds) / 2
    longest = max(rules.part_seconds, 16 * half)
    reach = min(rules.reach_seconds, longest / 4)
    found: list[Cut] = []
    start = 0.0
    while seconds - start > longest:
        latest = start + longest - half
        if seconds - start > longest + latest - start - half:
            low, high = latest - reach, latest
        else:
            centre = (start + seconds) / 2
            low = max(centre - reach / 2, seconds - longest + half)
            high = min(centre + reach / 2, latest)
        middle = quietest(envelope, low, high, rules.quiet_seconds)
        found.append((start, min(middle + half, seconds)))
        start = middle - half
    return (*found, (start, seconds))


def quietest(envelope: Sequence[int], low: float, high: float, window: float) -> float:
    """The second between `low` and `high` around which it is quietest for `window` seconds."""
    first, last = round(low * FRAMES_PER_SECOND), round(high * FRAMES_PER_SECOND)
    side = max(1, round(window * FRAMES_PER_SECOND / 2))
    loud = _windows(envelope, first, last, side)
    enough = min(loud) * _ALIKE + 2 * side
    at, length = max(_stretches(value <= enough for value in loud), key=lambda one: one[1])
    frame = first + at + (length - 1) / 2
    return min(max(frame / FRAMES_PER_SECOND, low), high)


def _windows(envelope: Sequence[int], first: int, last: int, side: int) -> list[int]:
    """For each frame from `first` to `last`: the sum of what is around it."""
    begin, end = first - side, last + side
    values = [0] * max(0, -begin) + list(envelope[max(0, begin) : max(0, end)])
    values += [0] * (end - begin - len(values))
    sums = [0, *accumulate(values)]
    return [sums[at + 2 * side] - sums[at] for at in range(max(1, last - first + 1))]


def _stretches(alike: Iterable[bool]) -> list[tuple[int, int]]:
    """(where it begins, how long it is) of each run of true ones."""
    found, at = [], 0
    for is_quiet, run in groupby(alike):
        length = sum(1 for _ in run)
        if is_quiet:
            found.append((at, length))
        at += length
    return found
