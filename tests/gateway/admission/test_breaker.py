"""The breaker: its table walked in full, and one probe at a time under any sequence of events."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.gateway.admission.breaker import (
    NEW,
    TABLE,
    Answered,
    Began,
    Breaker,
    Event,
    Failed,
    Left,
    Position,
    Recovered,
    Rules,
    Sick,
    advance,
    lets_in,
    opens_in,
)

RULES = Rules(row=3, rate=0.5, volume=10, window=30, first_seconds=2, longest_seconds=10)
CLOSED, OPEN, HALF_OPEN = Position.CLOSED, Position.OPEN, Position.HALF_OPEN
TRIPPED = Breaker(OPEN, trips=1, until=102.0)
PROBING = Breaker(HALF_OPEN, trips=1, until=102.0, probe=7)
READY = Breaker(HALF_OPEN, trips=1, until=102.0)


def walk(breaker: Breaker, *events: Event, now: float = 100.0) -> Breaker:
    for event in events:
        breaker = advance(breaker, event, now, RULES)
    return breaker


def test_failures_in_a_row_open_it() -> None:
    """And not one fewer; an answer between begins the row anew."""
    assert walk(NEW, Failed(1), Failed(2)).position is CLOSED
    assert walk(NEW, Failed(1), Failed(2), Answered(3), Failed(4), Failed(5)).position is CLOSED
    opened = walk(NEW, Failed(1), Failed(2), Failed(3))
    assert (opened.position, opened.until) == (OPEN, 102.0)


def test_every_other_request_failing_opens_it_as_well() -> None:
    """The rate counts from the first failure, once there is enough to judge by."""
    breaker = NEW
    for number in range(1, 10):
        outcome = Failed(number) if number % 2 else Answered(number)
        breaker = walk(breaker, outcome)
        assert breaker.position is CLOSED
    assert walk(breaker, Failed(10)).position is OPEN


def test_old_failures_are_forgotten() -> None:
    """What happened before the window says nothing; nor does its part of a row, once answered."""
    old = walk(NEW, Failed(1), Answered(2))
    assert walk(old, Answered(3), now=131.0) is NEW
    assert walk(old, Failed(3), now=131.0) == Breaker(row=1, since=131.0, failed=1, total=1)


def test_a_healthy_upstream_costs_nothing() -> None:
    """The same object, so nothing is made for the answers of a good day."""
    assert walk(NEW, Began(1), Answered(1), Left(2)) is NEW


@pytest.mark.parametrize("breaker", [NEW, TRIPPED, PROBING, READY])
def test_a_caller_that_left_says_nothing(breaker: Breaker) -> None:
    """Its upstream may have been about to answer, or not."""
    assert walk(breaker, Left(99)) == breaker


def test_an_open_one_lets_in_when_its_time_is_over() -> None:
    """Before, nobody; then one, and nobody else while it is out."""
    assert not lets_in(TRIPPED, 101.9)
    assert opens_in(TRIPPED, 101.0) == 1.0
    assert walk(TRIPPED, Began(7), now=101.0) == TRIPPED
    assert lets_in(TRIPPED, 102.0)
    probing = walk(TRIPPED, Began(7), now=102.0)
    assert probing == PROBING
    assert not lets_in(probing, 200.0)
    assert opens_in(probing, 200.0) is None
    assert walk(probing, Began(8)) == probing


def test_the_probe_decides_alone() -> None:
    """Answers and failures of requests from before are about before."""
    assert walk(PROBING, Answered(3), Failed(4)) == PROBING
    assert walk(PROBING, Answered(7)) is NEW
    again = walk(PROBING, Failed(7))
    assert (again.position, again.trips, again.until) == (OPEN, 2, 104.0)
    left = walk(PROBING, Left(7))
    assert left.position is HALF_OPEN
    assert lets_in(left, 100.0)


def test_it_is_open_longer_each_time_up_to_a_bound() -> None:
    """2, 4, 8, then 10 for ever, also after a thousand times."""
    breaker, waits = walk(NEW, Failed(1), Failed(2), Failed(3), now=0.0), []
    now = 0.0
    for ticket in range(2000):
        waits.append(breaker.until - now)
        now = breaker.until
        breaker = walk(breaker, Began(ticket), Failed(ticket), now=now)
    assert waits[:5] == [2.0, 4.0, 8.0, 10.0, 10.0]
    assert waits[-1] == 10.0


def test_a_health_probe_brings_it_back_without_a_victim() -> None:
    """An answered one lets the next request in; a failed one keeps it open."""
    ready = walk(TRIPPED, Recovered())
    assert ready.position is HALF_OPEN
    assert lets_in(ready, 100.0)
    assert walk(TRIPPED, Sick(6.0)).until == 106.0
    assert walk(TRIPPED, Sick(0.5)).until == 102.0
    assert walk(READY, Sick(6.0)).position is OPEN
    assert walk(PROBING, Sick(6.0)) == PROBING


@pytest.mark.parametrize("breaker", [NEW, TRIPPED, PROBING])
@pytest.mark.parametrize(
    "event", [Began(1), Answered(1), Failed(1), Left(1), Recovered(), Sick(1.0)], ids=str
)
def test_an_event_without_a_row_changes_nothing(breaker: Breaker, event: Event) -> None:
    """Stale and impossible events are the same: ignored."""
    if (breaker.position, type(event)) not in TABLE:
        assert walk(breaker, event) is breaker


EVENTS = st.one_of(
    st.builds(Began, st.integers(0, 5)),
    st.builds(Answered, st.integers(0, 5)),
    st.builds(Failed, st.integers(0, 5)),
    st.builds(Left, st.integers(0, 5)),
    st.just(Recovered()),
    st.builds(Sick, st.floats(0, 10)),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 5), EVENTS), max_size=40))
def test_at_most_one_probe_is_out_and_it_always_comes_back(
    steps: list[tuple[float, Event]],
) -> None:
    """Whatever happens: a probe only in half-open, never open for longer than the bound."""
    breaker, now = NEW, 0.0
    for seconds, event in steps:
        now += seconds
        before, breaker = breaker, advance(breaker, event, now, RULES)
        assert breaker.probe is None or breaker.position is HALF_OPEN
        if before.probe is not None and breaker.probe is not None:
            assert breaker.probe == before.probe
        if breaker.position is OPEN:
            assert breaker.until - now <= RULES.longest_seconds
            assert lets_in(breaker, breaker.until)
