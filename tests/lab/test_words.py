"""Word and character error rates: known answers, and what holds for any text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.lab.scores import LETTERS, SPOKEN, VERBATIM, TextErrors, cer, wer

WORDS = st.lists(
    st.sampled_from(["the", "a", "river", "it's", "well-known", "Straße", "河", "水"]), max_size=12
)


def test_each_kind_of_error_is_counted_by_itself() -> None:
    """One word misheard, one left out, one invented, of seven."""
    found = wer("we saw the old mill near town", "we sore the mill near town today")
    assert (found.substitutions, found.deletions, found.insertions) == (1, 1, 1)
    assert (found.hits, found.reference, found.rate) == (5, 7, pytest.approx(3 / 7))


def test_what_is_not_heard_does_not_count_unless_asked() -> None:
    """Case, punctuation, apostrophes of any form; the rule is in the answer."""
    same = wer("It's a well-known fact, isn\u2019t it?", "its a well known fact isnt it")
    assert (same.wrong, same.normaliser) == (0, "spoken/1")
    strict = wer("It's known.", "its known", VERBATIM)
    assert (strict.wrong, strict.normaliser) == (2, "verbatim/1")


def test_letters_are_counted_without_spaces_unless_asked() -> None:
    """Scripts without spaces have an error rate too."""
    assert cer("今天 天气 很 好", "今天天气好").rate == pytest.approx(1 / 6)
    assert cer("ice cream", "icecream").wrong == 0
    assert cer("ice cream", "icecream", SPOKEN).wrong == 1
    assert cer("cat", "cut").normaliser == LETTERS.label == "letters/1"


def test_a_rate_over_nothing_is_unknown() -> None:
    """Words that were invented where nothing was said are still counted."""
    assert wer("", "").rate is None
    invented = wer(" ... ", "thank you for watching")
    assert (invented.rate, invented.insertions) == (None, 4)
    assert wer("something", "").rate == 1.0


def test_counts_of_recordings_add_up_and_rules_do_not_mix() -> None:
    """A rate of both is not the mean of the rates."""
    both = wer("a b c d e f g h", "a b c d e f g h") + wer("a b", "x y")
    assert both.rate == pytest.approx(2 / 10)
    with pytest.raises(ValueError, match="do not count alike"):
        _ = wer("a", "a") + wer("a", "a", VERBATIM)


@settings(max_examples=60)
@given(WORDS, WORDS)
def test_the_counts_fit_both_texts(said: list[str], understood: list[str]) -> None:
    """Nothing is counted twice: both lengths come out, and equal texts have no error."""
    one, other = " ".join(said), " ".join(understood)
    found: TextErrors = wer(one, other)
    assert found.reference == len(SPOKEN.tokens(one))
    assert found.hits + found.substitutions + found.insertions == len(SPOKEN.tokens(other))
    assert (found.wrong == 0) == (SPOKEN.tokens(one) == SPOKEN.tokens(other))
    back = wer(other, one)
    assert (back.wrong, back.deletions - back.insertions) == (
        found.wrong,
        found.insertions - found.deletions,
    )
    assert cer(one, one).wrong == 0
