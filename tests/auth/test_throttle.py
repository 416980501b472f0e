"""How often a password may be tried."""

from hypothesis import given, settings
from hypothesis import strategies as st

from server.auth.throttle import FREE, LONGEST, QUIET, TOGETHER, TOGETHER_SECONDS, Throttle


def test_the_first_tries_are_free_then_each_waits_twice_as_long() -> None:
    """A typing error costs nobody anything; a program is soon at five minutes."""
    throttle, now, waits = Throttle(), 0.0, []
    for _ in range(14):
        throttle.failed("a", now)
        waits.append(throttle.wait("a", now))
        now += waits[-1]
    assert waits[:FREE] == [0.0] * FREE
    assert waits[FREE : FREE + 3] == [2.0, 4.0, 8.0]
    assert waits[-1] == LONGEST


def test_an_hour_of_quiet_and_the_right_password_forget_it() -> None:
    """The owner who comes back is not made to wait."""
    throttle = Throttle()
    for _ in range(10):
        throttle.failed("a", 0)
    assert throttle.wait("a", 1) > 0
    assert throttle.wait("a", QUIET) == 0
    for _ in range(10):
        throttle.failed("b", 0)
    throttle.succeeded("b")
    assert throttle.wait("b", 1) == 0


def test_many_addresses_together_are_slowed_as_well() -> None:
    """Guessing from a whole network is no faster."""
    throttle = Throttle()
    for number in range(TOGETHER):
        throttle.failed(f"192.0.2.{number}", float(number))
    assert throttle.wait("198.51.100.1", TOGETHER) == TOGETHER_SECONDS - TOGETHER
    assert throttle.wait("198.51.100.1", TOGETHER_SECONDS + 0.5) == 0


def test_the_many_addresses_of_one_machine_are_one() -> None:
    """IPv6 gives each machine more addresses than could ever be counted; an IPv4 address is the
    same behind a socket for both."""
    throttle = Throttle()
    for number in range(FREE + 1):
        throttle.failed(f"2001:db8:1:2::{number:x}", 0)
        throttle.failed("192.0.2.7" if number % 2 else "::ffff:192.0.2.7", 0)
    assert throttle.wait("2001:db8:1:2:aaaa::1%eth0", 0) == throttle.wait("::ffff:192.0.2.7", 0) > 0
    assert throttle.wait("2001:db8:1:3::1", 0) == throttle.wait("192.0.2.8", 0) == 0


def test_memory_is_bounded() -> None:
    """The address that failed longest ago is forgotten first."""
    throttle = Throttle(addresses=2)
    for address in ("a", "a", "a", "a", "b", "c"):
        throttle.failed(address, 0)
    assert throttle.wait("a", 0) == 0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 400)), max_size=80))
@settings(max_examples=100)
def test_who_waits_as_told_may_try(steps: list[tuple[str, float]]) -> None:
    """The wait that is told is the wait there is, however the others try."""
    throttle, now = Throttle(), 0.0
    for address, pause in steps:
        now += pause
        wait = throttle.wait(address, now)
        assert wait >= 0
        if not wait:
            throttle.failed(address, now)
        assert throttle.wait(address, now + throttle.wait(address, now) + 1e-6) <= 1e-6
