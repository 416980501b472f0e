"""The driver: it sees who waits, starts what the policy says, and tells who waited what came of it.

Nothing sleeps: the test moves the clock and says when the demand looks.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from server.base.errors import ModelLoading, ModelNotFound, SparkError, Unavailable
from server.gateway.demand.setbacks import FIRST_SECONDS
from server.gateway.model import Caller, Grant
from server.swap.model import State, SwapError
from tests.gateway.demand.cluster import House
from tests.gateway.made import catalog, model

Make = Callable[..., House]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    made: list[House] = []

    def build(**options: Any) -> House:
        made.append(House(**options))
        return made[-1]

    yield build
    for house in made:
        house.close()


async def refused(task: asyncio.Task[Grant]) -> SparkError:
    with pytest.raises(SparkError) as error:
        async with asyncio.timeout(5):
            await task
    return error.value


async def test_a_request_for_what_is_not_loaded_starts_the_swap_and_is_answered(
    make: Make,
) -> None:
    """Held meanwhile; one swap for all who wait; told on whose behalf."""
    house = make()
    first, second = house.ask("large"), house.ask("large")
    await house.look()
    await house.look(1)
    assert house.wanted() == ["large"]
    assert house.cluster.under_way[0].requested_by == "demand: program"
    assert not first.done()
    house.cluster.ends()
    await house.look()
    grants = [await first, await second]
    assert {grant.upstream.name for grant in grants} == {"large@spark-1"}
    for grant in grants:
        grant.lease.release()


async def test_who_leaves_while_waiting_leaves_nothing_and_the_swap_goes_on(make: Make) -> None:
    """No lease, no place in the queue."""
    house = make()
    waiting = house.ask("large")
    await house.look()
    waiting.cancel()
    await house.rest()
    assert house.demand.wants.models(house.clock.monotonic()) == []
    house.cluster.ends()
    await house.look()
    assert house.inflight.count() == 0
    assert house.cluster.layout()[0].model == "large"


async def test_never_and_settings_without_auto_swap_refuse_at_once(make: Make) -> None:
    """A key that may not, a model that may not, nobody may; each may say otherwise."""
    models = catalog(model("tiny"), model("large", swap="never"), model("other", swap="auto"))
    house = make(models=models, auto_swap=False)
    for task in (
        house.ask("large"),
        house.ask("tiny"),
        house.ask("other", Caller("x", swap="never")),
    ):
        error = await refused(task)
        assert isinstance(error, Unavailable)
        assert "spark-control swap" in error.message
    house.ask("other")
    await house.look()
    assert house.wanted() == ["other"]
    assert isinstance(await refused(house.ask("other", Caller("x", swap="never"))), ModelLoading)


async def test_ask_tells_people_once_and_waits_for_them(make: Make) -> None:
    """A notice on the bus; a person's swap answers who waited."""
    house = make(models=catalog(model("tiny"), model("large", swap="ask")))
    with house.bus.subscribe(frozenset({"notice"})) as notices:
        task = house.ask("large", Caller("notebook"))
        await house.look()
        await house.look(1)
        told = await anext(aiter(notices))
        assert "asked by notebook" in told.data["message"]
        assert house.wanted() == []
        await house.cluster.request("large", requested_by="anna")
        house.cluster.ends()
        await house.look()
        (await task).lease.release()
        assert not notices._pending


async def test_a_failed_load_is_told_with_cause_and_not_tried_for_a_while(make: Make) -> None:
    """Who waited and who comes meanwhile read the cause; after the cool-off it is tried again."""
    house = make()
    waiting = house.ask("large")
    await house.look()
    house.cluster.ends(State.ROLLED_BACK, SwapError("x", "The engine ended.", "CUDA OOM.", "Less."))
    await house.look()
    later = house.ask("large")
    for task in (waiting, later):
        error = await refused(task)
        assert error.message == "large could not be loaded: The engine ended. CUDA OOM."
        assert (error.status, error.advice) == (503, "Less.")
        assert error.retry_after
    assert house.wanted() == []
    house.ask("large")
    await house.rest()
    await house.look(FIRST_SECONDS)
    again = house.ask("large")
    await house.look()
    assert house.wanted() == ["large"]
    house.cluster.ends()
    await house.look()
    (await again).lease.release()


