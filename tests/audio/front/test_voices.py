"""Voices in one shape whatever the service gives."""

from typing import Any

import orjson
import pytest

from server.audio.front.voices import VOICES, Voices, reshaped
from tests.gateway.made import gateway, service
from tests.gateway.running import ScriptedEngine, serve, whole

BOTH = {
    "voices": [{"id": "af_heart", "name": "af_heart"}, {"id": "am_adam", "name": "Adam"}],
    "ids": ["af_heart", "am_adam"],
}


@pytest.mark.parametrize(
    "given",
    [
        {"voices": ["af_heart", {"id": "am_adam", "name": "Adam"}]},
        {"data": [{"voice_id": "af_heart"}, {"id": "am_adam", "name": "Adam"}]},
        ["af_heart", {"voice": "am_adam", "name": "Adam"}],
        {"voices": {"af_heart": {}, "am_adam": {"name": "Adam"}}},
    ],
)
def test_ids_and_objects_are_both_there(given: Any) -> None:
    """From names, objects, or objects by name."""
    found = orjson.loads(reshaped(orjson.dumps(given), legacy=False) or b"")
    assert found["ids"] == BOTH["ids"]
    assert [(one["id"], one["name"]) for one in found["voices"]] == [
        (one["id"], one["name"])
        for one in BOTH["voices"]  # type: ignore[index]
    ]


def test_the_old_shape_is_given_to_who_asks_for_it() -> None:
    """And what else the service says stays."""
    raw = orjson.dumps({"voices": [{"id": "a"}], "default": "a"})
    assert orjson.loads(reshaped(raw, legacy=True) or b"") == {
        "voices": ["a"],
        "ids": ["a"],
        "default": "a",
    }


@pytest.mark.parametrize("raw", [b"", b"<html>", b"7", b'{"error": "x"}', b'{"voices": 5}'])
def test_what_is_no_list_of_voices_passes(raw: bytes) -> None:
    assert reshaped(raw, legacy=False) is None


@pytest.mark.parametrize(
    ("body", "status", "kept"),
    [(b'{"voices":["a"]}', 200, False), (b'{"voices":["a"]', 200, True)],
)
async def test_the_answer_passes_through_the_gateway(body: bytes, status: int, kept: bool) -> None:
    """With its length; what cannot be read as it came."""
    async with (
        serve(ScriptedEngine(whole(body, status))) as url,
        gateway(fronts={VOICES: Voices()}) as running,
    ):
        running.services = (service("kokoro", "tts", url),)
        async with running.session.get(running.url + VOICES) as got:
            read = await got.read()
            assert (got.status, int(got.headers["Content-Length"])) == (200, len(read))
        assert (read == body) is kept


async def test_a_refusal_is_told_as_ever() -> None:
    async with (
        serve(ScriptedEngine(whole({"detail": {"message": "warming up"}}, 400))) as url,
        gateway(fronts={VOICES: Voices()}) as running,
    ):
        running.services = (service("kokoro", "tts", url),)
        async with running.session.get(running.url + VOICES) as got:
            assert got.status == 400
            assert (await got.json())["error"]["message"] == "warming up"
