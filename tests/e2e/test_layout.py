"""Several models at once on one simulated host: beside, overlap without a failed request, eviction.

Every model here takes 0.4 of the memory, so that two fit and three do not.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from tests.e2e.running import ONE, THREE, TWO, House, running_house, until
from tests.e2e.test_kill9 import at

pytestmark = pytest.mark.sim

CALM: dict[str, Any] = {
    "fail": "none",
    "only": "",
    "load_seconds": 0.3,
    "stop_delay": 0.0,
    "token_delay": 0.0,
}
FIRST, SECOND = "spark-control-engine", "spark-control-engine-1"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    off = "gateway: {auto_swap: false}\n"
    with running_house(tmp_path_factory.mktemp("layout"), settings=off, load_seconds=0.3) as made:
        for model in (ONE, TWO, THREE):
            body = {"gpu_memory_utilization": 0.4, "max_model_len": 8192}
            assert made.http.put(f"/api/v1/models/{model}/knobs", json=body).status_code == 200
        yield made


@pytest.fixture(autouse=True)
def calm(house: House) -> None:
    """Each test begins with nothing served in a plain scenario."""
    house.sim.scenario("spark-1", **CALM)
    house.ended(house.post("/unload")["id"])
    assert house.engines() == []


def serve(house: House, model: str) -> dict[str, Any]:
    record = house.swap(model)
    assert record["state"] == "serving", json.dumps(record, indent=1)
    return record


def layout(house: House) -> list[str]:
    return [one["model"] for one in house.get("/swaps/current")["layout"]]


class Asking:
    """A client that asks one model all the time, and streams from it meanwhile, until `stop` or
    until nobody listens."""

    def __init__(self, house: House, model: str) -> None:
        self.model = model
        self.answers: list[int] = []
        self.streams: list[str] = []
        self._url = f"{house.url}/v1/chat/completions"
        self._over = threading.Event()
        self._threads = [threading.Thread(target=work) for work in (self._ask, self._stream)]
        for thread in self._threads:
            thread.start()

    def _body(self, tokens: int) -> dict[str, Any]:
        said = [{"role": "user", "content": "hi"}]
        return {"model": self.model, "messages": said, "max_tokens": tokens}

    def _ask(self) -> None:
        with httpx.Client(timeout=30) as http, suppress(httpx.HTTPError):
            while not self._over.is_set():
                self.answers.append(0)
                self.answers[-1] = http.post(self._url, json=self._body(4)).status_code

    def _stream(self) -> None:
        with httpx.Client(timeout=30) as http, suppress(httpx.HTTPError):
            while not self._over.is_set():
                body = self._body(20) | {"stream": True}
                self.streams.append("cut off with an error")
                with http.stream("POST", self._url, json=body) as answer:
                    self.streams[-1] = "".join(answer.iter_text())

    def stop(self) -> None:
        """Let what is under way come to its end."""
        self._over.set()
        for thread in self._threads:
            thread.join(60)


@pytest.fixture
def asking(house: House) -> Iterator[Any]:
    """`asking(model)` starts a client; all are ended with the test."""
    begun: list[Asking] = []

    def begin(model: str) -> Asking:
        begun.append(Asking(house, model))
        until(lambda: min(len(begun[-1].answers), len(begun[-1].streams)) > 1, "first answers")
        return begun[-1]

    yield begin
    for one in begun:
        one.stop()


def whole(streams: list[str]) -> bool:
    return all(text.rstrip().endswith("data: [DONE]") and "error" not in text for text in streams)


def test_two_models_stand_side_by_side_and_one_is_unloaded_alone(house: House) -> None:
    house.settle(max_models=2)
    serve(house, ONE)
    record = serve(house, TWO)
    assert (record["mode"], record["evicted"]) == ("beside", [])
    assert layout(house) == [ONE, TWO]
    assert house.engines() == [f"spark-1:{ONE}", f"spark-1:{TWO}"]
    assert set(house.sim.containers("spark-1")) >= {FIRST, SECOND}
    assert (house.chat(ONE).status_code, house.chat(TWO).status_code) == (200, 200)
    ended = house.ended(house.post("/unload", {"model": ONE})["id"])
    assert (ended["state"], ended["unloads"]) == ("unloaded", ONE)
    assert (layout(house), house.engines()) == ([TWO], [f"spark-1:{TWO}"])
    assert house.chat(TWO).status_code == 200


def test_an_overlap_moves_the_traffic_without_a_failed_request(house: House, asking: Any) -> None:
    """Who asks for the old one is answered until the new one serves; who began is let finish."""
    house.settle(max_models=None)
    house.sim.scenario("spark-1", load_seconds=1.0, token_delay=0.02)
    serve(house, ONE)
    old = asking(ONE)
    swap_id = house.ask(TWO)
    house.reached(swap_id, "loading")
    assert layout(house) == [ONE]
    house.reached(swap_id, "warming", "draining", "stopping")
    answered = len(old.answers) - 1  # without the one under way
    until(lambda: TWO in layout(house), "the new model to be shown")
    new = asking(TWO)
    old.stop()
    record = house.ended(swap_id)
    new.stop()
    assert (record["state"], record["mode"]) == ("serving", "overlap"), json.dumps(record, indent=1)
    assert set(old.answers[:answered]) == {200}
    assert set(new.answers) == {200}
    assert whole(new.streams)
    assert whole([text for text in old.streams if "data:" in text])
    assert (layout(house), house.engines()) == ([TWO], [f"spark-1:{TWO}"])


def test_an_overlap_that_fails_never_interrupts_the_old_model(house: House, asking: Any) -> None:
    house.settle(max_models=None)
    serve(house, ONE)
    before = house.sim.containers("spark-1")[FIRST]["id"]
    house.sim.scenario("spark-1", fail="oom", only=TWO, token_delay=0.01)
    client = asking(ONE)
    record = house.swap(TWO)
    client.stop()
    assert (record["state"], record["mode"]) == ("rolled_back", "overlap")
    assert record["error"]["code"] == "cuda_oom"
    assert set(client.answers) == {200}
    assert whole(client.streams)
    assert (layout(house), house.engines()) == ([ONE], [f"spark-1:{ONE}"])
    assert house.sim.containers("spark-1")[FIRST]["id"] == before


@pytest.mark.parametrize("node", ["relieving", "retiring"])
def test_killed_while_the_old_engine_goes_it_ends_with_the_new_one_alone(
    house: House, node: str
) -> None:
    house.settle(max_models=None)
    serve(house, ONE)
    house.sim.scenario("spark-1", stop_delay=1.5, token_delay=0.3)
    hanging = Asking(house, ONE) if node == "relieving" else None
    swap_id = house.ask(TWO)
    at(house, swap_id, node)
    house.kill()
    house.start()
    record = house.ended(swap_id)
    if hanging is not None:
        hanging.stop()
    assert record["state"] == "serving", json.dumps(record, indent=1)
    assert (layout(house), house.engines()) == ([TWO], [f"spark-1:{TWO}"])
    assert house.chat(TWO).status_code == 200


def test_the_third_of_two_evicts_the_one_that_nobody_asked_for(house: House) -> None:
    house.settle(max_models=2)
    serve(house, ONE)
    serve(house, TWO)
    kept = house.sim.containers("spark-1")[FIRST]["id"]
    assert house.chat(ONE).status_code == 200
    record = serve(house, THREE)
    assert (record["mode"], record["evicted"]) == ("replace", [TWO])
    assert layout(house) == [ONE, THREE]
    assert sorted(house.engines()) == [f"spark-1:{THREE}", f"spark-1:{ONE}"]
    assert house.sim.containers("spark-1")[FIRST]["id"] == kept
    assert (house.chat(THREE).status_code, house.chat(ONE).status_code) == (200, 200)
    house.sim.scenario("spark-1", fail="load", only=TWO)
    record = house.swap(TWO)
    assert record["state"] == "rolled_back"
    assert sorted(layout(house)) == sorted([ONE, THREE])
    assert house.sim.containers("spark-1")[FIRST]["id"] == kept


def test_a_death_of_one_is_mended_and_the_other_never_hears_of_it(house: House) -> None:
    house.settle(max_models=2)
    serve(house, ONE)
    serve(house, TWO)
    before = {name: one["id"] for name, one in house.sim.containers("spark-1").items()}
    house.on_host("spark-1", f"docker kill {SECOND}")
    until(lambda: layout(house) == [ONE], "the death to be noticed")
    assert house.chat(ONE).status_code == 200
    until(lambda: set(layout(house)) == {ONE, TWO}, "the engine to serve again")
    after = {name: one["id"] for name, one in house.sim.containers("spark-1").items()}
    assert after[FIRST] == before[FIRST]
    assert after[SECOND] != before[SECOND]
    assert house.chat(TWO).status_code == 200
