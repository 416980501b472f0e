"""Our own protocol over a real socket, with the `websockets` client."""

import asyncio
import json

import pytest
from websockets.exceptions import InvalidStatus

from server.config.gateway import Gateway as GatewaySettings
from tests.audio.stream.made import Ears, finals, frames, house, rest, speech, until
from tests.gateway.made import SETTINGS
from tests.gateway.running import ScriptedEngine, whole
from tests.gateway.sockets.made import Echo


async def test_what_is_said_comes_back_in_utterances_with_times() -> None:
    """Two utterances, each of which grows while it is spoken; all words, once, in order."""
    said = speech(0.6, 12, 1.0, 9, 1.0)
    async with house(Ears(said)) as here, here.connect() as socket:
        ready = (await until(socket, "ready"))[-1]
        assert (ready["sample_rate"], ready["resumed"], ready["sequence"]) == (16000, False, 0)
        for frame in frames(said.pcm):
            await socket.send(frame)
        await socket.send('{"type": "stop"}')
        events = await rest(socket)
    assert finals(events) == said.texts
    assert socket.close_code == 1000
    told = [one for one in events if one["type"] == "final"]
    assert [one["sequence"] for one in told] == [1, 2]
    assert [one["confidence"] for one in told] == [0.9, 0.9]
    for one, word in zip([w for f in told for w in f["words"]], said.words, strict=True):
        assert abs(one["start"] - word.start) < 0.02
    assert events[-1]["type"] == "closed"


async def test_partials_grow_and_what_is_stable_of_them_stays() -> None:
    said = speech(0.5, 30, 1.0)
    async with house(Ears(said)) as here, here.connect() as socket:
        stable = ""
        sender = asyncio.create_task(_send(socket, said.pcm))
        for one in await until(socket, "final"):
            if one["type"] == "partial":
                assert one["stable"].startswith(stable)
                assert one["text"].startswith(one["stable"])
                stable = one["stable"]
        await sender
    assert stable


async def _send(socket: object, pcm: bytes) -> None:
    for frame in frames(pcm):
        await socket.send(frame)  # type: ignore[attr-defined]
        await asyncio.sleep(0)  # answers come between


async def test_a_start_chooses_and_is_passed_on_to_the_recogniser() -> None:
    """Language and vocabulary; a word that was nearly heard is put right, and listed."""
    said = speech(0.5, 6, 1.0)
    said = said.__class__(said.pcm, (said.words[0]._replace(text="Kokoru"), *said.words[1:]))
    ears = Ears(said)
    async with house(ears) as here, here.connect() as socket:
        start = {"type": "start", "language": "de", "vocabulary": ["Kokoro"], "sample_rate": 16000}
        await socket.send(json.dumps(start))
        started = (await until(socket, "started"))[-1]
        assert (started["language"], started["vocabulary"]) == ("de", 1)
        await socket.send(said.pcm)
        await socket.send(b"\x04")
        events = await rest(socket)
    final = next(one for one in events if one["type"] == "final")
    assert final["words"][0]["word"] == "Kokoro"
    assert [(one["was"], one["now"]) for one in final["corrections"]] == [("Kokoru", "Kokoro")]
    assert b'name="language"\r\n\r\nde' in ears.fields[0]
    assert b"Kokoro" in ears.fields[0]


async def test_bytes_and_texts_control_it_alike() -> None:
    """ETX and `commit`, CAN and `clear`, ENQ and `ping`, EOT and `stop`."""
    said = speech(0.5, 4)
    async with house(Ears(said)) as here, here.connect() as socket:
        await until(socket, "ready")
        await socket.send(b"\x05")
        assert (await until(socket, "pong"))[-1] == {"type": "pong"}
        await socket.send('{"type": "ping", "id": "7"}')
        assert (await until(socket, "pong"))[-1] == {"type": "pong", "id": "7"}
        for control in (b"\x03", '{"type": "commit"}'):
            await socket.send(control)
            assert (await until(socket, "committed"))[-1]["id"] is None
        for control in (b"\x18", '{"type": "clear"}'):
            await socket.send(control)
            assert (await until(socket, "cleared"))[-1]["id"] is None
        await socket.send(said.pcm)
        await socket.send(b"\x03")
        assert finals(await until(socket, "final")) == said.texts


async def test_a_frame_may_be_of_any_size() -> None:
    """Half a sample waits for its other half."""
    said = speech(0.5, 8, 1.0)
    async with house(Ears(said)) as here, here.connect() as socket:
        for frame in frames(said.pcm, 1301):
            await socket.send(frame)
        await socket.send('{"type": "stop"}')
        assert finals(await rest(socket)) == said.texts


