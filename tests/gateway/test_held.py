"""How much of the callers' bodies may be in memory at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.base.errors import Unavailable
from server.gateway.intake.held import Held
from tests.gateway.made import CHAT, served
from tests.gateway.running import ScriptedEngine, whole


def test_bodies_above_the_bound_are_told_to_come_again() -> None:
    """With 503, and nothing of them is counted."""
    held = Held(100)
    first = held.reserve(60)
    with pytest.raises(Unavailable) as refused:
        held.reserve(41)
    assert refused.value.retry_after
    assert held.reserve(40) == 40
    held.give_back(first)
    assert held.size == 40


def test_one_body_alone_always_fits() -> None:
    """Else a request that is allowed by its size could never be answered."""
    held = Held(100)
    assert held.reserve(500) == 500
    with pytest.raises(Unavailable):
        held.reserve(1)


@given(st.lists(st.tuples(st.integers(0, 80), st.integers(0, 80)), max_size=30))
def test_what_is_given_back_is_what_was_taken(bodies: list[tuple[int, int]]) -> None:
    """Whatever was declared and whatever came."""
    held = Held(100)
    reserved = []
    for declared, came in bodies:
        try:
            reserved.append(held.settle(held.reserve(declared), came))
        except Unavailable:
            continue
    for one in reserved:
        held.give_back(one)
    assert held.size == 0


async def test_nothing_is_held_after_the_answers() -> None:
    """Of whole bodies, of broken ones, and of those that were refused."""
    async with served(ScriptedEngine(whole({"ok": True}))) as running:
        async with running.post() as answer:
            assert answer.status == 200
        async with running.post(body=CHAT | {"model": "nothing"}) as answer:
            assert answer.status == 404
        url = running.url + "/v1/chat/completions"
        headers = {"content-type": "application/json"}
        async with running.session.post(url, data=b"{", headers=headers) as answer:
            assert answer.status == 400
    assert running.held.size == 0
