"""The simulated docker against what is known of docker's own outputs and exit codes."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import pytest

from tests.sim.far import Far
from tests.sim_cluster import Sim

pytestmark = pytest.mark.sim


@pytest.fixture
async def box(far: Far) -> AsyncIterator[str]:
    """A sleeping container named box."""
    await far.out(
        "docker run -d --name box --label a=1 --label b=two --entrypoint= vllm-node sleep infinity"
    )
    yield "box"
    await far.run("docker rm -f box")


async def test_inspect_shows_identity_state_config_and_host_config(far: Far, box: str) -> None:
    """The fields that tell one container from another, and how it ended."""
    body = json.loads(await far.out("docker inspect box"))[0]
    assert len(body["Id"]) == 64
    assert body["Name"] == "/box"
    state = body["State"]
    assert (state["Status"], state["Running"], state["OOMKilled"]) == ("running", True, False)
    assert state["Pid"] > 1
    assert state["StartedAt"].endswith("Z")
    assert state["FinishedAt"].startswith("0001-01-01")
    assert body["Config"]["Labels"] == {"a": "1", "b": "two"}
    assert body["Config"]["Cmd"] == ["sleep", "infinity"]
    assert body["Image"].startswith("sha256:")
    assert body["HostConfig"]["AutoRemove"] is False


async def test_ps_as_json_and_by_filter(far: Far, box: str) -> None:
    """Keys of `{{json .}}`; labels as one string; filters; -a for what has exited."""
    row = json.loads(
        await far.out("docker ps -a --no-trunc --format '{{json .}}' --filter label=a=1")
    )
    assert (row["Names"], row["Image"], row["State"]) == ("box", "vllm-node", "running")
    assert row["Labels"] == "a=1,b=two"
    assert len(row["ID"]) == 64
    assert row["Status"].startswith("Up ")
    assert await far.out("docker ps -q --filter label=a=2") == ""
    await far.out("docker kill box")
    assert await far.out("docker ps -q") == ""
    row = json.loads(await far.out("docker ps -a --format json"))
    assert row["State"] == "exited"
    assert row["Status"].startswith("Exited (137)")


async def test_templates_fill_fields_and_refuse_what_they_do_not_know(far: Far, box: str) -> None:
    """Go templates with fields, json and index."""
    out = await far.out(
        "docker inspect -f '{{.State.Status}} {{.State.OOMKilled}} {{json .Config.Cmd}}' box"
    )
    assert out == 'running false ["sleep","infinity"]\n'
    assert (await far.run("docker inspect -f '{{.Nonsense}}' box")).code == 1


async def test_a_name_is_taken_until_it_is_removed(far: Far, box: str) -> None:
    """125 and docker's words; `rm` of a running one needs -f; what is gone is not found."""
    again = await far.run("docker run -d --name box vllm-node sleep 1")
    assert again.code == 125
    assert 'Conflict. The container name "/box" is already in use by container' in again.err
    kept = await far.run("docker rm box")
    assert kept.code == 1
    assert "container is running" in kept.err
    assert await far.out("docker rm -f box") == "box\n"
    gone = await far.run("docker inspect box")
    assert (gone.code, gone.out, gone.err) == (1, "[]\n", "Error: No such object: box\n")
    for verb in ("stop", "logs", "kill", "rm"):
        missing = await far.run(f"docker {verb} box")
        assert (missing.code, missing.err) == (
            1,
            "Error response from daemon: No such container: box\n",
        )
    forced = await far.run("docker rm -f box")
    assert (forced.code, forced.out) == (0, "")


async def test_a_sleeping_first_process_ignores_term_and_is_killed_after_the_grace(
    far: Far, box: str
) -> None:
    """PID 1 without a handler never gets TERM: stop costs the whole -t, and the code is 137."""
    began = time.monotonic()
    await far.out("docker stop -t 1 box")
    assert 0.9 < time.monotonic() - began < 5
    state = json.loads(await far.out("docker inspect box"))[0]["State"]
    assert (state["Status"], state["ExitCode"], state["Pid"]) == ("exited", 137, 0)


async def test_logs_keep_streams_apart_and_end_with_the_container(far: Far) -> None:
    """stdout and stderr of the process, --tail, -f until the end; the log stays until rm."""
    script = "echo one; echo two >&2; sleep 0.4; echo three; exit 3"
    await far.out(f"docker run -d --name talk --entrypoint sh vllm-node -c '{script}'")
    followed = await far.run("docker logs -f talk")
    assert (followed.out, followed.err, followed.code) == ("one\nthree\n", "two\n", 0)
    assert await far.out("docker wait talk") == "3\n"
    assert await far.out("docker logs --tail 1 talk") == "three\n"
    assert (await far.out("docker logs -t --tail 1 talk")).startswith("20")
    started = json.loads(await far.out("docker inspect talk"))[0]["State"]["StartedAt"]
    assert (await far.out(f"docker logs --since {started} talk")) == "one\nthree\n"
    await far.out("docker rm talk")


async def test_rm_containers_leave_with_their_log(far: Far) -> None:
    """--rm: gone when it ends."""
    await far.out("docker run -d --rm --name brief --entrypoint sh vllm-node -c 'sleep 0.1'")
    await far.run("docker wait brief")
    assert (await far.run("docker logs brief")).code == 1


