"""Answers of services in whatever dialect they come, and what is asked of them."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.audio.front.dialect.asking import diarizing, hearing
from server.audio.front.dialect.learned import SECONDS, Learned
from server.audio.front.dialect.reading import transcript
from server.audio.front.dialect.traits import DIALECTS, shared, traits_of
from server.audio.front.dialect.turns import diarized
from server.audio.front.options import Options
from server.audio.model import Turn, Word
from server.audio.transcript import Diarized, Transcript
from server.base.errors import UpstreamError

JSON = "application/json"
HELLO, THERE = Word("Hello", 0.1, 0.5), Word("there.", 0.6, 1.0)
OPENAI = [
    {"word": "Hello", "start": 0.1, "end": 0.5},
    {"word": "there.", "start": 0.6, "end": 1.0},
]


def heard(body: Any, kind: str = JSON) -> Transcript:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return transcript(raw, kind, "ears")


def told(body: Any, kind: str = JSON) -> Diarized:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return diarized(raw, kind, "voices")


# ---- transcripts


@pytest.mark.parametrize(
    "body",
    [
        {"text": "Hello there.", "words": OPENAI},
        {"text": "Hello there.", "timestamp": {"word": OPENAI, "segment": []}},
        {
            "text": "Hello there.",
            "segments": [{"start": 0, "end": 1, "text": "x", "words": OPENAI}],
        },
        [{"text": "Hello there.", "timestamps": {"words": OPENAI}}],
        {"result": {"transcript": "Hello there.", "words": OPENAI}},
        {"results": {"channels": [{"alternatives": [{"transcript": "x", "words": OPENAI}]}]}},
        {"text": "", "words": [{"text": " Hello", "timestamp": [0.1, 0.5]}, OPENAI[1]]},
        {
            "text": "",
            "words": [
                {"word": "Hello", "start_time": "0.1s", "end_time": "0.5s"},
                {"word": "there.", "start": 0.6, "duration": 0.4},
            ],
        },
    ],
)
def test_words_are_found_wherever_they_are(body: Any) -> None:
    """By what they look like: a list of words with times."""
    assert heard(body).words == (HELLO, THERE)


def test_a_whole_verbose_answer_is_read() -> None:
    found = heard(
        {
            "text": " Hello there. ",
            "language": "english",
            "duration": "1.5",
            "words": [{"word": "Hello", "start": 0.1, "end": 0.5, "probability": 0.9}],
            "segments": [
                {
                    "text": " Hello there.",
                    "start": 0,
                    "end": 1,
                    "avg_logprob": 0,
                    "no_speech_prob": 0.2,
                }
            ],
        }
    )
    assert (found.text, found.language, found.duration) == ("Hello there.", "english", 1.5)
    assert found.words[0].confidence == 0.9
    assert (found.segments[0].confidence, found.segments[0].silence) == (1.0, 0.2)


@pytest.mark.parametrize(
    ("body", "kind"),
    [({"text": "Hello."}, JSON), (b"Hello.\n", "text/plain"), (b'"Hello."', JSON)],
)
def test_text_alone_is_a_transcript_too(body: Any, kind: str) -> None:
    assert (heard(body, kind).text, heard(body, kind).words) == ("Hello.", ())


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999", "9" * 400])
def test_a_number_that_is_none_costs_no_transcript(number: str) -> None:
    """Python's own writer of JSON writes `NaN` and `Infinity`."""
    body = f'{{"text": "a", "words": [{{"word": "a", "start": 1, "probability": {number}}}]}}'
    assert heard(body.encode()).words == (Word("a", 1.0, 1.0),)


