"""A simulated cluster that hears and speaks for real, faults of its scenario included."""

import time
from collections.abc import Iterator

import httpx
import pytest

from server.engine.encode import wav
from tests.sim_cluster import Sim, running_sim


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sim]:
    with running_sim(tmp_path_factory.mktemp("spoken"), audio="reference") as cluster:
        yield cluster


def services(sim: Sim) -> dict[str, str]:
    """Address by name, as `config.yaml` has them."""
    at = sim.hosts["spark-2"].address
    lines = [line for line in sim.config.read_text().splitlines() if "kind:" in line]
    found = {}
    for line in lines:
        fields = dict(part.split(": ") for part in line.strip(" -{}").split(", "))
        found[fields["name"]] = f"http://{at}:{fields['port']}"
    for address in found.values():
        until_up(address)
    return found


def until_up(address: str) -> None:
    """A container starts while the simulator is said to be ready."""
    deadline = time.monotonic() + 100
    while True:
        try:
            httpx.get(f"{address}/health", timeout=10)
        except httpx.ConnectError:
            assert time.monotonic() < deadline
            time.sleep(0.05)  # another process starts
        else:
            return


def test_services_speak_hear_and_tell_voices_apart(sim: Sim) -> None:
    """By one engine for all; each answer says that it is the small one."""
    at = services(sim)
    body = {"input": "The train is late.", "voice": "am_michael", "response_format": "pcm"}
    spoken = httpx.post(f"{at['kokoro']}/v1/audio/speech", json=body, timeout=200)
    assert spoken.headers["x-engine"] == "reference, small"
    files = {"file": ("a.wav", wav(spoken.content, 24_000), "audio/wav")}
    path = "/v1/audio/transcriptions"
    heard = httpx.post(f"{at['parakeet']}{path}", files=files, timeout=200)
    assert heard.json()["text"] == "The train is late."
    events = httpx.post(
        f"{at['parakeet']}{path}", files=files, data={"stream": "true"}, timeout=200
    )
    assert "transcript.text.done" in events.text
    turns = httpx.post(f"{at['sortformer']}/v1/audio/diarize-chunk", files=files, timeout=200)
    assert [one["speaker"] for one in turns.json()["segments"]] == ["SPEAKER_00"]


def test_a_fault_of_the_scenario_comes_before_the_engine(sim: Sim) -> None:
    """The service fails though the engine is well; the engine's own errors come through."""
    address = services(sim)["kokoro"]
    wrong = httpx.post(f"{address}/v1/audio/speech", json={"input": ""}, timeout=200)
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "input")
    sim.scenario("spark-2", service_answer="error")
    failed = httpx.post(f"{address}/v1/audio/speech", json={"input": "x"}, timeout=200)
    assert (failed.status_code, "out of memory" in failed.text) == (500, True)
    sim.scenario("spark-2", service_answer="ok")
