"""One ear for all tests of a module: its processes take half a second to start."""

from collections.abc import AsyncIterator

import pytest_asyncio

from server.audio.sound.ear import Ear


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def ear() -> AsyncIterator[Ear]:
    one = Ear()
    yield one
    await one.close()
