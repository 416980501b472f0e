"""The wait after failures: doubling to a ceiling, jittered over its whole width."""

from hypothesis import given
from hypothesis import strategies as st

from server.ssh.backoff import BASE, CEILING, ceiling, delay


def test_the_ceiling_doubles_from_half_a_second_to_thirty():
    """0.5, 1, 2, 4, 8, 16, 30, 30 …; no failure, no wait."""
    assert [ceiling(n) for n in range(9)] == [0, 0.5, 1, 2, 4, 8, 16, 30, 30]


@given(failures=st.integers(1, 10_000), fraction=st.floats(0, 1, exclude_max=True))
def test_the_wait_is_anywhere_below_the_ceiling(failures, fraction):
    """Property: full jitter, and never beyond 30 s however often it failed."""
    wait = delay(failures, fraction)
    assert 0 <= wait <= ceiling(failures) <= CEILING
    assert ceiling(failures) >= BASE
