"""One window asked of whichever service is free, in its dialect.

Owns the request: a WAV file in a form, with what the client chose. A service that refuses to tell
the times of words is asked again without. Refuses to decide who is asked: the gateway does.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from server.audio.front.dialect.asking import hearing
from server.audio.front.dialect.learned import Learned, without
from server.audio.front.dialect.reading import transcript
from server.audio.front.dialect.traits import Traits, shared, traits_of
from server.audio.front.multipart import form
from server.audio.front.options import Options
from server.audio.stream.model import RATE, SAMPLE, Setup, Window, samples
from server.audio.transcript import Transcript
from server.base.errors import InvalidRequest
from server.config.model import Service
from server.gateway.model import Caller
from server.gateway.operations import OPERATIONS
from server.gateway.way import Crew
from server.gateway.wire import header
from server.gateway.within import Got, Inner, ask

_PATH = "/v1/audio/transcriptions"
_SHORTEST = 0.5
"""Engines refuse, or make up, what is shorter: silence is put behind it."""
_OWN = "spark-control"


@dataclass(frozen=True, slots=True)
class Recogniser:
    """`crew` charges nothing: the stream is charged. `boundary` gives a new one each time;
    `services` are those that may answer, of now."""

    crew: Crew
    learned: Learned
    boundary: Callable[[], str]
    services: Callable[[str], Sequence[Service]]

    async def __call__(
        self, window: Window, pool: str, caller: Caller, request_id: str
    ) -> tuple[Transcript, str]:
        """The words, and who heard them."""
        now = self.crew.monotonic()
        members = self.services(pool)
        traits = shared(traits_of(one.dialect) for one in members)
        traits = self.learned.applied(traits, (one.name for one in members), now)
        try:
            got = await self._ask(window, traits, caller, request_id)
        except InvalidRequest as error:
            if not traits.verbose or error.source == _OWN:
                raise
            got = await self._plainly(window, traits, caller, request_id, refused=error)
        lowered = [(key.lower(), value) for key, value in got.headers]
        kind = (header(lowered, b"content-type") or b"").decode("latin-1")
        return transcript(got.body, kind, got.upstream), got.upstream

    async def _plainly(
        self,
        window: Window,
        traits: Traits,
        caller: Caller,
        request_id: str,
        refused: InvalidRequest,
    ) -> Got:
        """When that is refused as well, it was not what it refused."""
        try:
            got = await self._ask(window, without(traits, "no-verbose"), caller, request_id)
        except InvalidRequest:
            raise refused from None
        self.learned.note(refused.source, "no-verbose", self.crew.monotonic())
        return got

    async def _ask(self, window: Window, traits: Traits, caller: Caller, request_id: str) -> Got:
        options = _options(window.setup)
        fields = hearing(options, traits, window.setup.model)
        sound = wav(window.pcm)
        made = form(fields, self.boundary(), filename="window.wav", media_type="audio/wav")
        body = b"".join((made.head, *sound, made.tail))
        inner = Inner(OPERATIONS[_PATH], caller, request_id, made.content_type, body)
        return await ask(self.crew, inner)


def wav(pcm: bytes) -> tuple[bytes, bytes, bytes]:
    """Header, samples, and the silence that makes it long enough."""
    silence = bytes(max(0, samples(_SHORTEST) * SAMPLE - len(pcm)))
    size = len(pcm) + len(silence)
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        36 + size,
        b"WAVE",
        b"fmt ",
        16,
        1,
        1,
        RATE,
        RATE * SAMPLE,
        SAMPLE,
        SAMPLE * 8,
        b"data",
        size,
    )
    return head, pcm, silence


def _options(setup: Setup) -> Options:
    languages = () if setup.language is None else (setup.language,)
    return Options(
        model=setup.model,
        languages=languages,
        prompt=setup.prompt,
        vocabulary=setup.vocabulary,
        format="verbose_json",
    )
