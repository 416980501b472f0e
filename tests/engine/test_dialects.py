"""A running engine: what it says of itself, hears, speaks and refuses, in clients' dialects."""

import io
import json
import re
import socket
import time
import wave
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import openai
import pytest

from server.engine.encode import FORMATS, wav
from server.engine.sound import Gone, decode, seconds
from tests.engine.running import running

RATE = 24_000
ONE = "The morning train was late again, so we walked along the river to the office."
TWO = "I think the second machine needs more memory before we try the bigger model."


@pytest.fixture(scope="module")
def engine() -> Iterator[httpx.Client]:
    with running("--max-seconds", "40", "--max-upload-mb", "4", "--waiting", "1") as client:
        yield client


@pytest.fixture(scope="module")
def spoken(engine: httpx.Client) -> dict[str, bytes]:
    """Samples of two voices, spoken once for all tests."""
    return {
        voice: said(engine, text, voice) for voice, text in (("am_michael", ONE), ("bf_emma", TWO))
    }


@pytest.fixture(scope="module")
def client(engine: httpx.Client) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{engine.base_url}/v1", api_key="none", max_retries=0) as made:
        yield made


def said(engine: httpx.Client, text: str, voice: str) -> bytes:
    body = {"input": text, "voice": voice, "response_format": "pcm"}
    answer = engine.post("/v1/audio/speech", json=body)
    assert answer.status_code == 200, answer.text
    return answer.content


def heard(engine: httpx.Client, data: bytes, **fields: str) -> httpx.Response:
    files = {"file": ("a.wav", data, "audio/wav")}
    return engine.post("/v1/audio/transcriptions", files=files, data=fields)


def words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def test_every_answer_says_that_this_is_the_small_one(engine: httpx.Client) -> None:
    """On its face, in its health and in the head of whatever it answers, errors too."""
    assert engine.get("/").json()["engine"] == "reference, small"
    assert engine.get("/health").json()["engine"] == "reference, small"
    for path in ("/", "/health", "/v1/models", "/nowhere"):
        assert engine.get(path).headers["x-engine"] == "reference, small"


def test_its_models_are_listed(client: openai.OpenAI) -> None:
    """And each can be asked for."""
    listed = [model.id for model in client.models.list()]
    assert listed == ["whisper-base", "kokoro-82m", "resemblyzer"]
    assert client.models.retrieve("kokoro-82m").owned_by == "reference, small"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4")


def test_what_a_voice_says_is_heard_again(engine: httpx.Client, spoken: dict[str, bytes]) -> None:
    """Word for word, in both voices; numbers and spelling aside there is nothing to mishear."""
    for voice, text in (("am_michael", ONE), ("bf_emma", TWO)):
        answer = heard(engine, wav(spoken[voice], RATE), response_format="text", language="en")
        assert answer.headers["content-type"].startswith("text/plain")
        assert words(answer.text) == words(text)


def test_words_come_with_times(client: openai.OpenAI, spoken: dict[str, bytes]) -> None:
    """In order, within the recording, each with how sure it is; segments only when asked for."""
    sound = ("a.wav", wav(spoken["am_michael"], RATE))
    found = client.audio.transcriptions.create(
        model="whisper-1", file=sound, response_format="verbose_json",
        timestamp_granularities=["word"],
    )  # fmt: skip
    assert found.words is not None
    assert [words(one.word) for one in found.words] == [[word] for word in words(ONE)]
    times = [at for one in found.words for at in (one.start, one.end)]
    assert times == sorted(times)
    length = len(spoken["am_michael"]) / 2 / RATE
    assert times[-1] <= float(found.duration) == pytest.approx(length, abs=0.001)
    assert found.segments is None
    assert found.language == "english"
    assert all(0 < one.model_dump()["probability"] <= 1 for one in found.words)


def test_a_transcript_is_streamed_in_openai_events(
    client: openai.OpenAI, spoken: dict[str, bytes]
) -> None:
    """The pieces are the text, which the last event has whole."""
    sound = ("a.wav", wav(spoken["bf_emma"], RATE))
    events = list(client.audio.transcriptions.create(model="w", file=sound, stream=True))
    assert [event.type for event in events[:-1]] == ["transcript.text.delta"] * (len(events) - 1)
    assert events[-1].type == "transcript.text.done"
    pieces = "".join(event.delta for event in events if event.type == "transcript.text.delta")
    assert pieces.strip() == events[-1].text
    assert words(events[-1].text) == words(TWO)


