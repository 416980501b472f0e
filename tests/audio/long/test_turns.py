"""Turns of parts become turns of the recording."""

from math import inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.audio.long.gaps import gaps
from server.audio.long.linking import Linking
from server.audio.long.parts import Failure
from server.audio.long.turns import joined, placed
from server.audio.model import Turn
from server.audio.speakers.link import Known, Rules
from server.audio.transcript import Diarized
from tests.audio.long import made

TOO_SLOW = Failure(504, "upstream_timeout", "too slow")
BROKEN = Failure(502, "upstream_error", "broken")
X, Y = (1.0, 0.0), (0.0, 1.0)


@st.composite
def talk(draw: st.DrawFn) -> list[Turn]:
    """Two people; each speaks again after a breath or more."""
    found = []
    for speaker in "ab":
        at = 0.0
        for pause, length in draw(
            st.lists(st.tuples(st.floats(0.5, 9), st.floats(0.5, 9)), max_size=12)
        ):
            found.append(Turn(speaker, at + pause, at + pause + length))
            at += pause + length
    return sorted(found, key=lambda turn: (turn.start, turn.end, turn.speaker))


@given(talk(), st.floats(5, 40), st.floats(2, 4))
@settings(max_examples=100)
def test_cut_anywhere_the_turns_are_the_same(turns: list[Turn], cut: float, overlap: float) -> None:
    """None twice, none short, and one across the seam is one."""
    left = placed(Diarized(tuple(turns)), 0.0, cut + overlap)
    moved = [Turn(one.speaker, one.start - cut, one.end - cut) for one in turns]
    right = placed(Diarized(tuple(moved)), cut, 200.0)
    found = joined(left, right, cut, cut + overlap)
    assert [one.speaker for one in found] == [one.speaker for one in turns]
    for one, other in zip(found, turns, strict=True):
        assert one[1:] == pytest.approx(other[1:], abs=1e-6)


def test_turns_that_are_not_in_time_are_left_out() -> None:
    """What lies beyond the part ends with it."""
    told = [("a", nan, 1), ("a", 1, inf), ("a", 5, 4), ("a", -3, 1), ("a", 9, 99), ("a", 12, 13)]
    found = placed(Diarized(tuple(Turn(*one) for one in told)), 100, 10)
    assert found == (Turn("a", 100, 101), Turn("a", 109, 110))


def test_known_speakers_have_their_names_and_the_others_numbers() -> None:
    """In the order in which they speak; a number that is somebody's name is left out."""
    linking = Linking([Known("Ann", X), Known("SPEAKER_00", (-1.0, 0.0))], Rules())
    turns = (Turn("q", 0, 5), Turn("r", 5, 9))
    linking.add(made.piece(0, 0, 60), Diarized(turns, {"q": Y, "r": X}))
    found, voices = linking.done()
    assert [one.speaker for one in found] == ["SPEAKER_01", "Ann"]
    assert voices["SPEAKER_01"] == pytest.approx(Y)


def test_without_voices_the_overlap_names_the_next_part() -> None:
    """And who is not in it is somebody new."""
    linking = Linking((), Rules())
    linking.add(made.piece(0, 0, 60), Diarized((Turn("a", 0, 30), Turn("b", 40, 60))))
    linking.add(made.piece(1, 58, 120), Diarized((Turn("s", 0, 20), Turn("t", 30, 50))))
    found, voices = linking.done()
    assert found == (
        Turn("SPEAKER_00", 0, 30),
        Turn("SPEAKER_01", 40, 78),
        Turn("SPEAKER_02", 88, 108),
    )
    assert voices == {}


def test_nothing_is_compared_across_a_part_that_nobody_heard() -> None:
    """The turns of its neighbours stay as they are."""
    linking = Linking((), Rules())
    linking.add(made.piece(0, 0, 60), Diarized((Turn("a", 50, 60),), {"a": X}))
    linking.add(made.piece(2, 116, 180), Diarized((Turn("z", 0, 10),), {"z": X}))
    found, _ = linking.done()
    assert found == (Turn("SPEAKER_00", 50, 60), Turn("SPEAKER_00", 116, 126))


# ---- gaps

PIECES = [made.piece(n, max(0, n * 60 - 2), n * 60 + 60) for n in range(5)]


def spans(failed: dict[int, Failure]) -> list[tuple[float, float, str]]:
    return [gap[:3] for gap in gaps(PIECES, failed, "words")]


def test_a_gap_is_what_no_neighbour_heard() -> None:
    """Its first and last seconds were heard by them."""
    assert spans({2: BROKEN}) == [(120, 178, "upstream_error")]
    assert spans({0: BROKEN}) == [(0, 58, "upstream_error")]
    assert spans({4: BROKEN}) == [(240, 300, "upstream_error")]
    assert spans({}) == []


def test_gaps_side_by_side_are_one_when_they_have_one_reason() -> None:
    """And never overlap."""
    assert spans({1: BROKEN, 2: BROKEN}) == [(60, 178, "upstream_error")]
    assert spans({1: BROKEN, 2: TOO_SLOW}) == [
        (60, 120, "upstream_error"),
        (120, 178, "upstream_timeout"),
    ]
