"""The fleet over real SSH connections to the simulated cluster."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml

from server.base.bus import EventBus
from server.base.clock import SystemClock
from server.base.health import Health
from server.config.model import Settings
from server.fleet.doctor import check
from server.fleet.logs import logs
from server.fleet.model import HostStatus
from server.fleet.service import Fleet
from server.ssh.hostkeys import HostKeys
from server.ssh.model import Target
from server.ssh.pool import SshPool
from tests.sim_cluster import Sim, running_sim

pytestmark = pytest.mark.sim


@pytest.fixture
def sim(tmp_path: Path) -> Iterator[Sim]:
    with running_sim(tmp_path, hosts=2) as sim:
        yield sim


class Control:
    """A fleet on the simulated cluster, with the settings that the simulator wrote."""

    def __init__(self, sim: Sim) -> None:
        self.clock, self.bus = SystemClock(), EventBus()
        body = yaml.safe_load(sim.config.read_text())
        wanted = {key: body[key] for key in ("hosts", "engine") if key in body}
        self.settings = Settings.model_validate(
            wanted | {"fleet": {"sample_seconds": 0.2, "stale_seconds": 2}}
        )
        self.keys = HostKeys(sim.known_hosts)
        self.pool = SshPool(
            self._target,
            key_path=sim.key,
            hostkeys=self.keys,
            clock=self.clock,
            rng=random.Random(1),
        )
        self.fleet = Fleet(lambda: self.settings, self.pool, self.bus, self.clock)

    def _target(self, name: str, user: str | None) -> Target:
        host = self.settings.host(name)
        assert host is not None
        return Target(name, host.address, host.port, user or host.user)

    async def until(
        self, holds: Callable[[HostStatus], bool], name: str = "spark-1", seconds: float = 40
    ) -> HostStatus:
        """Wait for events of that host until its status is as wanted."""
        with self.bus.subscribe(frozenset({"host"})) as events:
            async with asyncio.timeout(seconds):
                while not holds(status := self.fleet.status(name)):
                    await anext(events)
        return status


@asynccontextmanager
async def control(sim: Sim) -> AsyncIterator[Control]:
    made = Control(sim)
    await made.fleet.start()
    try:
        yield made
    finally:
        await made.fleet.close()
        await made.pool.close()


def whole(status: HostStatus) -> bool:
    last = status.last
    return bool(
        status.verdict.health is Health.UP
        and last is not None
        and last.gpus
        and last.disks
        and last.containers is not None
    )


async def test_both_hosts_are_read_whole(sim: Sim) -> None:
    """Memory, GPU, disks, containers of each host arrive over its one connection."""
    async with control(sim) as here:
        for name in ("spark-1", "spark-2"):
            last = (await here.until(whole, name)).last
            assert last is not None
            assert last.memory.total
            assert last.memory.pressure_some is not None
            assert last.gpus[0].name == "NVIDIA GB10"
            assert last.gpus[0].utilization is not None
            assert last.boot_id
            assert last.disks[0].mount == "/"
        assert here.fleet.latest("spark-1") is not here.fleet.latest("spark-2")


async def test_nothing_is_left_on_a_host_after_closing(sim: Sim) -> None:
    """Sampler and background readers are gone when the fleet is closed."""
    async with control(sim) as here:
        await here.until(whole)
        assert sim.processes("spark-1")
    async with asyncio.timeout(10):
        while sim.processes("spark-1"):  # noqa: ASYNC110 - processes tell nobody that they end
            await asyncio.sleep(0.1)


async def test_a_lost_host_is_unknown_and_comes_back(sim: Sim) -> None:
    """Grey while it is down, with the reason; Up again by itself."""
    async with control(sim) as here:
        await here.until(whole)
        await asyncio.to_thread(sim.act, "spark-1", "down")
        gone = await here.until(lambda status: status.verdict.health is not Health.UP)
        assert gone.verdict.health is Health.UNKNOWN
        assert gone.verdict.reason
        assert gone.last is not None
        assert here.fleet.status("spark-2").verdict.health is Health.UP
        await asyncio.to_thread(sim.act, "spark-1", "up")
        here.fleet.nudge("spark-1")
        await here.until(lambda status: status.verdict.health is Health.UP)


async def test_a_reboot_is_seen_by_its_boot_id(sim: Sim) -> None:
    """Another boot id after a reboot, and figures go on."""
    async with control(sim) as here:
        before = (await here.until(whole)).last
        await asyncio.to_thread(sim.act, "spark-1", "reboot")

        def rebooted(status: HostStatus) -> bool:
            return whole(status) and bool(
                before and status.last and status.last.boot_id != before.boot_id
            )

        await here.until(rebooted)


async def test_docker_trouble_is_told(sim: Sim) -> None:
    """Denied, and then hanging: containers are None with a sentence; frames keep coming."""
    sim.scenario("spark-1", docker="denied")
    sim.scenario("spark-2", docker="hang")
    async with control(sim) as here:
        denied = await here.until(lambda status: bool(status.last and status.last.docker_problem))
        assert denied.last is not None
        assert denied.last.containers is None
        assert "permission denied" in denied.last.docker_problem
        hung = await here.until(lambda status: status.last is not None, "spark-2")
        assert hung.verdict.health is Health.UP


async def test_the_doctor_of_a_healthy_host_finds_no_error(sim: Sim) -> None:
    """ssh, key, clock, tools, docker, driver, disk, memory."""
    async with control(sim) as here:
        host = here.settings.hosts[0]
        found = await check(
            host, here.pool, settings=here.settings, hostkeys=here.keys, clock=here.clock
        )
        told = {one.code: (one.severity.value, one.message) for one in found}
        for code in ("ssh", "host_key", "clock", "tools", "docker", "driver", "memory", "disk"):
            assert told[code][0] == "ok", told[code]


async def test_a_changed_key_is_shown_with_both_fingerprints(sim: Sim) -> None:
    """The host shows another key: the doctor tells the old and the new one."""
    async with control(sim) as here:
        await here.until(whole)
        await asyncio.to_thread(sim.act, "spark-1", "new-host-key")
        here.pool.forget("spark-1")
        host = here.settings.hosts[0]
        found = await check(
            host, here.pool, settings=here.settings, hostkeys=here.keys, clock=here.clock
        )
        key = next(one for one in found if one.code == "host_key")
        assert key.severity == "error"
        assert key.message.count("SHA256:") == 2


async def test_the_log_of_a_container_is_read(sim: Sim) -> None:
    """docker logs over the same connection."""
    async with control(sim) as here:
        shell = here.pool.shell("spark-1")
        argv = ["docker", "run", "-d", "--name", "talker", "--entrypoint", "sh", "vllm-node"]
        await shell.run([*argv, "-c", "echo one; echo two >&2; sleep 60"], deadline=30)

        def running(status: HostStatus) -> bool:
            found = status.last.containers if status.last else None
            return any(one.name == "talker" and one.state == "running" for one in found or ())

        await here.until(running)
        async with asyncio.timeout(20):
            # docker keeps no order between the two outputs of a container.
            while set((await logs(shell, "talker", 10)).split()) != {"one", "two"}:  # noqa: ASYNC110
                await asyncio.sleep(0.2)
