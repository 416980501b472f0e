"""All launchers over real SSH connections on the simulated cluster."""

import asyncio
import random
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from server.base.clock import SystemClock
from server.base.errors import Conflict, HostUnreachable, SparkError
from server.catalog.model import Model, Source
from server.config.model import Settings
from server.launch.model import Engine, LauncherName, LaunchFailed, LaunchSpec
from server.launch.phases import PhaseReader, ready
from server.launch.plan import build_spec
from server.launch.service import Engines
from server.launch.signatures import diagnose
from server.ssh.hostkeys import HostKeys
from server.ssh.model import Target
from server.ssh.pool import SshPool
from tests.sim_cluster import Sim, start_sim

pytestmark = pytest.mark.sim

EVERY: tuple[LauncherName, ...] = ("docker", "launch-cluster", "bare")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sim]:
    sim = start_sim(tmp_path_factory.mktemp("launch") / "sim", 2, load_seconds=0.4)
    yield sim
    assert sim.stop() == 0


CALM = {
    "load_seconds": 0.4,
    "fail": "none",
    "docker": "ok",
    "start_delay": 0.0,
    "stop_delay": 0.0,
    "launcher_version": "current",
}


@pytest.fixture
def sim(cluster: Sim) -> Sim:
    for name in cluster.hosts:
        cluster.scenario(name, **CALM)
    return cluster


def settings_of(sim: Sim) -> Settings:
    body = yaml.safe_load(sim.config.read_text())
    return Settings.model_validate({key: body[key] for key in ("hosts", "engine")})


def connect(sim: Sim) -> SshPool:
    """What a control plane has; a second call is what it has after kill -9 and a restart."""
    settings = settings_of(sim)

    def target(name: str, user: str | None) -> Target:
        host = settings.host(name)
        assert host is not None
        return Target(name, host.address, host.port, user or host.user)

    return SshPool(
        target,
        key_path=sim.key,
        hostkeys=HostKeys(sim.known_hosts),
        clock=SystemClock(),
        rng=random.Random(1),
    )


def spec_of(sim: Sim, launcher: LauncherName, nodes: int = 1) -> LaunchSpec:
    ident = "qwen3-30b-pair" if nodes == 2 else "qwen3-0.6b"
    model = Model(
        id=ident, name=ident, source=Source(path=sim.model(ident)), nodes=nodes, launcher=launcher
    )
    return build_spec(model, settings_of(sim))


@pytest.fixture
async def pool(sim: Sim) -> AsyncIterator[SshPool]:
    made = connect(sim)
    yield made
    engines = Engines(made, SystemClock())
    for name in sim.hosts:
        sim.scenario(name, **CALM)
        for engine in await engines.observe(name):
            await engines.stop(engine)
        assert (await engines.await_memory(name, 112 << 30, (), 20)).enough
    await made.close()


@pytest.fixture
def engines(pool: SshPool) -> Engines:
    return Engines(pool, SystemClock())


