"""The admission with real tasks: leases are held by whoever works, and by nobody else."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from server.base.clock import SystemClock
from server.base.errors import ModelLoading, QueueFull, Unavailable
from server.config.gateway import Gateway
from server.gateway.admission.breaker import Rules
from server.gateway.admission.service import Admission
from server.gateway.inflight import InFlight
from server.gateway.model import Ask, Caller, Grant, Outcome, Upstream, Waiting
from tests.gateway.admission.made import HandClock, ask, caller, flying, upstream

ENGINE = Upstream("m@spark-1", "llm", "http://e", "spark-1", models=("m",), engine=True)


class Desk:
    """An admission with its clock, its leases, and who was told what."""

    def __init__(self, **settings: Any) -> None:
        self.clock = HandClock()
        self.inflight = InFlight()
        self.changes = 0
        gateway = Gateway(**settings)
        self.admission = Admission(
            inflight=self.inflight,
            settings=lambda: gateway,
            clock=self.clock,
            rules=Rules(row=2, first_seconds=4.0),
        )
        self.admission.on_change = self._changed
        self.admission.set_pools({"kind:asr": (upstream(),), "model:m": ()})
        self.heard: list[Waiting] = []

    def _changed(self) -> None:
        self.changes += 1

    def ask(self, request: str = "r", pool: str = "kind:asr", **fields: Any) -> Ask:
        return ask(request, pool, **({"at": self.clock.moment} | fields))

    async def admit(self, one: Ask | None = None) -> Grant:
        return await self.admission.admit(one or self.ask(), self.heard.append)

    def queue(self, one: Ask | None = None) -> asyncio.Task[Grant]:
        return asyncio.create_task(self.admit(one))

    def waiting(self) -> dict[str, int]:
        """By pool, where somebody waits."""
        return {one.pool: one.waiting for one in self.admission.snapshot().pools if one.waiting}

    def flying(self) -> dict[str, int]:
        """By upstream, those that have any."""
        return flying(self.admission._scheduler)

    def idle(self) -> bool:
        """Nothing of anybody is left."""
        return (
            not self.inflight.count()
            and not self.flying()
            and not self.waiting()
            and not self.admission._waiters
            and not self.admission.snapshot().clients
        )


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    made = Desk()
    yield made
    made.admission.close()
    assert made.idle()


async def turn(times: int = 3) -> None:
    for _ in range(times):
        await asyncio.sleep(0)


def done(grant: Grant, outcome: Outcome = "answered") -> None:
    grant.report(outcome)
    grant.lease.release()


async def test_a_free_place_is_given_without_waiting(desk: Desk) -> None:
    """No task, no future, no word to the caller."""
    way = desk.admission.admit(desk.ask("first"), desk.heard.append)
    with pytest.raises(StopIteration) as ended:
        way.send(None)
    grant = ended.value.value
    assert (grant.upstream.name, grant.lease.request_id, grant.waited) == ("a", "first", 0.0)
    assert desk.inflight.upstreams() == desk.flying() == {"a": 1}
    assert desk.heard == []
    done(grant)
    assert desk.changes == 1


async def test_the_next_one_goes_when_a_place_is_given_back(desk: Desk) -> None:
    """And is told how long it waited; ending a lease twice lets one in, not two."""
    first = await desk.admit()
    second, third = desk.queue(), desk.queue()
    await turn()
    assert [waiting.position for waiting in desk.heard] == [1, 2]
    desk.clock.moment += 7
    done(first)
    first.lease.release()
    await turn()
    assert (await second).waited == 7
    assert not third.done()
    done(await second)
    done(await third)


async def test_an_engine_is_counted_under_its_model_and_called_by_its_name(desk: Desk) -> None:
    """A drain of the model sees the request, whatever name it was asked by."""
    desk.admission.set_pools({"model:m": (ENGINE,)})
    grant = await desk.admit(desk.ask(pool="model:m"))
    assert desk.inflight.counts() == {"m": 1}
    assert not await desk.inflight.drained(0, "m")
    done(grant)
    assert await desk.inflight.drained(0, "m")


async def test_a_load_lets_everybody_in(desk: Desk) -> None:
    """Those who waited for the model go when its pool has an engine."""
    tasks = [desk.queue(desk.ask(f"r{number}", "model:m")) for number in range(100)]
    await turn()
    assert desk.waiting() == {"model:m": 100}
    desk.admission.set_pools({"model:m": (ENGINE,)})
    grants = await asyncio.gather(*tasks)
    assert [grant.lease.request_id for grant in grants] == [f"r{n}" for n in range(100)]
    assert desk.flying() == {"m@spark-1": 100}
    for grant in grants:
        done(grant)


async def test_cancelling_while_it_waits_frees_the_place(desk: Desk) -> None:
    """In the queue nothing of it is left, and the demand hears of it."""
    first = await desk.admit()
    waiting = desk.queue()
    await turn()
    before = desk.changes
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert waiting.cancelled()
    assert desk.changes > before
    assert desk.waiting() == {}
    done(first)


@pytest.mark.parametrize("cancel_first", [True, False])
async def test_a_grant_that_crosses_with_a_cancel_is_given_back(
    desk: Desk, cancel_first: bool
) -> None:
    """In the same turn of the loop, in either order: the next one gets the place."""
    first = await desk.admit()
    leaving, staying = desk.queue(), desk.queue()
    await turn()
    acts: list[Callable[[], object]] = [leaving.cancel, lambda: done(first)]
    for act in acts if cancel_first else reversed(acts):
        act()
    await asyncio.gather(leaving, return_exceptions=True)
    assert leaving.cancelled()
    grant = await staying
    assert desk.flying() == {"a": 1}
    done(grant)


async def test_a_task_that_is_cancelled_before_it_began_leaves_nothing(desk: Desk) -> None:
    """Nobody asked, so nothing is held."""
    task = desk.queue()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert desk.idle()


async def test_a_wait_has_an_end(desk: Desk) -> None:
    """The timer runs while somebody waits, and for nobody else."""
    first = await desk.admit()
    assert desk.admission._timer is None
    waiting = desk.queue(desk.ask(patience=5.0))
    await turn()
    assert desk.admission._timer is not None
    desk.clock.moment += 5
    desk.admission.tick()
    with pytest.raises(Unavailable):
        await waiting
    done(first)


async def test_the_timer_wakes_by_itself() -> None:
    """With the real clock, and no tick by hand."""
    inflight, clock, gateway = InFlight(), SystemClock(), Gateway()
    admission = Admission(inflight=inflight, settings=lambda: gateway, clock=clock)
    admission.set_pools({"model:m": ()})
    one = ask(pool="model:m", at=clock.monotonic(), patience=0.02)
    with pytest.raises(ModelLoading):
        await admission.admit(one, lambda _waiting: None)


async def test_a_full_queue_refuses_before_anything_else() -> None:
    """429 with Retry-After, and those who wait are not disturbed."""
    desk = Desk(queue_limit=1)
    first, second = await desk.admit(), desk.queue()
    await turn()
    with pytest.raises(QueueFull) as refused:
        await desk.admit()
    assert refused.value.retry_after
    done(first)
    done(await second)


async def test_an_address_without_a_key_is_a_client_too() -> None:
    """The bound of the settings counts it; a key's own bound goes before it."""
    desk = Desk(client_in_flight=1)
    desk.admission.set_pools({"kind:asr": (upstream(cap=None),)})
    anyone = Caller("anyone", "192.0.2.7")
    first = await desk.admit(desk.ask(by=anyone))
    second = desk.queue(desk.ask(by=anyone))
    others = [
        await desk.admit(desk.ask(by=Caller("anyone", "192.0.2.8"))),
        await desk.admit(desk.ask(by=caller("key", max_in_flight=2))),
        await desk.admit(desk.ask(by=caller("key", max_in_flight=2))),
    ]
    assert not second.done()
    done(first)
    for grant in [await second, *others]:
        done(grant)
    assert desk.idle()


