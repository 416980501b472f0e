"""What becomes of the parts of one recording: one pure function over one table.

    waiting --(a place is free)--> asked --Heard--> heard
       ^                             |
       |                             +--Missed, worth another try--> resting
       +------------Due--------------------------------------------- resting
                                     +--Missed, not worth one------> gap
    waiting, asked, resting --Left, or the recording is given up--> left

Heard, gap and left are the end of a part. The recording is over when all its parts have ended, and
it counts as heard when one of them was: what is missing are gaps, and told. When no part was heard
it failed, with the error of the first part that was given up.

Which failures are worth another try:

* The service is busy or loading (429, 503): the part is asked again after what `Retry-After` says,
  and until then no other part is asked either, for it would be told the same. This does not use up
  the tries of a part. It ends when nothing is asked any more and for `patience` seconds nothing was
  heard, or for twice as long whatever is asked: then all that is left are gaps. A service that is
  not there (503, and not because it loads) from the beginning on is waited for as long as one that
  fails: `rests` together.
* The service failed or was too slow (408, 5xx): each part is asked again after each of `rests`.
* The part was refused (any other 4xx): the same sound would be refused again, it is a gap at once.
* Something that has nothing to do with the part (`EVERYWHERE`: no key, no such model, no room on
  the disk, nobody there to listen): while nothing was heard the recording is given up at once.

When `HOPELESS` parts were given up and none was heard, the others are not asked: a parameter that a
service does not take is refused as often as it is sent. The lowest part is asked first, so that
what is woven from the left never waits for long.

Owns these decisions. Refuses to know what a part is, or what an answer holds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple, cast

from server.audio.long.model import Rules

BUSY = frozenset({429, 503})
EVERYWHERE = frozenset({401, 403, 404, 405, 499, 507})
TOO_SLOW = 408
ABSENT, LOADING = 503, "model_loading"
HOPELESS = 3
LONGEST_REST = 120.0
"""A service may say `Retry-After: 86400`; the caller is still waiting."""


class State(StrEnum):
    WAITING = "waiting"
    ASKED = "asked"
    RESTING = "resting"
    HEARD = "heard"
    GAP = "gap"
    LEFT = "left"


OPEN = frozenset({State.WAITING, State.ASKED, State.RESTING})


class Failure(NamedTuple):
    """An error as data. `retry_after` is in seconds."""

    status: int
    code: str
    reason: str
    retry_after: float | None = None


# ---- events


class Due(NamedTuple):
    """Time went by, or the work begins: look what may be asked now."""


class Heard(NamedTuple):
    number: int


class Missed(NamedTuple):
    number: int
    failure: Failure


class Left(NamedTuple):
    """Nobody wants the recording any more."""


Event = Due | Heard | Missed | Left


# ---- effects


class Ask(NamedTuple):
    number: int


class Wake(NamedTuple):
    """Nothing can be asked before `at`: post `Due` then. It replaces an earlier one."""

    at: float


class Over(NamedTuple):
    """All parts have ended; what is still asked need not be waited for. `failed` is the part whose
    error stands for all, None when something was heard."""

    failed: int | None


Effect = Ask | Wake | Over


# ---- the record


@dataclass(frozen=True, slots=True)
class Part:
    """`misses` are those that count against `rests`. `until`: it rests until then."""

    state: State = State.WAITING
    misses: int = 0
    until: float = 0.0
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """No part is asked before `held`. `busy_since` is when the service first said it was busy,
    since anything was heard. `given_up` numbers the parts that became gaps, in that order."""

    parts: tuple[Part, ...]
    held: float = 0.0
    busy_since: float | None = None
    given_up: tuple[int, ...] = ()
    over: bool = False

    def numbers(self, *states: State) -> list[int]:
        return [number for number, part in enumerate(self.parts) if part.state in states]


def begun(count: int) -> Parts:
    return Parts((Part(),) * count)


# ---- the table: what an event makes of one part. A pair that is not in it changes nothing: such as
# an answer that comes after the recording was given up.


def _heard(part: Part, event: Event, now: float, rules: Rules) -> Part:
    del event, now, rules
    return replace(part, state=State.HEARD, failure=None)


def _missed(part: Part, event: Event, now: float, rules: Rules) -> Part:
    failure = cast("Missed", event).failure
    rest = _rest(part, failure, rules)
    if rest is None:
        return replace(part, state=State.GAP, failure=failure)
    misses = part.misses if failure.status in BUSY else part.misses + 1
    return Part(State.RESTING, misses, now + rest, failure)


def _rested(part: Part, event: Event, now: float, rules: Rules) -> Part:
    del event, rules
    return part if now < part.until else replace(part, state=State.WAITING)


def _left(part: Part, event: Event, now: float, rules: Rules) -> Part:
    del event, now, rules
    return replace(part, state=State.LEFT)


Row = Callable[[Part, Event, float, Rules], Part]
TABLE: Mapping[tuple[State, type[Event]], Row] = {
    (State.ASKED, Heard): _heard,
    (State.ASKED, Missed): _missed,
    (State.RESTING, Due): _rested,
    (State.WAITING, Left): _left,
    (State.ASKED, Left): _left,
    (State.RESTING, Left): _left,
}


def _rest(part: Part, failure: Failure, rules: Rules) -> float | None:
    """Seconds until the part is asked again; None: it is not."""
    tries = rules.rests
    if failure.status in BUSY:
        asked = failure.retry_after
        usual = tries[min(part.misses, len(tries) - 1)] if tries else 1.0
        return min(LONGEST_REST, usual if asked is None else max(0.0, asked))
    again = failure.status == TOO_SLOW or failure.status >= 500
    if not again or failure.status in EVERYWHERE or part.misses >= len(tries):
        return None
    return min(LONGEST_REST, max(tries[part.misses], failure.retry_after or 0.0))


# ---- the function


def advance(
    record: Parts, event: Event, now: float, rules: Rules
) -> tuple[Parts, tuple[Effect, ...]]:
    if record.over:
        return record, ()
    record = _noted(_applied(record, event, now, rules), event, now, rules)
    ended = _ended(record)
    if ended is not None:
        left = _each(record, Left(), now, rules)
        return replace(left, over=True), (ended,)
    return _asking(record, now, rules)


def _applied(record: Parts, event: Event, now: float, rules: Rules) -> Parts:
    if isinstance(event, Heard | Missed):
        return _one(record, event.number, event, now, rules)
    return _each(record, event, now, rules)


def _one(record: Parts, number: int, event: Event, now: float, rules: Rules) -> Parts:
    if not 0 <= number < len(record.parts):
        return record
    part = record.parts[number]
    row = TABLE.get((part.state, type(event)))
    if row is None:
        return record
    after = row(part, event, now, rules)
    parts = (*record.parts[:number], after, *record.parts[number + 1 :])
    given_up = (*record.given_up, number) if after.state is State.GAP else record.given_up
    return replace(record, parts=parts, given_up=given_up)


def _each(record: Parts, event: Event, now: float, rules: Rules) -> Parts:
    for number in range(len(record.parts)):
        record = _one(record, number, event, now, rules)
    return record


def _noted(record: Parts, event: Event, now: float, rules: Rules) -> Parts:
    """What an answer says about the service and not about its part."""
    if isinstance(event, Heard):
        return replace(record, busy_since=None)
    resting = record.numbers(State.RESTING)
    if not isinstance(event, Missed) or event.number not in resting:
        return record
    part = record.parts[event.number]
    if part.failure is None or part.failure.status not in BUSY:
        return record
    since = now if record.busy_since is None else record.busy_since
    # A part that is asked may be worked on. It may as well stand in the line of a service that
    # never answers, and then there is always one.
    waits = _patience(record, part.failure, rules) * (2 if record.numbers(State.ASKED) else 1)
    if now - since < waits:
        return replace(record, busy_since=since, held=max(record.held, part.until))
    # It was waited for long enough: none of the others would be told anything else.
    left = {*resting, *record.numbers(State.WAITING)}
    gap = replace(part, state=State.GAP)
    parts = tuple(gap if n in left else one for n, one in enumerate(record.parts))
    return replace(record, parts=parts, given_up=(*record.given_up, *sorted(left)))


def _patience(record: Parts, failure: Failure, rules: Rules) -> float:
    """A service that never answered and cannot be reached is not waited for as a busy one is: who
    asks would wait in vain, where a short recording is told at once."""
    absent = failure.status == ABSENT and failure.code != LOADING
    if absent and not record.numbers(State.HEARD):
        return min(rules.patience, sum(rules.rests))
    return rules.patience


def _ended(record: Parts) -> Over | None:
    heard = any(part.state is State.HEARD for part in record.parts)
    still = any(part.state in OPEN for part in record.parts)
    if heard or not record.given_up:
        return None if still else Over(None)
    first = record.given_up[0]
    failure = record.parts[record.given_up[-1]].failure
    everywhere = failure is not None and failure.status in EVERYWHERE
    if everywhere:
        return Over(record.given_up[-1])
    return Over(first) if not still or len(record.given_up) >= HOPELESS else None


def _asking(record: Parts, now: float, rules: Rules) -> tuple[Parts, tuple[Effect, ...]]:
    waiting = record.numbers(State.WAITING)
    free = max(1, rules.at_once) - len(record.numbers(State.ASKED))
    asked = waiting[: max(0, free)] if now >= record.held else []
    parts = list(record.parts)
    for number in asked:
        parts[number] = replace(parts[number], state=State.ASKED)
    wakes = [parts[number].until for number in record.numbers(State.RESTING)]
    if waiting and now < record.held:
        wakes.append(record.held)
    effects: list[Effect] = [Ask(number) for number in asked]
    if wakes:
        effects.append(Wake(min(wakes)))
    return replace(record, parts=tuple(parts)), tuple(effects)
