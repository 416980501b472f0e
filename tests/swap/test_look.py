"""What is asked of the hosts before a placement: half an answer is Unknown, never room."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from server.base.errors import HostUnreachable, SparkError
from server.config.model import Engine as EngineSettings
from server.launch.model import Engine
from server.launch.observe import GpuHold, HostMemory
from server.swap.look import Look, going
from server.swap.placing import Room
from tests.swap.made import deployment, engine

GIB = 1 << 30


class Launch:
    def __init__(self, memory: HostMemory | SparkError, *there: Engine) -> None:
        self._memory = memory
        self._there = there

    async def observe(self, host: str, settings: object) -> tuple[Engine, ...]:
        return self._there

    async def memory(self, host: str) -> HostMemory:
        if isinstance(self._memory, SparkError):
            raise self._memory
        return self._memory


class Samples:
    """A host of 120 GiB without containers of others, or one that was never sampled."""

    def __init__(self, total: int | None = 120 * GIB) -> None:
        self._total = total

    def latest(self, host: str) -> Any:
        if self._total is None:
            return None
        return SimpleNamespace(memory=SimpleNamespace(total=self._total), containers=())


def look(launch: Launch, samples: Samples | None = None) -> Look:
    return Look(
        engines=cast("Any", launch),
        shells=cast("Any", None),
        fleet=cast("Any", samples or Samples()),
        catalog=cast("Any", None),
        engine=EngineSettings,
        ports=lambda _host: frozenset({8001}),
    )


async def test_a_room_tells_what_is_free_what_the_layout_holds_and_what_is_taken() -> None:
    """A left-over engine's name is taken; an ended one's is not."""
    served, stray, ended = engine("swap-0"), engine("swap-9"), engine("swap-8", running=False)
    holds = (GpuHold(7, 40 * GIB, "/docker/id-swap-0"), GpuHold(8, GIB, "/docker/other"))
    launch = Launch(HostMemory(60 * GIB, holds), served, stray, ended)
    seen = await look(launch).rooms(["spark-1"], [deployment("old", "swap-0")])
    names = frozenset({stray.container})
    assert seen == {
        "spark-1": Room(120 * GIB, 60 * GIB, {"old": 40 * GIB}, names, frozenset({8001}))
    }


@pytest.mark.parametrize(
    ("memory", "samples"),
    [
        (HostUnreachable("no route"), Samples()),
        (HostMemory(None, ()), Samples()),
        (HostMemory(60 * GIB, ()), Samples(None)),
    ],
)
async def test_a_host_that_does_not_tell_everything_has_no_known_room(
    memory: HostMemory | SparkError, samples: Samples
) -> None:
    seen = (await look(Launch(memory), samples).rooms(["spark-1"], []))["spark-1"]
    assert seen.total is None or seen.available is None


def test_what_cannot_be_told_from_a_neighbour_is_unknown() -> None:
    """By the container in the cgroup of each process; a bare engine has none."""
    old, neighbour = engine("swap-0"), engine("swap-1")
    fleet = cast("Any", Samples())
    apart = HostMemory(GIB, (GpuHold(7, GIB, "id-swap-0"), GpuHold(8, GIB, "id-swap-1")))
    mixed = HostMemory(GIB, (GpuHold(7, GIB, "/"), GpuHold(8, GIB, "/")))
    assert going(apart, fleet, "spark-1", [old], [neighbour]) == (apart.holds or ())[:1]
    assert going(mixed, fleet, "spark-1", [old], [neighbour]) is None
    assert going(mixed, fleet, "spark-1", [old], []) == mixed.holds
    assert going(None, fleet, "spark-1", [old], []) is None
