"""Seconds of audio of a recording: told by the service, else measured, else estimated."""

from typing import Any

import aiohttp
import pytest

from server.gateway.model import Used
from server.gateway.usage.sound import ESTIMATED
from server.gateway.usage.tap import make_tap
from tests.gateway.made import gateway, service
from tests.gateway.running import Answer, Call, ScriptedEngine, begin, part, serve, whole
from tests.gateway.usage.test_sound import noise, wav


def text(body: bytes) -> Answer:
    async def answer(_call: Call, send: Any) -> None:
        await begin(send, "text/plain")
        await part(send, body, last=True)

    return answer


async def used(answer: Answer, file: bytes, path: str = "/v1/audio/transcriptions") -> Used:
    """Of one recording that is sent to a service that answers so."""
    engine = ScriptedEngine(answer)
    async with serve(engine) as url, gateway(tap=make_tap) as running:
        running.services = (service("ears", "asr", url),)
        form = aiohttp.FormData()
        form.add_field("model", "ears")
        form.add_field("file", file, filename="a.wav")
        async with running.session.post(running.url + path, data=form) as response:
            await response.read()
        assert file in engine.calls[0].raw
        return (await running.passages.get()).used


async def test_a_text_or_plain_answer_is_measured_by_what_was_sent() -> None:
    """No subtitle tells how long the recording was."""
    for answer in (text(b"1\n00:00 --> 00:01\nhello"), whole({"text": "hello"})):
        found = await used(answer, wav(2))
        assert found.audio_seconds == pytest.approx(2.0, rel=0.01)
        assert found.audio_source == "measured"


async def test_what_the_service_tells_goes_first() -> None:
    """It knows what it heard; tokens it tells are kept beside."""
    found = await used(whole({"text": "hello", "duration": 1.25}), wav(2))
    assert (found.audio_seconds, found.audio_source) == (1.25, "told")
    tokens = {"type": "tokens", "input_tokens": 14, "output_tokens": 45}
    found = await used(whole({"text": "hello", "usage": tokens}), wav(2))
    assert (found.completion_tokens, found.audio_source) == (45, "measured")


async def test_what_is_no_known_container_is_estimated() -> None:
    """And marked as such."""
    found = await used(text(b"hello"), noise(32_000))
    assert found.audio_seconds == pytest.approx(32_000 / ESTIMATED, rel=0.01)
    assert found.audio_source == "estimated"


async def test_upstream_is_not_the_way_around() -> None:
    """The same service asked by its own path; what it refuses costs nothing."""
    path = "/upstream/ears/asr"
    assert (await used(text(b"hello"), wav(2), path)).audio_seconds == pytest.approx(2, rel=0.01)
    refused = await used(whole({"detail": "no"}, 400), wav(2), path)
    assert refused.audio_seconds is None
