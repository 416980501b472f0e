"""One part of a recording asked of whoever may answer: written, sent, read.

Owns the retry that a dialect needs: a service that refuses `verbose_json` is asked again for plain
JSON, one without `diarize-chunk` for `diarize`; what it did not do is remembered when the other
request was answered, so that a caller's own mistake is held against no service. Refuses to know
what the parts become.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace

from server.audio.front.dialect import asking as fields_of
from server.audio.front.dialect.learned import Learned, without
from server.audio.front.dialect.reading import transcript
from server.audio.front.dialect.traits import Traits
from server.audio.front.dialect.turns import diarized
from server.audio.front.multipart import form
from server.audio.front.options import Options
from server.audio.sound.model import Piece
from server.audio.sound.wav import MEDIA_TYPE, wav_bytes, wav_length
from server.audio.transcript import Diarized, Transcript
from server.base.errors import InvalidRequest, NotFound, SparkError
from server.gateway.model import Caller, Operation
from server.gateway.operations import OPERATIONS
from server.gateway.way import Crew
from server.gateway.wire import header
from server.gateway.within import Got, Inner, ask

_OWN = "spark-control"
_CHUNK, _WHOLE = "/v1/audio/diarize-chunk", "/v1/audio/diarize"


@dataclass(frozen=True, slots=True)
class Asker:
    """On whose behalf, and with what. `boundary` gives a new one each time; `monotonic` a clock."""

    crew: Crew
    caller: Caller
    request_id: str
    options: Options
    learned: Learned
    boundary: Callable[[], str]


class Hearing:
    """Pieces as transcripts. `heard` are the seconds that were answered, `by` who answered last."""

    def __init__(
        self, asker: Asker, operation: Operation, model: str | None, traits: Traits
    ) -> None:
        self._asker = asker
        self._operation = operation
        self._model = model
        self._traits = traits
        self.heard = 0.0
        self.by = ""

    async def __call__(self, piece: Piece) -> Transcript:
        traits = self._traits
        try:
            found = await self._ask(piece, traits)
        except InvalidRequest as error:
            if not traits.verbose or error.source == _OWN:
                raise
            found = await self._plainly(piece, error)
        self.heard += piece.seconds
        return found

    async def _plainly(self, piece: Piece, refused: InvalidRequest) -> Transcript:
        """Without `verbose_json`. When that is refused as well, it was not what it refused."""
        traits = without(self._traits, "no-verbose")
        try:
            found = await self._ask(piece, traits)
        except InvalidRequest:
            raise refused from None
        self._traits = traits
        self._asker.learned.note(refused.source, "no-verbose", self._asker.crew.monotonic())
        return found

    async def _ask(self, piece: Piece, traits: Traits) -> Transcript:
        asker = self._asker
        fields = fields_of.hearing(asker.options, traits, self._model)
        got = await _asked(asker, self._operation, piece, fields, f"{piece.number}")
        self.by = got.upstream
        return transcript(got.body, _kind(got), got.upstream)


class Apart:
    """Pieces as turns with voices."""

    def __init__(self, asker: Asker, traits: Traits) -> None:
        self._asker = asker
        self._chunks = traits.chunks
        self._path = traits.diarize_path
        self.heard = 0.0
        self.by = ""

    async def __call__(self, piece: Piece) -> Diarized:
        got = await self._chunk(piece) if self._chunks else await self._whole(piece)
        self.by = got.upstream
        self.heard += piece.seconds
        return diarized(got.body, _kind(got), got.upstream)

    async def _chunk(self, piece: Piece) -> Got:
        try:
            return await self._ask(piece, OPERATIONS[_CHUNK])
        except NotFound as error:
            if error.source == _OWN:
                raise
            got = await self._whole(piece)
            self._chunks = False
            self._asker.learned.note(error.source, "no-chunks", self._asker.crew.monotonic())
            return got

    async def _whole(self, piece: Piece) -> Got:
        operation = OPERATIONS[_WHOLE]
        if self._path is not None:
            operation = replace(operation, upstream_path=self._path)
        return await self._ask(piece, operation)

    async def _ask(self, piece: Piece, operation: Operation) -> Got:
        fields = fields_of.diarizing(self._asker.options)
        return await _asked(self._asker, operation, piece, fields, f"speakers.{piece.number}")


async def _asked(
    asker: Asker, operation: Operation, piece: Piece, fields: fields_of.Fields, name: str
) -> Got:
    made = form(fields, asker.boundary(), filename="part.wav", media_type=MEDIA_TYPE)
    sound = wav_bytes(piece)

    async def body() -> AsyncIterator[bytes]:
        yield made.head
        async for some in sound():
            yield some
        yield made.tail

    inner = Inner(
        operation,
        asker.caller,
        f"{asker.request_id}.{name}",
        made.content_type,
        body,
        made.length(wav_length(piece)),
    )
    try:
        return await ask(asker.crew, inner)
    except SparkError as error:
        _unsaid(error, asker.options)
        raise


def _unsaid(error: SparkError, options: Options) -> None:
    """What a service says of a refusal may repeat what it was sent, or heard: nobody scrubs that.
    It would be told as an error, or as the reason of a gap."""
    if options.scrub is not None and error.source != _OWN and error.status < 500:
        error.message = (
            f"{error.source} refused a part (status {error.status}); what it said of it is not "
            "repeated, since the text is scrubbed."
        )


def _kind(got: Got) -> str:
    lowered = [(key.lower(), value) for key, value in got.headers]
    return (header(lowered, b"content-type") or b"").decode("latin-1")
