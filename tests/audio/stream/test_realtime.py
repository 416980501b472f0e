"""OpenAI's realtime transcription, with OpenAI's own client."""

import asyncio
import base64
import json
from typing import Any

import numpy as np
import openai
import soxr

from server.audio.stream.model import RATE
from tests.audio.stream.made import Ears, frames, house, speech, until
from tests.gateway.running import Call, ScriptedEngine, whole

WANTED = "/v1/realtime?intent=transcription"


def at_24k(pcm: bytes) -> bytes:
    return soxr.resample(np.frombuffer(pcm, "<i2"), RATE, 24_000).astype("<i2").tobytes()


def append(pcm: bytes) -> str:
    audio = base64.b64encode(pcm).decode()
    return json.dumps({"type": "input_audio_buffer.append", "audio": audio})


class Counting(ScriptedEngine):
    """Says one word for each half second that it hears, from the begin of the utterance."""

    def __init__(self) -> None:
        super().__init__(self._count)

    async def _count(self, call: Call, send: Any) -> None:
        rest = call.raw.partition(b"audio/wav\r\n\r\n")[2]
        words = [
            {"word": f"w{at}", "start": at / 2, "end": at / 2 + 0.4}
            for at in range((len(rest) - 90) // 16_000)
        ]
        await whole({"text": "", "words": words})(call, send)


async def test_openais_own_client_transcribes_with_it() -> None:
    """The session is told, settings are taken over, sound at 24 kHz is heard, and the deltas of an
    item together are its transcript."""
    said = speech(0.8, 18, 1.2)
    deltas: dict[str, str] = {}
    seen: list[Any] = []
    async with house(Counting()) as here:
        client = openai.AsyncOpenAI(
            api_key="none", base_url=f"{here.running.url}/v1", max_retries=0
        )
        query = {"intent": "transcription"}
        async with client.realtime.connect(model="ears", extra_query=query) as session:
            created = await session.recv()
            assert created.type == "session.created"
            await session.session.update(
                session={
                    "type": "transcription",
                    "audio": {
                        "input": {
                            "format": {"type": "audio/pcm", "rate": 24000},
                            "transcription": {"model": "ears", "language": "en"},
                            "turn_detection": {"type": "server_vad", "silence_duration_ms": 400},
                        }
                    },
                }
            )
            updated = await session.recv()
            assert updated.type == "session.updated"
            for frame in frames(at_24k(said.pcm), 4800):
                await session.input_audio_buffer.append(audio=base64.b64encode(frame).decode())
                await asyncio.sleep(0)  # answers come between
            async for event in session:
                seen.append(event)
                if event.type == "conversation.item.input_audio_transcription.delta":
                    deltas[event.item_id] = deltas.get(event.item_id, "") + (event.delta or "")
                if event.type == "conversation.item.input_audio_transcription.completed":
                    break
        await client.close()
    kinds = [event.type for event in seen]
    assert kinds[0] == "input_audio_buffer.speech_started"
    assert kinds.index("input_audio_buffer.speech_stopped") < kinds.index(
        "input_audio_buffer.committed"
    )
    done = seen[-1]
    assert done.transcript.startswith("w0 w1 w2 w3 w4")
    assert deltas == {done.item_id: done.transcript}
    assert len({event.event_id for event in seen}) == len(seen)
    assert done.usage.type == "duration"


async def test_an_item_ends_where_its_client_says_when_it_detects_turns_itself() -> None:
    """No speech events; `commit` tells the item, an empty one is an error."""
    said = speech(0.5, 6)
    async with house(Ears(said)) as here, here.connect(WANTED) as socket:
        await until(socket, "session.created")
        given = {"format": {"type": "audio/pcm", "rate": 16000}, "turn_detection": None}
        update = {
            "type": "session.update",
            "session": {"type": "transcription", "audio": {"input": given}},
        }
        await socket.send(json.dumps(update))
        session = (await until(socket, "session.updated"))[-1]["session"]
        assert session["audio"]["input"]["turn_detection"] is None
        commit = {"type": "input_audio_buffer.commit", "event_id": "mine"}
        await socket.send(json.dumps(commit))
        error = (await until(socket, "error"))[-1]["error"]
        assert (error["event_id"], error["type"]) == ("mine", "invalid_request_error")
        await socket.send(append(said.pcm))
        await socket.send(json.dumps(commit))
        events = await until(socket, "conversation.item.input_audio_transcription.completed")
    assert [one["type"].rpartition(".")[2] for one in events] == ["committed", "delta", "completed"]
    assert events[-1]["transcript"].split() == said.texts


async def test_the_events_of_the_beta_are_understood() -> None:
    """Clients that have not moved on say `transcription_session.update`."""
    async with house(Counting()) as here, here.connect(WANTED) as socket:
        session = {
            "input_audio_format": "g711_ulaw",
            "input_audio_transcription": {"model": "whisper-1", "prompt": "Kokoro"},
            "turn_detection": {"type": "server_vad", "threshold": 0.9},
        }
        update = {"type": "transcription_session.update", "session": session}
        await socket.send(json.dumps(update))
        told = (await until(socket, "transcription_session.updated"))[-1]["session"]
        assert told["audio"]["input"]["format"] == {"type": "audio/pcmu"}
        assert told["audio"]["input"]["transcription"]["model"] == "whisper-1"


async def test_a_transcription_that_failed_says_so_of_its_item() -> None:
    said = speech(0.5, 6, 1.0)
    async with house(Ears(said, fail=[422] * 9)) as here, here.connect(WANTED) as socket:
        for frame in frames(at_24k(said.pcm), 48_000):
            await socket.send(append(frame))
        events = await until(socket, "conversation.item.input_audio_transcription.failed")
    assert events[-1]["error"]["code"] == "invalid_request"
    lost = next(one for one in events if one["type"] == "error")
    assert lost["error"]["code"] == "audio_gap"


async def test_the_same_events_are_spoken_at_the_other_address() -> None:
    """Asked for by a subprotocol, as browsers do, whose key goes no further."""
    async with house(Counting()) as here:
        protocols = ["realtime", "openai-insecure-api-key.none"]
        async with here.connect(subprotocols=protocols) as socket:  # type: ignore[arg-type]
            assert socket.subprotocol == "realtime"
            await until(socket, "session.created")
