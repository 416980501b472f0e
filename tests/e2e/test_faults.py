"""What breaks around a running Spark Control: hosts, links, keys, engines, docker, disks, itself.

Each test makes one thing go wrong on the simulated cluster and holds the answer of the public API
against the truth on the hosts; then the thing is mended, and all must be well again.
"""

import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.disks import Disk, disk
from tests.e2e.running import BY_HAND, ONE, ROOT, THREE, TWO, House, running_house, until

pytestmark = pytest.mark.sim

PAIR = "qwen3-30b-pair"
CALM: dict[str, Any] = {
    "fail": "none",
    "only": "",
    "load_seconds": 0.2,
    "start_delay": 0.0,
    "stop_delay": 0.0,
    "smi_delay": 0.0,
    "token_delay": 0.005,
    "docker": "ok",
    "disk_full": False,
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with running_house(
        tmp_path_factory.mktemp("faults"), load_seconds=0.2, settings=BY_HAND
    ) as made:
        made.settle(stop_seconds=2, restart_limit=1)
        yield made


@pytest.fixture(autouse=True)
def calm(house: House) -> Iterator[None]:
    """Each test leaves both hosts well and no swap under way."""
    yield
    for name in house.sim.hosts:
        house.sim.scenario(name, **CALM)
        if house.sim.host(name)["link"] != "up":
            house.sim.act(name, "up")

    if not house.runs():
        return  # another control plane has the cluster

    def idle() -> bool:
        return all(swap["finished_at"] for swap in house.get("/swaps", limit=5)["swaps"])

    until(idle, "all swaps to end")
    house.hosts_up()


def serve(house: House, model: str) -> str:
    """`model` is served; the id of its container on the head."""
    record = house.swap(model)
    assert record["state"] == "serving", json.dumps(record, indent=1)
    return container(house)


def container(house: House, host: str = "spark-1") -> str:
    ident: str = house.sim.containers(host)["spark-control-engine"]["id"]
    return ident


def serves(house: House, model: str) -> None:
    """Shown, answering, and the only engine there is."""
    until(lambda: house.served() == model, f"{model} to be served")
    until(lambda: house.chat(model).status_code == 200, f"{model} to answer")
    assert house.engines() == [f"spark-1:{model}"]


def errors(findings: list[dict[str, Any]]) -> str:
    told = [one["message"] for one in findings if one["severity"] in {"error", "unknown"}]
    return " ".join(told)


# ---- hosts and links


def test_a_swap_to_a_host_that_is_down_says_so_and_guesses_nothing(house: House) -> None:
    before = serve(house, ONE)
    house.sim.act("spark-1", "down")
    record = house.swap(TWO)
    assert record["state"] in {"failed", "rolled_back"}
    assert "spark-1" in record["error"]["message"]
    assert record["error"]["advice"]
    assert house.http.post(f"/api/v1/models/{TWO}/preflight").json()["ok"] is False
    house.sim.act("spark-1", "up")
    serves(house, ONE)
    assert container(house) == before


@pytest.mark.parametrize("loss", ["down", "cut"])
def test_a_host_lost_in_mid_load_and_back_in_time_goes_on_loading(house: House, loss: str) -> None:
    serve(house, ONE)
    house.sim.scenario("spark-1", load_seconds=2)
    swap_id = house.ask(TWO)
    house.reached(swap_id, "loading")
    started = container(house)
    house.sim.act("spark-1", loss)
    if loss == "down":
        until(lambda: "not reachable" in house.swap_now(swap_id)["stage"], "the loss to show")
    else:
        assert house.swap_now(swap_id)["state"] == "loading"
    house.sim.act("spark-1", "up")
    record = house.ended(swap_id)
    assert record["state"] == "serving", json.dumps(record, indent=1)
    assert container(house) == started
    serves(house, TWO)


def test_a_host_lost_for_too_long_fails_with_the_truth_and_is_swept_when_back(
    house: House,
) -> None:
    serve(house, ONE)
    house.settle(host_lost_seconds=1)
    house.sim.scenario("spark-1", load_seconds=1.5)
    swap_id = house.ask(TWO)
    house.reached(swap_id, "loading")
    house.sim.act("spark-1", "down")
    record = house.ended(swap_id)
    house.settle(host_lost_seconds=None)
    assert (record["state"], record["error"]["code"]) == ("failed", "host_lost")
    assert "spark-1" in record["error"]["message"]
    assert house.served() is None
    assert len(house.engines()) <= 1
    house.sim.act("spark-1", "up")

    def settled_down() -> bool:
        assert len(house.engines()) <= 1
        return house.served() == TWO or not house.engines()

    until(settled_down, "the engine to be adopted or removed")


def test_a_reboot_in_mid_load_ends_with_the_previous_model(house: House) -> None:
    serve(house, ONE)
    house.sim.scenario("spark-1", load_seconds=2)
    swap_id = house.ask(TWO)
    house.reached(swap_id, "loading")
    house.sim.act("spark-1", "reboot")
    record = house.ended(swap_id)
    assert record["state"] == "rolled_back", json.dumps(record, indent=1)
    assert record["error"]["message"]
    serves(house, ONE)


def test_a_reboot_while_serving_is_noticed_and_the_model_comes_back(house: House) -> None:
    before = serve(house, ONE)
    house.sim.act("spark-1", "reboot")

    def anew() -> bool:
        there = house.sim.containers("spark-1").get("spark-control-engine")
        return there is not None and there["id"] != before

    until(anew, "another engine")
    serves(house, ONE)


# ---- host keys


def test_a_changed_host_key_is_refused_until_a_person_accepts_it(house: House) -> None:
    before = serve(house, ONE)
    pinned = house.sim.known_hosts.read_text()
    house.sim.act("spark-1", "new-host-key")

    def change() -> Any:
        return house.get("/hosts/spark-1")["host_key_change"]

    seen = until(change, "the change to show")
    assert seen["pinned"].startswith("SHA256:")
    assert seen["offered"].startswith("SHA256:")
    assert seen["pinned"] != seen["offered"]
    host = house.get("/hosts/spark-1")
    assert host["health"] != "up"
    findings = house.http.post("/api/v1/hosts/spark-1/check").json()["findings"]
    key = next(one for one in findings if one["code"] == "host_key")
    assert key["severity"] == "error"
    assert seen["pinned"] in key["message"]
    assert seen["offered"] in key["message"]

    record = house.swap(TWO)
    assert record["state"] == "rolled_back", json.dumps(record, indent=1)
    assert "key" in record["error"]["message"]
    assert container(house) == before, "something was sent to a host that nobody trusts"
    assert house.sim.known_hosts.read_text() == pinned

    wrong = house.http.post(
        "/api/v1/hosts/spark-1/accept-key", json={"fingerprint": seen["pinned"]}
    )
    assert wrong.status_code == 409
    accepted = house.http.post(
        "/api/v1/hosts/spark-1/accept-key", json={"fingerprint": seen["offered"]}
    )
    assert accepted.status_code == 200, accepted.text
    house.hosts_up()
    assert house.get("/hosts/spark-1")["host_key_change"] is None
    serve(house, TWO)


# ---- engines that die


def test_an_engine_that_dies_is_followed_by_what_the_policy_says(house: House) -> None:
    """`rollback`: the model before. `none`: nothing, and it is said that nothing is served."""
    serve(house, TWO)
    serve(house, ONE)
    house.settle(on_death="rollback")
    house.kill_engine("spark-1")
    until(lambda: house.served() == TWO, "the model before to be served")
    serves(house, TWO)
    house.settle(on_death="none")
    house.kill_engine("spark-1")
    until(lambda: house.served() is None, "the death to be noticed")
    house.settle(on_death=None)
    assert house.chat(TWO).status_code == 503
    assert house.engines() == []
    assert house.get("/swaps/current")["id"] is None


def test_an_engine_that_keeps_dying_is_given_up_for_the_model_before(house: House) -> None:
    """`restart_limit` restarts, then the model that served before it, and no more after that."""
    serve(house, TWO)
    serve(house, THREE)
    newest = house.get("/swaps", limit=1)["swaps"][0]["id"]
    # The one that runs dies of it as well.
    house.sim.scenario("spark-1", fail="crash", only=THREE, crash_after_seconds=0.3)
    until(lambda: house.served() == TWO, "the model before to be served")
    since = []
    for swap in house.get("/swaps")["swaps"]:
        if swap["id"] == newest:
            break
        since.append((swap["model"], swap["requested_by"].partition(":")[0]))
    assert since == [(TWO, "watchdog"), (THREE, "watchdog")]
    serves(house, TWO)


def test_a_pair_whose_worker_dies_is_started_anew_on_both_hosts(house: House) -> None:
    record = house.swap(PAIR, force=True)
    assert record["state"] == "serving", json.dumps(record["error"], indent=1)
    before = container(house, "spark-1"), container(house, "spark-2")
    house.kill_engine("spark-2")

    def anew() -> bool:
        there = all("spark-control-engine" in house.sim.containers(h) for h in house.sim.hosts)
        return there and (container(house, "spark-1"), container(house, "spark-2")) != before

    until(anew, "another pair of engines")
    until(lambda: house.served() == PAIR and house.chat(PAIR).status_code == 200, "an answer")
    assert house.engines() == [f"spark-1:{PAIR}", f"spark-2:{PAIR}"]


# ---- docker, disk and port of a host


@pytest.mark.parametrize("fault", ["absent", "denied", "down"])
def test_docker_that_cannot_be_used_is_a_clear_finding(house: House, fault: str) -> None:
    before = serve(house, ONE)
    house.sim.scenario("spark-1", docker=fault)
    preflight = house.http.post(f"/api/v1/models/{TWO}/preflight").json()
    doctor = house.http.post("/api/v1/hosts/spark-1/check").json()
    assert (preflight["ok"], doctor["ok"]) == (False, False)
    for findings in (preflight["findings"], doctor["findings"]):
        assert "docker" in errors(findings).lower(), findings
        assert all(one["advice"] for one in findings if one["severity"] == "error"), findings
    record = house.swap(TWO)
    assert record["state"] == "rolled_back", json.dumps(record, indent=1)
    assert "docker" in record["error"]["message"].lower()
    house.sim.scenario("spark-1", docker="ok")
    serves(house, ONE)
    assert container(house) == before


def test_a_full_disk_on_the_host_is_said_before_the_served_model_is_touched(house: House) -> None:
    before = serve(house, ONE)
    house.sim.scenario("spark-1", disk_full=True)
    record = house.swap(TWO)
    assert (record["state"], record["error"]["code"]) == ("rolled_back", "disk_full")
    assert record["error"]["advice"]
    serves(house, ONE)
    assert container(house) == before
    forced = house.swap(TWO, force=True)
    assert (forced["state"], forced["error"]["code"]) == ("failed", "disk_full")
    assert house.engines() == []
    assert house.served() is None


def test_a_foreign_program_on_the_engine_port_is_named(house: House) -> None:
    house.ended(house.post("/unload")["id"])
    at = house.sim.hosts["spark-1"].address
    port = house.sim.engine_port
    pid = house.on_host(
        "spark-1",
        f"setsid {sys.executable} -m http.server {port} --bind {at} </dev/null >/dev/null 2>&1 "
        "& echo $!",
    ).strip()

    def listens() -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"http://{at}:{port}/").status_code > 0
        return False

    try:
        until(listens, "the foreign program")
        record = house.swap(TWO)
        assert (record["state"], record["error"]["code"]) == ("failed", "port_taken")
        assert str(port) in record["error"]["message"]
        assert "python" in record["error"]["message"]
        assert house.engines() == []
        forced = house.swap(TWO, force=True)
        assert forced["state"] == "failed", json.dumps(forced, indent=1)
        assert listens()
    finally:
        house.on_host("spark-1", f"kill -9 {pid} || kill -9 -- -{pid}")
    assert house.engines() == []
    serve(house, TWO)


