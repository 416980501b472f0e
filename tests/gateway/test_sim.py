"""The gateway in front of the simulated cluster: a model is swapped in and asked, for real."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import openai
import pytest

from server.app import build
from server.config.paths import DataDir
from server.running import App
from tests.gateway.running import serve
from tests.sim_cluster import running_sim

pytestmark = pytest.mark.sim
BY_HAND = {"SPARK_CONTROL_GATEWAY__AUTO_SWAP": "false"}
HELLO = [{"role": "user", "content": "Say hello"}]


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[tuple[App, str]]:
    """The app on a cluster of one host, started and reachable."""
    with running_sim(tmp_path, hosts=1, load_seconds=0.2) as sim:
        made = build(DataDir(sim.dir, {}), BY_HAND)
        await made.start()
        try:
            async with serve(made.edge) as url:
                yield made, url
                await made.begin_shutdown()
        finally:
            await made.close()


async def ended(client: httpx.AsyncClient, swap_id: str) -> dict[str, object]:
    """The swap when it has ended, as the event stream tells it."""
    async with asyncio.timeout(60), client.stream("GET", "/api/v1/events?types=swap") as stream:
        async for line in stream.aiter_lines():
            if line.startswith("data: "):
                swap: dict[str, object] = (await client.get(f"/api/v1/swaps/{swap_id}")).json()
                if swap["finished_at"]:
                    return swap
    raise EOFError


async def test_a_model_is_swapped_in_and_answers_the_official_client(app: tuple[App, str]) -> None:
    """503 with the way out before, a streamed answer and tokens after, 503 again after unload."""
    _, url = app
    async with (
        httpx.AsyncClient(base_url=url, timeout=30) as http,
        openai.AsyncOpenAI(base_url=url + "/v1", api_key="none", max_retries=0) as client,
    ):
        models = (await http.get("/api/v1/models")).json()["models"]
        name = next(m["id"] for m in models if m["nodes"] == 1 and m["origin"] == "override")
        with pytest.raises(openai.InternalServerError) as refused:
            await client.chat.completions.create(model=name, messages=HELLO)
        assert refused.value.code == "unavailable"

        asked = await http.post("/api/v1/swaps", json={"model": name})
        assert asked.status_code == 202, asked.text
        swap = await ended(http, asked.json()["id"])
        assert swap["state"] == "serving", swap

        stream = await client.chat.completions.create(model=name, messages=HELLO, stream=True)
        words = [part.choices[0].delta.content or "" async for part in stream if part.choices]
        assert "".join(words).strip()
        listed = [model async for model in client.models.list()]
        assert listed[0].id == name
        tokens = await http.post("/v1/tokenize", json={"model": name, "prompt": "hello"})
        assert tokens.status_code == 200, tokens.text

        gone = await http.post("/api/v1/unload")
        assert (await ended(http, gone.json()["id"]))["state"] == "unloaded"
        with pytest.raises(openai.InternalServerError):
            await client.chat.completions.create(model=name, messages=HELLO)
