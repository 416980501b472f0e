"""A long recording is cut in its quietest places."""

from array import array
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from server.audio.sound.cut import CutRules, cuts, quietest
from server.audio.sound.model import FRAMES_PER_SECOND


def speech(seconds: float, *pauses: tuple[float, float], loud: int = 3000) -> array:
    """As loud as speech but for the pauses (start, end)."""
    envelope = array("H", [loud]) * round(seconds * FRAMES_PER_SECOND)
    for start, end in pauses:
        for frame in range(round(start * FRAMES_PER_SECOND), round(end * FRAMES_PER_SECOND)):
            envelope[frame] = 20
    return envelope


envelopes = st.lists(st.integers(0, 65_535), max_size=40)


@settings(max_examples=100, deadline=None)
@given(
    st.floats(0, 20_000),
    st.floats(1, 900),
    st.floats(0, 6),
    st.floats(0, 120),
    envelopes,
)
def test_parts_cover_everything_overlap_and_are_bounded(
    seconds: float, part: float, overlap: float, reach: float, pattern: list[int]
) -> None:
    """Whatever the envelope: from 0 to the end, each overlaps the next by what was asked (2 s at
    least) and no other, and none is longer than asked."""
    envelope = array("H", pattern) * min(2000, round(seconds))
    found = cuts(envelope, seconds, CutRules(part, overlap, reach))
    wanted = max(2.0, overlap)
    assert found[0][0] == 0
    assert found[-1][1] == seconds
    for (start, end), (next_start, next_end) in pairwise(found):
        assert abs(end - next_start - wanted) < 1e-6
        assert start < next_start
        assert end < next_end
    for (_, end), (start, _) in zip(found, found[2:], strict=False):
        assert end <= start
    assert all(end - start <= max(part, 8 * wanted) + 1e-6 for start, end in found)


def test_a_short_recording_is_one_part() -> None:
    """Nothing is cut that need not be."""
    assert cuts(speech(300), 300.0, CutRules(part_seconds=300)) == ((0.0, 300.0),)


def test_the_middle_of_an_overlap_is_in_a_pause() -> None:
    """Where nobody speaks nothing can be doubled or lost."""
    envelope = speech(500, (262, 263), (290, 290.3), (271, 271.2))
    first, second = cuts(envelope, 500.0, CutRules(part_seconds=300, reach_seconds=150))
    assert abs((second[0] + first[1]) / 2 - 262.5) < 0.3


def test_the_last_two_parts_share_what_is_left() -> None:
    """A tail of a few seconds would be heard without its context."""
    found = cuts(speech(305), 305.0, CutRules(part_seconds=300))
    assert len(found) == 2
    assert all(end - start > 100 for start, end in found)


def test_the_longest_of_the_quiet_places_is_taken() -> None:
    """The closure of a stop is as quiet as a pause, but shorter."""
    envelope = speech(60, (10, 10.6), (30, 33), (50, 50.7))
    assert abs(quietest(envelope, 5, 55, 0.5) - 31.5) < 0.1


def test_an_envelope_that_is_too_short_counts_as_silence() -> None:
    """A decoder that stopped early must not stop the cutting."""
    assert 100 < quietest(speech(100), 90, 140, 0.5) < 140
    assert len(cuts(array("H"), 1000.0, CutRules(part_seconds=300))) == 4