# ---- a start that is slow to begin


def test_a_cancel_while_docker_run_is_at_work_leaves_no_late_engine(house: House) -> None:
    before = serve(house, ONE)
    house.sim.scenario("spark-1", start_delay=1.2, only=TWO)
    swap_id = house.ask(TWO)
    house.reached(swap_id, "starting")
    begun = time.monotonic()
    house.sim.scenario("spark-1", start_delay=0)
    house.post(f"/swaps/{swap_id}/cancel")
    assert house.ended(swap_id)["state"] == "cancelled"
    serves(house, ONE)
    assert container(house) != before

    def late() -> bool:
        assert house.engines() == [f"spark-1:{ONE}"]
        return time.monotonic() - begun > 2

    until(late, "the time at which a late engine would have come")
    serves(house, ONE)


def test_docker_that_hangs_is_told_and_does_not_hold_up_anything_else(house: House) -> None:
    """Every question to it has a deadline; the other host, the API and the engine go on."""
    serve(house, ONE)
    house.sim.scenario("spark-1", docker="hang")
    answers: dict[str, Any] = {}

    def ask(name: str, path: str) -> None:
        answers[name] = house.http.post(f"/api/v1{path}", timeout=60)

    asking = [
        threading.Thread(target=ask, args=("doctor", "/hosts/spark-1/check")),
        threading.Thread(target=ask, args=("preflight", f"/models/{TWO}/preflight")),
    ]
    for thread in asking:
        thread.start()
    assert house.http.post("/api/v1/hosts/spark-2/check").json()["ok"] is True
    assert house.chat(ONE).status_code == 200
    for thread in asking:
        thread.join()
    house.sim.scenario("spark-1", docker="ok")
    assert {name: answer.status_code for name, answer in answers.items()} == {
        "doctor": 200,
        "preflight": 200,
    }
    for answer in answers.values():
        assert answer.json()["ok"] is False
        assert "docker" in errors(answer.json()["findings"]).lower(), answer.text
    serves(house, ONE)


