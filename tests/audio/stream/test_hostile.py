"""What nobody sends who means well: it is told once, costs little, and ends nothing else."""

import asyncio
import base64
import json
from typing import Any

import pytest

from server.audio.stream.faces.model import LONGEST, SHORT
from server.audio.stream.live import STRIKES
from server.audio.stream.pace import BURST, OFTEN, PATIENCE
from tests.audio.stream.made import (
    FRAME,
    Ears,
    by_hand,
    finals,
    frames,
    house,
    rest,
    speech,
    until,
)
from tests.audio.stream.test_realtime import WANTED

NONSENSE = [
    "",
    "hello",
    "[]",
    "null",
    "1e999",
    '{"type": NaN}',
    "{" * 5000,
    '{"type": ["commit"]}',
    '{"type": {"type": "stop"}}',
    '{"type": "start", "sample_rate": 1e400}',
    '{"type": "start", "sample_rate": "NaN"}',
    '{"type": "start", "vocabulary": {"a": 1}}',
    '{"type": "start", "vocabulary": ["\\u0000"]}',
    '{"type": "start", "turn_detection": {"silence_duration_ms": -1}}',
    '{"type": "start", "encoding": ["pcm16"]}',
    '{"type": "ping", "id": 7}',
    '{"a": ' + "[0," * 40_000 + "0" + "]" * 40_000 + "}",
]


async def test_messages_that_mean_nothing_are_told_and_passed_over() -> None:
    """The stream goes on: what is said after them is heard."""
    said = speech(0.5, 6, 1.0)
    async with house(Ears(said)) as here, here.connect() as socket:
        for text in NONSENSE[: STRIKES - 1]:
            await socket.send(text)
        await socket.send(b"\x07")
        for frame in frames(said.pcm):
            await socket.send(frame)
        await socket.send('{"type": "stop"}')
        events = await rest(socket)
    assert finals(events) == said.texts
    errors = [one["error"] for one in events if one["type"] == "error"]
    assert len(errors) == len(NONSENSE) + 1
    assert {one["code"] for one in errors} <= {
        "invalid_request",
        "payload_too_large",
    }


async def test_enough_is_enough() -> None:
    async with house(Ears(speech(0.1))) as here, here.connect() as socket:
        for _ in range(STRIKES + 5):
            await socket.send("nonsense")
        events = await rest(socket)
        assert socket.close_code == 1001
    assert sum(one["type"] == "error" for one in events) == STRIKES + 1


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"type": "input_audio_buffer.append", "audio": "*** no base64 ***"}, "invalid_request"),
        ({"type": "input_audio_buffer.append", "audio": 7}, "invalid_request"),
        ({"type": "input_audio_buffer.append"}, "invalid_request"),
        ({"type": "input_audio_buffer.append", "audio": "*" * SHORT}, "invalid_request"),
        ({"type": "response.create"}, "invalid_request"),
        ({"type": "session.update", "session": {"type": "realtime"}}, "invalid_request"),
        ({"type": "session.update", "session": [[]]}, "invalid_request"),
        ({"type": "session.update", "session": {"audio": {"input": {"format": 1}}}}, None),
        ({"type": "x", "padding": "y" * (SHORT + 1)}, "payload_too_large"),
        ({"type": "x", "audio": "y" * (LONGEST + 1)}, "payload_too_large"),
    ],
)
async def test_events_that_mean_nothing_are_answered_with_an_error(event: Any, code: Any) -> None:
    """And with the id that its client gave it."""
    async with (
        house(Ears(speech(0.1))) as here,
        here.connect(WANTED, max_size=None) as socket,
    ):
        await until(socket, "session.created")
        await socket.send(json.dumps({"event_id": "e1"} | event))
        error = (await until(socket, "error"))[-1]["error"]
        assert code is None or error["code"] == code
        await socket.send(json.dumps({"type": "input_audio_buffer.clear"}))
        await until(socket, "input_audio_buffer.cleared")


