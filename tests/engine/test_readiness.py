"""Before the models are there, when they cannot be had, and when one breaks."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.engine.encode import wav
from server.engine.http.app import create
from server.engine.http.models import Models
from server.engine.limits import Limits
from server.engine.weights.shelf import MissingWeights, Shelf

SOUND = {"file": wav(bytes(32_000), 16_000)}
SENTENCE = "Weights are missing: x is not installed."


class Broken:
    """Loads, and then fails at everything."""

    def hear(self, *_: object) -> None:
        raise RuntimeError("a path of the server: /srv/secret")


def missing(_: Shelf) -> Any:
    raise MissingWeights(SENTENCE, advice="Install the extra.")


@pytest.fixture
def models(tmp_path: Path) -> Models:
    openers = {"asr": lambda _: Broken(), "tts": missing, "diarize": lambda _: object()}
    return Models(Shelf(tmp_path), 1, openers)


@pytest.fixture
async def client(models: Models) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create(models, Limits()), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://engine") as made:
        yield made


async def test_until_the_models_are_loaded_it_says_come_again(client: httpx.AsyncClient) -> None:
    """Not ready, and 503 with a time; it is alive all the same."""
    health = await client.get("/health")
    assert (health.status_code, health.json()["status"]) == (503, "loading")
    refused = await client.post("/v1/audio/transcriptions", files=SOUND)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "model_loading")
    assert refused.headers["retry-after"] == "2"
    assert (await client.get("/livez")).status_code == 200


async def test_missing_weights_are_named_with_what_to_install(
    client: httpx.AsyncClient, models: Models
) -> None:
    """In its health and in each answer that would need them, for ever and not to be retried."""
    await models.load()
    health = await client.get("/health")
    assert (health.status_code, health.json()["status"]) == (503, "incomplete")
    assert health.json()["models"]["kokoro-82m"] == f"{SENTENCE} Install the extra."
    refused = await client.post("/v1/audio/speech", json={"input": "x"})
    assert (refused.status_code, refused.json()["error"]["message"]) == (503, SENTENCE)
    assert "retry-after" not in refused.headers


async def test_what_breaks_is_an_error_without_its_cause(
    client: httpx.AsyncClient, models: Models
) -> None:
    """The log has it; the place in the line is free again."""
    await models.load()
    for _ in range(3):
        answer = await client.post("/v1/audio/transcriptions", files=SOUND)
        assert answer.status_code == 500
        assert answer.json()["error"]["source"] == "reference"
        assert "secret" not in answer.text
