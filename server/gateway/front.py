"""Whoever answers a route of the gateway in its own way, made of requests to it.

The route stays the gateway's: its name, its key, its limits, its place in the log and in the usage.
"""

from typing import Protocol

from starlette.types import Receive, Scope, Send

from server.gateway.model import Operation, Passage
from server.gateway.way import Crew


class Front(Protocol):
    """Answers one request, or one WebSocket, of a caller who was identified. Nothing was read of
    it, its `passage` was shown to nobody. Tells the caller its own errors."""

    async def __call__(
        self,
        crew: Crew,
        operation: Operation,
        passage: Passage,
        asgi: tuple[Scope, Receive, Send],
    ) -> None: ...