# ---- Spark Control itself


def test_a_second_control_plane_on_the_same_data_is_refused(house: House) -> None:
    ended = subprocess.run(
        [*SERVE, "--data", str(house.sim.dir), "--port", "0"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 1
    assert "Another Spark Control is running" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert house.http.get("/readyz").status_code == 200


SERVE = (sys.executable, "-m", "server.cli.main", "serve")


class Reader(threading.Thread):
    """Reads a stream to its end; `lines` as they come, `broken` when it did not end well."""

    def __init__(self, house: House, method: str, path: str, body: Any = None) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.broken: Exception | None = None
        self._ask = (method, house.url + path, body)
        self.start()
        until(lambda: len(self.lines) > 1, f"the first lines of {path}")

    def run(self) -> None:
        method, url, body = self._ask
        try:
            with httpx.stream(method, url, json=body, timeout=60) as answer:
                for line in answer.iter_lines():
                    self.lines.append(line)
        except httpx.HTTPError as error:
            self.broken = error


def test_a_shutdown_is_quick_and_tells_every_open_stream(house: House) -> None:
    """Exit 0 in under five seconds; the engine goes on, and is served again at the next start."""
    before = serve(house, ONE)
    house.sim.scenario("spark-1", token_delay=0.3)
    chat = {
        "model": ONE,
        "messages": [{"role": "user", "content": "tell me everything"}],
        "stream": True,
        "max_tokens": 500,
        "ignore_eos": True,
    }
    events = Reader(house, "GET", "/api/v1/events")
    talk = Reader(house, "POST", "/v1/chat/completions", chat)
    begun = time.monotonic()
    status = house.stop()
    seconds = time.monotonic() - begun
    events.join(10)
    talk.join(10)
    try:
        assert status == 0
        assert seconds < 5
        assert events.broken is None
        assert "shutting_down" in events.lines[-2] + events.lines[-1] + "".join(events.lines[-4:])
        assert talk.broken is None
        last = [line for line in talk.lines if line.startswith("data:")][-1]
        assert "shutting down" in last or "[DONE]" in last, last
        assert house.engines() == [f"spark-1:{ONE}"]
    finally:
        house.start()
    house.sim.scenario("spark-1", token_delay=0.0)
    serves(house, ONE)
    assert container(house) == before


def test_a_shutdown_in_the_middle_of_a_swap_is_taken_up_at_the_next_start(house: House) -> None:
    serve(house, ONE)
    house.sim.scenario("spark-1", load_seconds=1)
    swap_id = house.ask(TWO)
    house.reached(swap_id, "loading")
    started = container(house)
    begun = time.monotonic()
    assert house.stop() == 0
    assert time.monotonic() - begun < 5
    house.sim.scenario("spark-1", docker="down")  # nobody can say what runs: nothing is guessed
    house.start()
    until(lambda: "waiting for spark-1" in house.swap_now(swap_id)["stage"], "the wait to show")
    house.sim.scenario("spark-1", docker="ok")
    record = house.ended(swap_id)
    assert record["state"] == "serving", json.dumps(record, indent=1)
    assert container(house) == started
    serves(house, TWO)


# ---- the disk of the data directory


@contextlib.contextmanager
def no_room(on: Disk, process: "subprocess.Popen[bytes] | None") -> Iterator[None]:
    """The disk is full for the program that runs on it."""
    if on.real or process is None:
        with on.full():
            yield
        return
    before = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, before)


@pytest.fixture(scope="module")
def small(house: House) -> Iterator[tuple[House, Disk]]:
    """The same cluster, steered from a small disk; the other control plane rests meanwhile."""
    house.ended(house.post("/unload")["id"])
    house.stop()
    with disk(24 << 20) as found:
        data = found.path / "data"
        data.mkdir(mode=0o700)
        for name in ("config.yaml", "models.override.yaml"):
            shutil.copy(house.sim.dir / name, data)
        shutil.copytree(house.sim.dir / "ssh", data / "ssh")
        other = House(house.sim, data)
        if os.geteuid() == 0:  # permission bits mean nothing to root
            other.front = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
        other.start()
        try:
            other.hosts_up()
            yield other, found
            other.ended(other.post("/unload")["id"])
        finally:
            assert other.stop() == 0
            other.http.close()
            house.start()


def assert_told(answer: httpx.Response, status: int, code: str, *words: str) -> None:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["code"] == code
    for word in words:
        assert word in error["message"], error
    assert "Traceback" not in answer.text
    assert "/tmp" not in error["message"]


def changes(house: House) -> dict[str, httpx.Response]:
    """One request of each kind that has to be saved."""
    return {
        "swap": house.http.post("/api/v1/swaps", json={"model": ONE}),
        "knobs": house.http.put(f"/api/v1/models/{ONE}/knobs", json={"max_model_len": 4096}),
        "model": house.http.post("/api/v1/models", json={"id": "new", "source": {"hf": "a/b"}}),
        "host": house.http.post("/api/v1/hosts", json={"name": "new", "address": "192.0.2.9"}),
    }


def saved(house: House) -> dict[str, bytes]:
    names = ("config.yaml", "models.override.yaml", "ssh/known_hosts", "ssh/id_ed25519")
    return {name: (house.data / name).read_bytes() for name in names}


def test_a_full_data_directory_is_told_loses_nothing_and_mends_itself(
    small: tuple[House, Disk],
) -> None:
    house, on = small
    first = house.swap(ONE)
    assert first["state"] == "serving", json.dumps(first["error"], indent=1)
    before = saved(house)
    with no_room(on, house.process):
        for what, answer in changes(house).items():
            assert_told(answer, 507, "insufficient_storage", "full")
            assert answer.json()["error"]["message"], what
        assert house.http.get("/readyz").status_code == 503
        assert house.http.get("/livez").status_code == 200
        assert house.chat(ONE).status_code == 200
        assert house.get(f"/swaps/{first['id']}")["state"] == "serving"
        assert saved(house) == before
    until(lambda: house.http.get("/readyz").status_code == 200, "the app to be ready again")
    assert saved(house) == before
    assert house.http.put(f"/api/v1/models/{ONE}/knobs", json={}).status_code == 200
    assert house.swap(TWO)["state"] == "serving"
    assert first["id"] in {swap["id"] for swap in house.get("/swaps")["swaps"]}
    leftovers = [path.name for path in house.data.rglob("*.part")]
    assert leftovers == []


def test_a_disk_that_fills_up_in_mid_swap_holds_it_until_there_is_room(
    small: tuple[House, Disk],
) -> None:
    """No step is taken that could not be written down first; then the swap goes on by itself."""
    house, on = small
    house.swap(TWO)
    house.sim.scenario("spark-1", load_seconds=1)
    swap_id = house.ask(THREE)
    house.reached(swap_id, "loading")
    with no_room(on, house.process):

        def paused() -> bool:
            now = house.swap_now(swap_id)
            assert now["state"] != "serving"
            return "full" in now["stage"]

        until(paused, "the pause to show")
    record = house.ended(swap_id)
    assert record["state"] == "serving", json.dumps(record, indent=1)
    serves(house, THREE)


def test_a_data_directory_that_may_not_be_written_is_told_and_mends_itself(
    small: tuple[House, Disk],
) -> None:
    house, _ = small
    before = saved(house)
    house.data.chmod(0o555)
    try:
        for what, answer in changes(house).items():
            if what != "swap":  # the database is open already, and may go on
                assert_told(answer, 503, "unavailable", "permission")
        assert house.http.get("/readyz").status_code == 503
    finally:
        house.data.chmod(0o700)
    until(lambda: house.http.get("/readyz").status_code == 200, "the app to be ready again")
    assert saved(house) == before
    assert house.swap(ONE)["state"] == "serving"


def start_on(path: Path, *front: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*front, *SERVE, "--data", str(path), "--port", "0"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )


def test_a_start_on_a_disk_that_takes_nothing_says_what_to_do() -> None:
    """Full, then read-only: exit status 1 and a sentence, never a traceback."""
    with disk() as on:
        with on.full():
            full = start_on(on.path)
        assert full.returncode == 1, full.stderr
        assert "full" in full.stderr
        powers = () if on.real or os.geteuid() else ("setpriv", "--bounding-set=-all")
        if on.real:
            with on.read_only():
                shut = start_on(on.path)
        else:
            on.path.chmod(0o555)
            shut = start_on(on.path, *powers)
            on.path.chmod(0o700)
        assert shut.returncode == 1, shut.stderr
        assert "read-only" in shut.stderr or "permission" in shut.stderr.lower()
        for ended in (full, shut):
            assert "does not start" in ended.stderr
            assert "Traceback" not in ended.stderr


def test_a_database_that_is_no_database_stops_the_start_with_a_sentence() -> None:
    with disk() as on:
        (on.path / "spark-control.db").write_bytes(b"this is no database at all\n" * 200)
        ended = start_on(on.path)
        assert ended.returncode == 1, ended.stderr
        assert "does not start" in ended.stderr
        assert "spark-control.db" in ended.stderr
        assert "Traceback" not in ended.stderr
        assert (on.path / "spark-control.db").read_bytes().startswith(b"this is no database")
