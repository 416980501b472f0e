"""The official `openai` client is the contract test of composed answers as well."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import openai
import pytest

from server.audio.sound.ear import Ear
from tests.audio.front.made import Room, room, wav
from tests.audio.front.test_hearing import TURNS, engine

pytestmark = pytest.mark.asyncio(loop_scope="module")
SPOKEN = ("a.wav", wav(3), "audio/wav")


@asynccontextmanager
async def house(ear: Ear, tmp: Path) -> AsyncIterator[tuple[openai.AsyncOpenAI, Room]]:
    """An engine that writes JSON only and knows no speakers."""
    async with room(
        ear, tmp, asr=engine(), diarizer=engine(TURNS), services={"dialect": "parakeet"}
    ) as here:
        client = openai.AsyncOpenAI(
            base_url=here.running.url + "/v1", api_key="not-needed", max_retries=0
        )
        async with client:
            yield client, here


async def test_every_format_comes_as_the_clients_own_type(ear: Ear, tmp_path: Path) -> None:
    async with house(ear, tmp_path) as (client, _):
        asked = client.audio.transcriptions.create
        plain = await asked(model="whisper-1", file=SPOKEN)
        assert plain.text == "Hello there. Good morning."
        verbose = await asked(
            model="whisper-1",
            file=SPOKEN,
            response_format="verbose_json",
            timestamp_granularities=["word", "segment"],
        )
        assert verbose.words is not None
        assert [one.word for one in verbose.words] == ["Hello", "there.", "Good", "morning."]
        assert verbose.segments is not None
        assert [one.text for one in verbose.segments] == ["Hello there.", "Good morning."]
        assert verbose.duration == pytest.approx(3, abs=0.1)
        for form, begins in (("text", "Hello there."), ("srt", "1\n00:00"), ("vtt", "WEBVTT\n\n")):
            told = await asked(model="whisper-1", file=SPOKEN, response_format=form)  # type: ignore[call-overload]
            assert str(told).startswith(begins)


async def test_speakers_come_as_the_clients_own_type(ear: Ear, tmp_path: Path) -> None:
    async with house(ear, tmp_path) as (client, _):
        told = await client.audio.transcriptions.create(
            model="gpt-4o-transcribe-diarize", file=SPOKEN, response_format="diarized_json"
        )
        assert [(one.speaker, one.text) for one in told.segments] == [
            ("A", "Hello there."),
            ("B", "Good morning."),
        ]


async def test_a_stream_is_read_by_its_events(ear: Ear, tmp_path: Path) -> None:
    """Deltas together are the text; our own events do no harm."""
    async with house(ear, tmp_path) as (client, _):
        stream = await client.audio.transcriptions.create(
            model="whisper-1",
            file=SPOKEN,
            response_format="diarized_json",
            stream=True,
            extra_body={"progress": "true"},
        )
        events = [event async for event in stream]
    kinds = [event.type for event in events]
    assert kinds[-1] == "transcript.text.done"
    assert set(kinds) == {
        "spark.progress",
        "transcript.text.delta",
        "transcript.text.segment",
        "transcript.text.done",
    }
    text = "".join(one.delta for one in events if one.type == "transcript.text.delta")
    assert events[-1].type == "transcript.text.done"
    assert text == events[-1].text == "Hello there. Good morning."


async def test_refusals_are_the_clients_own_errors(ear: Ear, tmp_path: Path) -> None:
    async with house(ear, tmp_path) as (client, here):
        asked = client.audio.transcriptions.create
        with pytest.raises(openai.BadRequestError) as refused:
            await asked(
                model="whisper-1", file=SPOKEN, response_format="diarized_json", prompt="names"
            )
        assert refused.value.param == "prompt"
        with pytest.raises(openai.UnprocessableEntityError):
            await asked(model="whisper-1", file=("a.wav", wav(1, loud=0), "audio/wav"))
        here.audio["max_transcribe_seconds"] = 2
        with pytest.raises(openai.APIStatusError) as large:
            await asked(model="whisper-1", file=SPOKEN)
        assert large.value.status_code == 413
