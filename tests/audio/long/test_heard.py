"""Times that a recogniser got wrong are mended; what was said stays."""

from math import inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.audio.long.heard import in_order, told
from server.audio.long.quiet import made_up, silences
from server.audio.model import Word
from server.audio.sound.model import FRAMES_PER_SECOND
from server.audio.transcript import Spoken, Transcript

LOUD = 3000


def words(*starts: float) -> list[Word]:
    return [Word(f"w{n}", start, start + 0.3) for n, start in enumerate(starts)]


@given(
    st.lists(
        st.tuples(
            st.floats(-1e6, 1e6) | st.sampled_from([nan, inf, -inf]),
            st.floats(-1e6, 1e6) | st.sampled_from([nan, inf, -inf]),
        ),
        max_size=40,
    ),
    st.floats(0.1, 600),
)
@settings(max_examples=100)
def test_whatever_the_times_no_word_is_lost(
    times: list[tuple[float, float]], seconds: float
) -> None:
    """All lie within the part, and go forward."""
    given_words = [Word(f"w{n}", *span) for n, span in enumerate(times)]
    mended = in_order(given_words, seconds)
    assert sorted(word.text for word in mended) == sorted(word.text for word in given_words)
    starts = [word.start for word in mended]
    assert starts == sorted(starts)
    assert all(0 <= word.start <= word.end <= seconds for word in mended)


def test_one_wrong_time_does_not_move_the_words_behind_it() -> None:
    """It lies between its neighbours."""
    mended = in_order(words(0, 1, 290, 3, 4), 300)
    assert [word.start for word in mended] == [0, 1, pytest.approx(1.3), 3, 4]
    assert [word.text for word in mended] == ["w0", "w1", "w2", "w3", "w4"]


def test_words_in_no_order_at_all_are_put_in_that_of_their_times() -> None:
    """Such as two lists behind one another."""
    mended = in_order(words(9, 7, 5, 3, 1), 10)
    assert [word.text for word in mended] == ["w4", "w3", "w2", "w1", "w0"]


def test_a_word_beyond_the_part_ends_with_it() -> None:
    """Its text is kept."""
    assert in_order([Word("late", 31, 32)], 30) == [Word("late", 30, 30)]


def test_words_get_the_punctuation_of_their_sentences() -> None:
    """Where the sentence holds the same words."""
    plain = (Word("hello", 0, 0.4), Word("there", 0.5, 1), Word("who", 2, 2.2), Word("is", 2.3, 3))
    lines = (Spoken("Hello there!", 0, 1), Spoken("Who's?", 2, 3))
    found = told(Transcript(plain, lines), 100, 30)
    assert [word.text for word in found.words] == ["Hello", "there!", "who", "is"]
    assert found.sentences == {0: lines[0], 2: lines[1]}
    assert found.words[2].start == 102


def test_sentences_without_words_become_words() -> None:
    """By their letters."""
    found = told(Transcript(segments=(Spoken("ab cdef", 3, 6),)), 10, 30)
    assert [word[:3] for word in found.words] == [("ab", 13, 14), ("cdef", 14, 16)]


# ---- silence


def envelope(seconds: float, *spoken_spans: tuple[float, float], floor: int = 0) -> list[int]:
    levels = [floor] * round(seconds * FRAMES_PER_SECOND)
    for start, end in spoken_spans:
        for at in range(round(start * FRAMES_PER_SECOND), round(end * FRAMES_PER_SECOND)):
            levels[at] = LOUD
    return levels


def test_silence_is_what_is_far_below_the_speech() -> None:
    """Shorter pauses than a second are none."""
    quiet = silences(envelope(20, (2, 5), (5.5, 8), (12, 20)))
    assert quiet == (pytest.approx((0, 2)), pytest.approx((8, 12)))


def test_noise_as_loud_as_speech_is_no_silence() -> None:
    """Then nothing is measured, and nothing may be dropped."""
    assert silences(envelope(20, (2, 5), floor=LOUD // 4)) == ()
    assert silences([LOUD] * 1000) == ()
    assert silences([]) == ()


def test_a_recording_without_a_sound_is_one_silence() -> None:
    """All of it."""
    assert silences([0] * 1000) == (pytest.approx((0, 10)),)


@pytest.mark.parametrize(
    ("said", "gone"),
    [
        (["thank", "you"] * 3, 6),
        (["Thank", "you."] * 3 + ["bye"], 6),
        (["no"] * 3, 3),
        (["no"] * 2, 0),
        (["thank", "you", "very", "much"], 0),
        (["hm", *["la"] * 4, "hm"], 4),
    ],
)
def test_a_phrase_three_times_in_silence_was_made_up(said: list[str], gone: int) -> None:
    """All of it goes, the first time too; other words stay."""
    found = [Word(text, 10 + n * 0.5, 10.4 + n * 0.5) for n, text in enumerate(said)]
    assert len(made_up(found, [(9.9, 20.0)])) == gone


def test_where_one_of_the_words_can_be_heard_none_is_dropped() -> None:
    """The phrase is looked for within one silence."""
    found = [Word("no", 10 + n * 0.5, 10.4 + n * 0.5) for n in range(4)]
    assert made_up(found, [(0.0, 10.9), (11.4, 30.0)]) == set()
    assert made_up(found, ()) == set()
