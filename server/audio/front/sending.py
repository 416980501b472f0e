"""What was put together of a recording is sent to who asked: whole, or as events.

Owns the headers that go with it. Refuses to know what the answer holds.
"""

import asyncio
from collections.abc import Sequence

from server.audio.front.options import Options
from server.audio.front.plan import written as format_of
from server.audio.front.telling import Telling
from server.audio.front.written import Composed, Written, frames, gaps_header, written
from server.audio.model import Gap
from server.gateway.model import Passage
from server.gateway.relay import Answer
from server.gateway.way import Crew
from server.gateway.wire import Header


class Sending:
    """One answer. `extra` are headers of one that is sent whole."""

    def __init__(
        self, answer: Answer, crew: Crew, passage: Passage, extra: Sequence[Header] = ()
    ) -> None:
        self._answer = answer
        self._crew = crew
        self._passage = passage
        self._extra = extra

    async def transcript(self, found: Composed, options: Options, telling: Telling) -> None:
        """`telling` ends here: what follows is the answer itself."""
        format_ = format_of(options)
        await telling.end()
        self._passage.first_byte = self._crew.monotonic()
        if options.stream:
            await self._events(await asyncio.to_thread(frames, found, options, format_))
            return
        await self.whole(await asyncio.to_thread(written, found, options, format_), found.gaps)

    async def whole(self, made: Written, gaps: Sequence[Gap] = ()) -> None:
        answer = self._answer
        headers = [
            (b"content-type", made.media_type.encode()),
            (b"content-length", b"%d" % len(made.body)),
        ]
        answer.extra += self._extra
        if gaps:
            answer.extra.append((b"x-spark-gaps", gaps_header(gaps)))
        answer.extra += self._crew.gatekeeper.headers_for(self._passage.caller)
        await answer.whole(200, headers, made.body)

    async def _events(self, events: Sequence[bytes]) -> None:
        for event in events:
            self._passage.bytes_out += len(event)
            await self._answer.remark(event)
        await self._answer.over()