def test_a_word_without_times_lies_between_its_neighbours() -> None:
    """It is never lost: numbers are what aligners give no times for."""
    found = heard(
        {
            "words": [
                {"word": "twelve"},
                {"word": "and", "start": 1.0, "end": 1.2},
                {"word": "13"},
                {"word": "more", "start": 2.0, "end": 2.5},
                {"word": "7"},
            ]
        }
    )
    assert found.words == (
        Word("twelve", 0.0, 1.0),
        Word("and", 1.0, 1.2),
        Word("13", 1.2, 2.0),
        Word("more", 2.0, 2.5),
        Word("7", 2.5, 2.5),
    )


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b'{"a": 1}', b"[]", b"7", b'{"text": NaN}', b"[" * 2000]
)
def test_what_is_no_transcript_is_the_services_error(body: bytes) -> None:
    """It is named, and nothing of its answer is repeated."""
    with pytest.raises(UpstreamError) as refused:
        heard(body)
    assert refused.value.source == "ears"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"aa " * 100_000, "text/plain"),
        (orjson.dumps("aa " * 100_000), JSON),
        (orjson.dumps({"words": [{"word": "a"}] * 100_001, "text": "a"}), JSON),
        (orjson.dumps({"segments": [{"text": "a " * 999, "start": 0}] * 101}), JSON),
        (b" " * (1 << 24) + b'{"text": "a"}', JSON),
    ],
)
def test_a_service_that_writes_without_end_stops_nobody(body: bytes, kind: str) -> None:
    """More words than anybody can say are refused before anything is done with them."""
    with pytest.raises(UpstreamError, match="longer than anybody"):
        heard(body, kind)


times = st.one_of(
    st.floats(), st.integers(-(2**63), 2**63), st.text(max_size=5), st.none(), st.booleans()
)
anything = st.recursive(
    st.one_of(times, st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(
                [
                    "text",
                    "words",
                    "segments",
                    "start",
                    "end",
                    "word",
                    "speaker",
                    "embedding",
                    "rttm",
                ]
            ),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=15,
)


@settings(max_examples=100)
@given(anything)
def test_any_answer_is_read_or_refused(body: Any) -> None:
    """Of what is read, times are finite, forward and not before the beginning."""
    raw = orjson.dumps(body, default=str, option=orjson.OPT_NON_STR_KEYS)
    try:
        found = transcript(raw, JSON, "ears")
    except UpstreamError:
        found = Transcript()
    starts = [word.start for word in found.words]
    assert starts == sorted(starts)
    assert all(0 <= one.start <= one.end for one in (*found.words, *found.segments))
    try:
        turns = diarized(raw, JSON, "voices").turns
    except UpstreamError:
        turns = ()
    assert all(0 <= turn.start <= turn.end for turn in turns)


# ---- turns

A, B = Turn("A", 0.0, 1.5), Turn("B", 1.5, 3.0)
ROWS = [{"speaker": "A", "start": 0, "end": 1.5}, {"speaker": "B", "start": 1.5, "end": 3}]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"segments": ROWS}, JSON),
        ({"duration": 3, "turns": list(reversed(ROWS))}, JSON),
        (ROWS, JSON),
        ({"diarization": {"segments": ROWS}}, JSON),
        ({"result": [{"label": "A", "start_time": 0, "duration": 1.5}, ROWS[1]]}, JSON),
        ({"segments": ["0.00 1.50 A", "1.50 3.00 B"]}, JSON),
        ({"segments": [[0, 1.5, "A"], [1.5, 3, "B"]]}, JSON),
        ({"A": [[0, 1.5]], "B": [[1.5, 3]]}, JSON),
        (
            {"rttm": "SPEAKER x 1 0 1.5 <NA> <NA> A <NA> <NA>\nSPEAKER x 1 1.5 1.5 <NA> <NA> B"},
            JSON,
        ),
        (b"SPEAKER x 1 0 1.5 <NA> <NA> A <NA>\nSPKR-INFO\nSPEAKER x 1 1.5 1.5 x x B", "text/plain"),
    ],
)
def test_turns_are_found_wherever_they_are(body: Any, kind: str) -> None:
    """As objects, lines, lists by speaker, or RTTM."""
    assert told(body, kind).turns == (A, B)


def test_speakers_may_be_numbered() -> None:
    row = {"speaker": 3, "start": 0, "end": 1}
    assert told({"segments": [row]}).turns == (Turn("SPEAKER_03", 0.0, 1.0),)


def test_nobody_may_speak() -> None:
    assert told({"segments": []}).turns == ()


@pytest.mark.parametrize(
    "given_voices",
    [
        {"speakers": [{"id": "A", "embedding": [1, 0]}, {"id": "B", "embedding": [0, 1]}]},
        {"embeddings": {"A": [1, 0], "B": [0, 1]}},
        {"speaker_embeddings": {"A": [[1, 0]], "B": {"vector": [0, 1]}}},
    ],
)
def test_voices_are_found_wherever_they_are(given_voices: Any) -> None:
    found = told({"segments": ROWS, **given_voices}).voices
    assert dict(found) == {"A": (1.0, 0.0), "B": (0.0, 1.0)}


