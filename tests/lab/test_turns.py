"""Diarization error rate: known answers, those of another implementation, and what always holds."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.lab.scores import der
from server.lab.scores.turns import Turn

SAID: list[Turn] = [("ann", 0, 10), ("ben", 10, 20), ("ann", 20, 30)]


def seconds(told: Sequence[Turn], **options: float) -> tuple[float, float, float, float]:
    found = der(SAID, told, **options)  # type: ignore[arg-type]
    figures = found.speech, found.missed, found.false_alarm, found.confusion
    return tuple(round(one, 6) for one in figures)  # type: ignore[return-value]


def test_labels_do_not_matter_and_who_is_who_is_told() -> None:
    """Any names, as long as the same voice has the same one."""
    found = der(SAID, [("S1", 0, 10), ("S0", 10, 20), ("S1", 20, 30)])
    assert (found.rate, found.names) == (0.0, (("S0", "ben"), ("S1", "ann")))


def test_each_kind_of_error_has_its_seconds() -> None:
    """Missed, invented and confused time; the better of two pairings is taken."""
    assert seconds([("x", 0, 8), ("y", 10, 20), ("x", 20, 31)]) == (30, 2, 1, 0)
    assert seconds([("x", 0, 20), ("x", 20, 30)]) == (30, 0, 0, 10)
    assert seconds([("x", 0, 10), ("y", 10, 20), ("z", 20, 30)]) == (30, 0, 0, 10)
    assert seconds([]) == (30, 30, 0, 0)


def test_a_collar_forgives_near_the_edges_of_what_was_said() -> None:
    """On each side of each edge. The end of all is an edge as well."""
    late: list[Turn] = [("x", 0.2, 10.2), ("y", 10.2, 20.2), ("x", 20.2, 30.2)]
    assert seconds(late) == (30, 0.2, 0.2, 0.4)
    assert seconds(late, collar=0.25) == (28.5, 0, 0, 0)


def test_who_speaks_at_once_counts_twice_or_not_at_all() -> None:
    """As the definition has it, unless overlapping speech is left out."""
    said: list[Turn] = [("ann", 0, 10), ("ben", 8, 16)]
    told: list[Turn] = [("x", 0, 10), ("y", 10, 16)]
    both = der(said, told)
    assert (both.speech, both.missed, both.rate) == (18, 2, pytest.approx(1 / 9))
    alone = der(said, told, overlap=False)
    assert (alone.speech, alone.wrong, alone.overlap) == (14, 0, False)


@pytest.mark.parametrize(
    ("collar", "overlap", "expected"),
    [
        (0.0, True, (19.0, 1.7, 1.9, 2.5)),
        (0.0, False, (16.2, 0.3, 1.9, 2.5)),
        (0.25, True, (14.0, 0.45, 1.1, 1.1)),
        (0.25, False, (13.2, 0.05, 1.1, 1.1)),
    ],
)
def test_the_figures_are_those_of_pyannote_metrics(
    collar: float, overlap: bool, expected: tuple[float, ...]
) -> None:
    """Version 4.2.0, which writes this collar as 0.5: the whole width."""
    ann, ben, cid = "ann", "ben", "cid"
    said: list[Turn] = [(ann, 0, 4.2), (ben, 3.6, 9.1), (ann, 9.4, 12.0), (cid, 11.2, 15.8)]
    said += [(ben, 15.8, 17.3), (ann, 17.5, 18.1)]
    told: list[Turn] = [("0", 0.3, 4.0), ("1", 4.0, 9.6), ("0", 9.6, 13.1), ("2", 12.2, 16.9)]
    told += [("3", 16.9, 18.6)]
    found = der(said, told, collar=collar, overlap=overlap)
    figures = (found.speech, found.missed, found.false_alarm, found.confusion)
    assert figures == pytest.approx(expected)


def test_the_same_voice_twice_at_once_is_one_voice() -> None:
    """Turns of one speaker that overlap, on either side."""
    assert der([("a", 0, 6), ("a", 4, 10)], [("x", 0, 10)]).wrong == 0
    assert der([("a", 0, 10)], [("x", 0, 7), ("x", 2, 10)]).wrong == 0


def test_a_rate_over_nothing_is_unknown_and_bad_turns_are_refused() -> None:
    """False alarms are counted even where nobody spoke."""
    empty = der([], [("x", 1, 3)])
    assert (empty.rate, empty.false_alarm) == (None, 2)
    for start, end in ((3.0, 1.0), (0.0, float("nan")), (0.0, float("inf"))):
        with pytest.raises(ValueError, match="cannot be scored"):
            der([("a", start, end)], [])


TURNS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 40), st.integers(0, 12)), max_size=8
).map(lambda rows: [(who, start / 2, (start + length) / 2) for who, start, length in rows])


@settings(max_examples=80)
@given(TURNS, TURNS)
def test_nothing_is_lost_between_the_counts(said: list[Turn], told: list[Turn]) -> None:
    """Never below zero; what was told is what was right, confused or invented; the other way
    round misses and false alarms change places."""
    found, back = der(said, told), der(told, said)
    assert min(found.missed, found.false_alarm, found.confusion) >= 0
    assert found.missed <= found.speech + 1e-9
    assert found.missed == pytest.approx(back.false_alarm)
    assert found.confusion == pytest.approx(back.confusion)
    assert found.speech - found.missed == pytest.approx(back.speech - back.missed)
    renamed = [(f"voice {who}", start, end) for who, start, end in told]
    assert der(said, renamed).wrong == pytest.approx(found.wrong)
    assert der(said, said).wrong == 0
