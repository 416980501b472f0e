"""What becomes of a part, for every state and every event."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.audio.long import parts
from server.audio.long.model import Rules
from server.audio.long.parts import (
    Ask,
    Due,
    Effect,
    Event,
    Failure,
    Heard,
    Left,
    Missed,
    Over,
    Part,
    Parts,
    State,
    Wake,
    advance,
    begun,
)

RULES = Rules(at_once=2, rests=(1.0, 4.0), patience=60.0)
BROKEN = Failure(502, "upstream_error", "broken")
BUSY = Failure(429, "queue_full", "full", 5.0)
REFUSED = Failure(422, "invalid_request", "refused")
NO_KEY = Failure(401, "invalid_api_key", "no key")
EVENTS: dict[str, Event] = {
    "due": Due(),
    "heard": Heard(0),
    "broken": Missed(0, BROKEN),
    "busy": Missed(0, BUSY),
    "refused": Missed(0, REFUSED),
    "left": Left(),
}
# What a part in a state becomes, with another part beside it that was heard.
BECOMES = {
    State.WAITING: {"due": State.ASKED, "left": State.LEFT},
    State.ASKED: {
        "heard": State.HEARD,
        "broken": State.RESTING,
        "busy": State.RESTING,
        "refused": State.GAP,
        "left": State.LEFT,
    },
    State.RESTING: {"due": State.ASKED, "left": State.LEFT},
    State.HEARD: {},
    State.GAP: {},
    State.LEFT: {},
}


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("event", list(EVENTS))
def test_every_event_in_every_state(state: State, event: str) -> None:
    """What is not in the table changes nothing: an answer may come late, or twice."""
    failure = BROKEN if state in {State.RESTING, State.GAP} else None
    record = Parts((Part(state, until=10.0, failure=failure), Part(State.ASKED)))
    after, _ = advance(record, EVENTS[event], 10.0, RULES)
    # Something may be asked whatever happened, so a waiting part is asked at any event but the end.
    usual = State.ASKED if state is State.WAITING else state
    assert after.parts[0].state is BECOMES[state].get(event, usual)


def asked(effects: tuple[Effect, ...]) -> list[int]:
    return [effect.number for effect in effects if isinstance(effect, Ask)]


def run(count: int, *events: tuple[float, Event]) -> tuple[Parts, tuple[Effect, ...]]:
    record, effects = advance(begun(count), Due(), 0.0, RULES)
    for now, event in events:
        record, effects = advance(record, event, now, RULES)
    return record, effects


def test_the_lowest_parts_are_asked_first() -> None:
    """As many as the rules let; the next one when a place is free, and a part that rested goes
    before those on its right."""
    record, effects = advance(begun(5), Due(), 0.0, RULES)
    assert asked(effects) == [0, 1]
    record, effects = advance(record, Missed(0, BROKEN), 1.0, RULES)
    assert effects == (Ask(2), Wake(2.0))
    record, effects = advance(record, Due(), 2.0, RULES)
    assert effects == ()
    record, effects = advance(record, Heard(1), 2.5, RULES)
    assert asked(effects) == [0]


def test_a_part_that_fails_rests_longer_each_time() -> None:
    """And is a gap when all rests are used up."""
    record, effects = run(2, (0.0, Heard(1)), (10.0, Missed(0, BROKEN)))
    assert effects == (Wake(11.0),)
    record, _ = advance(record, Due(), 11.0, RULES)
    record, effects = advance(record, Missed(0, BROKEN), 20.0, RULES)
    assert effects == (Wake(24.0),)
    record, _ = advance(record, Due(), 24.0, RULES)
    record, effects = advance(record, Missed(0, BROKEN), 30.0, RULES)
    assert record.parts[0].state is State.GAP
    assert effects == (Over(None),)


def test_retry_after_holds_every_part() -> None:
    """The others would be told the same. It does not use up tries."""
    record, effects = run(4, (10.0, Missed(0, BUSY)))
    assert effects == (Wake(15.0),)
    assert record.parts[0].misses == 0
    record, effects = advance(record, Heard(1), 12.0, RULES)
    assert effects == (Wake(15.0),)
    record, effects = advance(record, Due(), 15.0, RULES)
    assert asked(effects) == [0, 2]


def test_a_service_cannot_send_us_away_for_a_day() -> None:
    """`Retry-After: 86400`, and the caller is waiting."""
    _, effects = run(2, (0.0, Missed(0, BUSY._replace(retry_after=86400.0))))
    assert effects == (Wake(parts.LONGEST_REST),)


def test_a_service_that_stays_busy_is_given_up_when_nobody_else_is_heard() -> None:
    """What is left are gaps when something was heard, and the error when nothing was."""
    for first, over in ((Heard(1), Over(None)), (Missed(1, BUSY), Over(0))):
        record, _ = run(6, (0.0, first))
        effects: tuple[Effect, ...] = ()
        now = 0.0
        while not record.over and now < 1000:
            for number in record.numbers(State.ASKED):
                record, effects = advance(record, Missed(number, BUSY), now, RULES)
            now += 5.0
            if not record.over:
                record, effects = advance(record, Due(), now, RULES)
        assert effects == (over,)
        assert RULES.patience <= now <= RULES.patience + 10
        assert not record.numbers(*parts.OPEN)


def test_a_service_that_is_not_there_is_not_waited_for_as_a_busy_one() -> None:
    """Nothing was heard: who asks is told as soon as of a service that fails."""
    absent = Failure(503, "unavailable", "nothing listens there", 2.0)
    record, _ = run(2)
    now = 0.0
    while not record.over and now < 1000:
        for number in record.numbers(State.ASKED):
            record, _ = advance(record, Missed(number, absent), now, RULES)
        now += 1.0
        record, _ = advance(record, Due(), now, RULES)
    assert sum(RULES.rests) <= now <= sum(RULES.rests) + 5
    assert record.over


def test_what_is_refused_everywhere_ends_the_recording_at_once() -> None:
    """A key that does not count is not tried on two thousand parts."""
    record, effects = run(5, (0.0, Missed(1, NO_KEY)))
    assert effects == (Over(1),)
    assert record.numbers(State.LEFT) == [0, 2, 3, 4]


def test_what_is_refused_after_something_was_heard_is_a_gap() -> None:
    """What was heard is kept."""
    record, effects = run(3, (0.0, Heard(0)), (0.0, Missed(1, NO_KEY)))
    assert record.parts[1].state is State.GAP
    assert effects == ()


def test_three_parts_refused_and_none_heard_is_enough() -> None:
    """The first error stands for all."""
    record, effects = run(9, *((0.0, Missed(n, REFUSED)) for n in (1, 0, 2)))
    assert effects == (Over(1),)
    assert record.over


def test_nothing_happens_after_the_end() -> None:
    """Late answers have no effects."""
    record, _ = run(2, (0.0, Left()))
    for event in EVENTS.values():
        assert advance(record, event, 5.0, RULES) == (record, ())


@given(st.integers(1, 8), st.randoms(use_true_random=False), st.integers(0, 60))
@settings(max_examples=100)
def test_every_recording_ends_and_no_part_is_forgotten(
    count: int, chance: "st.RandomType", share: int
) -> None:
    """Whatever the services do: something is always asked, or time is waited for."""
    record, effects = advance(begun(count), Due(), 0.0, RULES)
    now, running = 0.0, set(asked(effects))
    wake = None
    for _ in range(3000):
        if record.over:
            break
        wake = next((one.at for one in effects if isinstance(one, Wake)), wake)
        assert running or wake is not None
        event: Event = Due()
        if running and (wake is None or chance.random() < 0.7):
            number = chance.choice(sorted(running))
            failure = chance.choice([BROKEN, BUSY, REFUSED, NO_KEY])
            event = Missed(number, failure) if chance.random() * 100 < share else Heard(number)
            running.discard(number)
            now += chance.random()
        else:
            now, wake = max(now, wake or 0.0), None
        record, effects = advance(record, event, now, RULES)
        assert not running & set(asked(effects))
        running |= set(asked(effects))
        assert len(running) <= RULES.at_once
    assert record.over
    (over,) = effects
    assert isinstance(over, Over)
    heard = record.numbers(State.HEARD)
    if over.failed is None:
        assert sorted([*heard, *record.given_up]) == list(range(count))
    else:
        assert not heard
        assert record.parts[over.failed].failure is not None


def test_a_part_that_stands_in_a_line_for_ever_does_not_hold_the_others_for_ever() -> None:
    """Somebody may be worked on; nobody is believed to be after twice the patience."""
    record, _ = run(6, (0.0, Heard(0)))
    now = 0.0
    while record.numbers(State.WAITING) and now < 1000:
        for number in record.numbers(State.ASKED):
            if number != 1:
                record, _ = advance(record, Missed(number, BUSY), now, RULES)
        now += 5.0
        record, _ = advance(record, Due(), now, RULES)
    assert 2 * RULES.patience <= now <= 2 * RULES.patience + 10
    assert record.numbers(State.ASKED) == [1]
    record, effects = advance(record, Missed(1, BUSY), now, RULES)
    assert effects == (Over(None),)
