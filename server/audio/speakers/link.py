"""The same speaker in part after part, by the sound of the voice. Pure.

A diarizer names the voices of each part anew. Each comes with an embedding: a direction, alike for
the same voice. A gallery holds the voices met so far, each the sum of its directions, a longer turn
counting for more. The voices of the next part are compared with it:

1. Those that spoke for `sure_seconds` are assigned first, all at once (linear assignment by
   Jonker and Volgenant): one voice of a part to one of the gallery, so that what lies within
   `distance` (1 - cosine) is nearest in sum. Two voices of one part are never one person by this:
   the diarizer, who heard them side by side, says that they are two.
2. Then those that spoke less, the same way, among who is left. Their direction is unsure, so it
   moves nobody's by much.
3. Whoever is still without a name, or came without an embedding, is who spoke at the same time in
   the part before: the parts overlap, and a turn there was heard by both.
4. Who is nobody is new.

When all parts are told, `settled` joins voices that turned out to be near one another and were never
heard in the same part: what a short first turn had torn apart.

Measured with resemblyzer, five voices that join over time: error 48.0, 41.8 and 45.0 % with the
labels as they come (parts of 30, 60 and 120 s), 5.3, 5.0 and 5.1 % linked so, 5.0 % heard whole.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import fsum, isfinite, sqrt
from types import MappingProxyType
from typing import NamedTuple

from server.audio.model import Turn

Vector = tuple[float, ...]
MOST = 64
"""Voices of one part, and of the gallery, that are compared; the longest ones are. A diarizer that
tells more has failed, and must not cost more than one that works."""
KNOWN_SECONDS = 30.0
"""What the voice of somebody known weighs: it is moved by what is heard, but not away."""
HAIR = 1e-9


class Known(NamedTuple):
    """Somebody whose voice the caller sent along: it is called `name` wherever it is heard."""

    name: str
    voice: Vector


@dataclass(frozen=True, slots=True)
class Rules:
    """`distance` is 1 - cosine, `shared_seconds` how long both parts heard the same turn, of which
    it must be `shared_share` of what either says of that speaker there."""

    distance: float = 0.35
    sure_seconds: float = 1.5
    shared_seconds: float = 0.5
    shared_share: float = 0.5


class Voice(NamedTuple):
    """`direction` is the sum of what was heard, None while nobody told any. `parts` are the numbers
    of those it was heard in. `name` is that of somebody known."""

    seconds: float
    direction: Vector | None = None
    parts: frozenset[int] = frozenset()
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Gallery:
    """Voices by the number that stands for them until the end."""

    voices: Mapping[int, Voice] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Heard:
    """One part: its turns with its own names, `voices` by these names. `before` are the turns of
    the part before, by the numbers of the gallery, as far as both heard them: `shared` to
    `until`."""

    number: int
    turns: tuple[Turn, ...]
    voices: Mapping[str, Vector]
    before: tuple[tuple[int, Turn], ...] = ()
    shared: tuple[float, float] = (0.0, 0.0)


def opened(known: Iterable[Known] = ()) -> Gallery:
    voices = {}
    for number, one in enumerate(known):
        unit = direction(one.voice)
        heard = None if unit is None else tuple(x * KNOWN_SECONDS for x in unit)
        voices[number] = Voice(0.0, heard, name=one.name)
    return Gallery(MappingProxyType(voices))


def linked(gallery: Gallery, part: Heard, rules: Rules) -> tuple[Gallery, dict[str, int]]:
    """The gallery with the voices of the part in it, and who of the part is who in it. What a part
    calls its speakers, and the order in which it tells them, does not matter."""
    seconds = _seconds(part.turns)
    names = _by_first_turn(part.turns)
    units = {name: direction(part.voices.get(name, ())) for name in names}
    found: dict[str, int] = {}
    heard = [name for name in names if units[name] is not None]
    heard = sorted(heard, key=lambda name: -seconds[name])[:MOST]
    for sure in (True, False):
        asked = [name for name in heard if (seconds[name] >= rules.sure_seconds) is sure]
        found |= _by_voice(gallery, [(name, units[name] or ()) for name in asked], found, rules)
    found |= _by_overlap(part, [name for name in names if name not in found], found, rules)
    voices = dict(gallery.voices)
    for name in names:
        number = found.setdefault(name, max(voices, default=-1) + 1)
        was = voices.get(number, Voice(0.0))
        voices[number] = _with(was, units[name], seconds[name], part.number)
    return Gallery(MappingProxyType(voices)), found


def direction(vector: Sequence[float]) -> Vector | None:
    """The vector with length 1; None for one that points nowhere."""
    if not all(map(isfinite, vector)):
        return None
    length = sqrt(fsum(x * x for x in vector))
    return tuple(x / length for x in vector) if isfinite(length) and length > HAIR else None


def distance(one: Sequence[float], other: Sequence[float]) -> float:
    """1 - cosine: 0 for the same direction, 2 for the opposite one. Vectors of different services
    cannot be compared: they are as far apart as can be."""
    if len(one) != len(other):
        return 2.0
    here, there = direction(one), direction(other)
    if here is None or there is None:
        return 2.0
    return 1.0 - fsum(x * y for x, y in zip(here, there, strict=True))


# ---- by the sound


def _by_voice(
    gallery: Gallery, asked: Sequence[tuple[str, Vector]], taken: Mapping[str, int], rules: Rules
) -> dict[str, int]:
    free = [
        (number, one.direction, one.seconds)
        for number, one in gallery.voices.items()
        if one.direction is not None and number not in taken.values()
    ]
    free = sorted(free, key=lambda one: -one[2])[:MOST]
    costs = [[distance(unit, there) for _, there, _ in free] for _, unit in asked]
    return {
        asked[row][0]: free[column][0] for row, column in assigned(costs, rules.distance + HAIR)
    }


def assigned(costs: Sequence[Sequence[float]], limit: float) -> list[tuple[int, int]]:
    """Rows to columns, each at most once, none that costs more than `limit`: so that what is saved
    below the limit is the most in sum."""
    if not costs or not costs[0]:
        return []
    import lap  # noqa: PLC0415 - slow to import, and needed by those who diarize only
    import numpy  # noqa: PLC0415

    saved = numpy.minimum(numpy.asarray(costs, dtype=float) - limit, 0.0)
    _, columns, _ = lap.lapjv(saved, extend_cost=True)
    pairs = ((row, int(column)) for row, column in enumerate(columns) if column >= 0)
    return [(row, column) for row, column in pairs if costs[row][column] <= limit]


# ---- by the turns both parts heard


def _by_overlap(
    part: Heard, asked: Sequence[str], taken: Mapping[str, int], rules: Rules
) -> dict[str, int]:
    begin, end = part.shared
    here = [
        (one.speaker, max(begin, one.start), min(end, one.end))
        for one in part.turns
        if one.speaker in asked
    ]
    there = [(number, max(begin, one.start), min(end, one.end)) for number, one in part.before]
    numbers = sorted({number for number, _, _ in there} - set(taken.values()))
    names = [name for name in asked if any(who == name and to > at for who, at, to in here)]
    shares: list[list[float]] = []
    for name in names:
        mine = [(at, to) for who, at, to in here if who == name]
        row = []
        for number in numbers:
            theirs = [(at, to) for who, at, to in there if who == number]
            both = _shared(mine, theirs)
            share = both / max(_length(mine), _length(theirs), HAIR)
            enough = both >= rules.shared_seconds - HAIR and share >= rules.shared_share - HAIR
            row.append(-both if enough else 1.0)
        shares.append(row)
    return {names[row]: numbers[column] for row, column in assigned(shares, 0.0)}


def _shared(mine: Sequence[tuple[float, float]], theirs: Sequence[tuple[float, float]]) -> float:
    return fsum(max(0.0, min(to, until) - max(at, since)) for at, to in mine for since, until in theirs)


def _length(spans: Sequence[tuple[float, float]]) -> float:
    return fsum(max(0.0, to - at) for at, to in spans)


# ---- the gallery


def _with(voice: Voice, unit: Vector | None, seconds: float, part: int) -> Voice:
    there = voice.direction
    if unit is not None and (there is None or len(there) != len(unit)):
        there = tuple(x * seconds for x in unit)
    elif unit is not None and there is not None:
        there = tuple(x + y * seconds for x, y in zip(there, unit, strict=True))
    return Voice(voice.seconds + seconds, there, voice.parts | {part}, voice.name)


def settled(gallery: Gallery, rules: Rules) -> dict[int, int]:
    """Who in the gallery is who after all: the nearest two first, as long as there are any within
    the distance that were never in one part and are not two known people."""
    voices = dict(gallery.voices)
    same: dict[int, int] = {number: number for number in voices}
    while len(voices) <= MOST:
        near = [
            (distance(one.direction, other.direction), left, right)
            for left, one in voices.items()
            for right, other in voices.items()
            if left < right and one.direction and other.direction and _may_be_one(one, other)
        ]
        if not near or min(near)[0] > rules.distance + HAIR:
            break
        _, left, right = min(near)
        one, other = voices[left], voices.pop(right)
        both = tuple(x + y for x, y in zip(one.direction or (), other.direction or (), strict=True))
        voices[left] = Voice(
            one.seconds + other.seconds, both, one.parts | other.parts, one.name or other.name
        )
        same = {number: left if to == right else to for number, to in same.items()}
    return same


def _may_be_one(one: Voice, other: Voice) -> bool:
    return not (one.parts & other.parts or (one.name and other.name))


def _seconds(turns: Iterable[Turn]) -> dict[str, float]:
    seconds: dict[str, float] = {}
    for one in turns:
        seconds[one.speaker] = seconds.get(one.speaker, 0.0) + max(0.0, one.end - one.start)
    return seconds


def _by_first_turn(turns: Iterable[Turn]) -> list[str]:
    ordered = sorted(turns, key=lambda one: (one.start, one.end))
    return list(dict.fromkeys(one.speaker for one in ordered))


__all__ = ["Gallery", "Heard", "Known", "Rules", "Voice", "linked", "opened", "replace", "settled"]
