"""What a WebSocket costs: sound from what its client sends, tokens from what it is told."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.gateway.model import Upstream, Used
from server.gateway.operations import OPERATIONS
from server.gateway.sockets.meter import PARSED, Meter, meter
from tests.gateway.usage.test_sound import mp3, opus, wav

SECOND_24K, SECOND_16K = bytes(48_000), bytes(32_000)


def made(
    path: str = "/v1/realtime", *, kind: str = "asr", engine: bool = False, query: bytes = b""
) -> Meter:
    upstream = Upstream("one", kind, "http://127.0.0.1:1", "spark-1", engine=engine)
    return meter(OPERATIONS[path], upstream, query)


def append(sound: bytes) -> str:
    audio = base64.b64encode(sound).decode()
    return json.dumps({"type": "input_audio_buffer.append", "audio": audio})


def event(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind} | fields)


def test_sound_of_the_realtime_api_is_counted_as_it_is_sent() -> None:
    """16 bits at 24 kHz, as OpenAI's; an engine (vLLM) takes 16 kHz."""
    one, other = made(), made(kind="llm", engine=True)
    for _ in range(3):
        one.sent_text(append(SECOND_24K))
        other.sent_text(append(SECOND_16K))
    assert one.audio == other.audio == pytest.approx(3.0)
    assert one.used() == Used(audio_seconds=3.0, audio_source="measured")
    one.sent_text(event("input_audio_buffer.commit"))
    one.sent_text(event("response.create", note="audio"))
    assert one.audio == 3.0


def test_sound_within_an_item_is_counted_as_well() -> None:
    """A whole recording may be said at once."""
    one = made()
    audio = base64.b64encode(SECOND_24K).decode()
    content = [{"type": "input_text", "text": "x"}, {"type": "input_audio", "audio": audio}]
    one.sent_text(event("conversation.item.create", item={"content": content}))
    assert one.audio == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("session", "size"),
    [
        ({"input_audio_format": "g711_ulaw"}, 8_000),
        ({"input_audio_format": "pcm16"}, 48_000),
        ({"audio": {"input": {"format": {"type": "audio/pcm", "rate": 16000}}}}, 32_000),
        ({"audio": {"input": {"format": {"type": "audio/pcma"}}}}, 8_000),
        ({"audio": {"input": {"format": {"type": "audio/pcm", "rate": 4e9}}}}, 48_000),
        ({"audio": 7}, 48_000),
    ],
)
def test_the_format_is_that_of_the_session(session: Any, size: int) -> None:
    """As the client asks, until the upstream tells what is in force."""
    asked = made()
    asked.sent_text(event("session.update", session=session))
    asked.sent_text(append(bytes(size)))
    assert asked.audio == pytest.approx(1.0)
    told = made()
    told.told_text(event("session.updated", session=session))
    told.sent_text(append(bytes(size)))
    assert told.audio == pytest.approx(1.0)


def test_what_the_upstream_says_is_in_force_cannot_be_talked_away() -> None:
    """Else a client would count its own seconds."""
    one = made()
    one.told_text(event("session.created", session={"input_audio_format": "g711_ulaw"}))
    one.sent_text(event("session.update", session={"input_audio_format": "pcm16", "rate": 48000}))
    one.sent_text(append(bytes(8_000)))
    assert one.audio == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("query", "size"),
    [
        (b"", 32_000),
        (b"sample_rate=8000", 16_000),
        (b"rate=48000&channels=2&encoding=linear16", 192_000),
        (b"encoding=mulaw&sample_rate=8000", 8_000),
        (b"sample_rate=1&channels=900", 32_000),
        (b"sample_rate=" + b"9" * 5000, 32_000),
    ],
)
def test_binary_messages_are_plain_samples(query: bytes, size: int) -> None:
    """At the rate that the query says, in its bounds; else 16 kHz."""
    one = made("/v1/audio/stream", query=query)
    for at in range(0, 3 * size, 7001):
        one.sent_bytes(bytes(min(7001, 3 * size - at)))
    assert one.audio == pytest.approx(3.0)


