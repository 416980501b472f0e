"""Word diarization error rate: known answers, and what holds for any conversation."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.lab.scores import wder
from server.lab.scores.speakers import Named, Said


def words(text: str) -> list[Said]:
    """`a:hello b:there`."""
    parts = (one.split(":") for one in text.split())
    return [(word, who) for who, word in parts]


def named(text: str) -> list[Named]:
    """`-` is nobody."""
    return [(word, None if who == "-" else who) for word, who in words(text)]


SAID = words("a:good a:morning b:hello b:there a:how a:are a:you")


def test_labels_do_not_matter_and_who_is_who_is_told() -> None:
    """Case and punctuation neither."""
    found = wder(SAID, named("1:Good 1:morning, 0:Hello 0:there! 1:How 1:are 1:you?"))
    assert (found.compared, found.wrong) == (7, 0)
    assert found.names == (("0", "b"), ("1", "a"))


def test_a_word_under_another_name_or_none_is_wrong() -> None:
    """Misheard words count as those heard right; left out and invented ones do not."""
    found = wder(SAID, named("1:good 1:morning 1:hello 0:there 1:how 1:or -:you"))
    assert (found.compared, found.wrong) == (7, 2)
    assert found.rate == pytest.approx(2 / 7)
    found = wder(SAID, named("1:good 1:morning 0:well 0:hello 0:there 1:you"))
    assert (found.compared, found.wrong) == (5, 0)


def test_a_written_word_may_be_several_spoken_ones() -> None:
    """Each of them has the speaker of all."""
    found = wder(words("a:well-known b:fact"), named("1:well 1:known 0:fact 0:..."))
    assert (found.compared, found.wrong) == (3, 0)


def test_two_speakers_cannot_both_be_one_label() -> None:
    """One label for everybody is right for whoever says more."""
    assert wder(SAID, named("x:good x:morning x:hello x:there x:how x:are x:you")).wrong == 2


def test_a_rate_over_nothing_is_unknown() -> None:
    """Nothing was heard, or nothing was said."""
    assert wder(SAID, []).rate is None
    assert wder([], SAID).rate is None


TALK = st.lists(
    st.tuples(st.sampled_from(["yes", "no", "well"]), st.sampled_from("abc")), max_size=12
)


@settings(max_examples=60)
@given(TALK, TALK)
def test_a_share_is_a_share(said: list[Said], understood: list[Named]) -> None:
    """Never more wrong than compared, nothing wrong with the truth, whatever the labels."""
    found = wder(said, understood)
    assert 0 <= found.wrong <= found.compared <= min(len(said), len(understood))
    assert wder(said, [(word, f"{who}2") for word, who in said]).wrong == 0
