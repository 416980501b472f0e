"""The control plane is killed with -9 in every state and started again.

After each: the swap ended in the truth, one engine at most runs, nothing of the killed life is left
on the hosts, and the page's own source of truth (the API) agrees with the hosts.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from tests.e2e.running import BY_HAND, ONE, THREE, TWO, House, running_house, until

pytestmark = pytest.mark.sim

CALM: dict[str, Any] = {
    "fail": "none",
    "only": "",
    "load_seconds": 0.3,
    "start_delay": 0.0,
    "stop_delay": 0.0,
    "smi_delay": 0.0,
    "first_token_delay": 0.0,
    "token_delay": 0.0,
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with running_house(
        tmp_path_factory.mktemp("kill9"), load_seconds=0.3, settings=BY_HAND
    ) as made:
        assert made.swap(ONE)["state"] == "serving"
        yield made


@pytest.fixture
def calm(house: House) -> Iterator[House]:
    """Every test begins with ONE served in a plain scenario."""
    house.sim.scenario("spark-1", **CALM)
    record = house.swap(ONE)
    assert record["state"] == "serving", record["error"]
    yield house
    house.sim.scenario("spark-1", **CALM)


def running_step(record: dict[str, Any]) -> str:
    """The inner node: the name of the step that runs."""
    names = [s["name"] for s in record["steps"] if s["state"] == "running" and ":" not in s["name"]]
    return names[-1] if names else ""


def at(house: House, swap_id: str, node: str) -> None:
    until(lambda: running_step(house.swap_now(swap_id)) == node, f"{swap_id} to be in {node}")


def one_engine_and_no_orphan(house: House, model: str) -> None:
    """What runs on the host is the engine served and one sampler, whatever happened before."""
    assert house.engines() == [f"spark-1:{model}"]
    until(lambda: house.served() == model, f"{model} to be shown as served")
    assert house.chat(model).status_code == 200
    until(lambda: groups(house) == 2, "nothing to run there but one sampler and one engine")


def groups(house: House) -> int:
    """Process groups on the host: one for each remote command, and one for the engine."""
    found = set()
    for pid in house.sim.processes("spark-1"):
        with suppress(ProcessLookupError):
            found.add(os.getpgid(pid))
    return len(found)


@pytest.mark.parametrize(
    ("node", "slow"),
    [
        ("preflight", {"smi_delay": 1.5}),
        ("stopping", {"stop_delay": 1.5}),
        ("starting", {"start_delay": 1.5}),
        ("loading", {"load_seconds": 3.0}),
        ("warming", {"first_token_delay": 1.5}),
    ],
)
def test_killed_on_the_way_it_ends_serving(calm: House, node: str, slow: dict[str, float]) -> None:
    calm.sim.scenario("spark-1", **slow)
    swap_id = calm.ask(TWO)
    at(calm, swap_id, node)
    calm.kill()
    calm.start()
    record = calm.ended(swap_id)
    assert record["state"] == "serving", record["error"]
    assert record["previous_model"] == ONE
    one_engine_and_no_orphan(calm, TWO)


@pytest.mark.parametrize(
    ("node", "slow"),
    [
        ("rb_stopping", {"stop_delay": 1.5}),
        ("rb_starting", {"start_delay": 1.5}),
        ("rb_loading", {"load_seconds": 2.0}),
        ("rb_warming", {"first_token_delay": 1.5}),
    ],
)
def test_killed_while_rolling_back_it_ends_rolled_back(
    calm: House, node: str, slow: dict[str, float]
) -> None:
    calm.sim.scenario("spark-1", fail="hang", only=TWO, **slow)
    swap_id = calm.ask(TWO)
    at(calm, swap_id, "loading")
    calm.kill_engine("spark-1")
    at(calm, swap_id, node)
    calm.kill()
    calm.start()
    record = calm.ended(swap_id)
    assert record["state"] == "rolled_back", record["error"]
    assert record["error"]["cause"]
    one_engine_and_no_orphan(calm, ONE)


def test_killed_while_draining_it_goes_on_without_the_callers(calm: House) -> None:
    calm.sim.scenario("spark-1", token_delay=0.2)
    caller = threading.Thread(target=long_answer, args=(calm.url,), daemon=True)
    caller.start()
    until(lambda: b"spark_gateway_in_flight{model=" in calm.http.get("/metrics").content, "a lease")
    swap_id = calm.ask(TWO)
    at(calm, swap_id, "draining")
    calm.kill()
    calm.start()
    assert calm.ended(swap_id)["state"] == "serving"
    caller.join(10)
    assert not caller.is_alive()
    one_engine_and_no_orphan(calm, TWO)


def long_answer(url: str) -> None:
    body = {
        "model": ONE,
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 200,
        "stream": True,
    }
    with (
        suppress(httpx.TransportError),
        httpx.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=60) as answer,
    ):
        for _ in answer.iter_raw():
            pass


def test_killed_with_a_queue_it_still_does_what_was_asked(calm: House) -> None:
    calm.sim.scenario("spark-1", load_seconds=2.0)
    first = calm.ask(TWO)
    at(calm, first, "loading")
    calm.sim.scenario("spark-1", load_seconds=0.3)
    second = calm.ask(THREE)
    calm.kill()
    calm.start()
    assert calm.ended(second)["state"] == "serving"
    assert calm.swap_now(first)["state"] == "serving"
    one_engine_and_no_orphan(calm, THREE)


def test_killed_during_an_unload_nothing_is_left(calm: House) -> None:
    calm.sim.scenario("spark-1", stop_delay=1.5)
    swap_id = calm.post("/unload")["id"]
    at(calm, swap_id, "stopping")
    calm.kill()
    calm.start()
    assert calm.ended(swap_id)["state"] == "unloaded"
    assert calm.engines() == []
    assert calm.served() is None


def test_killed_again_and_again_during_one_swap(calm: House) -> None:
    """Each life takes it a little further; none starts a second engine."""
    calm.sim.scenario("spark-1", load_seconds=2.5, start_delay=0.5, stop_delay=0.5)
    swap_id = calm.ask(TWO)
    steps: tuple[Callable[[], None], ...] = (
        lambda: at(calm, swap_id, "stopping"),
        lambda: at(calm, swap_id, "starting"),
        lambda: at(calm, swap_id, "loading"),
    )
    for wait in steps:
        wait()
        calm.kill()
        calm.start()
        assert len(calm.engines()) <= 1
    assert calm.ended(swap_id)["state"] == "serving"
    one_engine_and_no_orphan(calm, TWO)


def test_the_engine_died_while_nobody_watched(calm: House) -> None:
    """Down while we were down: found at the start, told, and the previous model restored."""
    calm.sim.scenario("spark-1", start_delay=0.5, load_seconds=3.0)
    swap_id = calm.ask(TWO)
    at(calm, swap_id, "loading")
    calm.kill()
    calm.sim.scenario("spark-1", **CALM)
    calm.kill_engine("spark-1")
    calm.start()
    record = calm.ended(swap_id)
    assert record["state"] == "rolled_back"
    assert "not running" in record["error"]["message"]
    one_engine_and_no_orphan(calm, ONE)