@pytest.mark.parametrize("vector", [[], [0, 0], [1, "x"], ["inf", 1], [None], [1] * 5000, "abc"])
def test_what_is_no_direction_is_no_voice(vector: Any) -> None:
    """Zeros point nowhere; what is no number cannot be compared."""
    assert not told({"segments": ROWS, "embeddings": {"A": vector}}).voices


@pytest.mark.parametrize("body", [b"", b"nothing", b'{"text": "x"}', b"7", b'{"segments": 5}'])
def test_what_says_nothing_of_speakers_is_the_services_error(body: bytes) -> None:
    with pytest.raises(UpstreamError):
        told(body)


# ---- what is asked


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (orjson.dumps([[0.0, 1.0, "a"]] * 20_001), JSON),
        (b"SPEAKER a 1 0 1 <NA> <NA> b\n" * 20_001, "text/plain"),
        (b" " * (1 << 24) + b"[]", JSON),
    ],
)
def test_a_diarizer_that_writes_without_end_stops_nobody(body: bytes, kind: str) -> None:
    """More turns than there can be are refused before anything is done with them."""
    with pytest.raises(UpstreamError, match="more turns"):
        told(body, kind)


def test_words_are_asked_for_whatever_the_caller_wants() -> None:
    """The answer is made here, from words."""
    options = Options(model="m", format="srt", languages=("de",), others=(("best_of", "5"),))
    fields = hearing(options, traits_of("openai"), "m")
    assert ("response_format", "verbose_json") in fields
    assert ("timestamp_granularities[]", "word") in fields
    assert fields[0] == ("model", "m")
    assert fields[-1] == ("best_of", "5")


@pytest.mark.parametrize(
    ("dialect", "field"),
    [
        ("openai", ("keywords[]", "Spark")),
        ("speaches", ("hotwords", "Spark")),
        ("auto", ("prompt", "Notes. Spark")),
    ],
)
def test_words_to_listen_for_are_told_in_the_services_way(
    dialect: Any, field: tuple[str, str]
) -> None:
    options = Options(prompt="Notes.", vocabulary=("Spark",))
    assert field in hearing(options, traits_of(dialect), None)
    assert not any("Spark" in value for _, value in hearing(options, traits_of("nim"), None))


def test_a_diarizer_is_told_nothing_of_a_transcription() -> None:
    """Its model is another one, and so are its fields."""
    options = Options(model="whisper", prompt="x", others=(("best_of", "5"),))
    assert diarizing(options) == []
    own = Options("diarize", model="sortformer", others=(("num_speakers", "2"),))
    assert diarizing(own) == [("model", "sortformer"), ("num_speakers", "2")]


# ---- what services do and do not


def test_replicas_can_what_all_of_them_can() -> None:
    both = shared([traits_of("openai"), traits_of("nim")])
    assert both.formats == {"json", "text"}
    assert both.containers == {"wav", "flac", "ogg"}
    assert (both.verbose, both.streams, both.needs_language) == (False, False, True)
    assert shared([]) == traits_of("auto")
    for one in DIALECTS:
        assert shared([traits_of(one)] * 2) == traits_of(one)


def test_what_was_refused_is_not_asked_again_for_a_while() -> None:
    learned = Learned()
    learned.note("ears", "no-verbose", 100.0)
    learned.note("ears", ("container", "webm"), 100.0)
    learned.note("other", "no-chunks", 100.0)
    traits = learned.applied(traits_of("auto"), ["ears"], 101.0)
    assert (traits.verbose, traits.chunks, traits.opens("webm")) == (False, True, False)
    assert traits.formats == {"json", "text"}
    assert learned.applied(traits_of("auto"), ["ears"], 101.0 + SECONDS) == traits_of("auto")


def test_nobody_makes_the_memory_grow() -> None:
    """By names or by facts."""
    learned = Learned()
    for number in range(2000):
        learned.note(f"s{number}", "no-verbose", 1.0)
        learned.note("one", ("container", f"x{number}"), 1.0)
    assert sum(bool(learned.known(f"s{n}", 2.0)) for n in range(2000)) <= 500
    assert len(learned.known("one", 2.0)) <= 50
