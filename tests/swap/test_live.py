"""What the live ground makes of the answers of the rooms below, one call at a time."""

from collections.abc import Sequence
from typing import Any, cast

import httpx
import pytest

from server.base.clock import SystemClock
from server.base.errors import DeadlineExceeded, SparkError
from server.config.model import Settings
from server.launch.model import Engine, LaunchSpec, Progress
from server.launch.observe import GpuHold, HostMemory, MemoryWait
from server.swap.live import LiveGround
from tests.swap.made import engine, spec


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

    async def observe(self, host: str, settings: object) -> tuple[Engine, ...]:
        return self.there

    async def memory(self, host: str) -> HostMemory:
        if self.memory_fails is not None:
            raise self.memory_fails
        return HostMemory(1 << 30, (GpuHold(7, 1 << 30, ""),))

    async def await_memory(
        self, host: str, need: int, pids: Sequence[int], wait: float, **_: object
    ) -> MemoryWait:
        return MemoryWait(True, need, ())

    async def stop(self, what: LaunchSpec | Engine, **_: object) -> None:
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
