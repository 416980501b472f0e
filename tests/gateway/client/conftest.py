"""One client of each kind, for what both of them promise, on the loop of the product."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop

from server.gateway.model import UpstreamClient
from tests.gateway.client.far import MAKERS


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Transports differ from loop to loop: these tests are about them."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(params=sorted(MAKERS))
async def client(request: pytest.FixtureRequest) -> AsyncIterator[UpstreamClient]:
    made = MAKERS[request.param]()
    try:
        yield made
    finally:
        await made.close()
