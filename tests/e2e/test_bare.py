"""The bare launcher from end to end: `vllm serve` as a session of its own, and no docker anywhere.

The truth is /proc: which processes are in the engine's session, and which are not ours.
"""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.running import BY_HAND, ONE, TWO, House, running_house, until

pytestmark = pytest.mark.sim


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The launcher is changed by hand while the app runs; docker is not installed at all."""
    where = tmp_path_factory.mktemp("bare")
    with running_house(where, hosts=1, load_seconds=0.2, docker="absent", settings=BY_HAND) as made:
        made.settle(launcher="bare", stop_seconds=2)
        yield made


@pytest.fixture(autouse=True)
def calm(house: House) -> Iterator[None]:
    yield
    house.sim.scenario("spark-1", fail="none", only="", load_seconds=0.2, release_delay=0.1)


def state(house: House) -> Path:
    home = house.sim.hosts["spark-1"].directory / "home"
    return home / ".spark-control" / "engines" / "spark-control-engine"


def leader(house: House) -> int:
    return int((state(house) / "pid").read_text().split()[0])


def session(leader_pid: int) -> list[int]:
    """The living processes of a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader_pid and fields[0] not in {"Z", "X"}:
                found.append(int(path.parent.name))
    return found


def vllm_sessions(house: House) -> set[int]:
    """The sessions of every `vllm serve` on the host, ours or not."""
    found = set()
    for pid in house.sim.processes("spark-1"):
        with suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if b"--served-model-name" in words and b"setsid" not in words[0]:
                stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                found.add(int(stat[3]))
    return found


def test_a_model_is_served_without_docker(house: House) -> None:
    record = house.swap(ONE)
    assert record["state"] == "serving", json.dumps(record, indent=1)
    assert vllm_sessions(house) == {leader(house)}
    assert house.chat(ONE).status_code == 200
    assert json.loads((state(house) / "meta.json").read_text())["tag"] == record["id"]
    lines = house.get("/hosts/spark-1/logs")["lines"]
    assert any("Application startup complete" in line for line in lines)
    shown = house.get(f"/models/{ONE}/command")["commands"]
    assert ["docker" in one["command"] for one in shown] == [False]


def test_the_next_model_leaves_nothing_of_the_last_one(house: House) -> None:
    house.swap(ONE)
    before = leader(house)
    assert house.swap(TWO)["state"] == "serving"
    assert session(before) == []
    assert vllm_sessions(house) == {leader(house)}
    assert house.chat(TWO).status_code == 200


def test_a_load_that_fails_is_rolled_back_with_cause_and_log(house: House) -> None:
    """And its memory, which lags behind its end, is waited for before the old one starts."""
    house.swap(ONE)
    house.sim.scenario("spark-1", fail="oom", only=TWO, release_delay=1)
    record = house.swap(TWO)
    assert (record["state"], record["error"]["code"]) == ("rolled_back", "cuda_oom"), record
    assert record["error"]["log_excerpt"]
    assert vllm_sessions(house) == {leader(house)}
    assert house.chat(ONE).status_code == 200


def test_a_restarted_app_finds_the_very_same_engine(house: House) -> None:
    house.swap(ONE)
    before = leader(house)
    assert house.stop() == 0
    assert session(before)
    house.start()
    assert house.served() == ONE
    until(lambda: house.chat(ONE).status_code == 200, "an answer")
    assert vllm_sessions(house) == {before}


def test_an_app_killed_in_mid_load_goes_on_with_the_engine_it_started(house: House) -> None:
    house.swap(ONE)
    house.sim.scenario("spark-1", load_seconds=1.5)
    swap_id = house.ask(TWO)
    house.reached(swap_id, "loading")
    started = leader(house)
    house.kill()
    house.start()
    record = house.ended(swap_id)
    assert record["state"] == "serving", json.dumps(record, indent=1)
    assert vllm_sessions(house) == {started}
    assert house.chat(TWO).status_code == 200


def test_a_cancelled_load_leaves_no_process_and_the_old_model_answers(house: House) -> None:
    house.swap(ONE)
    house.sim.scenario("spark-1", fail="hang", only=TWO)
    swap_id = house.ask(TWO)
    house.reached(swap_id, "loading")
    hanging = leader(house)
    house.post(f"/swaps/{swap_id}/cancel")
    assert house.ended(swap_id)["state"] == "cancelled"
    assert session(hanging) == []
    assert vllm_sessions(house) == {leader(house)}
    assert house.chat(ONE).status_code == 200


def test_a_pid_that_another_program_got_is_never_taken_for_the_engine(house: House) -> None:
    """While nobody looked the engine died, and its number went to a program of somebody else."""
    house.swap(ONE)
    dead = leader(house)
    assert house.stop() == 0
    _, ticks, boot = (state(house) / "pid").read_text().split()
    for pid in session(dead):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not session(dead), "the engine to be gone")
    stranger = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        (state(house) / "pid").write_text(f"{stranger.pid} {ticks} {boot}\n")
        house.start()
        until(lambda: vllm_sessions(house), "the engine to be started again")
        until(lambda: house.served() == ONE and house.chat(ONE).status_code == 200, "an answer")
        assert house.ended(house.post("/unload")["id"])["state"] == "unloaded"
        assert vllm_sessions(house) == set()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_an_unloaded_engine_is_gone_with_its_whole_session(house: House) -> None:
    house.swap(ONE)
    before = leader(house)
    assert len(session(before)) >= 2
    assert house.ended(house.post("/unload")["id"])["state"] == "unloaded"
    assert session(before) == []
    assert house.served() is None
    assert not (state(house) / "pid").exists()


def test_a_program_missing_on_the_host_is_said_before_anything_is_touched(house: House) -> None:
    house.swap(ONE)
    before = leader(house)
    house.settle(bare_venv="/opt/nowhere")
    try:
        findings = house.http.post(f"/api/v1/models/{TWO}/preflight").json()["findings"]
        doctor = house.http.post("/api/v1/hosts/spark-1/check").json()["findings"]
    finally:
        house.settle(bare_venv=None)
    assert leader(house) == before
    told = [one["message"] for one in findings + doctor if one["severity"] == "error"]
    assert any("vllm" in message for message in told), (findings, doctor)
