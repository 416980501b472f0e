"""What is left of a call when it is over: nothing that waits for the collector of garbage."""

import gc
from collections.abc import Iterator

import pytest

from server.gateway.call import Call
from server.gateway.presence import Presence
from server.gateway.relay import Answer
from tests.gateway.made import CHAT, served
from tests.gateway.running import ScriptedEngine, whole


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Only the counting of references frees memory."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def left() -> list[object]:
    return [one for one in gc.get_objects() if isinstance(one, Call | Presence | Answer)]


@pytest.mark.usefixtures("no_collector")
async def test_a_call_is_gone_with_its_bodies_when_it_was_answered() -> None:
    """A cycle would keep up to 64 MiB of each request, and cost every stream the pause in which
    they are found."""
    async with served(ScriptedEngine(whole({"answer": 1}))) as running:
        for _ in range(3):
            async with running.post() as answer:
                assert answer.status == 200
                await answer.read()
        for _ in range(3):
            await running.passages.get()
        assert left() == []


@pytest.mark.usefixtures("no_collector")
async def test_a_call_is_gone_when_it_was_refused() -> None:
    async with served(ScriptedEngine(whole({}))) as running:
        async with running.post(body={**CHAT, "model": "nobody"}) as answer:
            assert answer.status == 404
            await answer.read()
        await running.passages.get()
        assert left() == []
