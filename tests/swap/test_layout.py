"""Several models at once: placed beside, moved by overlap, evicted, kept through crashes."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from server.base.errors import Conflict, ModelNotFound
from server.base.health import Verdict
from server.base.units import GIB
from server.catalog.model import Model
from server.config.model import Settings
from server.launch.model import LaunchSpec
from server.store.tables import facts
from server.swap.model import Serving, State, SwapError, Use
from server.swap.placing import Room
from tests.swap.made import spec
from tests.swap.test_service import OOM, House, house_at

TOTAL = 120 * GIB
ROOMY = Room(TOTAL, 100 * GIB)


def small(model: Model, _settings: Settings) -> LaunchSpec:
    """A third of a host each."""
    made = spec(model.id)
    words = ("--port", "8000", "--gpu-memory-utilization", "0.3")
    return replace(made, argv=(*made.argv, *words))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Room for two models."""
    async with house_at(tmp_path, build=small, max_models=2) as made:
        made.ground.seen["spark-1"] = ROOMY
        yield made


@pytest.fixture
async def single(tmp_path: Path) -> AsyncIterator[House]:
    """One model at a time, and memory for two."""
    async with house_at(tmp_path, build=small) as made:
        made.ground.seen["spark-1"] = ROOMY
        yield made


def models(house: House) -> list[str]:
    return [serving.model for serving in house.service.layout()]


def shown(house: House, model: str) -> Serving:
    return next(serving for serving in house.service.layout() if serving.model == model)


async def test_a_second_model_is_served_beside_the_first(house: House) -> None:
    first, second = await house.swap("one"), await house.swap("two")
    assert (second.state, second.mode, second.evicted_models) == (State.SERVING, "beside", ())
    assert models(house) == ["one", "two"]
    assert house.ground.running() == [first.id, second.id]
    newest = house.service.serving()
    assert newest is not None
    assert newest.base_url.endswith(":8001")
    assert newest.deployment.spec.container == "spark-control-engine-1"
    assert newest.deployment.spec.argv[4] == "8001"
    assert house.ground.drained == []


async def test_the_third_evicts_the_one_that_was_idle_longest(tmp_path: Path) -> None:
    use = {"one": Use(0, 5.0), "two": Use(0, 600.0)}
    async with house_at(tmp_path, build=small, max_models=2, use=lambda: use) as house:
        house.ground.seen["spark-1"] = Room(TOTAL, 50 * GIB)
        first = await house.swap("one")
        await house.swap("two")
        house.ground.seen["spark-1"] = Room(TOTAL, 10 * GIB)
        third = await house.swap("three")
        assert (third.mode, third.evicted_models) == ("replace", ("two",))
        assert models(house) == ["one", "three"]
        assert house.ground.running() == [first.id, third.id]
        assert house.ground.drained == ["two"]


async def test_a_pinned_model_is_not_evicted_and_serves_on(tmp_path: Path) -> None:
    async with house_at(tmp_path, build=small, pinned=frozenset({"one"})) as house:
        await house.swap("one")
        record = await house.swap("two")
        assert record.state is State.ROLLED_BACK
        assert record.error is not None
        assert "pinned (one)" in record.error.message
        assert models(house) == ["one"]
        (finding,) = await house.service.preflight("two")
        assert finding.code == "cannot_be_placed"


async def test_an_overlap_serves_without_a_gap(single: House) -> None:
    """There is no moment at which nothing is served, and in the end the old engine is gone."""
    await single.swap("one")
    seen: list[tuple[str, ...]] = []
    single.service.changed.append(lambda: seen.append(tuple(models(single))))
    record = await single.swap("two")
    assert (record.state, record.mode, record.previous_model) == (State.SERVING, "overlap", "one")
    assert all(seen)
    assert ("one", "two") in seen
    assert models(single) == ["two"]
    assert single.ground.running() == [record.id]
    assert single.ground.drained == ["one"]
    names = [step.name for step in record.steps if ":" not in step.name]
    assert names[-2:] == ["relieving", "retiring"]


async def test_an_overlap_that_fails_never_interrupts_the_old_model(single: House) -> None:
    first = await single.swap("one")
    single.ground.fail("watch", OOM)
    accepted: list[bool] = []
    single.service.changed.append(lambda: accepted.append(shown(single, "one").accepting))
    record = await single.swap("two")
    assert (record.state, record.error) == (State.ROLLED_BACK, OOM)
    assert accepted
    assert all(accepted)
    assert single.ground.running() == [first.id]
    assert "stop_all" not in single.ground.calls[single.ground.calls.index("rooms") :]


async def test_an_old_engine_that_does_not_stop_is_a_notice(single: House) -> None:
    await single.swap("one")
    single.ground.fail("retire", SwapError("stuck", "it did not go away"))
    with single.bus.subscribe(frozenset({"notice"})) as notices:
        record = await single.swap("two")
        async with asyncio.timeout(10):
            notice = await anext(notices)
    assert (record.state, record.error) == (State.SERVING, None)
    assert "it did not go away" in notice.data["message"]
    await single.until(lambda: single.ground.running() == [record.id])


@pytest.mark.parametrize("call", ["rooms", "check", "start", "watch", "prove", "drain", "retire"])
async def test_a_restart_at_any_point_of_an_overlap_ends_it(single: House, call: str) -> None:
    await single.swap("one")
    single.ground.hold(call)
    asked = await single.service.request("two", requested_by="a")
    await single.ground.reached(call)
    single.ground._held.pop(call)
    await single.restart()
    held = [s.model for s in single.service.layout() if not s.accepting]
    assert held == (["one"] if call == "drain" else [])
    record = await single.ended(asked.id)
    assert record.state is State.SERVING
    assert models(single) == ["two"]
    assert single.ground.running() == [asked.id]


