"""The one writer: queueing, cancelling, rolling back, restarting in every state, looking after."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from types import MappingProxyType

import pytest

from server.base.bus import EventBus
from server.base.clock import SystemClock
from server.base.errors import Conflict, ModelNotFound, NotFound
from server.base.health import Verdict
from server.catalog.model import Catalog, Model, Source
from server.config.model import Engine as EngineSettings
from server.config.model import Settings
from server.launch.model import LaunchSpec
from server.store.database import Database
from server.swap.ledger import Ledger
from server.swap.model import State, SwapError, SwapRecord, Use
from server.swap.service import SwapService
from tests.swap.fake_ground import FakeGround
from tests.swap.made import spec

OOM = SwapError("oom", "out of memory", "too big", "use a smaller one", "CUDA OOM")
NAMES = ("one", "two", "three")


class QuickClock(SystemClock):
    """Real time, but a pause is only a turn of the loop."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


def catalog() -> Catalog:
    models = {n: Model(n, n, Source(hf=f"org/{n}"), aliases=(f"{n}-alias",)) for n in NAMES}
    models["off"] = Model("off", "off", Source(hf="org/off"), enabled=False)
    return Catalog(MappingProxyType(models))


def build_spec(model: Model, _settings: Settings) -> LaunchSpec:
    return spec(model.id)


