"""Whether an engine does alone what was asked, and how long a recording may be."""

import pytest

from server.audio.front.dialect.traits import Dialect, traits_of
from server.audio.front.options import Options, Scrubbing
from server.audio.front.plan import Limits, Reason, cap, check_length, decide, written
from server.audio.scrub.model import Wanted
from server.audio.sound.model import Sound
from server.base.errors import InvalidRequest, PayloadTooLarge

LIMITS = Limits(transcribe=3600, diarize=1800, long=600)


def sound(seconds: float = 10, container: str = "wav", *, beyond: bool = False) -> Sound:
    return Sound(container, "pcm_s16le", seconds, 1, 16_000, beyond)


def reasons(
    options: Options,
    what: Sound | None = None,
    dialect: Dialect = "auto",
    *,
    diarizer: bool = True,
) -> tuple[Reason, ...]:
    plan = decide(options, what or sound(), traits_of(dialect), LIMITS, diarizer=diarizer)
    assert plan.composed is bool(plan.reasons)
    return plan.reasons


@pytest.mark.parametrize("form", ["json", "text", "srt", "vtt", "verbose_json", "tsv"])
def test_what_an_engine_may_do_is_left_to_it(form: str) -> None:
    """Also formats that only it knows."""
    assert reasons(Options(format=form)) == ()


@pytest.mark.parametrize(
    ("options", "what", "dialect", "why"),
    [
        (Options(), sound(601), "auto", ("long",)),
        (Options(diarize=True), sound(), "auto", ("speakers",)),
        (Options(format="diarized_json"), sound(), "auto", ("speakers",)),
        (Options(scrub=Scrubbing(Wanted())), sound(), "auto", ("scrub",)),
        (Options(format="srt"), sound(), "parakeet", ("format",)),
        (Options(languages=("en",)), sound(container="webm"), "nim", ("container",)),
        (Options(stream=True), sound(), "parakeet", ("stream",)),
        (Options(), sound(), "nim", ("language",)),
        (Options(diarize=True), sound(700), "auto", ("long", "speakers")),
        (Options("diarize"), sound(700), "auto", ("long",)),
        (Options("diarize"), sound(container="webm"), "nim", ("container",)),
    ],
)
def test_a_recording_is_composed_for_a_reason(
    options: Options, what: Sound, dialect: Dialect, why: tuple[Reason, ...]
) -> None:
    assert reasons(options, what, dialect) == why


def test_speakers_are_left_to_the_engine_where_nobody_else_knows_them() -> None:
    """Unless something else has to be done here: then there must be somebody who tells them."""
    known = Options(format="diarized_json")
    assert reasons(known, diarizer=False) == ()
    assert reasons(known, sound(3000), diarizer=False) == ()
    scrubbed = Options(format="diarized_json", scrub=Scrubbing(Wanted()))
    assert "speakers" in reasons(scrubbed, diarizer=False)


def test_a_format_that_nobody_here_knows_cannot_be_composed() -> None:
    with pytest.raises(InvalidRequest) as refused:
        reasons(Options(format="tsv"), sound(700))
    assert refused.value.param == "response_format"
    assert written(Options(format="srt")) == "srt"


@pytest.mark.parametrize(
    ("options", "most"),
    [
        (Options(), 3600),
        (Options("translate"), 3600),
        (Options(diarize=True), 1800),
        (Options(format="diarized_json"), 1800),
        (Options("diarize"), 1800),
    ],
)
def test_speakers_have_a_limit_of_their_own(options: Options, most: float) -> None:
    assert cap(options, LIMITS)[0] == most


def test_a_limit_is_told_with_both_figures() -> None:
    """The length where it is known: a recording is followed no further than the limit."""
    check_length(sound(10), 10, "max_transcribe_seconds")
    with pytest.raises(PayloadTooLarge, match=r"lasts 10\.5 s.* 10 s"):
        check_length(sound(10.5), 10, "max_transcribe_seconds")
    with pytest.raises(PayloadTooLarge, match="longer than 10 s") as refused:
        check_length(sound(10, beyond=True), 10, "max_diarize_seconds")
    assert refused.value.advice is not None
    assert "max_diarize_seconds" in refused.value.advice
