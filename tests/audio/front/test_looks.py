"""Whether an answer is in the format that was asked for, and who may answer."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.audio.front.answering import answering, services_of
from server.audio.front.dialect.learned import Learned
from server.audio.front.looks import as_asked, rewritten
from server.audio.front.options import FORMATS, Options
from server.config.model import Service
from server.gateway.model import Route

JSON = "application/json"
WORD = {"word": "Hi.", "start": 0.0, "end": 0.4}


def looks(form: str, body: Any, kind: str = JSON, *grains: Any) -> bool:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return as_asked(Options(format=form, grains=frozenset(grains)), kind, raw)


@pytest.mark.parametrize(
    ("form", "body", "kind", "good"),
    [
        ("json", {"text": "x"}, JSON, True),
        ("json", [{"text": "x"}], JSON, False),
        ("json", b"x", "text/plain", False),
        ("text", b"x", "text/plain", True),
        ("text", {"text": "x"}, JSON, False),
        ("srt", b"1\n00:00", "text/plain", True),
        ("srt", b"", "application/x-subrip", True),
        ("srt", {"text": "x"}, JSON, False),
        ("vtt", b"WEBVTT\n\n", "text/vtt", True),
        ("vtt", b"x", "text/plain", False),
        ("verbose_json", {"text": "", "segments": []}, JSON, True),
        ("verbose_json", {"text": "x", "words": [WORD]}, JSON, True),
        ("verbose_json", {"text": "x", "timestamp": {"word": [WORD]}}, JSON, False),
    ],
)
def test_a_format_is_known_by_its_looks(form: str, body: Any, kind: str, good: bool) -> None:
    assert looks(form, body, kind) is good


def test_words_are_where_every_client_looks() -> None:
    """Within the segments only those find them who wrote the server."""
    inside = {"text": "Hi.", "segments": [{"text": "Hi.", "start": 0, "end": 1, "words": [WORD]}]}
    assert looks("verbose_json", inside)
    assert not looks("verbose_json", inside, JSON, "word")
    without = {"text": "Hi.", "segments": [{"text": "Hi.", "start": 0, "end": 1}]}
    assert looks("verbose_json", without, JSON, "word")


def test_what_cannot_be_read_is_left_as_it_is() -> None:
    """And what only the engine knows."""
    assert rewritten(Options(format="srt"), JSON, b'{"a":1}', 3.0, "ears") is None
    assert rewritten(Options(format="tsv"), JSON, b'{"text":"x"}', 3.0, "ears") is None
    assert rewritten(Options(format="diarized_json"), JSON, b'{"text":"x"}', 3.0, "ears") is None


def test_text_without_times_is_spread_over_the_recording() -> None:
    found = rewritten(Options(format="srt"), JSON, b'{"text":"one two"}', 6.0, "ears")
    assert found is not None
    assert found.body == b"1\n00:00:00,000 --> 00:00:06,000\none two\n"


@settings(max_examples=100)
@given(st.sampled_from(FORMATS), st.binary(max_size=60), st.sampled_from([JSON, "text/plain", ""]))
def test_any_answer_can_be_looked_at(form: str, body: bytes, kind: str) -> None:
    if not as_asked(Options(format=form), kind, body):
        rewritten(Options(format=form), kind, body, 3.0, "ears")


# ---- who may answer


def one(name: str, **fields: Any) -> Service:
    return Service.model_validate(
        {"name": name, "kind": "asr", "host": "spark-1", "port": 8001} | fields
    )


SERVICES = (
    one("parakeet", dialect="parakeet"),
    one("whisper", dialect="speaches", models=("whisper-1",)),
    one("second", models=("whisper-1",)),
)


@pytest.mark.parametrize(
    ("pool", "names"),
    [
        ("service:parakeet", ["parakeet"]),
        ("group:asr:whisper-1", ["whisper", "second"]),
        ("kind:asr", ["parakeet"]),
        ("model:qwen", []),
    ],
)
def test_who_may_answer_is_told_by_the_pool(pool: str, names: list[str]) -> None:
    """An engine is none of the services."""
    assert [each.name for each in services_of(Route(pool, "x"), SERVICES)] == names


def test_a_service_that_knows_models_by_name_is_told_one() -> None:
    """Also by a caller who names none; replicas may know different ones."""
    learned = Learned()
    whisper = answering(Route("service:whisper", "x"), SERVICES, learned, 1.0)
    assert whisper.model == "whisper-1"
    assert whisper.traits.diarize_path == "/v1/audio/diarization"
    asked = Route("service:whisper", "x", "mine")
    assert answering(asked, SERVICES, learned, 1.0).model == "mine"
    assert answering(Route("group:asr:whisper-1", "x"), SERVICES, learned, 1.0).model is None
    learned.note("parakeet", "no-verbose", 1.0)
    assert not answering(Route("kind:asr", "x"), SERVICES, learned, 2.0).traits.verbose