async def test_run_in_the_foreground_gives_output_and_exit_code(far: Far) -> None:
    """As docker run without -d; a missing program is 127, an unknown image 125."""
    done = await far.run("docker run --rm --entrypoint sh -e A=b vllm-node -c 'echo $A; exit 4'")
    assert (done.code, done.out) == (4, "b\n")
    missing = await far.run("docker run --rm --entrypoint nonsense vllm-node")
    assert missing.code == 127
    assert "executable file not found in $PATH" in missing.err
    unknown = await far.run("docker run --rm no-such-image")
    assert unknown.code == 125
    assert "pull access denied" in unknown.err
    wrong = await far.run("docker run --bogus vllm-node")
    assert (wrong.code, wrong.err.splitlines()[0]) == (125, "unknown flag: --bogus")


async def test_exec_runs_inside_with_stdin_and_exit_code(far: Far, box: str) -> None:
    """-i passes stdin, -e a variable, -d returns at once and writes to the container's log."""
    done = await far.run("docker exec -i -e X=y box sh -c 'cat; echo $X; exit 5'", stdin="in ")
    assert (done.code, done.out) == (5, "in y\n")
    await far.out("docker exec -d box bash -c 'echo hidden > /proc/1/fd/1 2>&1'")
    await far.until("hidden", "box")
    assert "sleep infinity" in await far.out("docker top box -eo pid,args")
    assert (await far.run("docker exec box nonsense")).code == 127


async def test_everything_inside_dies_with_the_first_process(far: Far, sim: Sim, box: str) -> None:
    """As the kernel does for a PID namespace."""
    await far.out("docker exec -d box sleep 1000")
    await far.out("docker exec -d box setsid sleep 1001")
    assert len(sim.processes("spark-1")) == 3
    await far.out("docker rm -f box")
    assert sim.processes("spark-1") == []


async def test_a_client_that_is_killed_does_not_end_the_container(far: Far, box: str) -> None:
    """The followed log ends, the container runs on."""
    done = await far.run("timeout 0.3 docker logs -f box; docker ps -q | wc -l")
    assert done.out.strip() == "1"


@pytest.mark.parametrize(
    ("told", "code", "words"),
    [
        ("absent", 127, "not found"),
        ("denied", 1, "permission denied while trying to connect to the Docker daemon socket"),
        ("down", 1, "Cannot connect to the Docker daemon at unix:///var/run/docker.sock"),
    ],
)
async def test_docker_can_be_missing_forbidden_or_down(
    far: Far, sim: Sim, told: str, code: int, words: str
) -> None:
    """Each in its own words and exit code."""
    sim.scenario("spark-1", docker=told)
    done = await far.run("docker ps")
    assert done.code == code
    assert words in done.err


async def test_docker_can_hang(far: Far, sim: Sim) -> None:
    """The client waits until it is killed."""
    sim.scenario("spark-1", docker="hang")
    assert (await far.run("timeout 0.5 docker ps")).code == 124


async def test_restart_start_and_restart_policy(far: Far) -> None:
    """A service comes back by itself when it dies, and stays down when it was stopped."""
    first = json.loads(await far.out("docker inspect qdrant", "spark-2"))[0]["State"]
    await far.out("docker restart -t 3 qdrant", "spark-2")
    second = json.loads(await far.out("docker inspect qdrant", "spark-2"))[0]["State"]
    assert second["Running"]
    assert second["StartedAt"] != first["StartedAt"]
    await far.out(f"kill -9 {second['Pid']}", "spark-2")
    await _running(far, "qdrant", True)
    await far.out("docker stop -t 3 qdrant", "spark-2")
    assert not json.loads(await far.out("docker inspect qdrant", "spark-2"))[0]["State"]["Running"]
    await far.out("docker start qdrant", "spark-2")
    await _running(far, "qdrant", True)


async def _running(far: Far, name: str, wanted: bool) -> None:
    async with asyncio.timeout(10):
        while True:
            state = json.loads(await far.out(f"docker inspect {name}", "spark-2"))[0]["State"]
            if state["Running"] is wanted and state["Pid"] > 0:
                return


async def test_images_are_listed_inspected_pulled_and_removed(far: Far, sim: Sim) -> None:
    """The same id on every host, until one is pulled or removed."""
    sim.scenario("spark-1", download_seconds=0.05)
    ids = {await far.out("docker image inspect -f '{{.Id}}' vllm-node", host) for host in sim.hosts}
    assert len(ids) == 1
    missing = await far.run("docker image inspect eugr/spark-vllm:latest")
    assert (missing.code, missing.out) == (1, "[]\n")
    assert "Downloaded newer image" in await far.out("docker pull eugr/spark-vllm:latest")
    assert "eugr/spark-vllm" in await far.out("docker images")
    await far.out("docker rmi eugr/spark-vllm:latest")
    assert (await far.run("docker pull no-such-image")).code == 1


async def test_info_and_version_say_that_they_are_simulated(far: Far) -> None:
    """Nobody can take it for a real daemon."""
    info = json.loads(await far.out("docker info --format '{{json .}}'"))
    assert "simulated" in info["Name"]
    assert info["Architecture"] == "aarch64"
    assert "simulated" in await far.out("docker version")
