"""What one driven swap shows, remembers and gives up: bar, stage, log lines, its own end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from server.launch.model import Engine, LaunchSpec, Progress
from server.swap.ground import Listener
from server.swap.log import LINE_LIMIT
from server.swap.model import State, SwapError
from tests.swap.test_service import House, house_at

BROKEN = SwapError("oom", "out of memory")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with house_at(tmp_path) as made:
        yield made


def loads_with(house: House, say: Callable[[Listener], None]) -> None:
    """The next loads say that first, then go on as the ground does."""
    watch = house.ground.watch

    async def saying(spec: LaunchSpec, engine: Engine, listener: Listener) -> None:
        say(listener)
        await house.ground._at("watch")

    assert watch is not saying
    house.ground.watch = saying  # type: ignore[method-assign]


async def test_closing_while_an_effect_is_being_ended_ends_at_once(house: House) -> None:
    """A cancel waits for the remote side to be gone; a shutdown then must not wait for the swap."""
    entered, leave = asyncio.Event(), asyncio.Event()

    async def slow_to_end(spec: LaunchSpec, engine: Engine, listener: Listener) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            entered.set()
            await leave.wait()

    house.ground.watch = slow_to_end  # type: ignore[method-assign]
    house.ground.hold("discard")
    asked = await house.service.request("one", requested_by="a")
    await house.until(lambda: (now := house.service.current()) and now.node == "loading")
    await house.service.cancel(asked.id, requested_by="b")
    async with asyncio.timeout(10):
        await entered.wait()
    closing = asyncio.create_task(house.service.close())
    await asyncio.sleep(0)
    leave.set()
    async with asyncio.timeout(10):
        await closing
    assert "discard" not in house.ground.calls
    assert not (await house.service.get(asked.id)).state.final


async def test_a_download_is_shown(house: House) -> None:
    """It comes before the weights are read, and can take an hour."""
    loads_with(house, lambda heard: heard.progress(Progress("download", 0.5, "file 1 of 2")))
    house.ground.hold("watch")
    asked = await house.service.request("one", requested_by="a")
    await house.until(lambda: (now := house.service.current()) and now.stage == "file 1 of 2")
    house.ground.let_go("watch")
    assert (await house.ended(asked.id)).state is State.SERVING
    assert "download" in await house.service._ledger.learned("org/one|vllm-node|docker|1")


async def test_a_note_goes_when_the_engine_is_heard_again(house: House) -> None:
    """ "Not reachable" must not stay on the screen after the host is back."""
    heard: list[Listener] = []
    loads_with(house, heard.append)
    house.ground.hold("watch")
    await house.service.request("one", requested_by="a")
    await house.ground.reached("watch")
    heard[0].note("spark-1 is not reachable; waiting for it")
    await house.until(lambda: (now := house.service.current()) and "not reach" in now.stage)
    heard[0].line("(EngineCore pid=7) a line without progress")
    await house.until(lambda: (now := house.service.current()) and now.stage == "loading")


async def test_kept_log_lines_are_short_inert_and_without_secrets(house: House) -> None:
    """A thousand of them are kept, per swap, and any page or terminal may show them."""

    def say(heard: Listener) -> None:
        heard.line("x" * 65536)
        heard.line("\x1b[31mapi_key=sk-abcdefgh12345678\x07")

    loads_with(house, say)
    record = await house.swap("one")
    long, secret = (await house.service.log(record.id)).texts()
    assert len(long) <= LINE_LIMIT
    assert "sk-abcdefgh" not in secret
    assert secret.isprintable()


async def test_an_unload_counts_only_what_an_unload_does(house: House) -> None:
    """Its last step is not five per cent of a load."""
    await house.swap("one")
    house.ground.hold("stop_all")
    asked = await house.service.unload(requested_by="a")
    await house.until(lambda: (now := house.service.current()) and now.eta_seconds)
    now = house.service.current()
    assert now is not None
    assert now.eta_seconds is not None
    assert now.eta_seconds <= 6.0
    house.ground.let_go("stop_all")
    assert (await house.ended(asked.id)).percent == 100.0


async def test_a_rollback_is_timed_by_the_model_it_brings_back(house: House) -> None:
    await house.swap("one")
    ledger, now = house.service._ledger, house.service._clock.now()
    for name, seconds in (("one", 5000.0), ("two", 1.0)):
        for _ in range(5):
            await ledger.learn(f"org/{name}|vllm-node|docker|1", {"compile": seconds}, now)
    house.ground.fail("watch", BROKEN)
    await house.service.request("two", requested_by="a")
    await house.until(lambda: "discard" in house.ground.calls)
    house.ground.hold("watch")
    await house.ground.reached("watch")
    await house.until(lambda: (now := house.service.current()) and now.eta_seconds)
    record = house.service.current()
    assert record is not None
    assert record.eta_seconds is not None
    assert record.eta_seconds > 4000


async def test_a_swap_that_was_interrupted_teaches_no_times(house: House) -> None:
    """After a restart the log is read again in a moment: its phases took no time at all."""
    house.ground.hold("watch")
    asked = await house.service.request("one", requested_by="a")
    await house.ground.reached("watch")
    house.ground._held.pop("watch")
    await house.restart()
    assert (await house.ended(asked.id)).state is State.SERVING
    assert await house.service._ledger.learned("org/one|vllm-node|docker|1") == {}


async def test_a_swap_that_only_asked_for_an_answer_teaches_no_times(house: House) -> None:
    await house.swap("one")
    before = await house.service._ledger.learned("org/one|vllm-node|docker|1")
    await house.swap("one")
    assert await house.service._ledger.learned("org/one|vllm-node|docker|1") == before
