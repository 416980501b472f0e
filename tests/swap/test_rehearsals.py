"""A look at a swap before it is asked for: joined, kept, told, and nothing touched."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.base.bus import EventBus
from server.base.clock import SystemClock
from server.base.errors import HostUnreachable, QueueFull
from server.base.finding import Finding, Severity
from server.swap.events import Placement
from server.swap.rehearsals import AT_ONCE, KEPT, Rehearsal, Rehearsals
from tests.swap.made import deployment, spec
from tests.swap.test_service import House, house_at


class Stage:
    """Answers when it is let to."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.asked: list[str] = []
        self.error: Exception | None = None
        self.findings = [Finding("fit", Severity.OK, "fits")]

    async def rehearse(self, model: str) -> tuple[list[Finding], Placement | None]:
        self.asked.append(model)
        await self.go.wait()
        if self.error:
            raise self.error
        return self.findings, Placement(spec(model), (deployment(),))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with house_at(tmp_path) as made:
        yield made


async def over(bus: EventBus, looks: Rehearsals, stage: Stage, model: str = "new") -> Rehearsal:
    with bus.subscribe(frozenset({"job"})) as events:
        stage.go.set()
        async with asyncio.timeout(10):
            async for event in events:
                if event.data["model"] == model and event.data["ended_at"]:
                    break
    found = looks.now(model)
    assert found is not None
    return found


async def test_two_who_ask_share_one_look_and_its_answer_is_kept() -> None:
    """It names what would go."""
    stage, bus = Stage(), EventBus()
    looks = Rehearsals(stage, bus, SystemClock())
    first = looks.begin("new", requested_by="a")
    assert looks.begin("new", requested_by="b") is first
    assert (first.ended_at, first.findings) == (None, ())
    found = await over(bus, looks, stage)
    assert (stage.asked, found.refused) == (["new"], False)
    assert found.to_dict()["evicted"] == ["old"]
    again = looks.begin("new", requested_by="b")
    assert (again.requested_by, again.findings) == ("b", ())
    await looks.close()


@pytest.mark.parametrize("bug", [True, False])
async def test_a_look_that_fails_ends_and_says_why(bug: bool) -> None:
    """A page that waits for it must not wait for good."""
    stage, bus = Stage(), EventBus()
    stage.error = RuntimeError("x") if bug else HostUnreachable("spark-1 does not answer")
    looks = Rehearsals(stage, bus, SystemClock())
    looks.begin("new", requested_by="a")
    found = await over(bus, looks, stage)
    assert found.ended_at is not None
    assert found.error == (
        "It failed inside Spark Control; see its log." if bug else "spark-1 does not answer"
    )
    await looks.close()


async def test_few_at_once_and_few_are_kept() -> None:
    """Nobody can make the hosts busy, or fill the memory, with looks."""
    stage, bus = Stage(), EventBus()
    looks = Rehearsals(stage, bus, SystemClock())
    for number in range(AT_ONCE):
        looks.begin(f"m{number}", requested_by="a")
    with pytest.raises(QueueFull):
        looks.begin("one more", requested_by="a")
    await over(bus, looks, stage, f"m{AT_ONCE - 1}")
    for number in range(KEPT):
        looks.begin(f"n{number}", requested_by="a")
        await over(bus, looks, stage, f"n{number}")
    assert looks.now("m0") is None
    assert looks.now(f"n{KEPT - 1}") is not None
    await looks.close()


async def test_a_swap_service_rehearses_without_touching_anything(house: House) -> None:
    """It names the model that would go, which goes on serving."""
    await house.swap("one")
    house.ground.calls.clear()
    findings, placement = await house.service.rehearse("two")
    assert [one.code for one in findings] == ["fit"]
    assert placement is not None
    assert [gone.spec.model for gone in placement.evicted] == ["one"]
    assert "stop_all" not in house.ground.calls
    assert house.service.serving() is not None
