"""Streams outlive their connections, and the app ends without losing what was said."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus

from server.audio.stream.live import ELSEWHERE, RESTART, STRIKES
from tests.audio.stream.made import (
    FRAME,
    Ears,
    Hand,
    House,
    by_hand,
    finals,
    frames,
    house,
    rest,
    speech,
    until,
)


async def drop(socket: ClientConnection) -> None:
    """As a network does: without a word."""
    socket.transport.abort()
    await socket.wait_closed()


async def test_a_dropped_connection_is_taken_up_again() -> None:
    """The client is told how much had come, goes on from there, and gets the finals that it has not
    seen; no word is lost or doubled."""
    said = speech(0.6, 10, 1.0, 12, 1.2)
    half = len(said.pcm) // 2 // FRAME * FRAME
    async with house(Ears(said)) as here:
        socket = await here.connect()
        ready = (await until(socket, "ready"))[-1]
        for frame in frames(said.pcm[:half]):
            await socket.send(frame)
        first = await until(socket, "final")
        await drop(socket)
        async with here.connect(f"/v1/audio/stream?resume={ready['resume']}&after=0") as again:
            back = (await until(again, "ready"))[-1]
            assert (back["resumed"], back["stream"], back["sequence"]) == (True, ready["stream"], 1)
            for frame in frames(said.pcm[round(back["received"] * 16_000) * 2 :]):
                await again.send(frame)
            await again.send('{"type": "stop"}')
            events = await rest(again)
    assert finals(events) == said.texts
    assert finals(first) == said.texts[:10]


async def test_finals_that_a_client_has_are_not_told_again() -> None:
    said = speech(0.6, 10, 1.0)
    async with house(Ears(said)) as here:
        socket = await here.connect()
        token = (await until(socket, "ready"))[-1]["resume"]
        await socket.send(said.pcm)
        await until(socket, "final")
        await drop(socket)
        async with here.connect(f"/v1/audio/stream?resume={token}&after=1") as again:
            await again.send('{"type": "stop"}')
            assert finals(await rest(again)) == []


async def test_what_is_heard_while_nobody_is_connected_is_told_later() -> None:
    said = speech(0.6, 10, 1.0)
    async with house(Ears(said)) as here:
        socket = await here.connect()
        token = (await until(socket, "ready"))[-1]["resume"]
        await socket.send(said.pcm)
        await drop(socket)
        async with here.connect(f"/v1/audio/stream?resume={token}") as again:
            assert finals(await until(again, "final")) == said.texts


async def test_only_its_own_client_takes_a_stream_up() -> None:
    """Another's token is as good as none, and a stream that ended is gone."""
    async with house(Ears(speech(0.1))) as here:
        socket = await here.connect()
        token = (await until(socket, "ready"))[-1]["resume"]
        stream = next(iter(here.streams.kept))
        stream.caller = stream.caller.__class__("other", "192.0.2.9")
        for wrong in (token, "token-999", "%00"):
            with pytest.raises(InvalidStatus) as refused:
                await here.connect(f"/v1/audio/stream?resume={wrong}")
            assert refused.value.response.status_code == 404
        await socket.close()


async def test_a_second_connection_takes_over_from_the_first() -> None:
    """A client notices a lost network before the server does."""
    said = speech(0.6, 10, 1.0)
    async with house(Ears(said)) as here, here.connect() as old:
        token = (await until(old, "ready"))[-1]["resume"]
        async with here.connect(f"/v1/audio/stream?resume={token}") as new:
            assert (await until(new, "ready"))[-1]["resumed"]
            await rest(old)
            assert old.close_code == ELSEWHERE[0]
            await new.send(said.pcm)
            await new.send('{"type": "stop"}')
            assert finals(await rest(new)) == said.texts
        assert len(here.streams.kept) == 0


async def test_who_closes_on_purpose_is_not_waited_for() -> None:
    async with house(Ears(speech(0.1))) as here:
        async with here.connect() as socket:
            await until(socket, "ready")
        await here.running.passages.get()
        assert len(here.streams.kept) == 0


async def test_who_leaves_before_it_is_connected_leaves_nothing() -> None:
    async with house(Ears(speech(0.1))) as here:

        async def gone() -> dict[str, Any]:
            return {"type": "websocket.disconnect", "code": 1006}

        async def never(_message: Any) -> None:
            raise AssertionError("nobody is there")

        passage = await by_hand(here, gone, never)
        assert len(here.streams.kept) == 0
        assert passage.error == "client_closed"


async def dropped(here: House, pcm: bytes) -> str:
    """A stream that is kept after it heard that. Its token."""
    hand = Hand()
    hand.connects()
    hand.says(pcm)
    hand.leaves()
    await by_hand(here, hand.receive, hand.send)
    token = hand.events[0]["resume"]
    assert token in here.streams.kept
    return str(token)