def test_a_first_message_may_say_the_rate() -> None:
    """Services have their own words for it."""
    for said in ({"sample_rate": 8000}, {"type": "start", "config": {"sampleRate": 8000}}):
        one = made("/v1/audio/stream")
        one.sent_text(json.dumps(said))
        one.sent_bytes(bytes(16_000))
        assert one.audio == pytest.approx(1.0)


def test_a_container_in_binary_messages_is_measured() -> None:
    """Recorders of browsers send files in pieces."""
    for file, seconds in ((opus(60.0), 60.0), (wav(3.0), 3.0)):
        one = made("/v1/audio/stream")
        for at in range(0, len(file), 10):
            one.sent_bytes(file[at : at + 10])
        assert one.audio == pytest.approx(seconds, rel=0.02)


def test_samples_that_look_like_a_frame_are_samples() -> None:
    """The first two of a recording may be those that an MP3 begins with."""
    one = made("/v1/audio/stream")
    sound = mp3(1)[:4] + SECOND_16K[4:]
    for at in range(0, len(sound), 1000):
        one.sent_bytes(sound[at : at + 1000])
    assert one.audio == pytest.approx(1.0)
    one = made("/v1/audio/stream")
    one.sent_bytes(mp3(1000))
    assert one.audio == pytest.approx(24.0, rel=0.01)


def test_binary_messages_elsewhere_are_no_sound() -> None:
    """A terminal through `/upstream` costs no second; one to a service of speech does."""
    for kind, seconds in (("other", 0.0), ("asr", 1.0)):
        one = made("/upstream", kind=kind)
        one.sent_bytes(SECOND_16K)
        assert one.audio == seconds


def test_tokens_are_summed_over_the_answers() -> None:
    """Each tells its own; what is not done yet tells none."""
    one = made()
    usage = {
        "total_tokens": 30,
        "input_tokens": 20,
        "output_tokens": 10,
        "input_token_details": {"cached_tokens": 5},
    }
    one.told_text(event("response.created", response={"usage": None}))
    one.told_text(event("response.output_text.delta", delta='"usage"'))
    for _ in range(2):
        one.told_text(event("response.done", response={"usage": usage}))
    vllm = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    one.told_text(event("transcription.done", text="x", usage=vllm))
    assert one.used() == Used(43, 24, 10)
    assert one.tokens == 67


def test_seconds_that_are_told_count_where_none_could_be_measured() -> None:
    """What was sent is what was heard, silence included."""
    done = event(
        "conversation.item.input_audio_transcription.completed",
        usage={"type": "duration", "seconds": 2.5},
    )
    one = made()
    one.told_text(done)
    one.told_text(done)
    assert one.used() == Used(audio_seconds=5.0)
    one.sent_text(append(SECOND_24K))
    assert one.used().audio_seconds == pytest.approx(1.0)


def test_no_message_is_too_long_to_be_counted() -> None:
    """What is not looked into counts as sound when it may hold some."""
    one = made()
    one.sent_text(append(SECOND_24K * 10))
    assert one.audio == pytest.approx(10.0, rel=0.01)
    hidden = append(SECOND_24K * 10).replace("audio", "\\u0061udio")
    one.sent_text(hidden)
    assert one.audio == pytest.approx(20.0, rel=0.01)
    one.sent_text(json.dumps({"type": "x", "image": "y" * PARSED}))
    assert one.audio == pytest.approx(20.0, rel=0.01)


def test_an_escaped_word_hides_nothing() -> None:
    """JSON has more than one way to write a letter."""
    one = made()
    one.sent_text(append(SECOND_24K).replace("audio", "\\u0061udio"))
    assert one.audio == pytest.approx(1.0)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["type", "audio", "session", "item", "content", "rate", "usage", "data"]
            ),
            inner
            | st.sampled_from(["session.update", "conversation.item.create", "x.done", "audio"]),
            max_size=5,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(st.lists(_json | st.text(max_size=30), max_size=4), st.binary(max_size=60))
def test_nothing_that_passes_breaks_it(said: list[Any], data: bytes) -> None:
    """A meter never ends what it measures."""
    one = made("/v1/audio/stream")
    for body in said:
        for text in (json.dumps(body), str(body), "audio" + str(body)):
            one.sent_text(text)
            one.told_text('"usage"' + text)
            one.told_text(text)
    one.sent_bytes(data)
    used = one.used()
    assert (used.audio_seconds or 0.0) >= 0
