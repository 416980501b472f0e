"""One client of each kind, for what both of them promise, on the loop of the product."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import uvloop

from server.gateway.model import UpstreamClient
from tests.gateway.client.far import MAKERS


@pytest.fixture(scope="session")
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    """Transports differ from loop to loop: these tests are about them."""
    return uvloop.EventLoopPolicy()


@pytest.fixture(params=sorted(MAKERS))
async def client(request: pytest.FixtureRequest) -> AsyncIterator[UpstreamClient]:
    made = MAKERS[request.param]()
    try:
        yield made
    finally:
        await made.close()
