"""Slow readers get less, never lies."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from server.base.bus import RESYNC, EventBus


async def test_events_arrive_in_order_with_growing_numbers() -> None:
    """A reader that keeps up sees everything."""
    bus = EventBus()
    with bus.subscribe() as events:
        bus.publish("host", "a", {"n": 1})
        bus.publish("swap", "s", {"n": 2})
        first, second = await anext(events), await anext(events)
    assert [(e.kind, e.key, dict(e.data)) for e in (first, second)] == [
        ("host", "a", {"n": 1}),
        ("swap", "s", {"n": 2}),
    ]
    assert first.seq < second.seq


async def test_a_slow_reader_gets_the_newest_of_each_key() -> None:
    """Old values of a key are dropped, never new ones."""
    bus = EventBus()
    with bus.subscribe() as events:
        for number in range(1000):
            bus.publish("host", f"h{number % 2}", {"n": number})
        got = [dict((await anext(events)).data) for _ in range(2)]
    assert got == [{"n": 998}, {"n": 999}]


async def test_too_many_keys_end_in_a_resync_and_go_on() -> None:
    """A reader that fell too far behind is told to look anew, and then sees what is new."""
    bus = EventBus()
    with bus.subscribe(limit=4) as events:
        for number in range(5):
            bus.publish("host", f"h{number}", {})
        bus.publish("host", "late", {})
        assert (await anext(events)).kind == RESYNC
        assert (await anext(events)).key == "late"


async def test_a_subscription_sees_only_its_kinds() -> None:
    """Nothing is queued for a reader that did not ask for it."""
    bus = EventBus()
    with bus.subscribe(frozenset({"swap"})) as events:
        bus.publish("host", "a", {})
        bus.publish("swap", "s", {})
        assert (await anext(events)).kind == "swap"


async def test_a_waiting_reader_is_woken_by_an_event_and_by_the_end() -> None:
    """Closing the bus ends every open stream, also one that waits."""
    bus = EventBus()
    events = bus.subscribe()
    seen: list[str] = []

    async def read() -> None:
        seen.extend([event.key async for event in events])

    reader = asyncio.create_task(read())
    await asyncio.sleep(0)
    bus.publish("host", "a", {})
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    bus.close()
    await asyncio.wait_for(reader, 5)
    assert seen == ["a"]
    assert bus.subscribers == 0


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.integers()), max_size=60)
)
def test_the_last_value_of_every_key_always_arrives(events: list[tuple[str, str, int]]) -> None:
    """Whatever is published in whatever order, nobody is left with an outdated value."""
    bus = EventBus()
    with bus.subscribe() as subscription:
        for kind, key, value in events:
            bus.publish(kind, key, {"v": value})
        subscription.close()

        async def drain() -> dict[tuple[str, str], int]:
            return {(e.kind, e.key): e.data["v"] async for e in subscription}

        assert asyncio.run(drain()) == {(kind, key): value for kind, key, value in events}