@pytest.mark.parametrize("call", ["drain", "retire"])
async def test_it_is_too_late_to_cancel_when_the_new_model_serves(single: House, call: str) -> None:
    await single.swap("one")
    single.ground.hold(call)
    asked = await single.service.request("two", requested_by="a")
    await single.ground.reached(call)
    with pytest.raises(Conflict, match="serves already"):
        await single.service.cancel(asked.id, requested_by="b")
    third = await single.service.request("three", on_conflict="replace", requested_by="b")
    single.ground.let_go(call)
    assert (await single.ended(third.id)).state is State.SERVING
    assert (await single.service.get(asked.id)).state is State.SERVING


@pytest.mark.parametrize("call", ["start", "watch", "prove"])
async def test_a_cancelled_overlap_leaves_the_old_model_as_it_was(single: House, call: str) -> None:
    first = await single.swap("one")
    single.ground.hold(call)
    asked = await single.service.request("two", requested_by="a")
    await single.ground.reached(call)
    await single.service.cancel(asked.id, requested_by="b")
    single.ground._held.pop(call)
    record = await single.ended(asked.id)
    assert (record.state, record.cancelled_by) == (State.CANCELLED, "b")
    assert models(single) == ["one"]
    assert single.ground.running() == [first.id]


async def test_unload_of_one_leaves_the_other(house: House) -> None:
    first = await house.swap("one")
    await house.swap("two")
    asked = await house.service.unload("two-alias", requested_by="a")
    record = await house.ended(asked.id)
    assert (record.state, record.unloads) == (State.UNLOADED, "two")
    assert models(house) == ["one"]
    assert house.ground.running() == [first.id]
    with pytest.raises(ModelNotFound):
        await house.service.unload("nope", requested_by="a")


async def test_unload_without_a_name_ends_all(house: House) -> None:
    await house.swap("one")
    await house.swap("two")
    record = await house.ended((await house.service.unload(requested_by="a")).id)
    assert (record.state, record.evicted_models) == (State.UNLOADED, ("one", "two"))
    assert (models(house), house.ground.running()) == ([], [])


async def test_the_whole_layout_outlives_a_restart(house: House) -> None:
    first, second = await house.swap("one"), await house.swap("two")
    await house.restart()
    assert models(house) == ["one", "two"]
    await house.until(lambda: house.ground.calls.count("alive") > 2)
    assert house.ground.running() == [first.id, second.id]


async def test_a_death_of_one_does_not_touch_the_other(house: House) -> None:
    """Not even when its memory is not back yet: it is started again where it was."""
    first, second = await house.swap("one"), await house.swap("two")
    house.ground.seen["spark-1"] = Room(TOTAL, 1 * GIB)
    house.ground.engines["spark-1"].pop(first.id)
    await house.until(lambda: models(house) == ["two", "one"] and not house.service.current())
    assert second.id in house.ground.running()
    assert shown(house, "one").deployment.spec.container == "spark-control-engine"
    assert house.ground.drained == []


async def test_a_failed_load_beside_another_is_rolled_back_to_what_stood(house: House) -> None:
    first = await house.swap("one")
    house.ground.fail("watch", OOM)
    record = await house.swap("two")
    assert record.state is State.ROLLED_BACK
    assert models(house) == ["one"]
    assert house.ground.running() == [first.id]


async def test_the_evicted_come_back_when_the_new_one_fails(tmp_path: Path) -> None:
    async with house_at(tmp_path, build=small, max_models=2) as house:
        house.ground.seen["spark-1"] = ROOMY
        await house.swap("one")
        await house.swap("two")
        house.ground.seen["spark-1"] = Room()  # unknown: both must go
        house.ground.fail("watch", OOM)
        record = await house.swap("three")
        assert (record.state, record.evicted_models) == (State.ROLLED_BACK, ("one", "two"))
        assert models(house) == ["one", "two"]
        assert house.ground.running() == [f"{record.id}-rb", f"{record.id}-rb1"]
        await house.restart()
        await house.until(lambda: house.ground.calls.count("alive") > 2)
        assert len(house.ground.running()) == 2


async def test_a_left_over_engine_is_adopted_only_while_there_is_room(house: House) -> None:
    first, second = await house.swap("one"), await house.swap("two")
    await house.ended((await house.service.unload("two", requested_by="a")).id)
    assert models(house) == ["one"]
    stray = replace(shown(house, "one").deployment.engine, tag=second.id, model="two", ident="x")
    house.ground.engines["spark-1"][second.id] = stray
    house.ground.silent = {"spark-1"}
    await house.until(lambda: shown(house, "one").health != Verdict.up())
    house.ground.silent = set()
    await house.until(lambda: models(house) == ["one", "two"])
    assert house.ground.running() == [first.id, second.id]


async def test_the_eta_is_learned_and_told_from_memory(house: House) -> None:
    assert house.service.eta_seconds("one") is None
    await house.swap("one")
    await house.until(lambda: house.service.eta_seconds("one") is not None)
    assert house.service.eta_seconds("nope") is None


async def test_what_was_saved_before_there_was_a_layout_is_read(house: House) -> None:
    """The fact was one deployment, or null."""
    await house.swap("one")
    ledger = house.service._ledger
    (only,) = await ledger.served()
    for value, expected in ((json.dumps(only.to_dict()), (only,)), ("null", ())):
        async with ledger._database.begin() as connection:
            await connection.execute(facts.update().values(value=value))
        assert await ledger.served() == expected
