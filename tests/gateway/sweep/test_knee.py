"""From measured runs to a proposed cap, on curves whose answer is known."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.gateway.sweep.knee import knee, mean_interval, median_interval, summed, usable
from server.gateway.sweep.model import Level, Run

RUNS = st.lists(
    st.builds(
        Run,
        st.integers(1, 12),
        st.floats(0.01, 1e4),
        st.lists(st.floats(1e-4, 1e3), min_size=1, max_size=12).map(tuple),
        st.sampled_from(["", "", "", "out of memory"]),
    ),
    min_size=1,
    max_size=40,
)


def curve(
    most: int, full: int, *, noise: float = 0.0, seed: int = 1, repeats: int = 5
) -> list[Run]:
    """A service that takes 0.1 s for each request and works on `full` of them at once: throughput
    rises up to there, latency from there."""
    chance = random.Random(seed)
    runs = []
    for level in range(1, most + 1):
        seconds = 0.1 * max(1.0, level / full)
        for _ in range(repeats):
            shaken = [seconds * (1 + noise * chance.gauss(0, 1)) for _ in range(20)]
            rate = level / seconds * (1 + noise * chance.gauss(0, 1))
            runs.append(Run(level, rate, tuple(max(1e-3, one) for one in shaken)))
    return runs


@pytest.mark.parametrize("full", [1, 2, 3, 5, 8])
def test_the_knee_is_where_throughput_stops_to_rise(full: int) -> None:
    """Without noise it is found exactly, and certainly."""
    found = knee(summed(curve(8, full)))
    assert found is not None
    assert found.cap == full
    assert found.certain
    assert found.rising == (full == 8)


@pytest.mark.parametrize("seed", range(20))
def test_noise_does_not_move_it(seed: int) -> None:
    """One per cent of noise, whatever the luck; the tolerance is five."""
    found = knee(summed(curve(8, 3, noise=0.01, seed=seed)))
    assert found is not None
    assert found.cap == 3


def test_figures_that_cannot_tell_levels_apart_say_so() -> None:
    """Wide intervals reach the threshold: a smaller cap is not ruled out."""
    runs = [Run(1, rate, (0.1,) * 8) for rate in (5.0, 15.0, 9.0)]
    runs += [Run(2, rate, (0.1,) * 8) for rate in (8.0, 14.0, 11.0)]
    found = knee(summed(runs))
    assert found is not None
    assert not found.certain
    assert "do not rule out" in found.sentence


def test_nothing_above_a_level_that_failed_is_proposed() -> None:
    """What runs out of memory at three does not get five."""
    runs = [*curve(5, 5), Run(3, 0.0, (), "parakeet answered HTTP 500: out of memory")]
    found = knee(summed(runs))
    assert found is not None
    assert found.cap == 2
    assert not found.rising
    assert "with 3 at once requests failed" in found.sentence


def test_a_bound_of_latency_is_kept() -> None:
    """Throughput alone would take eight."""
    runs = [Run(level, 10.0 * level, (0.05 * level,) * 10) for level in range(1, 9) for _ in "123"]
    found = knee(summed(runs), latency=0.21)
    assert found is not None
    assert found.cap == 4
    assert knee(summed(runs), latency=0.01) is None


def test_a_first_level_that_fails_proposes_nothing() -> None:
    """There is no cap below one."""
    assert knee(summed([Run(1, 0.0, (), "refused")])) is None
    assert knee(()) is None


@given(RUNS, st.none() | st.floats(1e-3, 1e3))
@settings(max_examples=200)
def test_only_what_was_measured_is_proposed(runs: list[Run], latency: float | None) -> None:
    """Never more than any level tried, never one that failed or was too slow, and nearly the
    best of those that are left."""
    levels = summed(runs)
    found = knee(levels, latency=latency)
    good = [one for one in usable(levels) if latency is None or one.latency.mean <= latency]
    if found is None:
        assert not good
        return
    chosen = next(one for one in good if one.level == found.cap)
    best = max(one.rate.mean for one in good)
    assert chosen.rate.mean >= 0.95 * best
    assert all(one.rate.mean < 0.95 * best for one in good if one.level < chosen.level)
    assert found.cap <= found.best


@given(RUNS, st.floats(0.0, 0.5), st.floats(0.0, 0.5))
@settings(max_examples=150)
def test_more_tolerance_never_proposes_more(runs: list[Run], one: float, other: float) -> None:
    """The proposal falls with the tolerance."""
    small, large = sorted((one, other))
    tight, loose = (knee(summed(runs), tolerance=each) for each in (small, large))
    assert (tight is None) == (loose is None)
    if tight is not None and loose is not None:
        assert loose.cap <= tight.cap


def test_the_mean_has_students_interval() -> None:
    """Worked by hand: mean 3, standard deviation 1, four degrees of freedom at 2.776."""
    found = mean_interval([2.0, 2.5, 3.0, 3.5, 4.0])
    half = 2.776 * (0.625**0.5) / 5**0.5
    assert found.mean == 3.0
    assert found.low == pytest.approx(3.0 - half)
    assert found.high == pytest.approx(3.0 + half)
    assert mean_interval([7.0]).low is None


@pytest.mark.parametrize(("count", "rank"), [(6, 0), (8, 0), (9, 1), (12, 2), (20, 5), (100, 39)])
def test_the_median_has_the_interval_of_order_statistics(count: int, rank: int) -> None:
    """Ranks from the tables of the sign test at 5 %."""
    found = median_interval([float(number) for number in range(count)])
    assert found.low == rank
    assert found.high == count - 1 - rank


def test_five_figures_do_not_bound_a_median() -> None:
    """One in sixteen such intervals would miss it."""
    assert median_interval([1.0, 2.0, 3.0, 4.0, 5.0]).low is None


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=400))
@settings(max_examples=100)
def test_an_interval_holds_its_median(figures: list[float]) -> None:
    """Also above the count where an approximation takes over."""
    found = median_interval(figures)
    if found.low is not None and found.high is not None:
        assert min(figures) <= found.low <= found.mean <= found.high <= max(figures)


def test_a_level_adds_its_runs_up() -> None:
    """Failed runs tell why; their figures count for nothing."""
    (level,) = summed([Run(2, 10.0, (0.1, 0.2)), Run(2, 12.0, (0.3,)), Run(2, 0.0, (9.0,), "x")])
    assert isinstance(level, Level)
    assert (level.requests, level.repeats, level.failed) == (3, 2, "x")
    assert level.rate.mean == 11.0
    assert level.latency.mean == 0.2
    assert level.slowest == 0.3