@pytest.mark.parametrize(
    ("form", "kind", "begins"),
    [
        ("srt", "application/x-subrip", "1\n00:00:0"),
        ("vtt", "text/vtt", "WEBVTT\n\n00:00:0"),
        ("verbose_json", "application/json", '{"task": "transcribe"'),
    ],
)
def test_a_transcript_comes_in_every_format(
    engine: httpx.Client, spoken: dict[str, bytes], form: str, kind: str, begins: str
) -> None:
    """Each with its own content type."""
    answer = heard(engine, wav(spoken["am_michael"], RATE), response_format=form)
    assert answer.headers["content-type"].startswith(kind)
    assert answer.text.startswith(begins)


def test_a_silent_recording_has_no_words(engine: httpx.Client) -> None:
    """Nothing is invented for it, and nobody speaks in it."""
    silent = wav(bytes(2 * RATE), RATE)
    assert heard(engine, silent).json()["text"] == ""
    found = engine.post("/v1/audio/diarize", files={"file": silent}).json()
    assert (found["segments"], found["speakers"], found["duration"]) == ([], [], 1.0)


def test_two_voices_are_told_apart(engine: httpx.Client, spoken: dict[str, bytes]) -> None:
    """Their turns are theirs to 150 ms, and each comes with what its voice is like."""
    quiet = bytes(RATE)  # half a second
    parts = [spoken["am_michael"], quiet, spoken["bf_emma"], quiet, spoken["am_michael"]]
    found = engine.post("/v1/audio/diarize-chunk", files={"file": wav(b"".join(parts), RATE)})
    body = found.json()
    turns: list[list[Any]] = []
    for one in body["segments"]:  # a pause within a sentence ends a segment, not a turn
        if turns and turns[-1][0] == one["speaker"]:
            turns[-1][2] = one["end"]
        else:
            turns.append([one["speaker"], one["start"], one["end"]])
    assert [who for who, _, _ in turns] == ["SPEAKER_00", "SPEAKER_01", "SPEAKER_00"]
    at = 0.0
    for part, (_, start, end) in zip(parts[::2], turns, strict=True):
        loud = np.flatnonzero(np.abs(np.frombuffer(part, "<i2")) > 300) / RATE
        assert start == pytest.approx(at + loud[0], abs=0.15)
        assert end == pytest.approx(at + loud[-1], abs=0.15)
        at += len(part) / 2 / RATE + 0.5
    one, two = (np.array(speaker["embedding"]) for speaker in body["speakers"])
    assert len(one) == 256
    assert np.linalg.norm(one) == pytest.approx(1, abs=1e-3)
    assert one @ two < 0.75
    assert sum(speaker["seconds"] for speaker in body["speakers"]) < body["duration"]


def test_the_number_of_speakers_may_be_told(engine: httpx.Client, spoken: dict[str, bytes]) -> None:
    """Then it is that many, whatever the voices say."""
    files = {"file": wav(spoken["am_michael"] + spoken["bf_emma"], RATE)}
    found = engine.post("/v1/audio/diarize", files=files, data={"num_speakers": "1"}).json()
    assert [speaker["speaker"] for speaker in found["speakers"]] == ["SPEAKER_00"]


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_speech_comes_in_every_format(engine: httpx.Client, form: str) -> None:
    """Each can be read again, as long as it was; a wav file says its length."""
    body = {"input": "Good evening.", "voice": "af_heart", "response_format": form}
    answer = engine.post("/v1/audio/speech", json=body)
    assert answer.headers["content-type"] == FORMATS[form].content_type
    sound = wav(answer.content, RATE) if form == "pcm" else answer.content
    if form == "wav":
        with wave.open(io.BytesIO(sound)) as opened:
            assert (opened.getframerate(), opened.getnchannels()) == (RATE, 1)
            assert opened.getnframes() * 2 == len(sound) - 44
    samples = decode(io.BytesIO(sound), cap_seconds=9, gone=Gone())
    assert 0.8 < seconds(samples) < 2
    assert np.abs(samples).max() > 0.1


def test_speech_is_streamed_in_openai_events(engine: httpx.Client) -> None:
    """Base64 in deltas, then done."""
    body = {"input": "Yes.", "voice": {"id": "alloy"}, "stream_format": "sse"}
    lines = engine.post("/v1/audio/speech", json=body).text.split("\n\n")
    events = [json.loads(line.removeprefix("data: "))["type"] for line in lines if line]
    assert events == ["speech.audio.delta"] * (len(events) - 1) + ["speech.audio.done"]


