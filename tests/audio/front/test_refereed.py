"""A transcription whose speakers are refereed, and whose words are scrubbed."""

from pathlib import Path
from typing import Any

import pytest

from server.audio.scrub.people import installed
from server.audio.sound.ear import Ear
from tests.audio.front.made import room, wav, words
from tests.audio.referee.made import knows
from tests.gateway.running import ScriptedEngine, serve, whole

pytestmark = pytest.mark.asyncio(loop_scope="module")

SAID = ("Call", "me.", "Two", "one", "two", "five", "five", "five", "two", "three", "six", "eight.")
HEARD = {"text": "", "words": words(*SAID, step=0.4), "duration": 5.0}
TURNS = {
    "segments": [
        {"speaker": "0", "start": 0.0, "end": 0.4},
        {"speaker": "1", "start": 1.0, "end": 5.0},
    ],
    "speakers": [{"id": "0", "embedding": [1.0, 0.0]}, {"id": "1", "embedding": [0.0, 1.0]}],
}
"""`me.` lies in nobody's turn; it goes to the nearer one, with the rest of its sentence."""


def services() -> dict[str, Any]:
    return {
        "asr": ScriptedEngine(whole(HEARD)),
        "diarizer": ScriptedEngine(whole(TURNS)),
    }


async def test_the_served_model_is_asked_who_said_what_is_in_doubt(
    ear: Ear, tmp_path: Path
) -> None:
    """When the request or the settings say so; the answer lists what it changed."""
    llm = knows("B")
    async with room(ear, tmp_path, **services()) as here, serve(llm) as url:
        fields = {"diarize": "true", "response_format": "diarized_json"}
        plain = await here.ask(wav(5), **fields)
        assert "referee" not in plain.json
        nobody = await here.ask(wav(5), referee="true", **fields)
        assert nobody.json["referee"]["reason"].startswith("no language model is being served")
        assert nobody.json["segments"] == plain.json["segments"]

        here.running.serve(url)
        here.audio["referee"] = "auto"
        ruled = await here.ask(wav(5), **fields)
        said = [(one["speaker"], one["text"]) for one in ruled.json["segments"]]
        assert said[0] == ("A", "Call")
        assert said[1][0] == "B"
        assert said[1][1].startswith("me. Two one")
        (change,) = ruled.json["refereed"]
        assert (change["text"], change["before"], change["after"]) == ("me.", "A", "B")
        assert ruled.json["referee"]["model"] == "tiny"

        off = await here.ask(wav(5), referee="false", **fields)
        assert off.json["segments"] == plain.json["segments"]
    assert [call.path for call in llm.calls] == ["/v1/chat/completions"] * 3


async def test_a_scrubbed_answer_holds_nothing_of_what_was_taken_out(
    ear: Ear, tmp_path: Path
) -> None:
    """In no format, and not beside it; no names are asked for."""
    llm = knows("B")
    async with room(ear, tmp_path, **services()) as here, serve(llm) as url:
        here.running.serve(url)
        fields = {"diarize": "true", "referee": "true", "scrub": "true"}
        for format_ in ("diarized_json", "verbose_json", "json", "text", "srt", "vtt"):
            got = await here.ask(wav(5), response_format=format_, **fields)
            assert got.status == 200
            assert b"[PHONE_1]" in got.body
            assert b"five" not in got.body
            assert b"eight" not in got.body
            assert b'"text":"me."' not in got.body
        told = await here.ask(wav(5), response_format="json", scrub_reversible="true", **fields)
        assert told.json["scrub"]["mute"] == [[0.8, 4.8]]
        assert told.json["scrub"]["values"]["[PHONE_1]"].startswith("Two one two")
        assert told.json["suggested_names"] == []


async def test_who_cannot_find_names_says_so_before_anything_is_heard(
    ear: Ear, tmp_path: Path
) -> None:
    """Hours of hearing would be for nothing."""
    asr = ScriptedEngine(whole(HEARD))
    async with room(ear, tmp_path, asr=asr) as here:
        fields = {"scrub": "true", "scrub_find_names": "true", "scrub_kinds": "phone"}
        got = await here.ask(wav(5), **fields)
        if installed():
            assert "[PHONE_1]" in got.json["text"]
        else:
            assert (got.status, got.error["param"]) == (422, "scrub_find_names")
            assert asr.calls == []