@pytest.mark.parametrize("fails", [0, 1, 2])
async def test_a_connection_that_fails_at_once_holds_no_place(fails: int) -> None:
    """At its acceptance, at the first words, at the next."""
    async with house(Ears(speech(0.1))) as here:
        hand = Hand(fails)
        hand.connects()
        hand.says('{"type": "ping"}')
        with suppress(OSError):
            await by_hand(here, hand.receive, hand.send)
        assert len(hand.told) == fails
        assert len(here.streams.kept) == len(here.streams.connected) == 0


@pytest.mark.parametrize("fails", [0, 1, 2])
async def test_a_take_up_that_fails_at_once_is_as_a_drop(fails: int) -> None:
    """The stream can be taken up again, for as long as any other and no longer."""
    async with house(Ears(speech(0.1))) as here:
        token = await dropped(here, speech(0.6).pcm)
        (stream,) = here.streams.kept
        for seconds in (30.0, 0.01):
            here.audio["stream_resume_seconds"] = seconds
            hand = Hand(fails)
            hand.connects()
            hand.says('{"type": "ping"}')
            path = f"/v1/audio/stream?resume={token}"
            with suppress(OSError):
                await by_hand(here, hand.receive, hand.send, path)
            assert len(hand.told) == fails
            assert stream.listener is None
            assert not here.streams.connected
        async with asyncio.timeout(5):
            await stream.ended.wait()
        assert len(here.streams.kept) == 0


async def test_who_was_taken_over_before_it_was_connected_takes_nothing_back() -> None:
    """Two connections with one token, the first of them slow to shake hands."""
    said = speech(0.6, 10, 1.0)
    async with house(Ears(said)) as here, asyncio.TaskGroup() as tasks:
        path = f"/v1/audio/stream?resume={await dropped(here, bytes(3200))}"
        slow, fast = Hand(), Hand()
        first = tasks.create_task(by_hand(here, slow.receive, slow.send, path))
        await slow.asked.wait()
        fast.connects()
        second = tasks.create_task(by_hand(here, fast.receive, fast.send, path))
        async with asyncio.timeout(10):
            await fast.greeted.wait()
            slow.connects()
            await first
            assert slow.told[-1]["code"] == ELSEWHERE[0]
            fast.says(said.pcm, '{"type": "stop"}')
            await second
        assert finals(fast.events) == said.texts


async def test_sound_that_waits_is_not_heard_after_a_take_over() -> None:
    """Its client is told how much has come, and sends the rest again."""
    said = speech(0.6, 10, 1.0)
    silence = bytes(32_000 * 60)
    async with house(Ears(said)) as here, asyncio.TaskGroup() as tasks:
        path = f"/v1/audio/stream?resume={await dropped(here, bytes(3200))}"
        (stream,) = here.streams.kept
        old, new = Hand(), Hand()
        old.connects()
        old.says(silence)
        first = tasks.create_task(by_hand(here, old.receive, old.send, path))
        async with asyncio.timeout(10):
            await old.heard.wait()
            assert 30 < stream.received < 60
            new.connects()
            second = tasks.create_task(by_hand(here, new.receive, new.send, path))
            await new.greeted.wait()
            await first
            received = new.events[0]["received"]
            assert received < 60
            assert stream.received == received
            new.says('{"type": "stop"}')
            await second


async def test_an_interrupted_stream_is_not_lost_by_a_refusal(tmp_path: Path) -> None:
    """It counts as any other: when there is no room, its client may ask once more."""
    store = tmp_path / "streams.json"
    async with house(Ears(speech(0.1)), store=store) as here:
        token = await dropped(here, speech(0.6).pcm)
        await here.streams.drain(1.0)
    async with house(Ears(speech(0.1)), store=store, audio={"max_streams": 1}) as here:
        path = f"/v1/audio/stream?resume={token}"
        async with here.connect() as other:
            await until(other, "ready")
            refused = Hand()
            refused.connects()
            passage = await by_hand(here, refused.receive, refused.send, path)
            assert passage.status == 503
            assert len(here.streams.kept) == 1
        await here.running.passages.get()
        await here.running.passages.get()
        again = Hand()
        again.connects()
        again.says('{"type": "stop"}')
        await by_hand(here, again.receive, again.send, path)
        assert again.events[0]["resumed"]


