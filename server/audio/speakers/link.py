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

When all parts are told, `settled` joins voices that turned out to be near one another and were
never heard in the same part: what a short first turn had torn apart.

Measured with resemblyzer, five voices that join over time: error 48.0, 41.8 and 45.0 % with the
labels as they come (parts of 30, 60 and 120 s), 5.3, 5.0 and 5.1 % linked so, 5.0 % heard whole.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import fsum, isfinite, sqrt
from operator import add, mul
from types import MappingProxyType
from typing import NamedTuple

from server.audio.model import Turn

Vector = tuple[float, ...]
Span = tuple[float, float]
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
    """Voices by the key that stands for them until the end."""

    voices: Mapping[str, Voice] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Heard:
    """One part: its turns with its own names, `voices` by these names. `before` are the turns of
    the part before, by the keys of the gallery; both heard what lies in `shared`, from and to."""

    number: int
    turns: tuple[Turn, ...]
    voices: Mapping[str, Vector]
    before: tuple[Turn, ...] = ()
    shared: tuple[float, float] = (0.0, 0.0)


def opened(known: Iterable[Known] = ()) -> Gallery:
    voices = {}
    for number, one in enumerate(known):
        unit = direction(one.voice)
        heard = None if unit is None else tuple(x * KNOWN_SECONDS for x in unit)
        voices[str(number)] = Voice(0.0, heard, name=one.name)
    return Gallery(MappingProxyType(voices))


def linked(gallery: Gallery, part: Heard, rules: Rules) -> tuple[Gallery, dict[str, str]]:
    """The gallery with the voices of the part in it, and who of the part is who in it. What a part
    calls its speakers, and the order in which it tells them, does not matter."""
    seconds = _seconds(part.turns)
    names = _by_first_turn(part.turns)
    units = {name: direction(part.voices.get(name, ())) for name in names}
    heard = sorted((name for name in names if units[name]), key=lambda name: -seconds[name])[:MOST]
    found: dict[str, str] = {}
    for sure in (True, False):
        asked = [(name, units[name] or ()) for name in heard]
        asked = [one for one in asked if (seconds[one[0]] >= rules.sure_seconds) is sure]
        found |= _by_voice(gallery, asked, found, rules)
    found |= _by_overlap(part, [name for name in names if name not in found], found, rules)
    voices = dict(gallery.voices)
    for name in names:
        key = found.setdefault(name, str(len(voices)))
        voices[key] = _with(voices.get(key), units[name], seconds[name], part.number)
    return Gallery(MappingProxyType(voices)), found


def direction(vector: Sequence[float]) -> Vector | None:
    """The vector with length 1; None for one that points nowhere."""
    if not all(map(isfinite, vector)):
        return None
    length = sqrt(fsum(x * x for x in vector))
    return tuple(x / length for x in vector) if isfinite(length) and length > HAIR else None


def distance(one: Sequence[float], other: Sequence[float]) -> float:
    """1 - cosine of two directions: 0 for the same one, 2 for the opposite one. Those of different
    services cannot be compared: they are as far apart as can be."""
    if len(one) != len(other):
        return 2.0
    return 1.0 - fsum(map(mul, one, other))


# ---- by the sound


def _by_voice(
    gallery: Gallery, asked: Sequence[tuple[str, Vector]], taken: Mapping[str, str], rules: Rules
) -> dict[str, str]:
    there = {key: one for key, one in gallery.voices.items() if key not in taken.values()}
    units = {key: direction(one.direction or ()) for key, one in there.items()}
    free = _foremost({key: one for key, one in there.items() if units[key]})
    costs = [[distance(unit, units[key] or ()) for key in free] for _, unit in asked]
    return {asked[row][0]: free[column] for row, column in assigned(costs, rules.distance + HAIR)}


