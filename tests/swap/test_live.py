"""What the live ground makes of the answers of the rooms below, one call at a time."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import httpx
import pytest

from server.base.clock import SystemClock
from server.base.errors import DeadlineExceeded, SparkError
from server.config.model import Settings
from server.launch.model import Engine, LaunchSpec, Progress
from server.launch.observe import GpuHold, HostMemory, MemoryWait
from server.launch.service import Engines
from server.swap.live import LiveGround
from tests.swap.made import deployment, engine, spec


class Unheard:
    def step(self, name: str, host: str) -> None: ...
    def line(self, text: str) -> None: ...
    def progress(self, progress: Progress) -> None: ...
    def note(self, text: str) -> None: ...


class Launch:
    """The launch room: `there` is what runs on the one host, `stopped` what was asked to go."""

    def __init__(self, *there: Engine) -> None:
        self.there = there
        self.stopped: list[str] = []
        self.memory_fails: SparkError | None = None
        self.holds = (GpuHold(7, 1 << 30, ""),)
        self.kept: list[str | None] = []
        self.awaited: list[tuple[int, tuple[int, ...], float]] = []

    async def observe(self, host: str, settings: object) -> tuple[Engine, ...]:
        return self.there

    async def memory(self, host: str) -> HostMemory:
        if self.memory_fails is not None:
            raise self.memory_fails
        return HostMemory(1 << 30, self.holds)

    async def await_memory(
        self, host: str, need: int, pids: Sequence[int], wait: float, *, steady: float = 0.0
    ) -> MemoryWait:
        self.awaited.append((need, tuple(pids), steady))
        return MemoryWait(True, need, ())

    async def stop(
        self, what: LaunchSpec | Engine, *, keep_tag: str | None = None, **_: object
    ) -> None:
        self.kept.append(keep_tag)
        kind = "spec" if isinstance(what, LaunchSpec) else "engine"
        self.stopped.append(f"{kind} {what.launcher} {what.container}")


class Samples:
    def latest(self, host: str) -> None:
        return None


def ground(launch: Launch, answer: httpx.Response | None = None) -> LiveGround:
    async def drain(_seconds: float, _models: Sequence[str]) -> int:
        return 0

    transport = httpx.MockTransport(lambda _: answer or httpx.Response(404))
    return LiveGround(
        engines=cast("Any", launch),
        look=cast("Any", None),
        fleet=cast("Any", Samples()),
        settings=Settings,
        drain=drain,
        http=httpx.AsyncClient(transport=transport),
        clock=SystemClock(),
    )


async def test_an_engine_under_another_launcher_goes_before_a_new_one_starts() -> None:
    """Same name, but no container: the stop of the specs does not reach it."""
    bare = engine("swap-0")
    launch = Launch(engine("swap-1"), Engine(**bare.to_dict() | {"launcher": "bare"}))
    await ground(launch).stop_all([spec()], keep=(), listener=Unheard())
    assert launch.stopped == [
        "engine bare spark-control-engine",
        "spec docker spark-control-engine",
    ]


async def test_an_engine_under_a_name_of_old_settings_goes_though_memory_is_not_told() -> None:
    old = Engine(**engine("swap-0").to_dict() | {"container": "old-name"})
    launch = Launch(old)
    launch.memory_fails = DeadlineExceeded("nvidia-smi gave no answer")
    await ground(launch).stop_all([spec()], keep=(), listener=Unheard())
    assert launch.stopped == ["engine docker old-name", "spec docker spark-control-engine"]


async def test_what_the_specs_name_is_stopped_once() -> None:
    launch = Launch(engine("swap-1"))
    await ground(launch).stop_all([spec()], keep=(), listener=Unheard())
    assert launch.stopped == ["spec docker spark-control-engine"]


@pytest.mark.parametrize("content", [b'{"data": "\xff"}', b"<html>", b"[]"])
async def test_a_context_length_that_cannot_be_read_is_not_known(content: bytes) -> None:
    """The engine answered: that it tells no length ends no swap."""
    told = await ground(Launch(), httpx.Response(200, content=content))._max_model_len(spec())
    assert told is None


async def test_a_command_is_drawn_for_every_launcher() -> None:
    """Also for several nodes, whose launcher refuses what a shell would change: the swap that would
    start it has no id yet, and what stands for one must pass."""
    engines = Engines(cast("Any", None), SystemClock())
    cluster = spec("m", hosts=("spark-1", "spark-2"))
    nodes = tuple(replace(node, cluster_address="192.0.2.9") for node in cluster.nodes)
    options = (("launch_cluster_dir", "/home/u/svd"),)
    cluster = replace(cluster, nodes=nodes, launcher="launch-cluster", options=options)
    (planned,) = ground(cast("Any", engines)).commands(cluster)
    assert "vllm serve" in planned.shown


def beside(tag: str, slot: int) -> Engine:
    name = f"spark-control-engine-{slot}"
    return Engine(**engine(tag).to_dict() | {"container": name})


async def test_a_neighbour_is_spared_and_its_memory_is_not_waited_for() -> None:
    """Only the processes of those that go must be off the GPU."""
    old, neighbour = engine("swap-1"), beside("swap-2", 1)
    launch = Launch(old, neighbour)
    launch.holds = (GpuHold(7, 4 << 30, f"/docker/{old.ident}"), GpuHold(8, 9 << 30, "id-swap-2"))
    await ground(launch).stop_all([spec()], keep={"swap-2"}, listener=Unheard())
    assert launch.stopped == ["spec docker spark-control-engine"]
    assert launch.awaited == [((1 << 30) + int(0.9 * (4 << 30)), (7,), 0.0)]


async def test_an_engine_that_stays_in_the_place_of_a_spec_is_named_to_the_stop() -> None:
    """The rollback's own engine, found again after a crash, is adopted and not stopped."""
    launch = Launch(engine("swap-1-rb"))
    await ground(launch).stop_all([spec()], keep={"swap-1-rb"}, listener=Unheard())
    assert launch.kept == ["swap-1-rb"]
    assert launch.awaited == []


async def test_processes_that_cannot_be_told_apart_are_not_waited_for() -> None:
    """A host whose cgroups name no container: the neighbour's process would never go."""
    launch = Launch(engine("swap-1"), beside("swap-2", 1))
    launch.holds = (GpuHold(7, 4 << 30, "/"), GpuHold(8, 9 << 30, "/"))
    await ground(launch).stop_all([spec()], keep={"swap-2"}, listener=Unheard())
    assert all(pids == () for _, pids, _ in launch.awaited)


async def test_retiring_stops_what_is_named_and_nothing_else() -> None:
    launch = Launch(engine("swap-0", "old"), beside("swap-1", 1))
    await ground(launch).retire([deployment()], Unheard())
    assert launch.stopped == ["spec docker spark-control-engine"]
