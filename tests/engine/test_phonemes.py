"""From text to phonemes: what is spoken, how words with endings sound, guesses for all others."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.engine.phonemes.letters import guessed
from server.engine.phonemes.lexicon import Lexicon
from server.engine.phonemes.script import LONGEST, lines, phonemes
from server.engine.phonemes.spell import cardinal, ordinal, sentences, spoken, year

WORDS = {
    "the": "ði",
    "cat": "kˈæt",
    "apple": "ˈæpᵊl",
    "wait": "wˈAt",
    "stop": "stˈɑp",
    "try": "tɹˈI",
    "dash": "dˈæʃ",
    "board": "bˈɔɹd",
    "box": "bˈɑks",
    "live": {"DEFAULT": "lˈIv", "VERB": "lˈɪv"},
}


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Dr. Smith has 21 cats.", "doctor Smith has twenty one cats."),
        ("It cost $1,250.50, or £1.", "It cost one thousand two hundred fifty dollars and fifty "
         "cents, or one pound."),
        ("In 1984, 2005 and 2026", "In nineteen eighty four, two thousand five and twenty "
         "twenty six"),
        ("at 10:05 and 3:00", "at ten oh five and three o'clock"),
        ("the 3rd of 12 parts", "the third of twelve parts"),
        ("12% of -5", "twelve percent of minus five"),
        ("192.168.1.20", "one nine two dot one six eight dot one dot two zero"),
        ("no. 7 at 9 a.m.", "number seven at nine ay em"),
        ("mail bob@example.com", "mail bob at example dot com"),
        ("3.14 and 007", "three point one four and zero zero seven"),
    ],
)  # fmt: skip
def test_what_is_no_word_is_spelled_out(written: str, said: str) -> None:
    """As people read it aloud."""
    assert spoken(written) == said


@given(st.integers(0, 10**15 - 1))
@settings(max_examples=100)
def test_every_number_has_words(number: int) -> None:
    """Without a digit, and the ordinal ends as ordinals do."""
    assert cardinal(number).replace(" ", "").isalpha()
    assert ordinal(number).endswith(("th", "first", "second", "third"))


@given(st.integers(1100, 2099))
@settings(max_examples=50)
def test_every_year_has_words(number: int) -> None:
    """All in letters."""
    assert year(number).replace(" ", "").isalpha()


@given(st.text(max_size=200))
@settings(max_examples=100)
def test_no_text_is_too_strange(text: str) -> None:
    """It gives lines that the model can take, or none."""
    found = lines(text, Lexicon(WORDS))
    assert all(0 < len(line) <= LONGEST for line in found)


def test_a_text_is_cut_into_sentences() -> None:
    """What holds nothing to say is left out."""
    assert sentences("One. Two!  ... \n Three") == ["One.", "Two!", "Three"]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("cats", "kˈæts"),
        ("boxes", "bˈɑksᵻz"),
        ("stopped", "stˈɑpt"),
        ("waited", "wˈAɾᵻd"),
        ("waiting", "wˈAɾɪŋ"),
        ("tried", "tɹˈId"),
        ("cat's", "kˈæts"),
        ("dashboards", "dˈæʃbˌɔɹdz"),
        ("live", "lˈIv"),
        ("GPUs", "ˌʤiˌpiˈjuz"),
    ],
)
def test_words_that_no_dictionary_has_are_made_of_those_it_has(word: str, said: str) -> None:
    """Endings, halves and initials."""
    assert Lexicon(WORDS).word(word) == said


def test_small_words_follow_the_sound_after_them() -> None:
    """The apple and the cat differ; so do British endings."""
    american = Lexicon(WORDS)
    assert phonemes("the apple, the cat", american) == "ði ˈæpᵊl, ðə kˈæt"
    assert Lexicon(WORDS, british=True).word("boxes") == "bˈɑksɪz"


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyzéüß", min_size=1, max_size=20))
@settings(max_examples=100)
def test_a_guess_has_a_sound_for_every_word(word: str) -> None:
    """As long as there is a Latin letter in it that is ever sounded."""
    assert guessed(f"{word}a")
