"""How far a long recording is, and how long the rest will take. Pure.

The rest is told from the parts that came back: seconds of work for a second of sound, as measured
from asking to answer. Waiting in a line is in there as well, and that is right: where services take
two parts and three are asked, each takes half as long again, and three of them are under way.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from server.audio.long.model import Progress


@dataclass(frozen=True, slots=True)
class Pace:
    """`lengths` are the seconds of sound of each part; `ended` and `begun` tell them by number.

    `took` and `sound` add up the measured parts: those that were heard, at their last try.
    """

    lengths: tuple[float, ...]
    at_once: int
    ended: frozenset[int] = frozenset()
    begun: tuple[tuple[int, float], ...] = ()
    took: float = 0.0
    sound: float = 0.0


def started(lengths: Sequence[float], at_once: int) -> Pace:
    return Pace(tuple(lengths), max(1, at_once))


def asked(pace: Pace, number: int, now: float) -> Pace:
    return replace(pace, begun=(*pace.begun, (number, now)))


def missed(pace: Pace, number: int) -> Pace:
    """It is asked again later, or never: what it took says nothing of a part that is heard."""
    return replace(pace, begun=tuple(one for one in pace.begun if one[0] != number))


def heard(pace: Pace, number: int, now: float) -> Pace:
    since = next((at for one, at in pace.begun if one == number), now)
    return replace(
        ended(pace, number),
        took=pace.took + max(0.0, now - since),
        sound=pace.sound + pace.lengths[number],
    )


def ended(pace: Pace, number: int) -> Pace:
    return replace(missed(pace, number), ended=pace.ended | {number})


def progress(pace: Pace, now: float) -> Progress:
    done = sum(pace.lengths[number] for number in pace.ended)
    return Progress(len(pace.ended), len(pace.lengths), done, _eta(pace, now))


def _eta(pace: Pace, now: float) -> float | None:
    rest = [n for n in range(len(pace.lengths)) if n not in pace.ended]
    if not rest:
        return 0.0
    if not pace.sound:
        return None
    each = pace.took / pace.sound
    since = dict(pace.begun)
    work = [
        max(0.0, pace.lengths[n] * each - (now - since[n] if n in since else 0.0)) for n in rest
    ]
    # No sooner than the longest of them, however many are done at once.
    return max(sum(work) / pace.at_once, *work)
