"""A recording that goes to the engine as it came: an ordinary call of the gateway.

Owns what differs from one: the body comes from the disk, so that another replica can be sent it as
well; who asked is listened to elsewhere, the passage is begun and accounted for elsewhere, and a
refusal may be kept back when the recording can still be composed. What is relayed is relayed by
`Call`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable

from starlette.types import Message, Scope, Send

from server.audio.sound.spool import Spool
from server.base.errors import SparkError
from server.gateway.call import Call
from server.gateway.intake.request import Replaced
from server.gateway.model import Operation, Passage
from server.gateway.relay import Answer
from server.gateway.way import Crew


class Plain(Call):
    """`keeps` says whether an error is kept back; it is `refused` then, and nothing was sent."""

    __slots__ = ("_keeps", "_spool", "refused")

    def __init__(
        self,
        crew: Crew,
        operation: Operation,
        passage: Passage,
        asgi: tuple[Scope, Send],
        spool: Spool,
        *,
        keeps: Callable[[SparkError], bool],
    ) -> None:
        scope, send = asgi
        super().__init__(crew, operation, passage, (scope, spool.replayed(_nothing_more), send))
        self._spool = spool
        self._keeps = keeps
        self.refused: SparkError | None = None

    @property
    def answer(self) -> Answer:
        return self._answer

    def _begin(self) -> None:
        """It was begun before its upload was read."""

    async def _source(self, upload: Replaced) -> AsyncIterator[bytes]:
        return self._stored()

    async def _stored(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._spool.chunks():
                yield piece
        except SparkError as error:
            # No client knows an error of its own body: the request is ended from outside.
            self.end(error)
            await _nothing_more()

    async def _fail(self, error: SparkError) -> None:
        if not self._answer.started and self._keeps(error):
            self.refused = error
            return
        await super()._fail(error)

    def _account(self) -> None:
        """By whoever began it."""
        self._crew.held.give_back(self._reserved)


async def _nothing_more() -> Message:
    """In the place of the connection behind the body: it is listened to elsewhere."""
    never: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
    return await never