async def test_a_stream_without_sound_is_not_kept() -> None:
    """It would hold a place of all for nothing. The next one gets it, and no token is promised to
    who is sent away."""
    async with house(Ears(speech(0.1)), audio={"max_streams": 1}) as here:
        socket = await here.connect()
        token = (await until(socket, "ready"))[-1]["resume"]
        await socket.send('{"type": "start", "language": "de"}')
        await until(socket, "started")
        await drop(socket)
        await here.running.passages.get()
        with pytest.raises(InvalidStatus) as refused:
            await here.connect(f"/v1/audio/stream?resume={token}")
        assert refused.value.response.status_code == 404
        async with here.connect() as second:
            for _ in range(STRIKES):
                await second.send("nonsense")
            assert (await until(second, "closed"))[-1]["resume"] is None
        assert len(here.streams.kept) == 0


async def test_nobody_is_kept_for_longer_than_the_settings_say() -> None:
    """What is being heard for it is ended too."""
    said = speech(0.6, 20)
    async with house(Ears(said), audio={"stream_resume_seconds": 0}) as here:
        socket = await here.connect()
        assert (await until(socket, "ready"))[-1]["resume"] == ""
        await socket.send(said.pcm)
        await drop(socket)
        await here.running.passages.get()
        assert len(here.streams.kept) == 0


async def test_a_restart_loses_no_words() -> None:
    """What was said until then becomes final, and the client is told to come back."""
    said = speech(0.6, 14)
    async with house(Ears(said)) as here, here.connect() as socket:
        await until(socket, "ready")
        for frame in frames(said.pcm):
            await socket.send(frame)
        await until(socket, "speech_started")
        await socket.send('{"type": "ping"}')
        await until(socket, "pong")
        await here.streams.drain(5.0)
        events = await rest(socket)
        assert socket.close_code == RESTART[0]
        assert finals(events) == said.texts
        assert events[-1]["type"] == "closed"
        with pytest.raises(InvalidStatus) as refused:
            await here.connect()
        assert refused.value.response.status_code == 503


async def test_a_stream_goes_on_in_the_next_process(tmp_path: Path) -> None:
    """Numbers, times and settings go on; no word of it was written down, and its token works once
    and for its client alone."""
    said = speech(0.6, 14, 1.0, 10, 1.0)
    half = 16_000 * 2 * 5
    store = tmp_path / "streams.json"
    async with house(Ears(said), store=store) as here, here.connect() as socket:
        await until(socket, "ready")
        await socket.send('{"type": "start", "language": "de"}')
        await socket.send(said.pcm[:half])
        await until(socket, "speech_started")
        await socket.send(b"\x05")
        await until(socket, "pong")
        await here.streams.drain(5.0)
        first = await rest(socket)
        told = first[-1]
    assert told["resume"]
    assert store.stat().st_mode & 0o077 == 0
    assert b"word" not in store.read_bytes()
    assert told["resume"].encode() not in store.read_bytes()
    async with house(Ears(said), store=store) as here:
        assert not store.exists()
        query = f"resume={told['resume']}&after={told['sequence']}"
        async with here.connect(f"/v1/audio/stream?{query}") as again:
            back = (await until(again, "ready"))[-1]
            assert (back["resumed"], back["sequence"], back["language"]) == (True, 1, "de")
            await again.send(said.pcm[round(back["received"] * 16_000) * 2 :])
            await again.send('{"type": "stop"}')
            events = await rest(again)
        with pytest.raises(InvalidStatus):
            await here.connect(f"/v1/audio/stream?{query}")
    second = [one for one in events if one["type"] == "final"]
    assert [one["sequence"] for one in second] == [2]
    assert finals(first) + finals(events) == said.texts
    assert second[0]["words"][0]["start"] == pytest.approx(said.words[14].start, abs=0.02)


@pytest.mark.parametrize("text", [b"", b"{}", b"[1]", b'[{"token": "a"}]', b"[" * 9999])
async def test_a_file_that_is_none_is_no_streams(tmp_path: Path, text: bytes) -> None:
    store = tmp_path / "streams.json"
    store.write_bytes(text)
    async with house(Ears(speech(0.1)), store=store) as here, here.connect() as socket:
        await until(socket, "ready")


async def test_a_drain_waits_no_longer_than_it_may() -> None:
    """An engine that hangs does not hold up a restart."""

    class Never(Ears):
        async def _hear(self, call: object, _send: object) -> None:
            await call.gone.wait()  # type: ignore[attr-defined]

    said = speech(0.6, 14)
    async with house(Never(said)) as here, here.connect() as socket:
        await until(socket, "ready")
        await socket.send(said.pcm)
        await until(socket, "speech_started")
        await here.streams.drain(0.05)
        events = await rest(socket)
        assert socket.close_code == RESTART[0]
        assert finals(events) == []
    async with asyncio.timeout(5):
        await here.streams.close()
