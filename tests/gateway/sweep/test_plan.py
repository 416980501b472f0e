"""Which levels a sweep measures, and in which order."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.gateway.sweep.plan import levels, order


@given(st.integers(1, 64))
@settings(max_examples=64)
def test_levels_rise_from_one_to_the_most(most: int) -> None:
    """Every one up to eight, so that no small cap is passed over."""
    found = levels(most)
    assert found[0] == 1
    assert found[-1] == most
    assert list(found) == sorted(set(found))
    assert set(range(1, min(most, 8) + 1)) <= set(found)


def test_nothing_in_flight_is_no_level() -> None:
    """A sweep up to zero would measure nothing."""
    with pytest.raises(ValueError, match="at least one"):
        levels(0)


@given(st.integers(1, 12), st.integers(1, 6), st.integers(0, 2**64 - 1))
@settings(max_examples=150)
def test_every_block_holds_every_level_once(most: int, repeats: int, seed: int) -> None:
    """A drift of the machine touches all levels alike."""
    chosen = levels(most)
    runs = order(chosen, repeats, seed)
    blocks = [runs[at : at + len(chosen)] for at in range(0, len(runs), len(chosen))]
    assert len(blocks) == repeats
    assert all(sorted(block) == list(chosen) for block in blocks)
    assert order(chosen, repeats, seed) == runs


def test_orders_are_mixed() -> None:
    """Each level comes first in its share of blocks: 6000 blocks of six, within five sigma."""
    runs = order(range(1, 7), 6000, 20261121)
    first = Counter(runs[::6])
    assert all(abs(first[level] - 1000) < 5 * 29 for level in range(1, 7))
