"""What a composed request costs its caller, whose voices it knows, and who is asked in doubt."""

import base64
from pathlib import Path
from typing import Any

import orjson
import pytest
from starlette.types import Send

from server.audio.sound.ear import Ear
from server.base.errors import RateLimited
from server.gateway.gate import OpenGate
from server.gateway.model import Caller, Operation, Route
from tests.audio.front.made import fields_of, room, wav, words
from tests.audio.front.test_hearing import TURNS, VERBOSE, engine
from tests.gateway.running import Call, ScriptedEngine, serve, whole

pytestmark = pytest.mark.asyncio(loop_scope="module")


class OneRequest(OpenGate):
    """Lets in one request, of a caller who may use the models of `names`."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self._names = frozenset(names)
        self.allowed: list[str] = []

    def recognised(self, key: str | None, address: str) -> Caller:
        return Caller("one", address, models=self._names)

    def sees(self, caller: Caller, names: Any) -> bool:
        return not self._names or not self._names.isdisjoint(names)

    def allow(self, caller: Caller, operation: Operation, route: Route) -> None:
        self.allowed.append(operation.path)
        if len(self.allowed) > 1:
            raise RateLimited("One is enough.")


async def test_a_recording_in_parts_is_one_request(ear: Ear, tmp_path: Path) -> None:
    """For the limits of its caller; what follows is refused as ever."""
    gate = OneRequest()
    cuts = {"long_seconds": 10, "part_seconds": 10}
    async with room(
        ear, tmp_path, asr=engine(), diarizer=engine(TURNS), audio=cuts, gatekeeper=gate
    ) as here:
        assert (await here.ask(wav(32), diarize="true")).status == 200
        assert gate.allowed == ["/v1/audio/transcriptions"]
        assert (await here.ask(wav(32))).status == 429


async def test_a_key_for_some_models_asks_no_others_by_this_way(ear: Ear, tmp_path: Path) -> None:
    voices = engine(TURNS)
    gate = OneRequest("ears")
    async with room(ear, tmp_path, asr=engine(), diarizer=voices, gatekeeper=gate) as here:
        got = await here.ask(wav(3), model="ears", diarize="true")
        assert (got.status, got.error["code"]) == (404, "model_not_found")
        assert not voices.calls


async def test_who_is_known_by_voice_is_called_by_name(ear: Ear, tmp_path: Path) -> None:
    """The recording that came with the name is asked about first."""
    alone = {
        "segments": [{"speaker": "x", "start": 0, "end": 2}],
        "embeddings": {"x": [0.0, 1.0]},
    }

    async def answer(call: Call, send: Send) -> None:
        await whole(alone if len(voices.calls) == 1 else TURNS)(call, send)

    voices = ScriptedEngine(answer)
    sound = "data:audio/wav;base64," + base64.b64encode(wav(2)).decode()
    async with room(ear, tmp_path, asr=engine(), diarizer=voices) as here:
        got = await here.ask(
            wav(3),
            response_format="diarized_json",
            **{"known_speaker_names[]": "Ann", "known_speaker_references[]": sound},
        )
        assert [one["speaker"] for one in got.json["segments"]] == ["A", "Ann"]


@pytest.mark.parametrize(
    "given", ["nothing", "data:audio/wav;base64,***", "data:audio/wav;base64,AAAA"]
)
async def test_a_voice_that_is_no_recording_is_refused(
    ear: Ear, tmp_path: Path, given: str
) -> None:
    async with room(ear, tmp_path, asr=engine(), diarizer=engine(TURNS)) as here:
        got = await here.ask(
            wav(3),
            diarize="true",
            **{"known_speaker_names[]": "Ann", "known_speaker_references[]": given},
        )
        assert (got.status, got.error["param"]) == (400, "known_speaker_references")


async def test_the_served_model_is_asked_what_sound_left_open(ear: Ear, tmp_path: Path) -> None:
    """When a request wants it; what it was asked and changed is told."""
    asked: list[Any] = []

    async def answer(call: Call, send: Send) -> None:
        asked.append(call.body)
        message = {"role": "assistant", "content": "{}"}
        await whole({"choices": [{"message": message}]})(call, send)

    turns = {
        "segments": [
            {"speaker": "x", "start": 0.0, "end": 0.7},
            {"speaker": "y", "start": 0.5, "end": 0.95},
            {"speaker": "y", "start": 1.5, "end": 3.0},
        ]
    }
    async with (
        serve(ScriptedEngine(answer)) as chat,
        room(ear, tmp_path, asr=engine(), diarizer=engine(turns)) as here,
    ):
        here.running.serve(chat)
        quiet = await here.ask(wav(3), response_format="diarized_json")
        assert "referee" not in quiet.json
        got = await here.ask(wav(3), response_format="diarized_json", referee="true")
        assert got.status == 200
        assert got.json["referee"]["model"] == "tiny"
        assert got.json["referee"]["asked"] == len(asked) > 0
        assert b"Hello" in orjson.dumps(asked[0])


async def test_who_waits_for_a_place_is_told_that_it_waits(ear: Ear, tmp_path: Path) -> None:
    """By comments; its recording is decoded when the place is free."""
    async with room(
        ear,
        tmp_path,
        asr=engine(),
        services={"dialect": "parakeet"},
        audio={"max_recordings": 1},
        keepalive_seconds=1,
    ) as here:
        place = here.desk.room.place(10)
        await place.__aenter__()
        async with here.posting(wav(3), stream="true") as got:
            first = await got.content.readuntil(b"\n\n")
            assert first == b": progress percent=0 part=0/0\n\n"
            await place.__aexit__(None, None, None)
            assert b"transcript.text.done" in await got.read()


async def test_a_part_that_cannot_be_heard_is_a_gap(ear: Ear, tmp_path: Path) -> None:
    """The rest is answered, and what is missing is told."""

    async def answer(call: Call, send: Send) -> None:
        if len(asr.calls) == 2:
            await whole({"error": {"message": "bad part"}}, 422)(call, send)
            return
        await whole({"text": "x", "words": words("tick")})(call, send)

    asr = ScriptedEngine(answer)
    cuts = {"long_seconds": 10, "part_seconds": 10}
    async with room(
        ear, tmp_path, asr=asr, audio=cuts, services={"dialect": "nim", "max_in_flight": 1}
    ) as here:
        got = await here.ask(wav(32), language="en-US")
        assert got.status == 200
        (gap,) = got.json["gaps"]
        assert gap["end"] > gap["start"]
        assert got.headers["x-spark-gaps"].count("-") == 1
        passage = await here.running.passages.get()
        assert 0 < (passage.used.audio_seconds or 0) < 32


async def test_the_fields_of_a_caller_go_to_every_part(ear: Ear, tmp_path: Path) -> None:
    asr = engine(VERBOSE)
    cuts = {"long_seconds": 10, "part_seconds": 10}
    async with room(ear, tmp_path, asr=asr, audio=cuts) as here:
        await here.ask(wav(32), language="de", prompt="Notes", beam="5", scrub="true")
        for call in asr.calls:
            sent = fields_of(call.raw)
            assert (sent["language"], sent["prompt"], sent["beam"]) == (["de"], ["Notes"], ["5"])
            assert "scrub" not in sent


async def test_a_service_that_is_busy_for_good_is_not_waited_for_long(
    ear: Ear, tmp_path: Path
) -> None:
    """The shorter the recording, the sooner its caller hears of it."""
    async with room(ear, tmp_path, asr=engine()) as here:
        assert here.desk.rules_for(2).patience == 5
        assert here.desk.rules_for(600).patience == 300
        assert here.desk.rules_for(36_000).patience == here.running.settings.queue_seconds


@pytest.mark.parametrize("seconds", [3, 32])
async def test_what_a_service_says_of_scrubbed_sound_is_not_repeated(
    seconds: int, ear: Ear, tmp_path: Path
) -> None:
    """Neither as an error nor as the reason of a gap: nobody has scrubbed it."""

    async def answer(call: Call, send: Send) -> None:
        if len(asr.calls) == 1:
            await whole({"text": "x", "words": words("tick")})(call, send)
            return
        await whole({"error": {"message": "cannot say 4111 1111 1111 1111"}}, 422)(call, send)

    asr = ScriptedEngine(answer)
    cuts = {"long_seconds": 10, "part_seconds": 10}
    async with room(
        ear, tmp_path, asr=asr, audio=cuts, services={"dialect": "nim", "max_in_flight": 1}
    ) as here:
        if seconds < 10:
            await here.ask(wav(seconds), language="en-US", scrub="true")
        got = await here.ask(wav(seconds), language="en-US", scrub="true")
        assert got.status == (422 if seconds < 10 else 200)
        assert b"is not repeated" in got.body
        assert b"4111" not in got.body
