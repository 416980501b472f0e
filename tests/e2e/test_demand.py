"""Swap on demand against the simulated cluster: a program asks for a model that is not loaded."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.e2e.running import ONE, TWO, House, running_house, until

pytestmark = pytest.mark.sim

SETTINGS = """
gateway:
  residency_seconds: 0.2
  batch_seconds: 1
  keepalive_seconds: 1
"""
PLAIN = {"fail": "none", "only": "", "load_seconds": 0.3}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with running_house(
        tmp_path_factory.mktemp("demand"), hosts=1, settings=SETTINGS, load_seconds=0.3
    ) as made:
        yield made


@pytest.fixture(autouse=True)
def calm(house: House) -> Iterator[None]:
    yield
    house.sim.scenario("spark-1", **PLAIN)
    until(lambda: house.get("/swaps/current")["id"] is None, "all swaps to end")


def body(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4} | more


def last(house: House) -> dict[str, Any]:
    found: dict[str, Any] = house.get("/swaps", limit=1)["swaps"][0]
    return found


def test_requests_for_what_is_not_loaded_are_held_and_answered_by_one_swap(house: House) -> None:
    """Of two models at once: each is loaded once, and everybody is answered."""
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(house.chat, [ONE, TWO, ONE, TWO, ONE, TWO]))
    assert [answer.status_code for answer in answers] == [200] * 6
    assert all(float(answer.headers["x-spark-queue-seconds"]) > 0 for answer in answers)
    swaps = house.get("/swaps")["swaps"]
    assert sorted(swap["model"] for swap in swaps) == sorted([ONE, TWO])
    assert swaps[0]["requested_by"].startswith("demand: ")


def test_a_stream_hears_that_it_waits_before_its_first_word(house: House) -> None:
    """Comments that a client skips; then the answer, whole."""
    house.swap(ONE)
    house.sim.scenario("spark-1", load_seconds=3)
    with house.http.stream(
        "POST", "/v1/chat/completions", json=body(TWO, stream=True), timeout=60
    ) as answer:
        assert answer.status_code == 200
        lines = [line for line in answer.iter_lines() if line]
    assert lines[0].startswith(":")
    assert lines[-1] == "data: [DONE]"
    first = next(line for line in lines if line.startswith("data: "))
    assert json.loads(first.removeprefix("data: "))["model"] == TWO
    assert house.served() == TWO


def test_a_client_that_leaves_while_it_waits_takes_nothing_with_it(house: House) -> None:
    """The swap that it caused goes on; nothing is in flight for it."""
    house.swap(ONE)
    house.sim.scenario("spark-1", load_seconds=2)
    with house.http.stream("POST", "/v1/chat/completions", json=body(TWO, stream=True)):
        until(lambda: house.get("/swaps/current")["model"] == TWO, "the swap to begin")
    record = house.ended(last(house)["id"])
    assert (record["model"], record["state"]) == (TWO, "serving")
    assert house.chat(TWO).status_code == 200


def test_a_load_that_fails_answers_who_waited_with_its_cause(house: House) -> None:
    """The model before is back, and who asks again at once reads the cause at once."""
    house.swap(ONE)
    house.sim.scenario("spark-1", fail="oom", only=TWO)
    answer = house.chat(TWO)
    assert answer.status_code == 503
    error = answer.json()["error"]
    assert "could not be loaded" in error["message"]
    assert "memory" in error["message"]
    assert error["advice"]
    assert last(house)["state"] == "rolled_back"
    again = house.chat(TWO)
    assert (again.status_code, again.json()["error"]["message"]) == (503, error["message"])
    assert int(again.headers["retry-after"]) > 0
    assert house.chat(ONE).status_code == 200
    house.sim.scenario("spark-1", **PLAIN)
    assert house.swap(TWO)["state"] == "serving"  # a person may, and ends the cool-off
    assert house.chat(TWO).status_code == 200


def test_a_model_says_itself_what_a_request_may_do(house: House) -> None:
    """`never` is refused at once, `ask` waits for a person, `ttl` unloads when nobody asks."""
    house.swap(ONE)
    entry = {"source": {"path": house.sim.model(TWO)}, "aliases": ["second"]}
    house.post(
        "/models", {"id": "second-never", "swap": "never", **entry, "aliases": []}, status=201
    )
    answer = house.chat("second-never")
    assert (answer.status_code, "not loaded" in answer.text) == (503, True)
    assert house.served() == ONE

    house.post("/models", {"id": "second-ask", "swap": "ask", "ttl": 1, **entry}, status=201)
    got: list[int] = []
    waiting = threading.Thread(target=lambda: got.append(house.chat("second").status_code))
    waiting.start()
    until(lambda: "second-ask, which is not loaded" in house.http.get("/").text, "the notice")
    assert house.served() == ONE
    assert house.swap("second-ask")["state"] == "serving"
    waiting.join(60)
    assert got == [200]
    until(lambda: house.served() is None, "the model to be unloaded")
    assert last(house)["requested_by"] == "demand: unused for its ttl"


def test_a_bridge_answers_meanwhile_and_the_default_returns(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The header says who answered; a variant sets its field; who declines the bridge waits."""
    more = f"  bridge: {ONE}\n  default_model: {ONE}\n  default_after_seconds: 2\n"
    folder = tmp_path_factory.mktemp("bridge")
    with running_house(folder, hosts=1, settings=SETTINGS + more, load_seconds=0.5) as house:
        assert house.swap(ONE)["state"] == "serving"
        answer = house.chat(TWO)
        assert (answer.status_code, answer.json()["model"]) == (200, ONE)
        assert answer.headers["x-spark-bridge"] == answer.headers["x-spark-model"] == ONE
        until(lambda: house.served() == TWO, "the model that was asked for")
        until(lambda: house.served() == ONE, "the default model")
        assert last(house)["requested_by"] == "demand: return to the default model"

        entry = {"id": "own", "source": {"path": house.sim.model(TWO)}}
        house.post("/models", entry | {"variants": {"short": {"max_tokens": 2}}}, status=201)
        declines = {"X-Spark-No-Bridge": "1"}
        answer = house.http.post(
            "/v1/chat/completions", json=body("own:short"), headers=declines, timeout=60
        )
        assert answer.status_code == 200
        assert "x-spark-bridge" not in answer.headers
        assert answer.json()["usage"]["completion_tokens"] == 2