def assigned(costs: Sequence[Sequence[float]], limit: float) -> list[tuple[int, int]]:
    """Rows to columns, each at most once, none that costs more than `limit`: so that what is saved
    below the limit is the most in sum."""
    if not costs or not costs[0]:
        return []
    import lap  # noqa: PLC0415 - slow to import, and needed by those who diarize only
    import numpy as np  # noqa: PLC0415

    saved = np.minimum(np.asarray(costs, dtype=float) - limit, 0.0)
    _, columns, _ = lap.lapjv(saved, extend_cost=True)
    pairs = ((row, int(column)) for row, column in enumerate(columns) if column >= 0)
    return [(row, column) for row, column in pairs if costs[row][column] <= limit]


# ---- by the turns both parts heard


def _by_overlap(
    part: Heard, asked: Sequence[str], taken: Mapping[str, str], rules: Rules
) -> dict[str, str]:
    here, there = _spans(part.turns, part.shared), _spans(part.before, part.shared)
    names = [name for name in asked if name in here]
    keys = sorted(there.keys() - set(taken.values()))
    costs = [[-_both(here[name], there[key], rules) for key in keys] for name in names]
    return {names[row]: keys[column] for row, column in assigned(costs, -HAIR)}


def _spans(turns: Iterable[Turn], shared: tuple[float, float]) -> dict[str, list[Span]]:
    spans: dict[str, list[Span]] = {}
    for speaker, start, end in turns:
        span = (max(start, shared[0]), min(end, shared[1]))
        if span[1] > span[0]:
            spans.setdefault(speaker, []).append(span)
    return spans


def _both(mine: Sequence[Span], theirs: Sequence[Span], rules: Rules) -> float:
    """Seconds that both say of one speaker; 0 when it is too little to say that it is one."""
    both = fsum(max(0.0, min(a[1], b[1]) - max(a[0], b[0])) for a in mine for b in theirs)
    longer = max(fsum(to - at for at, to in spans) for spans in (mine, theirs))
    enough = both >= rules.shared_seconds - HAIR and both >= rules.shared_share * longer - HAIR
    return both if enough else 0.0


# ---- the gallery


def _with(voice: Voice | None, unit: Vector | None, seconds: float, part: int) -> Voice:
    voice = voice or Voice(0.0)
    heard = tuple(x * seconds for x in unit) if unit else None
    return Voice(
        voice.seconds + seconds,
        _sum(voice.direction, heard),
        voice.parts | {part},
        voice.name,
    )


def _sum(one: Vector | None, other: Vector | None) -> Vector | None:
    """Where they are of different services the first one stays."""
    if one is None or other is None:
        return other if one is None else one
    return tuple(map(add, one, other)) if len(one) == len(other) else one


def settled(gallery: Gallery, rules: Rules) -> dict[str, str]:
    """Who in the gallery is who after all: the nearest two first, as long as there are any within
    the distance that were never in one part and are not two known people."""
    compared = set(_foremost(gallery.voices))
    voices = {key: one for key, one in gallery.voices.items() if key in compared}
    same = {key: key for key in gallery.voices}
    apart = {pair: _apart(voices, pair) for pair in combinations(voices, 2)}
    while apart and min(apart.values()) <= rules.distance + HAIR:
        left, right = min(apart, key=lambda pair: (apart[pair], pair))
        voices[left] = _one(voices[left], voices.pop(right))
        same = {key: left if to == right else to for key, to in same.items()}
        kept = (pair for pair in apart if right not in pair)
        apart = {pair: _apart(voices, pair) if left in pair else apart[pair] for pair in kept}
    return same


def _foremost(voices: Mapping[str, Voice]) -> list[str]:
    """Those that are compared: who is known, then who spoke longest."""
    return sorted(voices, key=lambda key: (voices[key].name is None, -voices[key].seconds))[:MOST]


def _apart(voices: Mapping[str, Voice], pair: tuple[str, str]) -> float:
    one, other = voices[pair[0]], voices[pair[1]]
    here, there = direction(one.direction or ()), direction(other.direction or ())
    if here is None or there is None or not _may_be_one(one, other):
        return 2.0
    return distance(here, there)


def _one(voice: Voice, other: Voice) -> Voice:
    return Voice(
        voice.seconds + other.seconds,
        _sum(voice.direction, other.direction),
        voice.parts | other.parts,
        voice.name or other.name,
    )


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
