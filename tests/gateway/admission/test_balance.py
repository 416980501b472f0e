"""Which upstream answers."""

from dataclasses import replace

import pytest

from server.base.health import Verdict
from server.gateway.admission.balance import Place, Seat, available, choose
from server.gateway.admission.breaker import Breaker, Position
from server.gateway.model import Upstream
from tests.gateway.admission.made import down, upstream

UNKNOWN = Verdict.unknown("not probed yet")


def place(one: Upstream, in_flight: int = 0, breaker: Breaker | None = None) -> Place:
    return Place(one, Seat(one.name, one.cap, in_flight, breaker or Breaker()))


def names(places: list[Place], count: int, exclude: frozenset[str] = frozenset()) -> list[str]:
    """Who is chosen in turn, when each choice is carried out."""
    chosen = []
    for turn in range(count):
        found = choose(places, exclude, turn, 0.0)
        if found is None:
            break
        found.seat.in_flight += 1
        chosen.append(found.upstream.name)
    return chosen


@pytest.mark.parametrize(
    "unfit",
    [
        place(upstream(accepting=False)),
        place(down()),
        place(upstream(cap=2), in_flight=2),
        place(upstream(), breaker=Breaker(Position.OPEN, until=1.0)),
        place(upstream(), breaker=Breaker(Position.HALF_OPEN, probe=1)),
    ],
)
def test_available_is_healthy_and_not_full(unfit: Place) -> None:
    """It takes new work, is not down, is not full, and its breaker lets in."""
    assert available(place(upstream()), 0.0)
    assert not available(unfit, 0.0)
    assert choose([unfit], frozenset(), 0, 0.0) is None
    assert choose([unfit, place(upstream("b"))], frozenset(), 0, 0.0) is not None


def test_the_least_busy_one_is_chosen_and_equal_ones_in_turn() -> None:
    """Whoever has less in flight; nobody is always the first."""
    same = [place(upstream(name, cap=None)) for name in "abc"]
    assert sorted(names(same, 3)) == ["a", "b", "c"]
    idle = [place(upstream("a")), place(upstream("b"))]
    firsts = [choose(idle, frozenset(), turn, 0.0) for turn in (0, 1)]
    assert firsts == [idle[0], idle[1]]


def test_busy_is_relative_to_the_cap() -> None:
    """One that takes three at once gets three while one that takes one gets one."""
    chosen = names([place(upstream("big", cap=3)), place(upstream("small", cap=1))], 9)
    assert sorted(chosen) == ["big", "big", "big", "small"]


def test_one_whose_health_is_unknown_is_used_after_those_that_are_up() -> None:
    """Unknown is not down: when nobody else is free, it is asked."""
    grey = place(replace(upstream("grey", cap=5), health=UNKNOWN))
    assert names([grey, place(upstream("up", cap=2))], 4) == ["up", "up", "grey", "grey"]


def test_what_failed_a_request_does_not_get_it_again() -> None:
    """Also when it is the only one."""
    both = [place(upstream("a", cap=None)), place(upstream("b", cap=None))]
    assert set(names(both, 4, frozenset({"a"}))) == {"b"}
    assert choose(both[:1], frozenset({"a"}), 0, 0.0) is None
