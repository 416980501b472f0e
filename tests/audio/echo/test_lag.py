"""How late one channel is against another."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.audio.echo.lag import Found, lag, line, on_line
from server.audio.echo.model import Line

RATE = 16_000


def noise(samples: int, seed: int) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


@given(st.integers(-3000, 3000), st.floats(0.01, 1), st.integers(0, 9))
@settings(max_examples=25, deadline=None)
def test_a_delay_is_found_to_the_sample_at_any_level(late: int, gain: float, seed: int) -> None:
    """Noise of the room's own beside it."""
    far = noise(1 << 15, seed)
    mic = np.roll(far, late) * np.float32(gain) + noise(1 << 15, seed + 100) * np.float32(0.003)
    found, clear = lag(mic, far, 4000)
    assert abs(found - late) < 0.5
    assert clear > 8


def test_two_sounds_that_have_nothing_in_common_have_no_clear_delay() -> None:
    """Of fifty pairs none comes near what counts as found."""
    clear = [lag(noise(1 << 14, seed), noise(1 << 14, seed + 1000), 4000)[1] for seed in range(50)]
    assert max(clear) < 6


def test_silence_has_no_delay() -> None:
    """And is no error."""
    nothing = np.zeros(1 << 12, dtype=np.float32)
    assert lag(nothing, noise(1 << 12, 1), 100) == (0.0, 0.0)


@given(
    st.floats(-1, 1),
    st.floats(-200e-6, 200e-6),
    st.lists(st.floats(-2, 2), min_size=0, max_size=5),
)
@settings(max_examples=60)
def test_delay_and_drift_are_found_though_a_quarter_of_the_blocks_is_wrong(
    delay: float, drift: float, wrong: list[float]
) -> None:
    """The estimate of Theil and Sen."""
    right = [Found(at, delay + drift * at, 20) for at in np.arange(0.0, 160, 8)]
    lies = [Found(3 + 30.0 * number, at, 9) for number, at in enumerate(wrong)]
    found = line([*right, *lies])
    assert found is not None
    assert found.at(80) == pytest.approx(delay + drift * 80, abs=2e-3)
    assert all(on_line(one, found) for one in right)


def test_one_block_gives_a_delay_and_no_drift() -> None:
    """Two points make any line."""
    assert line([Found(4, 0.02, 30)]) == Line(0.02, 0.0)
    assert line([Found(4, 0.02, 30), Found(12, 0.5, 9)]) == Line(0.26, 0.0)
    assert line([]) is None


def test_a_drift_that_no_clock_has_is_none() -> None:
    """A slope of a hundredth would be wrong peaks in a row."""
    found = line([Found(at, 0.01 * at, 20) for at in np.arange(0.0, 80, 8)])
    assert found is not None
    assert found.drift == 0


def test_a_thousand_blocks_are_as_quick_as_a_few() -> None:
    """Slopes are taken between some of them only."""
    found = line([Found(8.0 * n, 0.02 + 50e-6 * 8 * n, 20) for n in range(2000)])
    assert found is not None
    assert found.drift == pytest.approx(50e-6, rel=1e-6)