async def test_failures_that_are_reported_open_the_breaker(desk: Desk) -> None:
    """And a probe that was answered closes it for whoever waits."""
    for _ in range(2):
        done(await desk.admit(), "failed")
    assert [one.name for one in desk.admission.resting()] == ["a"]
    waiting = desk.queue()
    await turn()
    desk.admission.probed("a", answered=True, again=6)
    done(await waiting)
    assert desk.admission.snapshot().upstreams[0].state == "closed"


async def test_a_caller_whose_ear_fails_costs_nobody_else_a_turn(desk: Desk) -> None:
    """It is logged, and it still gets its grant."""

    def deaf(_waiting: Waiting) -> None:
        raise RuntimeError("no ear")

    first = await desk.admit()
    odd = asyncio.create_task(desk.admission.admit(desk.ask(), deaf))
    next_one = desk.queue()
    await turn()
    done(first)
    done(await odd)
    done(await next_one)


async def test_refusing_a_pool_gives_everybody_an_error_of_his_own(desk: Desk) -> None:
    """One object in a hundred tasks would chain a hundred traces."""
    tasks = [desk.queue(desk.ask(pool="model:m")) for _ in range(200)]
    await turn()
    desk.admission.refuse("model:m", Unavailable("it does not fit", retry_after=60))
    errors = await asyncio.gather(*tasks, return_exceptions=True)
    assert len({id(error) for error in errors}) == 200
    assert {str(error) for error in errors} == {"it does not fit"}


