"""The simulated launch-cluster.sh: its actions, messages and exit codes, new and old."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.sim.far import Far
from tests.sim_cluster import Sim

pytestmark = pytest.mark.sim

SCRIPT = "cd ~/spark-vllm-docker && ./launch-cluster.sh"


@pytest.fixture
async def launcher(far: Far) -> AsyncIterator[Far]:
    yield far
    for host in ("spark-1", "spark-2"):
        await far.run("docker rm -f vllm_node", host)
        await far.empty(host)


async def test_solo_daemon_exec_shows_its_log_in_docker_logs(launcher: Far, sim: Sim) -> None:
    """rc 0 once dispatched; the container sleeps; the engine's output is the container's log."""
    done = await launcher.run(
        f"{SCRIPT} --solo -e A=b -d exec vllm serve Qwen/Qwen3-32B-FP8 "
        f"--port {sim.engine_port} --max-model-len 8192"
    )
    assert done.code == 0
    assert "Command dispatched" in done.out
    assert "startup complete" in await launcher.ready("vllm_node")
    top = await launcher.out("docker top vllm_node -eo pid,args")
    assert "sleep infinity" in top
    assert "vllm serve" in top
    assert '"A=b"' in await launcher.out("docker inspect -f '{{json .Config.Env}}' vllm_node")
    again = await launcher.run(f"{SCRIPT} --solo -d exec vllm serve Qwen/Qwen3-32B-FP8")
    assert "Cluster containers are already running. Skipping launch." in again.out


async def test_a_cluster_starts_workers_headless_and_the_head_with_rank_zero(
    launcher: Far, sim: Sim
) -> None:
    """Both hosts run a container of the same name; only the head answers HTTP."""
    nodes = ",".join(host.cluster_address for host in sim.hosts.values())
    done = await launcher.run(
        f"{SCRIPT} -n {nodes} --eth-if enp1s0f1np1 --ib-if rocep1s0f1 "
        f"-v {sim.dir}/srv:{sim.dir}/srv -d exec vllm serve {sim.model('qwen3-30b-pair')} "
        f"--port {sim.engine_port} -tp 2 "
        "--distributed-executor-backend ray --max-model-len 8192"
    )
    assert done.code == 0, done
    await launcher.ready("vllm_node")
    await launcher.until("Worker ready: headless, node rank 1 of 2", "vllm_node", "spark-2")
    head = await launcher.out("docker top vllm_node -eo pid,args")
    assert "--nnodes 2 --node-rank 0 --master-addr" in head
    assert "--distributed-executor-backend" not in head
    assert "--headless" in await launcher.out("docker top vllm_node -eo pid,args", "spark-2")
    assert f":{sim.engine_port}" not in await launcher.out("ss -ltnH", "spark-2")
    status = await launcher.out(f"{SCRIPT} -n {nodes} status")
    assert status.count("is RUNNING.") == 2
    await launcher.out("docker stop -t 0 vllm_node")
    assert "is NOT running." in await launcher.out(f"{SCRIPT} -n {nodes} status")


async def test_more_nodes_than_there_are_and_strangers_are_refused(far: Far, sim: Sim) -> None:
    """Each with its message and rc 1."""
    nodes = ",".join(host.cluster_address for host in sim.hosts.values())
    many = await far.run(f"{SCRIPT} -n {nodes} -d exec vllm serve x -tp 4")
    assert many.code == 1
    assert "Error: Command requires 4 nodes (tp=4 * pp=1 * dp=1) but only 2 node(s)" in many.out
    foreign = await far.run(f"{SCRIPT} -n 198.51.100.7 -d exec vllm serve x")
    assert foreign.code == 1
    assert "is not in the list of nodes" in foreign.out
    await asyncio.to_thread(sim.act, "spark-2", "down")
    lost = await far.run(f"{SCRIPT} -n {nodes} -d exec vllm serve x -tp 2")
    assert lost.code == 1
    assert "Error: Passwordless SSH to" in lost.out


async def test_an_action_is_mandatory_and_unknown_options_are_usage(far: Far) -> None:
    """rc 1 with the usage, from which the options can be read."""
    for words in ("", "--bogus", "-h"):
        done = await far.run(f"{SCRIPT} {words}")
        assert done.code == 1
        assert "--solo" in done.out
        assert "--env" in done.out


async def test_the_old_script_has_no_solo_and_no_env(far: Far, sim: Sim) -> None:
    """As of 2026-01: neither in the usage nor taken."""
    sim.scenario("spark-1", launcher_version="2026-01")
    usage = await far.run(f"{SCRIPT} --help")
    assert usage.code == 1
    assert "--solo" not in usage.out
    assert "--env" not in usage.out
    for words in ("--solo status", "-e A=b status"):
        done = await far.run(f"{SCRIPT} {words}")
        assert done.code == 1
        assert "Unknown argument" in done.out


async def test_extra_docker_args_come_from_the_environment(launcher: Far) -> None:
    """VLLM_SPARK_EXTRA_DOCKER_ARGS, in every age."""
    await launcher.out(
        f"export VLLM_SPARK_EXTRA_DOCKER_ARGS='--label from=env'; {SCRIPT} --solo -d start"
    )
    out = await launcher.out("docker inspect -f '{{json .Config.Labels}}' vllm_node")
    assert out.strip() == '{"from":"env"}'


async def test_stopping_costs_the_grace_of_docker_on_the_way_out(launcher: Far, sim: Sim) -> None:
    """Foreground exec gives the command's rc and its trap stops the nodes; a mod that cannot be
    applied cleans up with rc 1. Both wait docker's ten seconds, so they run side by side."""
    foreground, mod = await asyncio.gather(
        launcher.run(f"{SCRIPT} --solo exec bash -c 'echo inside; exit 6'"),
        launcher.run(f"{SCRIPT} --solo --apply-mod /no/such -d start", "spark-2"),
    )
    assert foreground.code == 6
    assert "inside" in foreground.out
    assert "Stopping cluster..." in foreground.out
    assert mod.code == 1
    assert "Error: Patch script failed on 127.0.0.1" in mod.out
    for host in ("spark-1", "spark-2"):
        assert "vllm_node" not in sim.containers(host)
