"""A browser can set no header on a WebSocket: its key stands among the subprotocols."""

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websocket
from websockets.typing import Subprotocol

from tests.gateway.client.test_tunnel import echo, front, tunnelled

KEY = Subprotocol("openai-insecure-api-key.sk-spark-0123456789ab-" + "s" * 43)
REALTIME, OTHER = Subprotocol("realtime"), Subprotocol("other")


async def test_the_upstream_is_not_told_the_key() -> None:
    """It is offered the rest, and what it chooses is chosen."""
    seen: list[str] = []

    async def look(upstream: ServerConnection) -> None:
        assert upstream.request is not None
        seen.append(str(upstream.request.headers))
        await echo(upstream)

    async with (
        tunnelled(look) as app,
        connect(app.url, subprotocols=[REALTIME, KEY, OTHER]) as socket,
    ):
        assert socket.subprotocol == OTHER
        await socket.send("x")
        assert await socket.recv() == "x"
    assert "sk-spark" not in seen[0]


@pytest.mark.parametrize(
    ("asked", "chosen"), [([REALTIME, KEY], REALTIME), ([REALTIME], None), ([KEY], None)]
)
async def test_a_browser_is_given_a_subprotocol_where_the_upstream_chooses_none(
    asked: list[Subprotocol], chosen: str | None
) -> None:
    """It would hang up otherwise. The key itself is never sent back."""
    async with serve_websocket(
        echo, "127.0.0.1", 0, select_subprotocol=lambda *_: None, close_timeout=1
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with (
            front(f"http://127.0.0.1:{port}/up") as app,
            connect(app.url, subprotocols=asked) as socket,
        ):
            assert socket.subprotocol == chosen
