"""The simulated services: shapes that the official clients read, and the faults of the scenario."""

import io
import json
import struct
import wave

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from server.sim.engine.server import HttpServer, Request
from server.sim.scenario import Scenario
from server.sim.service import speech, vectors
from server.sim.service.hearing import converse
from server.sim.service.main import Service

FORM = "multipart/form-data; boundary=xx"


def service(kind: str, **told: object) -> Service:
    scenario = Scenario().changed({"service_seconds": 0, **told})
    return Service("made", kind, lambda: scenario)


def wav(seconds: float) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(8000)
        written.writeframes(struct.pack("<h", 0) * int(8000 * seconds))
    return buffer.getvalue()


def posted(path: str, **fields: bytes) -> Request:
    body = b"".join(
        b'--xx\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'
        % (name.encode(), b'; filename="a.wav"' if name == "file" else b"", value)
        for name, value in fields.items()
    )
    return Request("POST", path, "", {"content-type": FORM}, body + b"--xx--\r\n")


def asked(path: str, body: object, method: str = "POST") -> Request:
    headers = {"content-type": "application/json"}
    return Request(method, path, "", headers, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("wanted", "kind", "holds"),
    [
        ("json", "application/json", b'"text"'),
        ("text", "text/plain", b"[simulated]"),
        ("srt", "application/x-subrip", b"00:00:00,000 --> 00:00:01,500"),
        ("vtt", "text/vtt", b"WEBVTT\n\n00:00:00.000 --> 00:00:01.500"),
        ("verbose_json", "application/json", b'"duration": 1.5'),
    ],
)
async def test_a_transcript_comes_in_every_format(wanted: str, kind: str, holds: bytes) -> None:
    """And its length is that of the file."""
    request = posted("/v1/audio/transcriptions", response_format=wanted.encode(), file=wav(1.5))
    answer = await service("asr")(request)
    assert answer.status == 200
    assert answer.content_type.startswith(kind)
    assert holds in answer.body


async def test_a_transcript_without_a_file_is_refused() -> None:
    """In the words of a service written with FastAPI."""
    answer = await service("asr")(posted("/v1/audio/transcriptions", model=b"whisper-1"))
    assert answer.status == 422
    assert b"file" in answer.body


async def test_speech_is_a_sound_file_that_opens() -> None:
    """A WAV file of some length, or raw samples in pieces."""
    answer = await service("tts")(asked("/v1/audio/speech", {"input": "one two three"}))
    assert speech.seconds_of(answer.body) == pytest.approx(0.9, abs=0.01)
    request = asked("/v1/audio/speech", {"input": "one", "response_format": "pcm"})
    stream = (await service("tts")(request)).stream
    assert stream is not None
    assert len(b"".join([piece async for piece in stream])) == int(0.3 * speech.RATE) * 2


async def test_vectors_are_the_same_for_the_same_text_and_of_length_one() -> None:
    """So that a comparison of two texts means something in a test."""
    one, two = vectors.vector("a"), vectors.vector("b")
    assert one == vectors.vector("a") != two
    assert sum(part * part for part in one) == pytest.approx(1)
    answer = await service("rerank")(asked("/v1/rerank", {"query": "b", "documents": ["a", "b"]}))
    assert json.loads(answer.body)["results"][0]["index"] == 1


async def test_points_that_were_stored_are_found() -> None:
    """The nearest first."""
    store = service("qdrant")
    await store(asked("/collections/notes", {}, "PUT"))
    points = [{"id": name, "vector": vectors.vector(name)} for name in ("a", "b")]
    await store(asked("/collections/notes/points", {"points": points}, "PUT"))
    search = {"vector": vectors.vector("b"), "limit": 1}
    answer = await store(asked("/collections/notes/points/search", search))
    assert [row["id"] for row in json.loads(answer.body)["result"]] == ["b"]
    assert (await store(asked("/collections/none", {}, "GET"))).status == 404


@pytest.mark.parametrize(("told", "status"), [("error", 500), ("busy", 503)])
async def test_a_scenario_makes_a_service_fail(told: str, status: int) -> None:
    """But its health check goes on, as with a container that ran out of GPU memory."""
    failing = service("tts", service_answer=told)
    assert (await failing(asked("/v1/audio/speech", {"input": "x"}))).status == status
    assert (await failing(Request("GET", "/health", "", {}, b""))).status == 200


async def test_a_socket_tells_how_much_it_heard() -> None:
    """Bytes are counted over the connection, long ones too; a text is answered with its type."""
    server = HttpServer(service("asr"), {"/v1/realtime": converse})
    await server.listen("127.0.0.1", 0)
    async with connect(f"ws://127.0.0.1:{server.port}/v1/realtime") as socket:
        for message in (b"1234", b"x" * 200, b"y" * 70_000, '{"type": "commit"}'):
            await socket.send(message)
        told = [json.loads(await socket.recv()) for _ in range(4)]
        await (await socket.ping())
        await socket.send(json.dumps({"type": "close", "code": 4002, "reason": "enough"}))
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert [one["bytes"] for one in told] == [4, 204, 70_204, 70_204]
    assert told[3]["of"] == "commit"
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4002, "enough")
    await server.close()
