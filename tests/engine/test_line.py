"""One at a time, a short line, and nobody works for somebody who has left."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from server.base.errors import QueueFull
from server.engine.line import Line
from server.engine.sound import Gone, GoneAway


async def freed(line: Line, held: int) -> None:
    """Until so many are held: the worker is a thread and tells the loop when it ends."""
    while line.held != held:  # noqa: ASYNC110 - there is nothing to wait for but the loop itself
        await asyncio.sleep(0)


async def test_a_line_is_served_one_after_the_other() -> None:
    """In the order in which they came."""
    line = Line("model", 3)
    order: list[int] = []
    jobs = [line.run(lambda _, at=at: order.append(at)) for at in range(3)]  # type: ignore[misc]
    await asyncio.gather(*jobs)
    assert order == [0, 1, 2]
    await freed(line, 0)
    line.close()


async def test_a_full_line_refuses_at_once() -> None:
    """With the time after which to come again; who waits keeps the place."""
    line = Line("model", 1)
    go = threading.Event()
    served = asyncio.ensure_future(line.run(lambda _: go.wait(10)))
    waiting = asyncio.ensure_future(line.run(lambda _: "done"))
    await asyncio.sleep(0)
    with pytest.raises(QueueFull) as refused:
        await line.run(lambda _: None)
    assert refused.value.retry_after == 5
    go.set()
    assert await served is True
    assert await waiting == "done"
    line.close()


async def test_who_leaves_while_waiting_gives_the_place_up_and_is_never_served() -> None:
    """At once, though somebody else is being served."""
    line = Line("model", 1)
    go = threading.Event()
    asked: list[str] = []
    served = asyncio.ensure_future(line.run(lambda _: go.wait(10)))
    waiting = asyncio.ensure_future(line.run(lambda _: asked.append("worked")))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await freed(line, 1)
    go.set()
    await served
    assert asked == []
    line.close()


async def test_who_leaves_while_served_stops_the_worker_at_its_next_step() -> None:
    """The place is held until then, so that two never work at once."""
    line = Line("model", 0)
    began, go, ended = threading.Event(), threading.Event(), threading.Event()

    def work(gone: Gone) -> None:
        began.set()
        go.wait(10)
        try:
            gone.check()
        except GoneAway:
            ended.set()
            raise

    job = asyncio.ensure_future(line.run(work))
    await asyncio.to_thread(began.wait, 10)
    job.cancel()
    await asyncio.gather(job, return_exceptions=True)
    assert line.held == 1
    go.set()
    assert await asyncio.to_thread(ended.wait, 10)
    await freed(line, 0)
    line.close()


async def test_a_stream_is_told_piece_by_piece_and_ends_with_its_error() -> None:
    """What was told before the error arrives first."""
    line = Line("model", 0)

    def work(_: Gone, tell: Callable[[int], None]) -> None:
        tell(1)
        tell(2)
        raise ValueError("broken")

    pieces = line.stream(work)
    assert [await anext(pieces), await anext(pieces)] == [1, 2]
    with pytest.raises(ValueError, match="broken"):
        await anext(pieces)
    await freed(line, 0)
    line.close()
