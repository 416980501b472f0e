"""Which speaker said each word."""

from hypothesis import given, settings
from hypothesis import strategies as st

from server.audio.attribute import Rules, attribute
from server.audio.model import Turn, Word

WORDS_ALONE = Rules(stubborn=1, clear=0.0)
"""Every run stays and no word flips: only the time that is shared decides."""

seconds = st.integers(0, 600).map(lambda tenth: tenth / 10)


@st.composite
def word_lists(draw: st.DrawFn) -> list[Word]:
    texts = st.sampled_from(["so", "yes", "no.", "(why?)", "and", "stop!", "", "um"])
    spans = draw(st.lists(st.tuples(seconds, st.integers(0, 30), texts), max_size=40))
    return [Word(text, start, start + length / 10) for start, length, text in spans]


@st.composite
def turn_lists(draw: st.DrawFn) -> list[Turn]:
    spans = draw(st.lists(st.tuples(seconds, st.integers(1, 80), st.sampled_from("ABC"))))
    return [Turn(name, start, start + length / 10) for start, length, name in spans]


def sentence(text: str, start: float = 0.0, each: float = 0.4) -> list[Word]:
    return [
        Word(one, start + i * each, start + (i + 0.9) * each) for i, one in enumerate(text.split())
    ]


def speakers(words: list[Word], turns: list[Turn], rules: Rules | None = None) -> str:
    return "".join(said.speaker or "-" for said in attribute(words, turns, rules or Rules()))


@given(word_lists(), turn_lists())
@settings(max_examples=150)
def test_no_word_is_lost_doubled_or_changed(words: list[Word], turns: list[Turn]) -> None:
    """Whatever the turns are, the words come out as they went in, in order of their start."""
    said = attribute(words, turns)
    assert [one.word for one in said] == sorted(words, key=lambda word: word.start)
    assert all(0 <= one.certainty <= 1 + 1e-9 for one in said)


@given(word_lists(), turn_lists())
@settings(max_examples=150)
def test_the_sweep_finds_what_looking_at_every_turn_finds(
    words: list[Word], turns: list[Turn]
) -> None:
    """The speaker of a word has a turn that shares time with it, and no other shares more."""
    rules = WORDS_ALONE
    ordered = sorted(words, key=lambda word: word.start)
    said = attribute(words, turns, rules)
    for index, one in enumerate(said):
        start = one.word.start
        end = min(one.word.end, start + rules.longest)
        if index + 1 < len(ordered):
            end = min(end, ordered[index + 1].start)
        if end <= start:
            continue
        shared: dict[str, float] = {}
        for turn in turns:
            time = min(end, turn.end) - max(start, turn.start)
            if time > 0:
                shared[turn.speaker] = min(end - start, shared.get(turn.speaker, 0.0) + time)
        assert one.overlapped == (len(shared) > 1)
        if shared:
            assert one.speaker is not None
            assert shared[one.speaker] > max(shared.values()) - 1e-9
        else:
            gaps = [max(start - turn.end, turn.start - end) for turn in turns]
            near = min(gaps, default=rules.reach + 1) <= rules.reach
            assert (one.speaker is not None) == near


def test_a_word_belongs_to_whom_it_shares_most_time_with() -> None:
    """Not to whoever speaks when it begins."""
    turns = [Turn("A", 0, 1.1), Turn("B", 1.1, 5)]
    assert speakers([Word("well", 1.0, 1.5)], turns) == "B"


def test_a_word_stretched_over_silence_stays_with_its_speaker() -> None:
    """A recogniser gave half a second of speech four seconds; the next speaker's do not count."""
    turns = [Turn("A", 0, 0.7), Turn("B", 1.3, 6)]
    assert speakers([Word("right", 0.0, 4.0)], turns) == "A"


def test_a_word_far_from_every_turn_has_no_speaker() -> None:
    """Unknown is said, and the word is kept."""
    said = attribute([Word("hello", 10, 10.4)], [Turn("A", 0, 5)])
    assert (said[0].speaker, said[0].how) == (None, "none")


def test_a_word_just_outside_a_turn_belongs_to_it() -> None:
    """Within a second, the nearer of the two."""
    turns = [Turn("A", 0, 1), Turn("B", 2.5, 4)]
    said = attribute([Word("hm", 1.6, 1.8)], turns)
    assert (said[0].speaker, said[0].how) == ("A", "nearest")


def test_the_last_words_of_a_sentence_go_with_the_rest_of_it() -> None:
    """A turn that ended too early would give them to the next speaker."""
    words = sentence("we will ship it on Monday. Great news")
    turns = [Turn("A", 0, 1.7), Turn("B", 1.7, 4)]
    assert speakers(words, turns) == "AAAAAABB"


def test_an_interjection_of_three_words_stays_with_who_made_it() -> None:
    """It lies clearly within a turn of its own."""
    words = sentence("I think yes of course we should")
    turns = [Turn("A", 0, 0.8), Turn("B", 0.8, 2.0), Turn("A", 2.0, 3)]
    assert speakers(words, turns) == "AABBBAA"


def test_a_pause_ends_a_sentence_as_a_full_stop_does() -> None:
    """Without punctuation the words after it are somebody else's business."""
    words = [*sentence("one two three"), *sentence("four", start=3.0)]
    turns = [Turn("A", 0, 1.2), Turn("B", 2.9, 4)]
    assert speakers(words, turns) == "AAAB"


def test_a_single_unsure_word_between_two_of_another_speaker_goes_to_that_speaker() -> None:
    """Where nothing tells sentences apart; the word says that its surroundings decided."""
    words = sentence("a b c d e f g h i j k", each=0.5)
    turns = [Turn("A", 0, 5.5), Turn("B", 2.0, 2.3), Turn("B", 2.2, 2.5)]
    said = attribute(words, turns, Rules(stubborn=1, clear=0.5))
    assert {one.speaker for one in said} == {"A"}


def test_a_clear_word_between_two_of_another_speaker_stays() -> None:
    """Somebody did say "no" there."""
    words = [Word("so", 0, 0.4), Word("No.", 0.5, 0.9), Word("we", 1.0, 1.4), Word("go", 1.5, 1.9)]
    turns = [Turn("A", 0, 0.45), Turn("B", 0.45, 0.95), Turn("A", 0.95, 3)]
    said = attribute([words[0]._replace(text="so."), *words[1:]], turns)
    assert [one.speaker for one in said] == ["A", "B", "A", "A"]


def test_speech_at_the_same_time_is_marked() -> None:
    """The word goes to the longer one, and says that it was not alone and how sure that is."""
    said = attribute([Word("both", 0, 1.0)], [Turn("A", 0, 1.0), Turn("B", 0.5, 2)])
    assert said[0].overlapped
    assert said[0].speaker == "A"
    assert abs(said[0].certainty - 0.5) < 1e-9
