"""The cluster as a whole: links that fail, reboots, new keys, several at once, a clean end."""

import asyncio
import json
import urllib.error
import urllib.request
from pathlib import Path

import asyncssh
import psutil
import pytest
import yaml

from tests.sim.far import Far
from tests.sim_cluster import Sim, running_sim, start_sim

pytestmark = pytest.mark.sim


def get(url: str, seconds: float = 1.0) -> int:
    with urllib.request.urlopen(url, timeout=seconds) as answer:
        return int(answer.status)


async def engine(far: Far, sim: Sim) -> str:
    """A ready engine on spark-1; the URL of its health."""
    await far.start(sim.model("qwen3-0.6b"), "--max-model-len", "8192")
    await far.ready()
    return f"{sim.engine_url()}/health"


async def test_a_cut_link_freezes_everything_and_gives_it_back_whole(far: Far, sim: Sim) -> None:
    """Open connections freeze, new ones get no answer, HTTP too; nothing is lost afterwards."""
    url = await engine(far, sim)
    link = await far.link("spark-1")
    process = await link.create_process("for n in 1 2 3 4 5 6 7 8; do echo $n; sleep 0.1; done")
    assert await process.stdout.readline() == "1\n"
    await asyncio.to_thread(sim.act, "spark-1", "cut")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.6):
            await process.wait()
    with pytest.raises((TimeoutError, asyncssh.Error, OSError)):
        async with asyncio.timeout(0.4):
            await sim.connect("spark-1")
    with pytest.raises((TimeoutError, urllib.error.URLError)):
        await asyncio.to_thread(get, url, 0.4)
    await asyncio.to_thread(sim.act, "spark-1", "restore")
    done = await asyncio.wait_for(process.wait(), 10)
    assert str(done.stdout).split() == ["2", "3", "4", "5", "6", "7", "8"]
    assert await asyncio.to_thread(get, url, 5) == 200


async def test_a_host_that_is_down_resets_and_refuses_but_its_processes_live(
    far: Far, sim: Sim
) -> None:
    """The engine is found again, with the same pid, when the link is back."""
    url = await engine(far, sim)
    before = sim.processes("spark-1")
    link = await far.link("spark-1")
    await asyncio.to_thread(sim.act, "spark-1", "down")
    await asyncio.wait_for(link.wait_closed(), 5)
    with pytest.raises(ConnectionRefusedError):
        await sim.connect("spark-1")
    async with asyncio.timeout(5):
        while await asyncio.to_thread(_reachable, url):
            pass
    await asyncio.to_thread(sim.act, "spark-1", "up")
    async with asyncio.timeout(5):
        while not await asyncio.to_thread(_reachable, url):
            pass
    assert sim.processes("spark-1") == before


def _reachable(url: str) -> bool:
    try:
        return get(url) == 200
    except OSError:
        return False


async def test_a_lost_connection_ends_no_process(far: Far, sim: Sim) -> None:
    """What a session started goes on when its channel or connection closes."""
    link = await far.link("spark-1")
    process = await link.create_process("echo $$; sleep 60 > /dev/null")
    pid = int(await process.stdout.readline())
    await far.drop("spark-1")
    assert pid in await asyncio.to_thread(sim.processes, "spark-1")
    await far.out(f"kill -- -{pid}")
    async with asyncio.timeout(5):
        while await asyncio.to_thread(sim.processes, "spark-1"):
            pass


async def test_a_reboot_ends_everything_and_services_come_back(far: Far, sim: Sim) -> None:
    """New boot id, no engine process, its container exited, memory free, services running."""
    await far.start(sim.model("qwen3-0.6b"), "--max-model-len", "8192", host="spark-2")
    await far.ready(host="spark-2")
    boot = await far.out("cat /proc/sys/kernel/random/boot_id", "spark-2")
    await asyncio.to_thread(sim.act, "spark-2", "reboot")
    assert await far.out("cat /proc/sys/kernel/random/boot_id", "spark-2") != boot
    assert sim.containers("spark-2")["engine"]["status"] == "exited"
    assert sim.containers("spark-2")["qdrant"]["status"] == "running"
    seen = await far.memory("spark-2")
    assert seen["MemAvailable"] > 0.9 * seen["MemTotal"]
    uptime = float((await far.out("cat /proc/uptime", "spark-2")).split()[0])
    assert uptime < 30


async def test_a_new_host_key_drops_connections_and_is_refused(tmp_path: Path) -> None:
    """Whoever pinned the old key does not connect."""
    with running_sim(tmp_path, hosts=1) as sim:
        link = await sim.connect("spark-1")
        await asyncio.to_thread(sim.act, "spark-1", "new-host-key")
        await asyncio.wait_for(link.wait_closed(), 5)
        with pytest.raises(asyncssh.HostKeyNotVerifiable):
            await sim.connect("spark-1")


