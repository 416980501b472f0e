"""Swaps over real SSH on a simulated cluster, by the public API, with the truth on the hosts."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from openai import OpenAI

from tests.e2e.running import BY_HAND, ONE, THREE, TWO, House, running_house, until

pytestmark = pytest.mark.sim


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with running_house(tmp_path_factory.mktemp("swap"), load_seconds=0.3, settings=BY_HAND) as made:
        yield made


@pytest.fixture(autouse=True)
def quiet(house: House) -> Iterator[None]:
    """Each test begins with no swap under way and a plain scenario, and leaves the cluster so."""
    yield
    house.sim.scenario(
        "spark-1",
        fail="none",
        only="",
        load_seconds=0.3,
        start_delay=0,
        stop_delay=0,
        first_token_delay=0,
        answer="ok",
    )

    def idle() -> bool:
        swaps = house.get("/swaps", limit=5)["swaps"]
        return all(swap["finished_at"] for swap in swaps)

    until(idle, "all swaps to end")


def test_a_model_is_swapped_in_and_answers_through_the_gateway(house: House) -> None:
    record = house.swap(ONE)
    assert record["state"] == "serving"
    assert record["percent"] == 100
    assert {step["state"] for step in record["steps"]} == {"done"}
    assert all(step["seconds"] is not None for step in record["steps"])
    assert house.engines() == [f"spark-1:{ONE}"]
    answer = house.chat(ONE)
    assert answer.status_code == 200
    assert "[simulated]" in answer.json()["choices"][0]["message"]["content"]


def test_the_official_client_streams_from_the_served_model(house: House) -> None:
    house.swap(ONE)
    client = OpenAI(base_url=f"{house.url}/v1", api_key="unused", max_retries=0)
    with client.chat.completions.create(
        model=ONE, messages=[{"role": "user", "content": "hi"}], stream=True, max_tokens=8
    ) as stream:
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert "[simulated]" in text
    client.close()


def test_the_next_swap_leaves_only_its_own_engine(house: House) -> None:
    house.swap(ONE)
    record = house.swap(TWO)
    assert (record["state"], record["previous_model"]) == ("serving", ONE)
    assert house.engines() == [f"spark-1:{TWO}"]
    assert house.chat(ONE).status_code == 503
    assert house.chat(TWO).status_code == 200


@pytest.mark.parametrize(
    ("fail", "code"),
    [
        ("oom", "cuda_oom"),
        ("oom-killed", "oom_killed"),
        ("load", "broken_weights"),
        ("kv", "no_kv_memory"),
        ("arch", "unknown_architecture"),
    ],
)
def test_a_model_that_fails_is_rolled_back_with_cause_and_log(
    house: House, fail: str, code: str
) -> None:
    house.swap(ONE)
    house.sim.scenario("spark-1", fail=fail, only=TWO)
    record = house.swap(TWO)
    assert record["state"] == "rolled_back", json.dumps(record, indent=1)
    error = record["error"]
    assert (error["code"], bool(error["cause"]), bool(error["advice"])) == (code, True, True)
    assert error["log_excerpt"]
    assert house.engines() == [f"spark-1:{ONE}"]
    assert house.chat(ONE).status_code == 200


def test_a_first_load_that_fails_says_that_nothing_serves(house: House) -> None:
    house.ended(house.post("/unload")["id"])
    house.sim.scenario("spark-1", fail="load")
    record = house.swap(ONE)
    assert record["state"] == "failed"
    assert house.engines() == []
    answer = house.chat(ONE)
    assert answer.status_code == 503
    assert answer.json()["error"]["source"] == "spark-control"


def test_a_hanging_load_is_cancelled_and_the_old_model_serves_again(house: House) -> None:
    house.swap(ONE)
    house.sim.scenario("spark-1", fail="hang", only=TWO)
    swap_id = house.ask(TWO)
    house.reached(swap_id, "loading")
    house.post(f"/swaps/{swap_id}/cancel")
    record = house.ended(swap_id)
    assert record["state"] == "cancelled"
    assert house.engines() == [f"spark-1:{ONE}"]
    assert house.chat(ONE).status_code == 200


@pytest.mark.parametrize("answer", ["error", "empty"])
def test_a_model_that_loads_but_does_not_answer_is_rolled_back(house: House, answer: str) -> None:
    house.swap(ONE)
    house.sim.scenario("spark-1", answer=answer, only=TWO)
    record = house.swap(TWO)
    assert (record["state"], record["error"]["code"]) == ("rolled_back", "bad_answer")
    assert house.chat(ONE).status_code == 200


def test_a_broken_copy_is_refused_before_anything_is_touched(house: House) -> None:
    house.swap(ONE)
    before = house.sim.containers("spark-1")["spark-control-engine"]["id"]
    record = house.swap("broken-copy")
    assert record["state"] == "rolled_back"
    assert "safetensors" in record["error"]["message"]
    assert house.sim.containers("spark-1")["spark-control-engine"]["id"] == before


def test_two_people_and_the_same_model_share_one_swap(house: House) -> None:
    first = house.ask(TWO)
    second = house.ask(TWO)
    assert first == second
    assert house.ended(first)["state"] == "serving"


def test_reject_and_replace(house: House) -> None:
    house.swap(ONE)
    house.sim.scenario("spark-1", fail="hang", only=TWO)
    stuck = house.ask(TWO)
    house.reached(stuck, "loading")
    refused = house.http.post("/api/v1/swaps", json={"model": THREE, "on_conflict": "reject"})
    assert refused.status_code == 409
    replaced = house.ended(house.ask(THREE, on_conflict="replace"))
    assert replaced["state"] == "serving"
    assert house.swap_now(stuck)["state"] == "cancelled"
    assert house.engines() == [f"spark-1:{THREE}"]


def test_a_pair_is_served_over_both_hosts_and_leaves_both(house: House) -> None:
    record = house.swap("qwen3-30b-pair", force=True)
    assert record["state"] == "serving", json.dumps(record["error"], indent=1)
    assert house.engines() == ["spark-1:qwen3-30b-pair", "spark-2:qwen3-30b-pair"]
    assert house.chat("qwen3-30b-pair").status_code == 200
    assert house.swap(ONE)["state"] == "serving"
    assert house.engines() == [f"spark-1:{ONE}"]


def test_an_engine_that_dies_is_shown_and_restarted(house: House) -> None:
    house.swap(ONE)
    container = house.sim.containers("spark-1")["spark-control-engine"]
    with httpx.stream("GET", f"{house.url}/api/v1/events", timeout=30) as events:
        lines = events.iter_lines()
        house.kill_engine("spark-1")
        notice = next(line for line in lines if "died" in line)
    assert "restarted" in notice
    until(lambda: house.served() == ONE, "the engine to serve again")
    assert house.engines() == [f"spark-1:{ONE}"]
    assert house.sim.containers("spark-1")["spark-control-engine"]["id"] != container["id"]


def test_a_host_that_is_down_is_named_and_nothing_is_guessed(house: House) -> None:
    house.swap(ONE)
    house.sim.act("spark-1", "down")
    try:
        record = house.swap(TWO)
        assert record["state"] in {"failed", "rolled_back"}
        assert "spark-1" in record["error"]["message"]
    finally:
        house.sim.act("spark-1", "up")
    house.hosts_up()
    until(lambda: house.served() is not None, "the engine to be found again")
    assert house.engines() == [f"spark-1:{ONE}"]


def test_a_restart_of_the_app_finds_the_engine_again(house: House) -> None:
    house.swap(ONE)
    before = house.sim.containers("spark-1")["spark-control-engine"]["id"]
    assert house.stop() == 0
    house.start()
    assert house.served() == ONE
    assert house.chat(ONE).status_code == 200
    assert house.sim.containers("spark-1")["spark-control-engine"]["id"] == before


def test_an_override_written_by_hand_is_picked_up(house: House) -> None:
    overrides: Path = house.sim.dir / "models.override.yaml"
    text = overrides.read_text()
    overrides.write_text(
        text + f'  - {{id: by-hand, name: H, source: {{path: "{house.sim.model(ONE)}"}}}}\n'
    )
    until(lambda: house.http.get("/api/v1/models/by-hand").status_code == 200, "the new entry")
    overrides.write_text("models: [ {id: ")
    until(lambda: house.get("/models")["problems"], "the problem to show")
    assert house.http.get("/api/v1/models/by-hand").status_code == 200
    overrides.write_text(text)
    until(lambda: not house.get("/models")["problems"], "the problem to go")
