"""A recording's way: limits, plain bytes, composed answers, and that nothing is left behind."""

from pathlib import Path

from tests.audio.front.made import fields_of, room, wav, words
from tests.gateway.running import ScriptedEngine, whole

VERBOSE = {
    "task": "transcribe",
    "language": "en",
    "duration": 3.0,
    "text": "Hello there. Good morning.",
    "words": words("Hello", "there.", "Good", "morning."),
    "segments": [{"id": 0, "start": 0, "end": 2, "text": "Hello there. Good morning."}],
}


async def test_a_short_recording_goes_to_the_engine_as_it_came(tmp_path: Path) -> None:
    """Byte for byte, and its answer comes back as it is."""
    engine = ScriptedEngine(whole({"text": "hello"}))
    async with room(tmp_path, asr=engine) as here:
        got = await here.ask(wav(3), model="whisper", anything="else")
        assert (got.status, got.json) == (200, {"text": "hello"})
        assert fields_of(engine.calls[0].raw) == {"model": ["whisper"], "anything": ["else"]}
        assert wav(3) in engine.calls[0].raw
        passage = await here.running.passages.get()
        assert (passage.asked, passage.upstream, passage.status) == ("whisper", "ears", 200)
        assert here.left() == []
        assert here.desk.room.used == 0


async def test_a_format_that_the_engine_lacks_is_written_here(tmp_path: Path) -> None:
    engine = ScriptedEngine(whole(VERBOSE))
    async with room(tmp_path, asr=engine, services={"dialect": "parakeet"}) as here:
        got = await here.ask(wav(3), response_format="srt")
        assert got.status == 200
        assert got.headers["Content-Type"].startswith("application/x-subrip")
        assert b"00:00:00,000 --> 00:00:00,900\nHello there." in got.body
        assert here.left() == []