def test_voices_are_kokoros_own(engine: httpx.Client) -> None:
    """The ids that people have in their settings."""
    voices = engine.get("/v1/audio/voices").json()["voices"]
    assert {"af_heart", "am_michael", "bf_emma", "bm_george"} <= set(voices)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": "x", "voice": "nobody"}, "voice"),
        ({"input": ""}, "input"),
        ({"input": "日本語"}, "input"),
        ({"input": "x" * 4097}, "input"),
        ({"input": "x", "response_format": "midi"}, "response_format"),
        ({"input": "x", "speed": 9}, "speed"),
        ({"input": "x", "voice": 7}, "voice"),
    ],
)
def test_what_cannot_be_spoken_is_refused(
    engine: httpx.Client, body: dict[str, object], param: str
) -> None:
    """With 400, the name of the field, and never the text."""
    answer = engine.post("/v1/audio/speech", json=body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert "日本語" not in error["message"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": "docx"}, "response_format"),
        ({"language": "klingon"}, "language"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": "nan"}, "temperature"),
        ({"timestamp_granularities[]": "letter"}, "timestamp_granularities"),
    ],
)
def test_wrong_wishes_are_refused(engine: httpx.Client, fields: dict[str, str], param: str) -> None:
    """Before the recording is looked at."""
    answer = heard(engine, b"no sound", **fields)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_what_is_no_recording_is_refused(engine: httpx.Client) -> None:
    """Each with the status that says what is wrong with it."""
    path = "/v1/audio/transcriptions"
    assert engine.post(path, data={"model": "x"}, files={"other": b""}).status_code == 400
    assert engine.post(path, json={}).status_code == 415
    assert (
        engine.post(path, content=b"", headers={"content-type": "multipart/form-data"}).status_code
        == 400
    )
    assert heard(engine, b"").status_code == 415
    assert heard(engine, b"%PDF-1.7 " + bytes(1000)).status_code == 415
    assert heard(engine, b"OggS" + bytes(1000)).status_code == 400
    assert heard(engine, wav(b"", RATE)).status_code == 400
    assert engine.get("/v1/audio/nothing").status_code == 404
    assert engine.get(path).status_code == 405


def test_what_is_too_long_or_too_large_is_refused(engine: httpx.Client) -> None:
    """By the sound itself, whatever its head says; and by size while it comes."""
    long = bytearray(wav(bytes(2 * 8000 * 41), 8000))
    long[40:44] = (100).to_bytes(4, "little")  # its head says that it is short
    for data in (wav(bytes(2 * 8000 * 41), 8000), wav(bytes(5 << 20), 48_000)):
        answer = heard(engine, data)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "payload_too_large")
    assert heard(engine, bytes(long)).status_code in {200, 413}


def held(engine: httpx.Client, model: str) -> int:
    found: int = engine.get("/health").json()["held"][model]
    return found


def until_held(engine: httpx.Client, model: str, count: int) -> None:
    deadline = time.monotonic() + 150
    while held(engine, model) != count:
        assert time.monotonic() < deadline
        time.sleep(0.05)  # another process works


def waiting(engine: httpx.Client, body: dict[str, str]) -> socket.socket:
    """A request on a connection of its own; whoever closes it has left."""
    data = json.dumps(body).encode()
    url = engine.base_url
    made = socket.create_connection((url.host, url.port or 80))
    head = f"POST /v1/audio/speech HTTP/1.1\r\nhost: x\r\ncontent-length: {len(data)}\r\n\r\n"
    made.sendall(head.encode() + data)
    return made


def test_who_leaves_is_not_worked_for_and_who_comes_late_waits_or_is_refused(
    engine: httpx.Client,
) -> None:
    """One is served and one waits; the third is told to come again. All leave: nothing is held."""
    body = {"input": "A long story. " * 200, "voice": "af_heart", "response_format": "pcm"}
    with engine.stream("POST", "/v1/audio/speech", json=body) as first:
        next(first.iter_raw())
        with waiting(engine, body):
            until_held(engine, "kokoro-82m", 2)
            third = engine.post("/v1/audio/speech", json=body)
            assert (third.status_code, third.json()["error"]["code"]) == (429, "queue_full")
            assert int(third.headers["retry-after"]) > 0
        until_held(engine, "kokoro-82m", 1)  # who waited has left
    until_held(engine, "kokoro-82m", 0)
    assert said(engine, "Done.", "af_heart")
