"""The program against a running app and a simulated cluster: every verb, as a person types it."""

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.sim_cluster import Sim, start_sim

pytestmark = [pytest.mark.sim, pytest.mark.timeout(180)]
PROGRAM = [sys.executable, "-m", "server.cli.main"]
Done = subprocess.CompletedProcess[str]
Type = Callable[..., Done]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_live(url: str, app: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert app.poll() is None, "the app ended"
        try:
            with urllib.request.urlopen(f"{url}/livez", timeout=5):
                return
        except OSError:
            continue
    raise AssertionError("the app did not answer")


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sim]:
    sim = start_sim(tmp_path_factory.mktemp("cli") / "sim", load_seconds=0.3)
    try:
        yield sim
    finally:
        sim.stop()


@pytest.fixture(scope="module")
def url(sim: Sim) -> Iterator[str]:
    """The address of an app on the simulated cluster's data directory."""
    port = free_port()
    with (sim.dir / "serve.log").open("wb") as log:
        app = subprocess.Popen(
            [*PROGRAM, "serve", "--port", str(port), "--data", str(sim.dir)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        wait_until_live(f"http://127.0.0.1:{port}", app)
        yield f"http://127.0.0.1:{port}"
    finally:
        app.terminate()
        assert app.wait(15) == 0


@pytest.fixture
def typed(url: str) -> Type:
    def call(*argv: str) -> Done:
        return subprocess.run(
            [*PROGRAM, "--url", url, *argv],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    return call


@pytest.fixture
def model(typed: Type) -> str:
    """A one-node model that lies in a directory of the simulated hosts, whole."""
    models = json.loads(typed("--json", "models", "list").stdout)["models"]
    local = [m["id"] for m in models if m["source"].get("path") and m["nodes"] == 1]
    return str(next(name for name in local if "broken" not in name))


def test_a_swap_ends_in_serving_and_an_unload_in_nothing(typed: Type, model: str) -> None:
    """The exit codes, and that `status`, `swaps` and `logs` agree with them."""
    swap = typed("swap", model)
    assert swap.returncode == 0, swap.stderr
    assert swap.stdout.startswith(f"{model} is serving (")
    assert "loading" in swap.stderr
    assert f"Serving {model} on spark-1" in typed("status").stdout
    newest = json.loads(typed("--json", "swaps").stdout)[0]
    assert (newest["model"], newest["state"]) == (model, "serving")
    assert typed("swaps", newest["id"]).stdout.startswith("id ")
    assert "Application startup complete" in typed("logs").stdout
    unload = typed("unload")
    assert (unload.returncode, unload.stdout) == (0, "Nothing is being served any more.\n")
    assert "Nothing is being served" in typed("status").stdout


def test_a_swap_that_fails_tells_why(sim: Sim, typed: Type, model: str) -> None:
    """Exit 1 with what, cause, what to do and the log."""
    for host in sim.hosts:
        sim.scenario(host, fail="load")
    try:
        swap = typed("swap", model)
    finally:
        for host in sim.hosts:
            sim.scenario(host, fail="none")
    assert swap.returncode == 1
    assert swap.stdout == ""
    for word in ("what:", "cause:", "what to do:", "log:", "SafetensorError"):
        assert word in swap.stderr


def test_hosts_are_added_checked_and_removed(typed: Type) -> None:
    """A host that nobody answers for is a finding, not a crash."""
    assert typed("hosts", "add", "spark-9", "127.0.0.1", "--port", "9").returncode == 0
    check = typed("hosts", "check", "spark-9")
    assert check.returncode == 1
    assert "refused the connection" in check.stdout
    again = typed("hosts", "add", "spark-9", "127.0.0.1")
    assert again.returncode == 1
    assert "spark-9" in again.stderr
    assert typed("hosts", "remove", "spark-9").returncode == 0
    names = [host["name"] for host in json.loads(typed("--json", "hosts", "list").stdout)["hosts"]]
    assert names == ["spark-1", "spark-2"]


def test_a_model_is_added_tuned_looked_at_and_removed(sim: Sim, typed: Type, model: str) -> None:
    """Through models.override.yaml, with the command that would run."""
    path = sim.model(model)
    add = typed("models", "add", "mine", "--path", path, "--knob", "max_model_len=1024")
    assert add.returncode == 0, add.stderr
    assert typed("models", "knobs", "mine", "gpu_memory_utilization=0.3").returncode == 0
    knobs = json.loads(typed("--json", "models", "knobs", "mine").stdout)
    assert knobs == {"max_model_len": 1024, "gpu_memory_utilization": 0.3}
    command = typed("models", "command", "mine").stdout
    assert command.startswith("# start on spark-1\n")
    assert "--max-model-len" in command
    assert "spark-1" in typed("models", "preflight", "mine").stdout
    assert "mine" in (sim.dir / "models.override.yaml").read_text()
    refused = typed("models", "knobs", "mine", "max_model_len=-1")
    assert refused.returncode == 1
    assert "max_model_len" in refused.stderr
    assert typed("models", "remove", "mine").returncode == 0
    assert typed("models", "show", "mine").returncode == 1


def test_the_first_event_is_the_snapshot(typed: Type) -> None:
    """And it names the hosts."""
    done = typed("--json", "events", "--count", "1")
    assert done.returncode == 0, done.stderr
    event = json.loads(done.stdout)
    assert event["type"] == "snapshot"
    assert [host["name"] for host in event["data"]["hosts"]] == ["spark-1", "spark-2"]


def test_an_unknown_model_is_refused_with_the_names_there_are(typed: Type) -> None:
    """The API's own sentence."""
    done = typed("swap", "no-such-model")
    assert done.returncode == 1
    assert "no-such-model" in done.stderr


def test_mistakes_in_the_settings_stop_serve_with_one_message(tmp_path: Path) -> None:
    """Exit 2, every mistake named, no traceback."""
    (tmp_path / "config.yaml").write_text("hosts: [{name: X, address: a, port: 0}]\nnope: 1\n")
    done = subprocess.run(
        [*PROGRAM, "serve", "--port", "0", "--data", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert all(word in done.stderr for word in ("hosts.0.name", "hosts.0.port", "nope"))
    assert "Traceback" not in done.stderr