async def test_a_refusal_of_the_swap_service_reaches_who_waits(make: Make) -> None:
    """It cannot be started at all: no host, a full queue."""
    house = make()
    house.cluster.refuses = Unavailable("No host is configured.")
    task = house.ask("large")
    await house.look()
    await house.look()
    assert (await refused(task)).message == "No host is configured."


async def test_a_place_is_planned_once_in_a_few_seconds(make: Make) -> None:
    """A plan may ask the hosts; a look is taken many times a second. What cannot be planned is
    refused with the reason, and planned anew for who asks later."""
    house = make(residency_seconds=600)
    house.cluster.shows("tiny")
    task = house.ask("large")
    for _ in range(10):
        await house.look(0.1)
    assert house.cluster.planned == 1
    house.cluster.unplanned = Unavailable("No host may take it.")
    await house.look(3)
    assert (await refused(task)).message == "No host may take it."
    house.cluster.unplanned = None
    later = house.ask("large")
    await house.look(3)
    assert not later.done()
    assert house.cluster.planned == 3


async def test_a_place_held_by_pinned_models_is_refused_with_the_way_out(make: Make) -> None:
    """At the next look, not after the patience."""
    house = make(models=catalog(model("tiny", pinned=True), model("large")))
    house.cluster.shows("tiny")
    house.cluster.barred = True
    task = house.ask("large")
    await house.look()
    assert "beside tiny" in (await refused(task)).message


async def test_a_model_that_is_taken_out_while_it_is_waited_for_is_not_found(make: Make) -> None:
    """Nobody waits for what cannot come."""
    house = make()
    task = house.ask("large")
    await house.rest()
    house.catalog = catalog(model("tiny"))
    await house.look()
    assert isinstance(await refused(task), ModelNotFound)


async def test_under_endless_load_the_loaded_model_is_held_and_then_goes(make: Make) -> None:
    """New requests for it wait from the moment the batch is over, and are answered when it is back;
    when the swap fails they go on at once."""
    house = make(batch_seconds=60, residency_seconds=30)
    house.cluster.shows("tiny")
    await house.look(100)
    running = await house.ask("tiny")
    waiting = house.ask("large")
    await house.look(59)
    (await house.ask("tiny")).lease.release()
    assert house.wanted() == []
    await house.look(1)
    assert house.wanted() == ["large"]
    late = house.ask("tiny")
    await house.look(1)
    assert not late.done()
    running.lease.release()
    house.cluster.ends(State.ROLLED_BACK, SwapError("x", "no"))
    await house.look()
    (await late).lease.release()
    assert (await refused(waiting)).message.startswith("large could not be loaded")


async def test_after_a_death_the_watchdog_goes_first(make: Make) -> None:
    """Who waits is answered by its restart, and not refused in the moment before it begins."""
    house = make()
    house.cluster.shows("tiny")
    await house.look()
    house.cluster.shows()
    task = house.ask("tiny")
    await house.look()
    await house.look(1)
    assert house.wanted() == []
    await house.cluster.request("tiny", requested_by="watchdog")
    await house.look(5)
    house.cluster.ends()
    await house.look()
    (await task).lease.release()


async def test_a_model_that_died_and_is_not_restarted_was_a_bad_load(make: Make) -> None:
    """Else a request that kills it would have it loaded again for ever."""
    house = make()
    house.cluster.shows("tiny")
    await house.look()
    house.cluster.shows()
    task = house.ask("tiny")
    await house.look()
    await house.look(3)
    assert "its engine died" in (await refused(task)).message
    assert house.wanted() == []
    await house.rest()
    again = house.ask("large")
    await house.look()
    assert house.wanted() == ["large"]
    again.cancel()


async def test_what_was_unloaded_or_evicted_did_not_die(make: Make) -> None:
    """A person's unload, also of all, and a swap explain why it is gone."""
    house = make()
    house.cluster.shows("tiny")
    await house.look()
    await house.cluster.unload(requested_by="anna")
    await house.look()
    house.cluster.ends(State.UNLOADED)
    await house.look()
    task = house.ask("tiny")
    await house.look(1)
    assert house.wanted() == ["tiny"]
    house.cluster.ends()
    await house.look()
    (await task).lease.release()


