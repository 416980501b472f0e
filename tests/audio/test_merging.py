"""`POST /v1/audio/label-merge`: transcripts of both channels become one conversation."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.audio import merging
from server.base.errors import InvalidValue, SparkError, UnsupportedMediaType
from server.gateway.client.here import Answered, address
from server.gateway.model import UpstreamRequest


async def asked(body: Any, kind: str = "application/json") -> Answered:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    headers = [(b"content-type", kind.encode())]
    url = address("label-merge") + "/v1/audio/label-merge"
    return await merging.answer(UpstreamRequest("POST", url, headers, raw, "label-merge"))


def words(text: str, start: float, each: float = 0.5, **more: Any) -> list[dict[str, Any]]:
    return [
        {"word": one, "start": start + i * each, "end": start + (i + 0.8) * each, **more}
        for i, one in enumerate(text.split())
    ]


MEETING = {
    "mic": {"words": words("I can do Friday.", 4.0, suppressed_db=2.0), "speaker": "Ada"},
    "system": {
        "words": [*words("Can you come?", 0.0), *words("Friday is fine.", 6.5)],
        "turns": [
            {"speaker": "SPEAKER_00", "start": 0, "end": 1.6},
            {"speaker": "SPEAKER_01", "start": 6.4, "end": 8.2},
        ],
    },
    "names": {"SPEAKER_00": "Bob"},
}


async def test_both_channels_become_one_conversation_with_names() -> None:
    """In order, the caller's names where it gave some, the diarizer's labels where it did not."""
    found = orjson.loads((await asked(MEETING)).body)
    assert [(one["speaker"], one["text"]) for one in found["segments"]] == [
        ("Bob", "Can you come?"),
        ("Ada", "I can do Friday."),
        ("SPEAKER_01", "Friday is fine."),
    ]
    assert (found["removed"], found["bleed_ratio"]) == ([], 0)


async def test_what_the_microphone_heard_of_the_loudspeaker_is_listed() -> None:
    """With what was measured, and why it went."""
    bleed = words("Can you come?", 0.02, suppressed_db=14.0)
    body = MEETING | {"mic": {"words": [*MEETING["mic"]["words"], *bleed], "speaker": "Ada"}}  # type: ignore[index, misc]
    found = orjson.loads((await asked(body)).body)
    assert [one["text"] for one in found["segments"] if one["speaker"] == "Ada"] == [
        "I can do Friday."
    ]
    assert [one["word"] for one in found["removed"]] == ["Can", "you", "come?"]
    assert found["removed"][0]["reason"] == "echo"
    assert found["removed"][0]["suppressed_db"] == 14.0
    assert 0.4 < found["bleed_ratio"] < 0.5


@pytest.mark.parametrize(
    ("kind", "media", "begin"),
    [
        ("text", "text/plain; charset=utf-8", "Bob: Can you come?\nAda: I can"),
        ("srt", "application/x-subrip; charset=utf-8", "1\n00:00:00,000 --> 00:00:01,400\nBob: "),
        ("vtt", "text/vtt; charset=utf-8", "WEBVTT\n\n00:00:00.000 --> 00:00:01.400\n<v Bob>"),
        ("json", "application/json", '{"text":"Can you come? I can do Friday.'),
        ("verbose_json", "application/json", '{"task":"transcribe","language":null'),
    ],
)
async def test_each_form_is_written(kind: str, media: str, begin: str) -> None:
    """As the OpenAI API has it."""
    found = await asked(MEETING | {"response_format": kind})
    assert found.media_type == media
    assert found.body.decode().startswith(begin)


async def test_one_channel_alone_is_a_transcript_with_speakers() -> None:
    """Words and turns of one recording: the ordinary merge."""
    found = await asked({"system": MEETING["system"], "response_format": "verbose_json"})
    spoken = [one["speaker"] for one in orjson.loads(found.body)["words"]]
    assert spoken == ["SPEAKER_00"] * 3 + ["SPEAKER_01"] * 3


@pytest.mark.parametrize(
    ("body", "error", "word"),
    [
        ({}, InvalidValue, "`mic`"),
        ({"mic": {"words": [{"word": "a", "start": -1, "end": 0}]}}, InvalidValue, "mic.words.0"),
        ({"mic": {"words": [{"start": 0, "end": 1}]}}, InvalidValue, "mic.words.0.word"),
        (
            {"system": {"words": [], "turns": [{"speaker": "a", "start": 2, "end": 1}]}},
            InvalidValue,
            "ends before it begins",
        ),
        ({"mic": {"words": []}, "response_format": "doc"}, InvalidValue, "response_format"),
        (b'{"mic": {"words": [{"word": "a", "start": NaN, "end": 1}]}}', InvalidValue, "start"),
        (b'{"mic": {"words": [{"word": "a", "start": 1e999, "end": 1}]}}', InvalidValue, "start"),
        (b"{", InvalidValue, "JSON"),
    ],
)
async def test_what_is_wrong_is_named(body: Any, error: type[SparkError], word: str) -> None:
    """The field, not the whole body."""
    with pytest.raises(error) as caught:
        await asked(body)
    assert word in caught.value.message


async def test_a_recording_is_refused_with_what_to_send() -> None:
    """Until recordings are merged here as well."""
    with pytest.raises(UnsupportedMediaType) as caught:
        await asked(b"RIFF", "multipart/form-data; boundary=x")
    assert "word timestamps" in (caught.value.advice or "")


numbers = st.one_of(st.floats(0, 100), st.integers(0, 100))
spoken = st.fixed_dictionaries({"word": st.text(max_size=8), "start": numbers, "end": numbers})
turned = st.builds(
    lambda speaker, start, length: {"speaker": speaker, "start": start, "end": start + length},
    st.sampled_from(["A", "B"]),
    numbers,
    numbers,
)
channel = st.fixed_dictionaries(
    {"words": st.lists(spoken, max_size=15), "turns": st.lists(turned, max_size=6)}
)


@given(st.fixed_dictionaries({"mic": channel, "system": channel}))
@settings(max_examples=100)
def test_every_word_comes_back_once(body: dict[str, Any]) -> None:
    """In the segments or among the removed, whatever the times say."""
    parsed = merging.Body.model_validate(body)
    found = merging.conversation(parsed)
    kept = [one.word.text for segment in found.segments for one in segment.words]
    gone = [one.word.text for one in found.removed]
    sent = [one["word"] for side in body.values() for one in side["words"]]
    assert sorted(kept + gone) == sorted(sent)