async def healthy(sim: Sim, name: str = "spark-1") -> None:
    def ask() -> bool:
        try:
            with urllib.request.urlopen(f"{sim.engine_url(name)}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    async with asyncio.timeout(30):
        while not await asyncio.to_thread(ask):  # noqa: ASYNC110 (a poll is what /health is for)
            await asyncio.sleep(0.05)


async def followed(engines: Engines, engine: Engine) -> list[str]:
    async with asyncio.timeout(40), engines.follow(engine) as lines:
        return [line async for line in lines]


@pytest.mark.parametrize("launcher", EVERY)
async def test_an_engine_starts_is_adopted_refused_and_stopped(
    sim: Sim, engines: Engines, launcher: LauncherName
) -> None:
    """The whole life of one engine, as every launcher has it."""
    spec = spec_of(sim, launcher)
    assert [f.code for f in await engines.check(spec)] == []
    engine = await engines.start(spec, tag="swap-1")
    assert (engine.launcher, engine.host, engine.running) == (launcher, "spark-1", True)
    assert (engine.tag, engine.fingerprint) == ("swap-1", spec.fingerprint)
    assert await engines.observe("spark-1") == (engine,)
    assert (await engines.start(spec, tag="swap-1")).same(engine)
    with pytest.raises(Conflict, match="already runs"):
        await engines.start(spec, tag="swap-2")
    await healthy(sim)
    owner = await engines.port_owner("spark-1", spec.port)
    assert owner is not None
    await engines.stop(spec, grace=5)
    assert await engines.observe("spark-1") == ()
    assert await engines.port_owner("spark-1", spec.port) is None
    await engines.stop(spec)


@pytest.mark.parametrize("launcher", EVERY)
async def test_an_engine_outlives_the_control_plane_and_is_found_again(
    sim: Sim, engines: Engines, launcher: LauncherName
) -> None:
    """A new control plane with new connections sees the very same engine."""
    first, spec = connect(sim), spec_of(sim, launcher)
    engine = await Engines(first, SystemClock()).start(spec, tag="swap-1")
    await first.close()
    assert await engines.observe("spark-1") == (engine,)
    assert (await engines.start(spec, tag="swap-1")).same(engine)
    await healthy(sim)
    await engines.stop(spec)
    assert await engines.observe("spark-1") == ()


@pytest.mark.parametrize("launcher", EVERY)
async def test_starts_at_once_make_one_engine(
    sim: Sim, engines: Engines, launcher: LauncherName
) -> None:
    """Two control planes, or one that was killed and one that retries."""
    spec = spec_of(sim, launcher)
    both = await asyncio.gather(
        engines.start(spec, tag="swap-1"), engines.start(spec, tag="swap-1")
    )
    assert both[0].same(both[1])
    assert len(await engines.observe("spark-1")) == 1


@pytest.mark.parametrize("launcher", EVERY)
async def test_the_log_of_a_load_gives_its_phases_and_readiness(
    sim: Sim, engines: Engines, launcher: LauncherName
) -> None:
    """From the first line; ends when the engine is stopped."""
    engine = await engines.start(spec_of(sim, launcher), tag="swap-1")
    reader, phases, up = PhaseReader(), [], False
    async with asyncio.timeout(40), engines.follow(engine) as lines:
        async for line in lines:
            seen = reader.feed(line)
            if seen is not None:
                phases.append(seen.phase)
            if ready(line):
                up = True
                await engines.stop(engine)
    assert up
    assert phases[0] in {"download", "weights"}
    assert phases[-1] == "server"


@pytest.mark.parametrize("launcher", EVERY)
async def test_a_load_that_fails_ends_the_log_and_is_diagnosed(
    sim: Sim, engines: Engines, launcher: LauncherName
) -> None:
    """Also for launch-cluster, whose container goes on when vLLM is gone."""
    sim.scenario("spark-1", fail="oom")
    spec = spec_of(sim, launcher)
    engine = await engines.start(spec, tag="swap-1")
    log = "\n".join(await followed(engines, engine))
    (found,) = await engines.observe("spark-1")
    assert not found.running
    assert found.same(engine)
    diagnosis = diagnose(log, exit_code=found.exit_code, oom_killed=found.oom_killed)
    assert diagnosis.code in {"memory_taken", "cuda_oom"}
    assert await engines.tail(found, spec, lines=5)
    sim.scenario("spark-1", fail="none")
    again = await engines.start(spec, tag="swap-2")
    assert again.running
    assert len(await engines.observe("spark-1")) == 1


@pytest.mark.parametrize("launcher", EVERY)
async def test_a_start_cut_off_anywhere_can_be_stopped_or_repeated(
    sim: Sim, engines: Engines, launcher: LauncherName
) -> None:
    """After the stop nothing is there and nothing comes; after a retry there is one engine."""
    spec = spec_of(sim, launcher)
    for step in range(4):
        task = asyncio.create_task(engines.start(spec, tag=f"swap-{step}"))
        await asyncio.sleep(0.12 * step)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if step % 2:
            engine = await engines.start(spec, tag=f"swap-{step}")
            assert await engines.observe("spark-1") == (engine,)
        await engines.stop(spec)
        assert await engines.observe("spark-1") == ()
    assert spec.container not in sim.containers("spark-1")


async def test_a_stop_defeats_a_docker_run_that_hangs_in_the_daemon(
    sim: Sim, engines: Engines
) -> None:
    """The old control plane is gone, its docker run goes on: the stop ends it, for good."""
    loop = asyncio.get_running_loop()
    sim.scenario("spark-1", start_delay=4.0)
    spec = spec_of(sim, "docker")
    old, began = connect(sim), loop.time()
    task = asyncio.create_task(Engines(old, SystemClock()).start(spec, tag="swap-1"))
    async with asyncio.timeout(20):
        while spec.container not in sim.containers("spark-1"):  # noqa: ASYNC110 (another process)
            await asyncio.sleep(0.05)
    assert await engines.observe("spark-1") == ()
    await engines.stop(spec)
    assert await engines.observe("spark-1") == ()
    with pytest.raises(SparkError):
        await task
    sim.scenario("spark-1", start_delay=0.0)
    await asyncio.sleep(max(0.0, began + 5.0 - loop.time()))  # the daemon's own delay is over
    assert await engines.observe("spark-1") == ()
    assert (await engines.start(spec, tag="swap-2")).tag == "swap-2"
    await old.close()


async def test_two_nodes_start_and_stop_together(sim: Sim, engines: Engines) -> None:
    """The launcher runs on the head; both containers bear our tag; both go."""
    spec = spec_of(sim, "launch-cluster", nodes=2)
    steps: list[tuple[str, str]] = []
    engine = await engines.start(spec, tag="swap-1", on_step=lambda *step: steps.append(step))
    assert steps[-1] == ("confirm", "spark-2")
    assert await engines.observe("spark-1") == (engine,)
    (worker,) = await engines.observe("spark-2")
    assert (worker.tag, worker.running) == ("swap-1", True)
    assert (await engines.start(spec, tag="swap-1")).same(engine)
    await healthy(sim)
    await engines.stop(spec)
    assert await engines.observe("spark-1") == await engines.observe("spark-2") == ()


async def test_a_half_started_pair_is_cleared_and_started_again(sim: Sim, engines: Engines) -> None:
    """A worker left behind by a start that was cut off does not block the next one."""
    spec = spec_of(sim, "launch-cluster", nodes=2)
    await engines.start(spec, tag="swap-1")
    (head,) = await engines.observe("spark-1")
    await engines.stop(head)
    assert len(await engines.observe("spark-2")) == 1
    engine = await engines.start(spec, tag="swap-1")
    assert not engine.same(head)
    await healthy(sim)


async def test_an_old_checkout_is_refused_with_the_update(sim: Sim, engines: Engines) -> None:
    """Before anything is touched, and the capability is asked again when the checkout changed."""
    sim.scenario("spark-1", launcher_version="2026-01")
    spec = spec_of(sim, "launch-cluster")
    with pytest.raises(LaunchFailed, match="older than 2026") as caught:
        await engines.start(spec, tag="swap-1")
    assert caught.value.diagnosis.code == "checkout_too_old"
    assert [f.code for f in await engines.check(spec)] == ["checkout_too_old"]


async def test_a_missing_image_folder_or_daemon_is_said_before(sim: Sim, engines: Engines) -> None:
    """Findings for the preflight, and the same words from a start."""
    spec = spec_of(sim, "docker")
    gone = replace(spec, image="ghost:1")
    assert [f.code for f in await engines.check(gone)] == ["image_missing"]
    with pytest.raises(LaunchFailed) as caught:
        await engines.start(gone, tag="swap-1")
    assert caught.value.diagnosis.code == "image_missing"
    assert await engines.observe("spark-1") == ()
    moved = replace(spec, mounts=(("/srv/none", "/srv/none", True),), source="/srv/none")
    assert [f.code for f in await engines.check(moved)] == ["model_missing"]
    with pytest.raises(LaunchFailed, match="no folder /srv/none"):
        await engines.start(moved, tag="swap-1")
    sim.scenario("spark-1", docker="denied")
    assert [f.code for f in await engines.check(spec)] == ["docker_denied"]
    with pytest.raises(SparkError, match="did not say what runs"):
        await engines.observe("spark-1")


async def test_a_container_of_somebody_else_is_never_touched(
    sim: Sim, engines: Engines, pool: SshPool
) -> None:
    """Same name, no label of ours: a conflict for a start, and a stop leaves it alone."""
    spec, shell = spec_of(sim, "docker"), pool.shell("spark-1")
    run = ("docker", "run", "-d", "--name", spec.container, "vllm-node", "sleep", "300")
    await shell.run(run, deadline=20)
    try:
        with pytest.raises(Conflict, match="not started by Spark Control"):
            await engines.start(spec, tag="swap-1")
        await engines.stop(spec)
        assert spec.container in sim.containers("spark-1")
        assert await engines.observe("spark-1") == ()
    finally:
        await shell.run(("docker", "rm", "-f", spec.container), deadline=20)


async def test_memory_is_taken_and_waited_for(sim: Sim, engines: Engines) -> None:
    """The wait ends on the host when the engine's memory is back, and says what it saw."""
    before = await engines.memory("spark-1")
    assert before.available is not None
    spec = spec_of(sim, "docker")
    await engines.start(spec, tag="swap-1")
    await healthy(sim)
    held = await engines.memory("spark-1")
    assert held.available is not None
    assert held.gpu_pids
    assert held.available < before.available
    need = before.available - (1 << 30)
    late = await engines.await_memory("spark-1", need, held.gpu_pids, 0.5)
    assert not late.enough
    assert late.left == held.gpu_pids
    await engines.stop(spec)
    still = await engines.await_memory("spark-1", 1 << 60, (), 20, steady=0.5)
    assert (still.enough, still.available is not None) == (False, True)
    done = await engines.await_memory("spark-1", need, held.gpu_pids, 10)
    assert done.enough
    assert done.left == ()


async def test_a_host_that_is_away_is_never_empty(sim: Sim, engines: Engines) -> None:
    """Unknown never becomes false."""
    sim.act("spark-2", "down")
    try:
        with pytest.raises(HostUnreachable):
            await engines.observe("spark-2")
        spec = spec_of(sim, "launch-cluster", nodes=2)
        (finding,) = await engines.check(spec)
        assert (finding.severity, finding.host) == ("unknown", "spark-2")
        with pytest.raises(HostUnreachable):
            await engines.start(spec, tag="swap-1")
        assert await engines.observe("spark-1") == ()
    finally:
        sim.act("spark-2", "up")
        async with asyncio.timeout(40):
            while True:
                try:
                    await engines.observe("spark-2")
                except HostUnreachable:
                    await asyncio.sleep(0.2)
                else:
                    break


async def test_a_full_disk_refuses_a_start_and_never_a_stop(
    sim: Sim, engines: Engines, tmp_path: Path
) -> None:
    """The fence is overwritten in place, so that stopping needs no free block."""
    spec = spec_of(sim, "bare")
    engine = await engines.start(spec, tag="swap-1")
    home = sim.hosts["spark-1"].directory / "home" / ".spark-control/engines" / spec.container
    await engines.stop(spec)
    first = (home / "fence").stat()
    assert first.st_size == 21
    await engines.start(spec, tag="swap-2")
    await engines.stop(spec)
    second = (home / "fence").stat()
    assert (first.st_ino, first.st_size) == (second.st_ino, second.st_size)
    assert engine.tag == "swap-1"
