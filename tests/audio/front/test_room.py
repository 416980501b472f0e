"""Places and space for recordings."""

import asyncio

import pytest

from server.audio.front.multipart import form
from server.audio.front.room import Room, Share
from server.base.errors import QueueFull


def made(places: int = 1, space: int = 100) -> Room:
    return Room(lambda: places, lambda: space)


async def test_places_are_given_in_the_order_in_which_they_were_asked_for() -> None:
    room, order = made(), []
    began, go_on = asyncio.Event(), asyncio.Event()

    async def work(name: str) -> None:
        async with room.place(10):
            order.append(name)
            began.set()
            await go_on.wait()

    tasks = [asyncio.create_task(work(name)) for name in "abc"]
    await began.wait()
    assert (order, room.busy) == (["a"], 1)
    go_on.set()
    await asyncio.gather(*tasks)
    assert (order, room.busy) == (["a", "b", "c"], 0)


async def test_who_leaves_the_line_takes_no_place() -> None:
    """Neither before its turn nor at the very moment that it comes."""
    room = made()
    async with room.place(10):
        waits = asyncio.create_task(room.place(10).__aenter__())
        await asyncio.sleep(0)
        waits.cancel()
        await asyncio.wait({waits})
        late = asyncio.create_task(room.place(10).__aenter__())
        await asyncio.sleep(0)
    late.cancel()  # its turn was given by the end of the block
    await asyncio.wait({late})
    async with room.place(0.1):
        assert room.busy == 1
    assert room.busy == 0


async def test_a_line_that_does_not_move_is_left_with_a_reason() -> None:
    room = made()
    async with room.place(10):
        with pytest.raises(QueueFull, match="worked on") as refused:
            async with room.place(0):
                pass
    assert refused.value.retry_after is not None
    assert "max_recordings" in (refused.value.advice or "")
    assert room.busy == 0


def test_space_is_given_back_at_once() -> None:
    """One alone may be larger than all may be together: an upload has its own limit."""
    room = made(space=100)
    one, other = Share(room), Share(room)
    one.take(300)
    one.take(200)
    with pytest.raises(QueueFull, match="disk"):
        other.take(1)
    other.give_back()
    one.give_back()
    assert room.used == 0
    other.take(60)
    assert room.used == 60


def test_a_form_is_as_long_as_it_says_and_no_name_ends_it() -> None:
    found = form([('a"\r\nb', "1\r\n2")], "bound", filename='x"y', media_type="audio/wav")
    assert found.content_type == "multipart/form-data; boundary=bound"
    assert b'name="a%22%0D%0Ab"' in found.head
    assert b'filename="x%22y"' in found.head
    assert found.head.count(b"--bound\r\n") == 2
    assert found.length(10) == len(found.head) + 10 + len(found.tail)