def test_the_directory_is_ready_to_serve(sim: Sim) -> None:
    """config.yaml has hosts, engine and services; keys are private; models are there."""
    config = yaml.safe_load(sim.config.read_text())
    assert [host["name"] for host in config["hosts"]] == ["spark-1", "spark-2"]
    assert [host["labels"] for host in config["hosts"]] == [["llm"], ["audio"]]
    assert config["engine"]["launcher"] == "docker"
    assert config["engine"]["model_roots"] == [str(sim.dir / "srv" / "models")]
    assert {service["kind"] for service in config["services"]} >= {"asr", "tts", "qdrant"}
    assert sim.key.stat().st_mode & 0o077 == 0
    models = yaml.safe_load((sim.dir / "models.override.yaml").read_text())["models"]
    for model in models:
        assert Path(model["source"]["path"], "config.json").exists()
    hub = sim.dir / "spark-1" / "home" / ".cache/huggingface/hub"
    snapshots = list(hub.glob("models--Qwen--Qwen3-32B-FP8/snapshots/*/model-*.safetensors"))
    assert len(snapshots) == 3
    assert all(file.is_symlink() and file.exists() for file in snapshots)


def test_the_control_url_names_what_is_wrong(sim: Sim) -> None:
    """Unknown keys, bad values, hosts and actions are refused; nothing is half taken."""
    cases = (
        ("PUT", "/hosts/spark-1/scenario", {"lod_seconds": 1, "fail": "maybe"}, 422),
        ("PUT", "/hosts/spark-1/scenario", [], 422),
        ("PUT", "/hosts/spark-9/scenario", {}, 404),
        ("POST", "/hosts/spark-1/explode", None, 404),
        ("GET", "/hosts/spark-1/down", None, 405),
        ("GET", "/elsewhere", None, 404),
    )
    before = sim.call("GET", "/hosts/spark-1/scenario")
    for method, path, body, status in cases:
        with pytest.raises(urllib.error.HTTPError) as caught:
            sim.call(method, path, body)
        assert caught.value.code == status, path
        message = json.loads(caught.value.read())["error"]["message"]
        caught.value.close()
        if isinstance(body, dict) and body:
            assert "lod_seconds" in message
            assert "fail" in message
    assert sim.call("GET", "/hosts/spark-1/scenario") == before
    request = urllib.request.Request(f"{sim.control}/hosts", headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=5)
    assert caught.value.code == 403
    caught.value.close()


async def test_a_scenario_file_edited_by_hand_is_noticed(far: Far, sim: Sim) -> None:
    """Also by the shims that are shell scripts."""
    path = sim.dir / "spark-1" / "scenario.json"
    body = json.loads(path.read_text()) | {"disk_full": True, "memory_total_bytes": 64 << 30}
    path.write_text(json.dumps(body))
    await far.memory_when(lambda seen: seen["MemTotal"] == 64 << 30)
    assert (await far.out("df -PB1 /")).splitlines()[1].split()[3] == "0"


def _below(pid: int) -> list[int]:
    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


async def test_several_run_at_once_and_each_ends_without_a_trace(tmp_path: Path) -> None:
    """Their addresses differ; TERM ends all processes, sockets and the pid file."""
    with running_sim(tmp_path / "a") as first, running_sim(tmp_path / "b") as second:
        assert {h.address for h in first.hosts.values()}.isdisjoint(
            h.address for h in second.hosts.values()
        )
        assert first.engine_port == second.engine_port == 8000
        far = Far(first)
        await far.start(first.model("qwen3-0.6b"), "--max-model-len", "8192")
        await far.ready()
        await far.out(
            "setsid sleep 500 > /dev/null 2>&1 < /dev/null & env -i sleep 501 > /dev/null 2>&1 &"
        )
        running = _below(first.process.pid)
        assert len(running) >= 7
        await far.drop("spark-1")
        assert first.stop() == 0
        assert [pid for pid in running if psutil.pid_exists(pid)] == []
        assert not (first.dir / "sim.pid").exists()
        assert list(first.dir.rglob("*.sock")) == []
        other = Far(second)
        assert await other.out("echo alive") == "alive\n"
        await other.drop("spark-1")


async def test_what_a_killed_simulator_leaves_is_cleaned_at_the_next_start(tmp_path: Path) -> None:
    """-9 leaves processes; the next start on the directory ends them. Keys and config are kept."""
    sim = start_sim(tmp_path / "sim", 1)
    far = Far(sim)
    await far.start(sim.model("qwen3-0.6b"), "--max-model-len", "8192")
    await far.ready()
    before = sim.processes("spark-1")
    kept = [path.read_text() for path in (sim.key, sim.config, sim.known_hosts)]
    sim.kill()
    await far.drop("spark-1")
    left = [pid for pid in before if _alive(pid)]
    assert len(left) >= 5, "four services and the engine"
    again = start_sim(tmp_path / "sim", 1)
    try:
        assert [pid for pid in left if _alive(pid)] == []
        assert again.containers("spark-1").keys() == {
            "parakeet-asr",
            "kokoro-tts",
            "embeddings",
            "qdrant",
        }
        assert [p.read_text() for p in (again.key, again.config, again.known_hosts)] == kept
        async with await again.connect("spark-1") as link:
            assert (await link.run("echo back")).stdout == "back\n"
    finally:
        again.stop()


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_one_directory_takes_one_simulator(sim: Sim) -> None:
    """The second says so and leaves; the first runs on."""
    with pytest.raises(RuntimeError, match=r"runs in .* already"):
        start_sim(sim.dir, 2)
    assert (sim.dir / "sim.pid").exists()
    assert len(sim.call("GET", "/hosts")) == 2
