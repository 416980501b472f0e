"""Sweeps, activity and the cache in front of simulated services, over the whole gateway."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.app import build
from server.config.paths import DataDir
from server.gateway.sweep.payload import tone
from server.running import App
from tests.gateway.running import serve
from tests.sim_cluster import Sim, running_sim

pytestmark = pytest.mark.sim
SETTINGS = {"SPARK_CONTROL_GATEWAY__CACHE_MB": "4"}
SPEECH = {"model": "kokoro", "input": "Hello.", "voice": "af_heart", "response_format": "wav"}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[tuple[App, httpx.AsyncClient, Sim]]:
    """The app on a cluster of one host with its services, and a client."""
    with running_sim(tmp_path, hosts=1) as sim:
        data = DataDir(sim.dir, {})
        data.prepare()
        made = build(data, SETTINGS)
        await made.start()
        try:
            async with serve(made.edge) as url:
                async with httpx.AsyncClient(base_url=url, timeout=30) as http:
                    yield made, http, sim
                await made.begin_shutdown()
        finally:
            await made.close()


async def over(app: App, http: httpx.AsyncClient, wish: dict[str, Any]) -> dict[str, Any]:
    """A sweep at its end, followed on the bus."""
    with app.bus.subscribe(frozenset({"job"})) as events:
        asked = await http.post("/api/v1/sweeps", json={"quiet": 0.1} | wish)
        assert asked.status_code == 202, asked.text
        async with asyncio.timeout(60):
            async for event in events:
                if event.data["state"] not in {"waiting", "running"}:
                    return dict(event.data)
    raise EOFError


async def test_a_sweep_measures_a_service_and_makes_room_for_callers(
    house: tuple[App, httpx.AsyncClient, Sim],
) -> None:
    """Three levels and a proposal; then a caller comes into the next one and is answered."""
    app, http, _ = house
    sweep = await over(app, http, {"target": "kokoro", "max": 3, "seconds": 0.2, "repeats": 2})
    assert sweep["state"] == "done", sweep["message"]
    assert [level["level"] for level in sweep["levels"]] == [1, 2, 3]
    assert 1 <= sweep["knee"]["cap"] <= 3
    assert app.inflight.count() == 0

    with app.bus.subscribe(frozenset({"job"})) as events:
        body = {"target": "kokoro", "seconds": 60, "quiet": 0.1}
        assert (await http.post("/api/v1/sweeps", json=body)).status_code == 202
        async with asyncio.timeout(60):
            async for event in events:
                if event.data["state"] == "running" and event.data["done"]:
                    break
            answer = await http.post("/v1/audio/speech", json=SPEECH)
            async for event in events:
                if event.data["state"] not in {"waiting", "running"}:
                    break
    assert answer.status_code == 200, answer.text
    assert event.data["state"] == "aborted", event.data["message"]
    rows = (await http.get("/api/v1/activity")).json()
    assert [row["upstream"] for row in rows["requests"]] == ["kokoro"]
    assert rows["in_flight"] == []


async def test_a_repeated_request_is_answered_without_the_service(
    house: tuple[App, httpx.AsyncClient, Sim],
) -> None:
    """Vectors and transcriptions: a miss, then a hit of the same bytes while the service fails."""
    app, http, sim = house
    vectors = {"model": "any", "input": ["one", "two"]}
    file = {"file": ("a.wav", tone(1.0), "audio/wav")}
    fields = {"model": "any"}
    first = await http.post("/v1/embeddings", json=vectors)
    heard = await http.post("/v1/audio/transcriptions", data=fields, files=file)
    for answer in (first, heard):
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-spark-cache"] == "miss"
    await asyncio.to_thread(sim.scenario, next(iter(sim.hosts)), service_answer="error")
    again = await http.post("/v1/embeddings", json=vectors)
    heard_again = await http.post("/v1/audio/transcriptions", data=fields, files=file)
    for before, answer in ((first, again), (heard, heard_again)):
        assert answer.status_code == 200, answer.text
        assert answer.content == before.content
        assert answer.headers["x-spark-cache"] == "hit"
        assert int(answer.headers["age"]) >= 0
    other = await http.post("/v1/embeddings", json=vectors | {"input": ["three"]})
    assert other.status_code >= 500
    rows = (await http.get("/api/v1/activity")).json()["requests"]
    assert [row["cached"] for row in rows] == [False, True, True, False, False]
    assert not list(app.data.tmp.iterdir())