async def test_a_drain_is_seen_at_once(make: Make) -> None:
    """Nothing is granted after the swap service said so, not even before the next look."""
    house = make()
    house.cluster.shows("tiny")
    await house.look()
    house.cluster.shows("tiny", accepting=False)
    task = house.ask("tiny")
    await house.rest()
    assert not task.done()
    house.cluster.shows("tiny")
    await house.rest()
    (await task).lease.release()


async def test_an_unused_model_is_unloaded_by_its_ttl_and_the_default_returns(make: Make) -> None:
    """Its last request counts; a restart counts as one."""
    models = catalog(model("tiny"), model("large", ttl=300))
    house = make(models=models, default_model="tiny", default_after_seconds=600)
    house.cluster.shows("large")
    await house.look(299)
    (await house.ask("large")).lease.release()
    await house.look(299)
    assert house.cluster.unloads == []
    await house.look(1)
    assert house.cluster.unloads == ["large"]
    house.cluster.ends(State.UNLOADED)
    await house.look(299)
    assert house.wanted() == []
    await house.look(1)
    assert house.wanted() == ["tiny"]


async def test_the_outlook_is_told_to_who_waits(make: Make) -> None:
    """The swap's own figure once it runs, the learned one before."""
    house = make(residency_seconds=30)
    house.cluster.shows("tiny")
    task = house.ask("large")
    await house.look(10)
    assert [p.pool for p in house.admission.snapshot().pools if p.waiting] == ["model:large"]
    await house.look(20)
    house.cluster.under_way[0] = house.cluster.under_way[0].with_(eta_seconds=42.0)
    await house.look(1)
    assert house.demand._etas == {"large": 42.0}
    house.cluster.ends()
    await house.look()
    assert house.demand._etas == {}
    (await task).lease.release()


async def test_use_says_what_an_eviction_goes_by(make: Make) -> None:
    """In flight, waiting, and how long unused."""
    house = make()
    house.cluster.shows("tiny")
    grant = await house.ask("tiny")
    await house.look(50)
    assert house.demand.use()["tiny"].in_flight == 1
    grant.lease.release()
    await house.look(10)
    used = house.demand.use()["tiny"]
    assert (used.in_flight, used.waiting) == (0, 0)
    assert 10.0 <= used.idle_seconds <= 11.0


class TestBridge:
    async def test_a_bridge_answers_while_the_model_is_loaded_and_says_so(self, make: Make) -> None:
        """Under its own name to the engine; the wanted model is loaded all the same."""
        house = make(bridge="tiny")
        house.cluster.shows("tiny")
        grant = await house.ask("large")
        assert grant.upstream.name == "tiny@spark-1"
        assert grant.rewrite == "tiny"
        assert dict(grant.notes) == {b"x-spark-bridge": b"tiny", b"x-spark-model": b"tiny"}
        assert house.inflight.counts() == {"tiny": 1}
        grant.lease.release()
        house.cluster.mode = "beside"
        await house.look(1)
        assert house.wanted() == ["large"]
        house.cluster.ends()
        house.cluster.shows("tiny", "large")
        await house.look()
        grant = await house.ask("large")
        assert (grant.upstream.name, grant.notes) == ("large@spark-1", ())
        grant.lease.release()
        assert house.demand.wants.models(house.clock.monotonic()) == []

    async def test_who_does_not_want_a_bridge_waits(self, make: Make) -> None:
        """`X-Spark-No-Bridge`, and every model when no bridge is served."""
        house = make(bridge="tiny")
        house.cluster.shows("tiny")
        own = house.ask("large", bridge=False)
        await house.rest()
        assert not own.done()
        house.cluster.shows("other")
        other = house.ask("large")
        await house.rest()
        assert not other.done()


async def test_the_task_itself_does_all_that_without_being_asked(make: Make) -> None:
    """Woken by who waits and by what changed."""
    house = make(residency_seconds=0)
    begun = asyncio.Event()
    house.cluster.changed.append(begun.set)
    await house.demand.start()
    try:
        task = house.ask("large")
        async with asyncio.timeout(5):
            await begun.wait()
            house.cluster.ends()
            (await task).lease.release()
    finally:
        await house.demand.close()
