"""Percent and ETA: arithmetic that never runs backwards and learns."""

from hypothesis import given
from hypothesis import strategies as st

from server.swap.estimate import ORDER, Position, estimate, expected, moved_on

phases = st.sampled_from(ORDER)
seconds = st.floats(min_value=0, max_value=5000)


def test_a_learned_median_replaces_the_prior() -> None:
    assert expected({"weights": [10, 200, 12]})["weights"] == 12


def test_only_the_newest_times_count() -> None:
    assert expected({"weights": [999] * 20 + [10] * 5})["weights"] == 10


def test_the_size_of_the_weights_is_the_prior_of_an_unknown_model() -> None:
    assert expected({}, 120_000_000_000)["weights"] == 100


def test_halfway_through_the_shards_eta_follows_the_own_pace() -> None:
    """At 50 % after 100 s, with a plan of 20 s, the truth is nearer to 100 s left than to 10 s."""
    times = dict.fromkeys(ORDER, 0.0) | {"weights": 20.0}
    _, eta = estimate(times, Position("weights", 100.0, 0.5))
    assert 50 <= eta <= 100


def test_a_phase_past_its_plan_is_nearly_done_never_done() -> None:
    times = dict.fromkeys(ORDER, 0.0) | {"weights": 20.0}
    percent, eta = estimate(times, Position("weights", 500.0))
    assert eta > 0
    assert percent <= 99


@given(phase=phases, elapsed=seconds, fraction=st.none() | st.floats(0, 1))
def test_percent_and_eta_stay_in_their_bounds(
    phase: str, elapsed: float, fraction: float | None
) -> None:
    percent, eta = estimate(expected({}), Position(phase, elapsed, fraction))
    assert 0 <= percent <= 99
    assert eta >= 0


@given(current=phases, reported=st.sampled_from([*ORDER, "nonsense"]))
def test_a_late_line_of_an_earlier_phase_never_moves_the_bar_back(
    current: str, reported: str
) -> None:
    assert ORDER.index(moved_on(current, reported)) >= ORDER.index(current)
