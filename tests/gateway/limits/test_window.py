"""Windows, buckets and days: never more than the limit, and the wait that is told is exact."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from server.gateway.limits.window import DAY, Bucket, Day, Window

PAUSES = st.lists(st.floats(0, 45, allow_nan=False), min_size=1, max_size=60)
A_LITTLE = 1e-6


def moments(pauses: Sequence[float], start: float = 1000.0) -> list[float]:
    found = []
    for pause in pauses:
        start += pause
        found.append(start)
    return found


@settings(max_examples=200, deadline=None)
@given(limit=st.integers(1, 12), pauses=PAUSES)
def test_no_sixty_seconds_hold_more_than_the_limit(limit: int, pauses: list[float]) -> None:
    """Wherever a window of 60 seconds begins."""
    window = Window(limit)
    taken = []
    for now in moments(pauses):
        if not window.wait(now):
            window.take(now)
            taken.append(now)
    for begin in taken:
        assert sum(begin <= at < begin + 60 for at in taken) <= limit


@settings(max_examples=200, deadline=None)
@given(limit=st.integers(1, 8), pauses=PAUSES)
def test_the_wait_of_a_window_is_exact(limit: int, pauses: list[float]) -> None:
    """After it one is let in; a moment before it none is. It is never longer than 61 seconds."""
    window = Window(limit)
    for now in moments(pauses):
        wait = window.wait(now)
        assert 0 <= wait <= 61
        if not wait:
            window.take(now)
        else:
            assert window.wait(now + wait - 1e-3) > 0
            assert window.wait(now + wait + A_LITTLE) == 0
            return


def test_a_window_tells_what_is_left_and_when_it_is_whole_again() -> None:
    """For the headers; time that goes back changes nothing."""
    window = Window(3)
    assert (window.remaining(0.5), window.reset(0.5)) == (3, 0.0)
    window.take(0.5)
    window.take(10.25)
    assert window.remaining(10.25) == 1
    assert window.reset(10.25) == 71 - 10.25
    assert window.remaining(3.0) == 1
    assert window.remaining(61.0) == 2
    assert window.remaining(71.0) == 3


@settings(max_examples=200, deadline=None)
@given(
    limit=st.integers(1, 1000),
    steps=st.lists(st.tuples(st.floats(0, 90), st.integers(0, 3000)), min_size=1, max_size=40),
)
def test_a_bucket_gives_no_more_than_it_held_and_was_filled_with(
    limit: int, steps: list[tuple[float, int]]
) -> None:
    """What is taken while the level is above zero is at most the limit, what came in since, and
    the one answer that went over."""
    bucket, first, now, taken, largest = Bucket(limit), 1000.0, 1000.0, 0, 0
    for pause, amount in steps:
        now += pause
        if bucket.wait(now):
            continue
        bucket.take(now, amount)
        taken, largest = taken + amount, max(largest, amount)
        assert taken <= limit + (now - first) * limit / 60 + largest + 1e-6
        assert bucket.level(now) <= limit


@settings(max_examples=100, deadline=None)
@given(limit=st.integers(1, 10_000), debt=st.integers(0, 50_000))
def test_a_debt_is_waited_for_exactly(limit: int, debt: int) -> None:
    """The answer that went over is made up before the next one is let in."""
    bucket = Bucket(limit)
    bucket.take(5.0, limit + debt)
    wait = bucket.wait(5.0)
    assert abs(wait - (debt + 1) * 60 / limit) < 1e-6 * (1 + wait)
    assert bucket.wait(5.0 + wait * 0.99) > 0
    assert bucket.wait(5.0 + wait + 1e-3 * wait + A_LITTLE) == 0


def test_a_day_begins_at_midnight_utc() -> None:
    """What was used yesterday does not count, and a clock set back gives nothing back."""
    day, noon = Day(100), 20_000 * DAY + DAY / 2
    day.take(noon, 99)
    assert day.wait(noon) == 0
    day.take(noon, 500)
    assert day.wait(noon) == DAY / 2
    assert day.wait(noon - DAY) > 0
    assert day.used(noon + DAY / 2) == 0
    assert day.wait(noon + DAY / 2) == 0
