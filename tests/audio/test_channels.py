"""Two channels become one conversation."""

from hypothesis import given, settings
from hypothesis import strategies as st

from server.audio.channels import Conversation, Heard, merge
from server.audio.model import Said, Word

LOUD, QUIET = 25.0, 3.0


def line(text: str, speaker: str, start: float, each: float = 0.4) -> list[Said]:
    words = (
        Word(t, start + i * each, start + (i + 0.9) * each) for i, t in enumerate(text.split())
    )
    return [Said(word, speaker, 1.0, False, "channel") for word in words]


def heard(said: list[Said], suppressed: float | None = None) -> list[Heard]:
    return [Heard(one, suppressed) for one in said]


def shown(found: Conversation) -> list[str]:
    return [f"{one.channel} {one.speaker}: {one.text}" for one in found.segments]


@st.composite
def channels(draw: st.DrawFn) -> tuple[list[Heard], list[Said]]:
    word = st.tuples(
        st.sampled_from(["yes", "no", "maybe", "so", "well", "right"]), st.integers(0, 200)
    )
    loud = st.one_of(st.none(), st.floats(-10, 40))
    near = [
        Heard(Said(Word(t, at / 10, at / 10 + 0.3), "me", 1.0, False, "channel"), db)
        for (t, at), db in draw(st.lists(st.tuples(word, loud), max_size=30))
    ]
    far = [
        Said(Word(t, at / 10, at / 10 + 0.3), "A", 1.0, False, "overlap")
        for t, at in draw(st.lists(word, max_size=30))
    ]
    return near, far


@given(channels())
@settings(max_examples=150)
def test_every_word_is_kept_once_or_listed_as_removed(
    both: tuple[list[Heard], list[Said]],
) -> None:
    """And the far channel loses nothing at all."""
    near, far = both
    found = merge(near, far)
    words = [one for segment in found.segments for one in segment.words]
    ours = [one.word for one in words if one.channel == "mic"] + [r.word for r in found.removed]
    theirs = [one.word for one in words if one.channel == "system"]
    assert sorted(ours) == sorted(one.said.word for one in near)
    assert sorted(theirs) == sorted(one.word for one in far)
    assert 0 <= found.bleed <= 1 + 1e-9


@given(channels())
@settings(max_examples=100)
def test_segments_come_in_order_and_speech_at_the_same_time_is_marked(
    both: tuple[list[Heard], list[Said]],
) -> None:
    """A word is marked exactly when one of the other channel shares time with it."""
    found = merge(*both)
    starts = [one.start for one in found.segments]
    assert starts == sorted(starts)
    words = [one for segment in found.segments for one in segment.words]
    for one in words:
        others = [two.word for two in words if two.channel != one.channel]
        met = any(
            min(one.word.end, other.end) - max(one.word.start, other.start) > 0 for other in others
        )
        assert one.overlapped == met


def test_a_word_of_the_loudspeaker_is_taken_out_of_the_microphone() -> None:
    """Text and sound agree; it is listed with its reason and what was measured."""
    far = line("shall we begin", "A", 0)
    found = merge(heard(line("shall we begin", "me", 0.03), 12.0), far)
    assert shown(found) == ["system A: shall we begin"]
    assert [(one.word.text, one.reason, one.suppressed) for one in found.removed] == [
        ("shall", "echo", 12.0),
        ("we", "echo", 12.0),
        ("begin", "echo", 12.0),
    ]
    assert found.bleed == 1


def test_who_says_the_same_at_the_same_time_is_kept() -> None:
    """The canceller did not make it quieter, so it is not the loudspeaker."""
    found = merge(
        heard(line("yes exactly so it is", "me", 0.1), QUIET), line("yes exactly so it is", "A", 0)
    )
    assert shown(found) == ["system A: yes exactly so it is", "mic me: yes exactly so it is"]
    assert all(one.overlapped for segment in found.segments for one in segment.words)


def test_what_the_canceller_takes_away_whole_goes_also_when_it_was_misheard() -> None:
    """Beyond 20 dB the sound alone decides."""
    found = merge(heard(line("mumble", "me", 0), LOUD), line("tumbler", "A", 0))
    assert [one.reason for one in found.removed] == ["suppressed"]


def test_without_sound_a_single_repeated_word_is_kept() -> None:
    """People say yes together; a doubled yes is better than a lost one."""
    found = merge(heard(line("yes", "me", 0.1)), line("yes", "A", 0))
    assert found.removed == ()


def test_without_sound_a_repeated_sentence_goes_and_what_was_said_into_it_stays() -> None:
    """Only the words that match; the one between them was ours."""
    far = line("we should ship the release on monday", "A", 0)
    near = line("we should ship hey release on monday", "me", 0.05)
    found = merge(heard(near), far)
    assert shown(found) == ["system A: we should ship the release on monday", "mic me: hey"]
    assert {one.reason for one in found.removed} == {"repeated"}


def test_a_sentence_repeated_a_little_later_is_our_own() -> None:
    """It does not lie at the same time, so it is an answer and no echo."""
    far = line("you want the red one", "A", 0)
    found = merge(heard(line("you want the red one", "me", 2.5)), far)
    assert found.removed == ()
    assert [one.split(":")[0] for one in shown(found)] == ["system A", "mic me"]


def test_a_run_that_the_sound_knows_for_the_most_part_goes_as_a_whole() -> None:
    """A recogniser lets a word reach into who speaks next, and there it is not made quieter."""
    far = line("the truck was late because of traffic", "A", 0)
    near = line("the truck was late because of me", "me", 0.02)
    found = merge([*heard(near[:4], LOUD), *heard(near[4:], QUIET)], far)
    assert shown(found) == ["system A: the truck was late because of traffic", "mic me: me"]
    assert {one.reason for one in found.removed} == {"echo"}


def test_a_word_that_was_stretched_over_the_silence_before_its_run_goes_with_it() -> None:
    """Where the far side says it before the others; seconds earlier by the recogniser's clock."""
    far = line("the truck was late again", "A", 3)
    early = [Said(Word("The", 1.0, 2.0), "me", 1.0, False, "channel")]
    run = line("truck was late again", "me", 3.42)
    found = merge([*heard(early, QUIET), *heard(run, LOUD)], far)
    assert shown(found) == ["system A: the truck was late again"]
    ours = merge([*heard(line("We", "me", 1.0), QUIET), *heard(run, LOUD)], far)
    assert "mic me: We" in shown(ours)


def test_what_both_detectors_take_for_the_far_side_alone_goes_without_its_text() -> None:
    """Faint echoes are misheard, and are never made quieter by much."""
    near = line("mumble", "me", 0)
    assert merge([Heard(near[0], 12.0)], ()).removed == ()
    assert [one.reason for one in merge([Heard(near[0], 12.0, alone=True)], ()).removed] == [
        "suppressed"
    ]
    assert merge([Heard(near[0], QUIET, alone=True)], ()).removed == ()
