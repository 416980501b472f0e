"""Leases: released once however often, waited for, ended from outside."""

import asyncio

import pytest

from server.base.errors import Unavailable
from server.gateway.inflight import InFlight


async def test_releasing_twice_counts_once() -> None:
    """A lease is an object, not a counter."""
    inflight = InFlight()
    first, second = inflight.lease("a"), inflight.lease("a")
    first.release()
    first.release()
    assert inflight.counts() == {"a": 1}
    with second:
        pass
    assert inflight.counts() == {}


async def test_drained_waits_for_the_model_that_is_asked_for() -> None:
    """Requests to another model do not hold up a drain."""
    inflight = InFlight()
    other, lease = inflight.lease("b"), inflight.lease("a")
    waiting = asyncio.create_task(inflight.drained(5, "a"))
    everything = asyncio.create_task(inflight.drained(5))
    await asyncio.sleep(0)
    lease.release()
    assert await waiting
    assert not everything.done()
    other.release()
    assert await everything


async def test_a_drain_that_takes_too_long_says_so() -> None:
    """False, and the leases are still there."""
    inflight = InFlight()
    lease = inflight.lease("a")
    assert not await inflight.drained(0)
    assert inflight.count("a") == 1
    lease.release()


async def test_ending_a_lease_interrupts_its_work_with_the_reason() -> None:
    """The error surfaces where the work waits; the task itself is not cancelled."""
    inflight = InFlight()

    async def work() -> str:
        with inflight.lease("a") as lease:
            try:
                with lease.endable():
                    await asyncio.Event().wait()
            except Unavailable as error:
                await asyncio.sleep(0)
                return error.message
        return "finished"

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    assert inflight.end(Unavailable("enough")) == 1
    assert await task == "enough"
    assert inflight.count() == 0


async def test_a_cancellation_from_elsewhere_stays_one() -> None:
    """Ending and cancelling at once is a cancellation: the canceller is never ignored."""
    inflight = InFlight()
    lease = inflight.lease("a")

    async def work() -> None:
        with lease, lease.endable():
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    lease.end(Unavailable("enough"))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert inflight.count() == 0


async def test_after_close_nobody_enters() -> None:
    """And closing twice is as good as once."""
    inflight = InFlight()
    await inflight.close(0)
    await inflight.close(0)
    with pytest.raises(Unavailable, match="shutting down"):
        inflight.lease("a")


async def test_leases_are_counted_by_upstream_as_well() -> None:
    """A lease that names none is counted under its model only."""
    inflight = InFlight()
    leases = [
        inflight.lease("a", upstream="a@spark-1"),
        inflight.lease("a", upstream="a@spark-2"),
        inflight.lease("b", upstream="a@spark-1"),
        inflight.lease("b"),
    ]
    assert inflight.upstreams() == {"a@spark-1": 2, "a@spark-2": 1}
    assert inflight.counts() == {"a": 2, "b": 2}
    for lease in leases:
        lease.release()
    assert inflight.upstreams() == {}


async def test_who_wants_to_know_hears_once_of_the_release() -> None:
    """After the place is free, and not again when it is released again."""
    inflight = InFlight()
    seen: list[int] = []
    lease = inflight.lease("a", released=lambda: seen.append(inflight.count()))
    lease.release()
    lease.release()
    assert seen == [0]


async def test_ending_releases_nothing_by_itself() -> None:
    """Whoever works under the lease stops first; only then its place is free."""
    inflight = InFlight()
    seen: list[str] = []
    lease = inflight.lease("a", released=lambda: seen.append("free"))
    assert inflight.end(Unavailable("enough"), "a") == 1
    assert (inflight.count("a"), seen) == (1, [])
    lease.release()
    assert seen == ["free"]
