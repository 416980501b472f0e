"""A service behind a gateway that WebSockets go to, and settings that let no test wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.types import Receive, Scope, Send

from server.config.gateway import Gateway as GatewaySettings
from tests.gateway.made import SETTINGS, Running, gateway, service
from tests.gateway.running import serve


class Echo:
    """Says back what it hears; `scopes` is who came, `ended` the codes with which they went."""

    def __init__(self, *first: str) -> None:
        self.first = first
        self.scopes: list[Scope] = []
        self.ended: asyncio.Queue[int] = asyncio.Queue()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        await receive()
        offered = scope["subprotocols"]
        await send({"type": "websocket.accept", "subprotocol": offered[0] if offered else None})
        for text in self.first:
            await send({"type": "websocket.send", "text": text})
        while (message := await receive())["type"] == "websocket.receive":
            await send({**message, "type": "websocket.send"})
        self.ended.put_nowait(message.get("code", 0))


@asynccontextmanager
async def listening(echo: Echo, cap: int = 1, **options: Any) -> AsyncIterator[Running]:
    """A gateway before one service `ears` that takes `cap` at once. Nothing is waited for long."""
    quick = {"socket_accept_seconds": 0.01, "keepalive_seconds": 0.01}
    fields = GatewaySettings.model_fields
    told = {name: options.pop(name) for name in list(options) if name in fields}
    settings = GatewaySettings.model_construct(**(SETTINGS | quick | told))
    async with serve(echo) as url, gateway(settings=settings, **options) as running:
        running.services = (service("ears", "asr", url, max_in_flight=cap),)
        yield running
