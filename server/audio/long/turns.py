"""Turns of the parts as turns of the recording. Pure.

What a diarizer says of one part is brought within it first; turns that are not in time, or last for
no time, are left out. In the seconds that two parts share the left one is believed up to the
middle and the right one from there on, so nobody speaks twice; a turn that goes across the middle
is one turn again.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite

from server.audio.model import Turn
from server.audio.transcript import Diarized

SAME = 0.25
"""Seconds between the end of a turn at a seam and the same speaker's next one, which is its rest:
two diarizers put one border a little apart."""


def placed(found: Diarized, start: float, seconds: float) -> tuple[Turn, ...]:
    """Those of a part that begins at `start`, in order, as times of the recording."""
    turns = [
        Turn(one.speaker, start + max(0.0, one.start), start + min(seconds, one.end))
        for one in found.turns
        if isfinite(one.start) and isfinite(one.end)
    ]
    return tuple(sorted((one for one in turns if one.end > one.start), key=_order))


def named(turns: Iterable[Turn], names: Mapping[str, str]) -> tuple[Turn, ...]:
    return tuple(one._replace(speaker=names.get(one.speaker, one.speaker)) for one in turns)


def within(turns: Iterable[Turn], start: float, end: float) -> tuple[Turn, ...]:
    """What of them lies between `start` and `end`."""
    clipped = (Turn(one.speaker, max(start, one.start), min(end, one.end)) for one in turns)
    return tuple(one for one in clipped if one.end > one.start)


def joined(left: Sequence[Turn], right: Sequence[Turn], start: float, end: float) -> list[Turn]:
    """`right` was heard from `start` on and `left` until `end`; both bear the same names."""
    middle = (start + end) / 2
    before = [*within(left, float("-inf"), middle)]
    after = [*within(right, middle, float("inf"))]
    open_ones = {one.speaker: index for index, one in enumerate(before) if middle - one.end <= SAME}
    rest: list[Turn] = []
    for one in after:
        index = open_ones.pop(one.speaker, None)
        if index is not None and one.start - before[index].end <= SAME:
            before[index] = before[index]._replace(end=max(before[index].end, one.end))
        else:
            rest.append(one)
    return sorted([*before, *rest], key=_order)


def _order(turn: Turn) -> tuple[float, float, str]:
    return turn.start, turn.end, turn.speaker