@dataclass
class House:
    """A service over a real database and a fake ground; `fresh` is another start of it."""

    service: SwapService
    ground: FakeGround
    bus: EventBus
    fresh: Callable[[], SwapService]

    async def ended(self, swap_id: str) -> SwapRecord:
        async with asyncio.timeout(20):
            while True:
                record = await self.service.get(swap_id)
                if record.state.final and self.service.current() is None:
                    return record
                await asyncio.sleep(0)

    async def swap(self, model: str, **more: object) -> SwapRecord:
        asked = await self.service.request(model, requested_by="test", **more)  # type: ignore[arg-type]
        return await self.ended(asked.id)

    async def restart(self) -> None:
        await self.service.close()
        self.service = self.fresh()
        await self.service.start()

    async def until(self, seen: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not seen():  # noqa: ASYNC110 - what is waited for has no event of its own
                await asyncio.sleep(0)


@asynccontextmanager
async def house_at(
    path: Path,
    *,
    on_death: str = "restart",
    build: Callable[[Model, Settings], LaunchSpec] = build_spec,
    pinned: frozenset[str] = frozenset(),
    use: Callable[[], dict[str, Use]] = dict,
    **engine: object,
) -> AsyncIterator[House]:
    database = Database(f"sqlite+aiosqlite:///{path}/test.db")
    await database.open()
    ground, bus, numbers = FakeGround(), EventBus(), count(1)

    def new_id(_now: datetime) -> str:
        return f"swap-{next(numbers):03d}"

    settings = Settings(engine=EngineSettings(on_death=on_death, **engine))  # type: ignore[arg-type]

    def fresh() -> SwapService:
        return SwapService(
            ground=ground,
            ledger=Ledger(database),
            catalog=catalog,
            settings=lambda: settings,
            build_spec=build,
            pinned=lambda: pinned,
            use=use,
            bus=bus,
            clock=QuickClock(),
            new_id=new_id,
            look_seconds=0.01,
        )

    house = House(fresh(), ground, bus, fresh)
    await house.service.start()
    try:
        yield house
    finally:
        await house.service.close()
        await database.close()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with house_at(tmp_path) as made:
        yield made


async def test_a_swap_ends_serving_and_says_what_it_did(house: House) -> None:
    record = await house.swap("one-alias")
    assert (record.state, record.model, record.percent) == (State.SERVING, "one", 100.0)
    serving = house.service.serving()
    assert serving is not None
    assert (serving.model, serving.accepting, serving.max_model_len) == ("one", True, 4096)
    assert [step.name for step in record.steps] == [
        "preflight",
        "stopping",
        "starting",
        "starting: run",
        "loading",
        "warming",
    ]
    assert (await house.service.log(record.id)).texts() == ("Loading weights took 1 seconds",)


async def test_the_second_swap_replaces_the_first_engine_and_never_runs_beside_it(
    house: House,
) -> None:
    await house.swap("one")
    record = await house.swap("two")
    assert record.previous_model == "one"
    assert house.ground.running() == [record.id]
    assert house.ground.most_engines == 1


async def test_two_people_pressing_swap_get_the_same_swap(house: House) -> None:
    house.ground.hold("check")
    first, second = await asyncio.gather(
        house.service.request("one", requested_by="a"),
        house.service.request("one", requested_by="b"),
    )
    assert first.id == second.id
    await house.ground.reached("check")
    third = await house.service.request("one", requested_by="c")
    assert third.id == first.id
    house.ground.let_go("check")
    assert (await house.ended(first.id)).state is State.SERVING


async def test_who_asks_while_it_rolls_back_asks_anew(house: House) -> None:
    """The swap that failed leads back to the old model: joining it would lose the request."""
    await house.swap("one")
    house.ground.fail("watch", OOM)
    house.ground.hold("discard")
    first = await house.service.request("two", requested_by="a")
    await house.ground.reached("discard")
    second = await house.service.request("two", requested_by="b")
    assert second.id != first.id
    house.ground.let_go("discard")
    assert (await house.ended(first.id)).state is State.ROLLED_BACK
    assert (await house.ended(second.id)).state is State.SERVING


async def test_who_asks_right_after_the_end_asks_anew(house: House) -> None:
    """While the times of the swap that ended are still being written down."""
    seen: list[str] = []

    async def learn(*_: object) -> None:
        current = house.service.current()
        if not seen and current is not None and current.state is State.SERVING:
            seen.append((await house.service.request("one", requested_by="b")).id)

    house.service._ledger.learn = learn  # type: ignore[method-assign]
    first = await house.service.request("one", requested_by="a")
    await house.until(lambda: len(seen) == 1)
    assert seen[0] != first.id
    assert (await house.ended(seen[0])).state is State.SERVING


async def test_the_same_model_again_is_only_proven(house: House) -> None:
    await house.swap("one")
    house.ground.calls.clear()
    again = await house.swap("one")
    assert again.state is State.SERVING
    assert "start" not in house.ground.calls
    assert "prove" in house.ground.calls


async def test_force_starts_the_same_model_anew(house: House) -> None:
    first = await house.swap("one")
    again = await house.swap("one", force=True)
    assert house.ground.running() == [again.id] != [first.id]


async def test_requests_queue_in_order(house: House) -> None:
    house.ground.hold("watch")
    first = await house.service.request("one", requested_by="a")
    await house.ground.reached("watch")
    second = await house.service.request("two", requested_by="b")
    assert [r.id for r in house.service.queue()] == [second.id]
    house.ground.let_go("watch")
    assert (await house.ended(second.id)).state is State.SERVING
    assert (await house.service.get(first.id)).state is State.SERVING
    assert house.ground.running() == [second.id]


async def test_reject_leaves_the_running_swap_alone(house: House) -> None:
    house.ground.hold("watch")
    first = await house.service.request("one", requested_by="a")
    await house.ground.reached("watch")
    with pytest.raises(Conflict, match="one"):
        await house.service.request("two", on_conflict="reject", requested_by="b")
    house.ground.let_go("watch")
    assert (await house.ended(first.id)).state is State.SERVING


async def test_replace_cancels_what_runs_and_what_waits(house: House) -> None:
    house.ground.hold("watch")
    first = await house.service.request("one", requested_by="a")
    await house.ground.reached("watch")
    waiting = await house.service.request("two", requested_by="b")
    third = await house.service.request("three", on_conflict="replace", requested_by="c")
    house.ground.let_go("watch")
    assert (await house.ended(third.id)).state is State.SERVING
    assert (await house.service.get(first.id)).state is State.CANCELLED
    assert (await house.service.get(waiting.id)).state is State.CANCELLED
    assert house.ground.running() == [third.id]


@pytest.mark.parametrize("call", ["check", "drain", "stop_all", "start", "watch", "prove"])
async def test_cancel_at_any_stage_leaves_the_old_model_serving(house: House, call: str) -> None:
    """Cancelled means cancelled: what served before serves again, and nothing else runs."""
    await house.swap("one")
    house.ground.hold(call)
    asked = await house.service.request("two", requested_by="a")
    await house.ground.reached(call)
    await house.service.cancel(asked.id, requested_by="b")
    if call in {"stop_all", "start", "watch", "prove"}:
        house.ground._held.pop(call)  # the rollback passes the same call; the first was cancelled
    record = await house.ended(asked.id)
    assert (record.state, record.cancelled_by) == (State.CANCELLED, "b")
    serving = house.service.serving()
    assert serving is not None
    assert (serving.model, serving.accepting) == ("one", True)
    assert len(house.ground.running()) == 1


async def test_a_queued_swap_is_cancelled_without_a_trace(house: House) -> None:
    house.ground.hold("check")
    first = await house.service.request("one", requested_by="a")
    await house.ground.reached("check")
    second = await house.service.request("two", requested_by="a")
    assert (await house.service.cancel(second.id, requested_by="b")).state is State.CANCELLED
    house.ground.let_go("check")
    await house.ended(first.id)
    assert house.ground.running() == [first.id]


async def test_cancelling_what_has_ended_is_a_conflict(house: House) -> None:
    record = await house.swap("one")
    with pytest.raises(Conflict, match="ended"):
        await house.service.cancel(record.id, requested_by="b")
    with pytest.raises(NotFound):
        await house.service.cancel("swap-nope", requested_by="b")


@pytest.mark.parametrize("call", ["start", "watch", "prove"])
async def test_a_failure_rolls_back_to_the_previous_model(house: House, call: str) -> None:
    await house.swap("one")
    house.ground.fail(call, OOM)
    record = await house.swap("two")
    assert record.state is State.ROLLED_BACK
    assert record.error == OOM
    serving = house.service.serving()
    assert serving is not None
    assert serving.model == "one"
    assert house.ground.running() == [f"{record.id}-rb"]


async def test_a_failure_with_nothing_before_it_serves_nothing(house: House) -> None:
    house.ground.fail("watch", OOM)
    record = await house.swap("one")
    assert (record.state, record.error) == (State.FAILED, OOM)
    assert house.service.serving() is None
    assert house.ground.running() == []


async def test_a_rollback_that_fails_too_says_that_nothing_serves(house: House) -> None:
    await house.swap("one")
    house.ground.fail("watch", OOM, SwapError("died", "the old one died"))
    record = await house.swap("two")
    assert record.state is State.FAILED
    assert record.error is not None
    assert "the old one died" in record.error.message
    assert house.service.serving() is None
    assert house.ground.running() == []


async def test_unload_stops_everything(house: House) -> None:
    await house.swap("one")
    asked = await house.service.unload(requested_by="a")
    assert (await house.ended(asked.id)).state is State.UNLOADED
    assert house.service.serving() is None
    assert house.ground.running() == []


async def test_unknown_and_disabled_models_are_refused_at_once(house: House) -> None:
    with pytest.raises(ModelNotFound, match="one, two, three"):
        await house.service.request("nope", requested_by="a")
    with pytest.raises(Conflict, match="disabled"):
        await house.service.request("off", requested_by="a")


@pytest.mark.parametrize("call", ["check", "drain", "stop_all", "start", "watch", "prove"])
@pytest.mark.parametrize("fails", [False, True])
async def test_a_restart_in_any_state_ends_with_one_engine(
    house: House, call: str, fails: bool
) -> None:
    """The saved record is taken up again: it ends serving, or rolled back when the load fails."""
    await house.swap("one")
    house.ground.hold(call)
    asked = await house.service.request("two", requested_by="a")
    await house.ground.reached(call)
    house.ground._held.pop(call)
    if fails:
        house.ground.fail("prove", OOM)
    await house.restart()
    record = await house.ended(asked.id)
    assert record.state is (State.ROLLED_BACK if fails else State.SERVING)
    serving = house.service.serving()
    assert serving is not None
    assert serving.model == ("one" if fails else "two")
    assert house.ground.running() == [serving.deployment.engine.tag]
    assert house.ground.most_engines == 1


@pytest.mark.parametrize("call", ["discard", "stop_all", "start", "watch", "prove"])
async def test_a_restart_during_the_rollback_still_rolls_back(house: House, call: str) -> None:
    await house.swap("one")
    house.ground.fail("watch", OOM)
    asked = await house.service.request("two", requested_by="a")
    await house.until(lambda: "discard" in house.ground.calls)
    house.ground.hold(call)
    await house.until(
        lambda: house.ground._entered[call].is_set() or house.service.current() is None
    )
    house.ground._held.pop(call, None)
    await house.restart()
    record = await house.ended(asked.id)
    assert record.state is State.ROLLED_BACK
    assert house.ground.running() == [f"{asked.id}-rb"]


async def test_a_restart_waits_for_a_silent_host_instead_of_guessing(house: House) -> None:
    await house.swap("one")
    house.ground.hold("watch")
    asked = await house.service.request("two", requested_by="a")
    await house.ground.reached("watch")
    house.ground._held.pop("watch")
    house.ground.silent = {"spark-1"}
    await house.restart()
    await house.until(
        lambda: (current := house.service.current()) and "waiting for spark-1" in current.stage
    )
    assert house.ground.running() == [asked.id]
    house.ground.silent = set()
    assert (await house.ended(asked.id)).state is State.SERVING


async def test_what_waited_in_the_queue_is_still_done_after_a_restart(house: House) -> None:
    house.ground.hold("watch")
    await house.service.request("one", requested_by="a")
    await house.ground.reached("watch")
    second = await house.service.request("two", requested_by="b")
    house.ground._held.pop("watch")
    await house.restart()
    assert (await house.ended(second.id)).state is State.SERVING
    assert house.ground.running() == [second.id]


async def test_what_served_before_a_restart_serves_at_once_after_it(house: House) -> None:
    record = await house.swap("one")
    await house.restart()
    serving = house.service.serving()
    assert serving is not None
    assert serving.deployment.engine.tag == record.id


async def test_an_engine_that_dies_is_told_and_restarted(house: House) -> None:
    record = await house.swap("one")
    with house.bus.subscribe(frozenset({"notice"})) as notices:
        house.ground.engines["spark-1"].pop(record.id)
        async with asyncio.timeout(10):
            notice = await anext(notices)
        assert "died" in notice.data["message"]
        assert notice.data["log_excerpt"] == "CUDA OOM"
    await house.until(lambda: house.service.serving() is not None)
    (newest, *_) = await house.service.history(1)
    assert newest.requested_by.startswith("watchdog")


async def test_an_engine_on_a_silent_host_is_not_called_dead(house: House) -> None:
    """Unknown never becomes false."""
    await house.swap("one")
    house.ground.silent = {"spark-1"}
    await house.until(lambda: (s := house.service.serving()) and s.health.health.value == "unknown")
    house.ground.calls.clear()
    await house.until(lambda: house.ground.calls.count("alive") > 5)
    assert house.service.serving() is not None
    assert "start" not in house.ground.calls


async def test_rollback_policy_returns_to_the_model_before(tmp_path: Path) -> None:
    async with house_at(tmp_path, on_death="rollback") as house:
        await house.swap("one")
        second = await house.swap("two")
        house.ground.engines["spark-1"].pop(second.id)
        await house.until(lambda: (s := house.service.serving()) and s.model == "one")


async def test_none_policy_leaves_it_stopped(tmp_path: Path) -> None:
    async with house_at(tmp_path, on_death="none") as house:
        record = await house.swap("one")
        house.ground.engines["spark-1"].pop(record.id)
        await house.until(lambda: house.service.serving() is None)
        assert house.service.queue() == ()


async def test_two_models_that_keep_dying_do_not_take_turns_for_ever(house: House) -> None:
    """Three restarts of each in ten minutes, one way back from one to the other, then rest."""
    await house.swap("one")
    await house.swap("two")
    seen: list[str] = []
    with house.bus.subscribe(frozenset({"notice"})) as notices:
        while not (seen and "is left stopped" in seen[-1]):
            await house.until(
                lambda: house.service.serving() is not None and house.service.current() is None
            )
            house.ground.engines["spark-1"].clear()
            async with asyncio.timeout(10):
                seen.append((await anext(notices)).data["message"])
    assert [message.split()[0] for message in seen] == ["two"] * 4 + ["one"] * 4
    assert house.service.serving() is None
    assert house.service.queue() == ()


async def test_half_an_engine_is_stopped_when_it_is_left_at_rest(tmp_path: Path) -> None:
    """A worker died and nothing is to be restarted: the head must not go on holding memory."""
    async with house_at(tmp_path, on_death="none") as house:
        await house.swap("one")
        house.ground.verdict = Verdict.down("the worker on spark-2 ended")
        await house.until(lambda: house.service.serving() is None)
        await house.until(lambda: house.ground.running() == [])


async def test_a_host_lost_for_good_fails_and_its_engine_is_adopted_when_it_is_back(
    house: House,
) -> None:
    """`failed` was the truth while nobody knew; the sweep finds a new truth without a hand."""
    house.ground.hold("watch")
    asked = await house.service.request("one", requested_by="a")
    await house.ground.reached("watch")
    house.ground.silent = {"spark-1"}
    house.ground.fail("watch", SwapError("host_lost", "lost"))
    house.ground.let_go("watch")
    record = await house.ended(asked.id)
    assert record.state is State.FAILED
    house.ground.silent = set()
    await house.until(lambda: house.service.serving() is not None)
    serving = house.service.serving()
    assert serving is not None
    assert serving.deployment.engine.tag == asked.id


async def test_phase_times_are_learned(house: House, tmp_path: Path) -> None:
    await house.swap("one")
    await house.swap("two")
    ledger = house.service._ledger
    learned = await ledger.learned("org/one|vllm-node|docker|1")
    assert set(learned) >= {"preflight", "stopping", "starting"}
