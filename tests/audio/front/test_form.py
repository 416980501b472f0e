"""The form of a recording: OpenAI's fields, ours, and which of them exclude each other."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.audio.front.form import read
from server.audio.front.options import Options
from server.base.errors import InvalidRequest


def asked(*fields: tuple[str, str]) -> Options:
    return read("transcribe", fields)


def test_an_empty_form_asks_for_json() -> None:
    options = asked()
    assert (options.format, options.format_told, options.model) == ("json", False, None)
    assert options == Options()


def test_a_list_comes_with_brackets_or_without() -> None:
    """Clients write either; both mean the same."""
    verbose = ("response_format", "verbose_json")
    for name in ("timestamp_granularities", "timestamp_granularities[]"):
        options = asked(verbose, (name, "word"), (name, "segment"))
        assert options.grains == {"word", "segment"}
    assert asked(("keywords[]", "Spark"), ("keywords", "Qdrant")).vocabulary == ("Spark", "Qdrant")


@pytest.mark.parametrize(
    ("text", "found"),
    [("", ()), ("one two", ("one", "two")), ("New York, Ann", ("New York", "Ann"))],
)
def test_hotwords_are_one_text(text: str, found: tuple[str, ...]) -> None:
    """With commas between them, or else spaces."""
    assert asked(("hotwords", text)).vocabulary == found


def test_what_nobody_knows_is_kept_in_order() -> None:
    options = asked(("vad_filter", "true"), ("model", "m"), ("best_of", "5"), ("vad_filter", "x"))
    assert options.others == (("vad_filter", "true"), ("best_of", "5"), ("vad_filter", "x"))


def test_one_language_or_several() -> None:
    assert asked(("language", "de")).languages == ("de",)
    several = asked(("language", "de"), ("languages[]", "en"))
    assert (several.language, several.languages) == ("de", ("de", "en"))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ([("response_format", "diarized_json"), ("prompt", "x")], "prompt"),
        ([("response_format", "diarized_json"), ("include[]", "logprobs")], "include"),
        (
            [("response_format", "diarized_json"), ("timestamp_granularities[]", "word")],
            "timestamp_granularities",
        ),
        ([("timestamp_granularities[]", "word")], "timestamp_granularities"),
        (
            [("response_format", "verbose_json"), ("timestamp_granularities[]", "letter")],
            "timestamp_granularities",
        ),
        ([("temperature", "2")], "temperature"),
        ([("temperature", "nan")], "temperature"),
        ([("temperature", "warm")], "temperature"),
        ([("stream", "maybe")], "stream"),
        ([("diarize", "perhaps")], "diarize"),
        ([("model", "a"), ("model", "b")], "model"),
        ([("known_speaker_names[]", n) for n in "abcde"], "known_speaker_names"),
        ([("known_speaker_names[]", "a"), ("known_speaker_names[]", "a")], "known_speaker_names"),
        ([("known_speaker_references[]", "data:,x")], "known_speaker_references"),
        ([("chunking_strategy", "often")], "chunking_strategy"),
        ([("chunking_strategy", '{"type": "other"}')], "chunking_strategy"),
        ([("scrub", "true"), ("scrub_kinds", "emails")], "scrub_kinds"),
        ([("scrub", "true"), ("scrub_languages", "xx")], "scrub_languages"),
        ([("scrub", "true"), ("scrub_region", "usa")], "scrub_region"),
        ([("prompt", "x" * 20_000)], "prompt"),
        ([("keywords[]", "x" * 500)], "keywords"),
    ],
)
def test_a_mistake_names_its_field(fields: list[tuple[str, str]], param: str) -> None:
    """And repeats nothing of what was in it."""
    with pytest.raises(InvalidRequest) as refused:
        read("transcribe", fields)
    assert refused.value.param == param


@pytest.mark.parametrize("value", ["", "auto", '{"type": "server_vad", "threshold": 0.5}'])
def test_a_chunking_strategy_is_a_word_or_an_object(value: str) -> None:
    assert asked(("chunking_strategy", value)).others == ()


def test_scrubbing_is_asked_for_with_what_it_looks_for() -> None:
    """Without more it looks for everything; its fields alone ask for nothing."""
    assert asked(("scrub_kinds", "email")).scrub is None
    whole = asked(("scrub", "true")).scrub
    assert whole is not None
    assert "iban" in whole.wanted.kinds
    some = asked(
        ("scrub", "1"), ("scrub_kinds", "email, phone"), ("scrub_names[]", "Ann Smith")
    ).scrub
    assert some is not None
    assert (some.wanted.kinds, some.wanted.names) == ({"email", "phone"}, ("Ann Smith",))


def test_the_referee_may_be_asked_for_or_not_mentioned() -> None:
    """No word about it leaves it to the settings."""
    told = [asked(*fields).referee for fields in ((), (("referee", "no"),), (("referee", "1"),))]
    assert told == [None, False, True]


names = st.sampled_from(["model", "stream", "temperature", "language", "scrub", "keywords[]", "x"])


@settings(max_examples=100)
@given(st.lists(st.tuples(st.one_of(names, st.text(max_size=8)), st.text(max_size=20))))
def test_any_form_is_read_or_refused(fields: list[tuple[str, str]]) -> None:
    with suppress(InvalidRequest):
        read("transcribe", fields)