async def test_at_the_end_nobody_waits_and_nobody_enters(desk: Desk) -> None:
    """Closing twice is as good as once; who works may finish."""
    first, waiting = await desk.admit(), desk.queue()
    await turn()
    desk.admission.close()
    desk.admission.close()
    with pytest.raises(Unavailable, match="shutting down"):
        await waiting
    with pytest.raises(Unavailable, match="shutting down"):
        await desk.admit()
    assert desk.admission._timer is None
    done(first)


async def test_leases_that_are_refused_at_the_end_free_what_was_granted() -> None:
    """Also when the leases close before the admission does: nobody hangs, nothing is counted. One
    refusal leads to the next grant, two thousand times, and not one within the other."""
    desk = Desk(queue_limit=5000)
    first = await desk.admit()
    tasks = [desk.queue() for _ in range(2000)]
    await turn()
    closing = asyncio.create_task(desk.inflight.close(5))
    await turn()
    done(first)
    errors = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(error, Unavailable) for error in errors)
    with pytest.raises(Unavailable, match="shutting down"):
        await desk.admit()
    await closing
    assert desk.idle()


async def test_ten_thousand_come_and_go() -> None:
    """Some are answered, some leave at any moment, some at the moment of their grant: after that
    everything is as before, and never was there more in flight than allowed."""
    desk = Desk(queue_limit=100_000)
    chance = random.Random(7)
    both = (upstream("a", 2), upstream("b", 3))
    pools = {"kind:asr": both, "service:a": both[:1]}
    desk.admission.set_pools(pools)
    callers = [caller(f"key{number}", max_in_flight=1 + number % 3) for number in range(9)]
    most: dict[str, int] = {}
    answered = 0

    async def one(number: int) -> None:
        nonlocal answered
        by = chance.choice(callers)
        grant = await desk.admit(desk.ask(str(number), chance.choice(list(pools)), by=by))
        for name, many in desk.flying().items():
            most[name] = max(most.get(name, 0), many)
        try:
            await turn(1)
            grant.report("answered")
            answered += 1
        finally:
            grant.lease.release()

    tasks = [asyncio.create_task(one(number)) for number in range(10_000)]
    await turn(1)
    while not all(task.done() for task in tasks):
        for task in chance.sample(tasks, 20):
            task.cancel()
        await turn(1)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    left = sum(isinstance(result, asyncio.CancelledError) for result in results)
    assert answered + left == 10_000
    assert [result for result in results if isinstance(result, Exception)] == []
    assert answered > 1000
    assert most == {"a": 2, "b": 3}
    assert desk.idle()
    desk.admission.close()