async def test_a_service_that_fails_is_asked_again() -> None:
    said = speech(0.5, 8, 1.0)
    ears = Ears(said, fail=[503])
    async with house(ears) as here, here.connect() as socket:
        await socket.send(said.pcm)
        await socket.send('{"type": "stop"}')
        events = await rest(socket)
    assert finals(events) == said.texts
    assert not any(one["type"] == "gap" for one in events)


async def test_what_is_never_heard_is_told_as_a_gap() -> None:
    """A refusal is not tried again; the utterance is over, and says that it is not complete."""
    said = speech(0.5, 8, 1.0)
    async with house(Ears(said, fail=[422] * 9)) as here, here.connect() as socket:
        await socket.send(said.pcm)
        await socket.send('{"type": "stop"}')
        events = await rest(socket)
    gap = next(one for one in events if one["type"] == "gap")
    assert gap["reason"] == "failed"
    final = next(one for one in events if one["type"] == "final")
    assert (final["complete"], final["text"]) == (False, "")


async def test_what_it_costs_is_seconds_of_sound() -> None:
    """Of the stream, as it is shown; its windows are nobody's requests."""
    said = speech(0.5, 8, 1.0)
    async with house(Ears(said)) as here:
        async with here.connect() as socket:
            await socket.send(said.pcm)
            await socket.send('{"type": "stop"}')
            await rest(socket)
        passage = await here.running.passages.get()
    assert passage.route == "/v1/audio/stream"
    assert passage.used.audio_seconds == pytest.approx(len(said.pcm) / 32000)
    assert passage.used.audio_source == "measured"
    assert (passage.status, passage.upstream, passage.error) == (101, "ears", "")
    assert here.running.passages.empty()


async def test_one_that_says_nothing_does_not_keep_its_place() -> None:
    settings = GatewaySettings(**(SETTINGS | {"keepalive_seconds": 1})).model_copy(
        update={"socket_idle_seconds": 0.05}
    )
    async with house(Ears(speech(0.1)), settings=settings) as here, here.connect() as socket:
        events = await rest(socket)
    told = [one for one in events if one["type"] != "heartbeat"]
    assert [one["type"] for one in told] == ["ready", "error", "closed"]
    assert told[1]["error"]["code"] == "session_expired"
    assert socket.close_code == 1001


async def test_streams_are_bounded_for_all_and_for_each() -> None:
    """The handshake is refused with the reason."""
    silence = Ears(speech(0.1))
    async with (
        house(silence, audio={"max_streams": 1}) as here,
        here.connect() as socket,
    ):
        await until(socket, "ready")
        with pytest.raises(InvalidStatus) as refused:
            await here.connect()
        assert refused.value.response.status_code == 503
    async with house(silence, client_in_flight=1) as here, here.connect() as socket:
        await until(socket, "ready")
        with pytest.raises(InvalidStatus) as refused:
            await here.connect()
        assert refused.value.response.status_code == 429


@pytest.mark.parametrize(
    "query", ["sample_rate=1", "sample_rate=nan", "encoding=mp3", "vocabulary=" + "x" * 99]
)
async def test_a_setting_that_is_none_is_refused_at_the_door(query: str) -> None:
    async with house(Ears(speech(0.1))) as here:
        with pytest.raises(InvalidStatus) as refused:
            await here.connect(f"/v1/audio/stream?{query}")
        assert refused.value.response.status_code == 422
        assert len(here.streams.kept) == 0


async def test_a_service_that_hears_streams_itself_is_reached_by_the_tunnel() -> None:
    """Frames both ways as they are."""
    engine: ScriptedEngine = Echo()  # type: ignore[assignment]
    async with house(engine, native=True) as here, here.connect() as socket:
        await socket.send(b"1234")
        assert await socket.recv() == b"1234"


async def test_realtime_without_transcription_is_tunnelled() -> None:
    """Somebody wants to talk to a model there, not to be written down."""
    engine: ScriptedEngine = Echo("session.created")  # type: ignore[assignment]
    async with house(engine) as here, here.connect("/v1/realtime?model=ears") as socket:
        assert await socket.recv() == "session.created"


async def test_a_recogniser_without_times_still_gives_words() -> None:
    """They are spread over what was heard."""
    said = speech(0.5, 4, 1.0)
    engine = ScriptedEngine(whole({"text": "four words were said"}))
    async with house(engine) as here, here.connect() as socket:
        await socket.send(said.pcm)
        await socket.send('{"type": "stop"}')
        assert finals(await rest(socket)) == ["four", "words", "were", "said"]