async def test_a_long_event_of_sound_is_heard_without_being_read_as_json() -> None:
    """A minute in one event; slashes may be escaped, as some clients do."""
    said = speech(0.5, 12, 1.0)
    sound = base64.b64encode(said.pcm).decode().replace("/", "\\/")
    assert len(sound) > SHORT
    async with house(Ears(said)) as here, here.connect(WANTED) as socket:
        given = {"format": {"type": "audio/pcm", "rate": 16000}}
        session = {"type": "transcription", "audio": {"input": given}}
        await socket.send(json.dumps({"type": "session.update", "session": session}))
        await socket.send(f'{{"type": "input_audio_buffer.append", "audio": "{sound}"}}')
        kind = "conversation.item.input_audio_transcription.completed"
        done = (await until(socket, kind))[-1]
        assert done["transcript"].split() == said.texts


async def test_a_flood_is_slowed_down_and_loses_nothing() -> None:
    """Much more than the ring holds, at once: its sender waits, others do not."""
    said = speech(0.5, 130, 1.0)
    other = speech(0.5, 6, 1.0)
    settings = {"stream_buffer_seconds": 20}
    async with house(Ears(said), audio=settings) as here, here.connect() as socket:
        flood = asyncio.create_task(socket.send(said.pcm))
        async with here.connect() as second:
            await until(second, "ready")
            await second.send('{"type": "ping"}')
            await until(second, "pong")
            assert len(other.pcm) > FRAME
        await flood
        await socket.send('{"type": "stop"}')
        events = await rest(socket)
    assert finals(events) == said.texts
    assert not any(one["type"] == "gap" for one in events)


ENQ, EMPTY = b"\x05", b""
APPEND = '{"type": "input_audio_buffer.append", "audio": ""}'
CLEAR = '{"type": "input_audio_buffer.clear"}'


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/v1/audio/stream", ENQ),
        ("/v1/audio/stream", EMPTY),
        ("/v1/audio/stream", '{"type": "commit"}'),
        (WANTED, CLEAR),
        (WANTED, APPEND),
    ],
)
async def test_a_flood_of_controls_is_slowed_down_and_ended(path: str, message: Any) -> None:
    """After a burst, and as much as is read in the patience, whatever it consists of. The clock
    goes on by a little less than one of them may take."""
    now, read, told = 0.0, 0, []

    async def receive() -> Any:
        nonlocal now, read
        read += 1
        now += 0.999999 / OFTEN if read > BURST + 1 else 0.0
        if read == 1:
            return {"type": "websocket.connect"}
        return {
            "type": "websocket.receive",
            "text" if isinstance(message, str) else "bytes": message,
        }

    async def send(said: Any) -> None:
        told.append(said)

    async with house(Ears(speech(0.1))) as here:
        passage = await by_hand(here, receive, send, path, lambda: now)
    assert BURST < read <= BURST + OFTEN * PATIENCE + 5
    assert told[-1]["code"] == 1001
    assert passage.error == "session_expired"


async def test_controls_now_and_then_are_not_a_flood() -> None:
    """As many as a client may send at once: each is answered, and what is said then is heard."""
    said = speech(0.5, 6, 1.0)
    async with house(Ears(said)) as here, here.connect() as socket:
        for _ in range(int(BURST) - 1):
            await socket.send(ENQ)
        await socket.send(said.pcm)
        await socket.send('{"type": "stop"}')
        events = await rest(socket)
    assert sum(one["type"] == "pong" for one in events) == BURST - 1
    assert finals(events) == said.texts


async def test_random_bytes_are_sound_like_any_other() -> None:
    """They cost what sound costs, and mean nothing to anybody."""
    noise = bytes(range(256)) * 400
    few = noise[:4000]
    async with house(Ears(speech(0.1))) as here, here.connect() as socket:
        for size in (5, 7, 999, 6401):
            for frame in frames(noise if size > 99 else few, size):
                await socket.send(frame)
        await socket.send('{"type": "stop"}')
        events = await rest(socket)
    assert events[-1]["type"] == "closed"
    assert not any(one["type"] == "error" for one in events)


async def test_errors_never_repeat_what_was_sent() -> None:
    async with house(Ears(speech(0.1))) as here, here.connect() as socket:
        await until(socket, "ready")
        await socket.send('{"type": "secret-word", "language": "secret-word"}')
        await socket.send('{"type": "start", "encoding": "secret-word"}')
        first = (await until(socket, "error"))[-1]
        second = (await until(socket, "error"))[-1]
    assert "secret-word" not in json.dumps([first, second])
