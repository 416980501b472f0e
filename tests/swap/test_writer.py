"""The writer outlives what it runs into, and who asks at an awkward moment is still heard."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from server.base.errors import InsufficientStorage
from server.swap.model import State, SwapError, SwapRecord
from server.swap.resume import Facts
from tests.swap.made import spec
from tests.swap.test_service import House, house_at

BROKEN = SwapError("oom", "out of memory")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with house_at(tmp_path) as made:
        yield made


class SlowSave:
    """The save of a record in `state` waits for `leave`, or fails with `error`."""

    def __init__(self, house: House, state: State, error: Exception | None = None) -> None:
        self.entered, self.leave = asyncio.Event(), asyncio.Event()
        self._save = house.service._ledger.save
        self._state, self._error = state, error
        house.service._ledger.save = self.save  # type: ignore[method-assign]

    async def save(self, *records: SwapRecord) -> None:
        if any(record.state is self._state for record in records):
            self.entered.set()
            if self._error is not None:
                raise self._error
            await self.leave.wait()
        await self._save(*records)


async def test_a_cancel_that_empties_the_queue_under_the_writers_hand_ends_nothing_else(
    house: House,
) -> None:
    """The writer goes for the queue while the cancel of its only swap is being saved."""
    house.ground.hold("check")
    first = await house.service.request("one", requested_by="a")
    await house.ground.reached("check")
    second = await house.service.request("two", requested_by="a")
    slow = SlowSave(house, State.CANCELLED)
    cancelling = asyncio.create_task(house.service.cancel(second.id, requested_by="b"))
    await slow.entered.wait()
    house.ground.let_go("check")
    await house.until(lambda: house.service.current() is None)
    for _ in range(20):
        await asyncio.sleep(0)
    slow.leave.set()
    assert (await cancelling).state is State.CANCELLED
    assert (await house.service.get(first.id)).state is State.SERVING
    assert (await house.swap("three")).state is State.SERVING


async def test_who_asks_right_after_a_cancel_asks_anew(house: House) -> None:
    """The cancel is on its way, though the record does not show it yet."""
    house.ground.hold("watch")
    first = await house.service.request("one", requested_by="a")
    await house.ground.reached("watch")
    _, second = await asyncio.gather(
        house.service.cancel(first.id, requested_by="a"),
        house.service.request("one", requested_by="a"),
    )
    house.ground.let_go("watch")
    assert second.id != first.id
    assert (await house.ended(second.id)).state is State.SERVING
    assert (await house.service.get(first.id)).state is State.CANCELLED


async def test_an_edit_of_the_model_is_not_lost_in_a_swap_that_began_before_it(
    house: House,
) -> None:
    house.ground.hold("watch")
    first = await house.service.request("one", requested_by="a")
    await house.ground.reached("watch")
    edited = replace(spec("one"), fingerprint="sha-edited")
    house.service._build_spec = lambda _model, _settings: edited
    second = await house.service.request("one", requested_by="b")
    assert second.id != first.id
    house.ground.let_go("watch")
    assert (await house.ended(second.id)).state is State.SERVING
    assert house.ground.running() == [second.id]


async def test_who_unloads_while_an_unload_is_taken_back_unloads(house: House) -> None:
    await house.swap("one")
    house.ground.hold("stop_all")
    first = await house.service.unload(requested_by="a")
    await house.ground.reached("stop_all")
    await house.service.cancel(first.id, requested_by="a")
    second = await house.service.unload(requested_by="b")
    assert second.id != first.id
    house.ground.let_go("stop_all")
    assert (await house.ended(second.id)).state is State.UNLOADED
    assert house.ground.running() == []


async def test_a_replace_that_cannot_save_the_cancels_leaves_no_ghost(house: House) -> None:
    """What was answered with an error must not run after the next restart."""
    house.ground.hold("check")
    await house.service.request("one", requested_by="a")
    await house.ground.reached("check")
    await house.service.request("two", requested_by="a")
    SlowSave(house, State.CANCELLED, InsufficientStorage("the disk is full"))
    with pytest.raises(InsufficientStorage):
        await house.service.request("three", on_conflict="replace", requested_by="b")
    unfinished = await house.service._ledger.unfinished()
    assert [record.model for record in unfinished] == ["one", "two"]
    house.ground.let_go("check")


async def test_a_mistake_of_ours_while_resuming_is_waited_out(house: House) -> None:
    """What was not understood is unknown; the writer goes on, and so does the swap."""
    house.ground.hold("watch")
    asked = await house.service.request("one", requested_by="a")
    await house.ground.reached("watch")
    house.ground._held.pop("watch")
    observe, tries = house.ground.observe, [KeyError("State"), KeyError("State")]

    async def confused(hosts: Sequence[str]) -> Facts:
        if tries:
            raise tries.pop()
        return await observe(hosts)

    house.ground.observe = confused  # type: ignore[method-assign]
    await house.restart()
    assert (await house.ended(asked.id)).state is State.SERVING


async def test_a_mistake_of_ours_after_the_end_changes_no_history(house: House) -> None:
    async def learn(*_: object) -> None:
        raise KeyError("seconds")

    house.service._ledger.learn = learn  # type: ignore[method-assign]
    record = await house.swap("one")
    assert record.state is State.SERVING
    assert house.service.serving() is not None


async def test_a_record_that_cannot_be_buried_does_not_end_the_writer(house: House) -> None:
    ledger = house.service._ledger
    save, save_served = ledger.save, ledger.save_served
    broken = [True]

    async def confused(*given: object) -> None:
        if broken[0]:
            raise TypeError("not JSON")
        await save_served(*given)  # type: ignore[arg-type]

    async def unsaved(*records: SwapRecord) -> None:
        if broken[0] and records[0].state is not State.QUEUED:
            raise TypeError("not JSON")
        await save(*records)

    ledger.save_served, ledger.save = confused, unsaved  # type: ignore[method-assign]
    await house.service.request("one", requested_by="a")
    await house.until(lambda: not house.service.queue() and house.service.current() is None)
    broken[0] = False
    assert (await house.swap("two")).state is State.SERVING


async def test_a_cancel_while_a_host_is_silent_says_who_cancelled(house: House) -> None:
    await house.swap("one")
    for call in ("check", "watch"):
        house.ground.hold(call)
        asked = await house.service.request("two", requested_by="a")
        await house.ground.reached(call)
        house.ground._held.pop(call)
        house.ground.silent = {"spark-1"}
        await house.restart()
        await house.until(
            lambda: (now := house.service.current()) and "waiting for spark-1" in now.stage
        )
        await house.service.cancel(asked.id, requested_by="b")
        record = await house.ended(asked.id)
        assert record.state is (State.CANCELLED if call == "check" else State.FAILED)
        assert record.cancelled_by == "b"
        house.ground.silent = set()
        await house.until(lambda: house.service.serving() is not None)


async def test_nothing_is_admitted_to_an_engine_that_was_being_drained(house: House) -> None:
    """After the restart it is stopped at once: who got in meanwhile would be cut off."""
    await house.swap("one")
    house.ground.hold("drain")
    asked = await house.service.request("two", requested_by="a")
    await house.ground.reached("drain")
    house.ground._held.pop("drain")
    house.ground.silent = {"spark-1"}
    await house.restart()
    serving = house.service.serving()
    assert serving is not None
    assert not serving.accepting
    house.ground.silent = set()
    assert (await house.ended(asked.id)).state is State.SERVING


async def test_what_an_engine_can_hold_is_still_known_after_a_restart(house: House) -> None:
    await house.swap("one")
    await house.restart()
    serving = house.service.serving()
    assert serving is not None
    assert serving.max_model_len == 4096


async def test_a_restart_of_a_dead_engine_that_fails_goes_back_to_the_model_before(
    house: House,
) -> None:
    """One way back and no more: then it rests, and says so."""
    await house.swap("one")
    second = await house.swap("two")
    house.ground.fail("watch", BROKEN)
    house.ground.engines["spark-1"].pop(second.id)
    await house.until(lambda: (s := house.service.serving()) and s.model == "one")
    states = [(r.model, r.state) for r in await house.service.history(2)]
    assert states == [("one", State.SERVING), ("two", State.FAILED)]


async def test_a_way_back_that_fails_as_well_is_the_end(house: House) -> None:
    await house.swap("one")
    second = await house.swap("two")
    house.ground.fail("watch", BROKEN, BROKEN, BROKEN, BROKEN)
    house.ground.engines["spark-1"].pop(second.id)

    async def failed() -> list[str | None]:
        return [r.model for r in await house.service.history(9) if r.state is State.FAILED]

    async with asyncio.timeout(10):
        while await failed() != ["one", "two"]:  # noqa: ASYNC110 - it has no event of its own
            await asyncio.sleep(0)
    looks = house.ground.calls.count("start")
    for _ in range(50):
        await asyncio.sleep(0.001)
    assert house.ground.calls.count("start") == looks
    assert house.service.queue() == ()
