"""The routes: OpenAI's for transcripts and voices, those of the usual containers for speakers.

Owns what is answered, and that nobody works for somebody who has left. Every answer bears
`X-Engine: reference, small`.
"""

import asyncio
import base64
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.base.errors import ClientClosed, MethodNotAllowed, NotFound, SparkError
from server.engine import writers
from server.engine.encode import FORMATS, Encoder
from server.engine.hearing import Hearing
from server.engine.http import asked
from server.engine.http.models import NAMES, Models
from server.engine.limits import Limits
from server.engine.sound import Gone, decode, seconds
from server.engine.speakers.diarize import Diarized, Speakers, name
from server.engine.speech import RATE, Speech
from server.engine.weights.pinned import VOICES

ENGINE = "reference, small"
T = TypeVar("T")
Handler = Callable[[Request], Awaitable[Response]]


class Engine:
    """The handlers."""

    def __init__(self, models: Models, limits: Limits) -> None:
        self._models = models
        self._limits = limits

    def routes(self) -> list[Route]:
        post, get = ["POST"], ["GET"]
        return [
            Route("/", self.about, methods=get),
            Route("/health", self.health, methods=get),
            Route("/livez", self.about, methods=get),
            Route("/v1/models", self.models, methods=get),
            Route("/v1/models/{model}", self.model, methods=get),
            Route("/v1/audio/transcriptions", self.transcribe, methods=post),
            Route("/v1/audio/translations", self.translate, methods=post),
            Route("/v1/audio/diarize", self.diarize, methods=post),
            Route("/v1/audio/diarize-chunk", self.diarize, methods=post),
            Route("/v1/audio/voices", self.voices, methods=get),
            Route("/v1/audio/speech", self.speak, methods=post),
        ]

    # ---- what it is

    async def about(self, _: Request) -> Response:
        """Says at once that this is the small one."""
        return JSONResponse(
            {
                "engine": ENGINE,
                "about": "The reference engine of Spark Control: small models on the CPU, "
                "for demos, tests and homes without a GPU.",
                "models": self._models.states(),
            }
        )

    async def health(self, _: Request) -> Response:
        ready = self._models.ready
        body = {
            "status": self._models.status,
            "engine": ENGINE,
            "models": self._models.states(),
            "held": {line.name: line.held for line in self._models.lines.values()},
        }
        return JSONResponse(body, 200 if ready else 503)

    async def models(self, _: Request) -> Response:
        return JSONResponse({"object": "list", "data": [_row(model) for model in NAMES]})

    async def model(self, request: Request) -> Response:
        model = request.path_params["model"]
        if model not in NAMES:
            raise NotFound("There is no such model here.")
        return JSONResponse(_row(model))

    async def voices(self, _: Request) -> Response:
        return JSONResponse({"voices": list(VOICES), "engine": ENGINE})

    # ---- speech to text

    async def transcribe(self, request: Request) -> Response:
        return await self._transcript(request, translate=False)

    async def translate(self, request: Request) -> Response:
        return await self._transcript(request, translate=True)

    async def _transcript(self, request: Request, *, translate: bool) -> Response:
        hearing: Hearing = self._models.get("asr")
        fields = await asked.form(request, self._limits.upload_bytes)
        try:
            wanted = asked.transcription(fields, translate=translate)
            file = asked.recording(fields)
            line = self._models.lines["asr"]

            def heard(gone: Gone) -> writers.Transcript:
                samples = decode(file, cap_seconds=self._limits.seconds, gone=gone)
                found = hearing.hear(samples, wanted.asked)
                task = "translate" if translate else "transcribe"
                kept = tuple(_watched(found.segments, gone))
                return writers.Transcript(task, found.language, seconds(samples), kept)

            def told(gone: Gone, tell: Callable[[bytes], None]) -> None:
                samples = decode(file, cap_seconds=self._limits.seconds, gone=gone)
                texts = []
                for segment in hearing.hear(samples, wanted.asked).segments:
                    texts.append(segment.text)
                    tell(writers.delta(segment))
                tell(writers.done(texts, seconds(samples)))

            if wanted.stream:
                return await _streamed(request, line.stream(told), "text/event-stream")
            found = await attended(request, line.run(heard))
        finally:
            await fields.close()
        kind, body = writers.written(found, wanted.form, wanted.granularities)
        return Response(body, media_type=kind)

    # ---- speakers

    async def diarize(self, request: Request) -> Response:
        speakers: Speakers = self._models.get("diarize")
        fields = await asked.form(request, self._limits.upload_bytes)
        try:
            wanted, file = asked.bounds(fields), asked.recording(fields)

            def told(gone: Gone) -> Diarized:
                samples = decode(file, cap_seconds=self._limits.seconds, gone=gone)
                return speakers.diarize(samples, wanted, step=gone.check)

            found = await attended(request, self._models.lines["diarize"].run(told))
        finally:
            await fields.close()
        return JSONResponse(_turns(found))

    # ---- text to speech

    async def speak(self, request: Request) -> Response:
        speech: Speech = self._models.get("tts")
        wanted = await asked.speaking(request)
        kind = FORMATS[wanted.form].content_type

        def said(gone: Gone, tell: Callable[[bytes], None]) -> None:
            encoder = Encoder(wanted.form, RATE)
            count = 0
            for piece in speech.pieces(wanted.text, wanted.voice, speed=wanted.speed):
                gone.check()
                count += 1
                if made := encoder.add(piece):
                    tell(made)
            if not count:
                raise asked.wrong("Nothing in `input` can be said by an English voice.", "input")
            if made := encoder.end():
                tell(made)

        pieces: AsyncGenerator[bytes, None] = self._models.lines["tts"].stream(said)
        if wanted.events:
            return await _streamed(request, _audio_events(pieces), "text/event-stream")
        if wanted.form == "wav":
            whole = b"".join([piece async for piece in _attended_all(request, pieces)])
            return Response(whole, media_type=kind)
        return await _streamed(request, pieces, kind)


def _row(model: str) -> dict[str, Any]:
    return {
        "id": model,
        "object": "model",
        "created": 0,
        "owned_by": ENGINE,
        "task": NAMES[model],
    }


def _watched(segments: Any, gone: Gone) -> Any:
    for segment in segments:
        gone.check()
        yield segment


def _turns(found: Diarized) -> dict[str, Any]:
    return {
        "duration": round(found.duration, 3),
        "num_speakers": len(found.speakers),
        "segments": [
            {
                "speaker": name(turn.speaker),
                "start": round(turn.start, 3),
                "end": round(turn.end, 3),
            }
            for turn in found.turns
        ],
        "speakers": [
            {"speaker": one.name, "embedding": list(one.embedding), "seconds": one.seconds}
            for one in found.speakers
        ],
        "engine": ENGINE,
    }


async def _audio_events(pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with contextlib.aclosing(pieces):
        async for piece in pieces:
            audio = base64.b64encode(piece).decode()
            yield writers.event({"type": "speech.audio.delta", "audio": audio})
    yield writers.event({"type": "speech.audio.done", "usage": None})


# ---- those who leave


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def attended(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled when the client goes. Raises ClientClosed then."""
    job, left = asyncio.create_task(work), asyncio.create_task(_left(request))
    try:
        await asyncio.wait({job, left}, return_when=asyncio.FIRST_COMPLETED)
        if job.done():
            return await job
        raise ClientClosed("The client left.")
    finally:
        job.cancel()
        left.cancel()
        await asyncio.wait({job, left})


async def _attended_all(request: Request, pieces: AsyncIterator[T]) -> AsyncIterator[T]:
    with contextlib.suppress(StopAsyncIteration):
        while True:
            yield await attended(request, _next(pieces))


async def _next(pieces: AsyncIterator[T]) -> T:
    return await anext(pieces)


async def _streamed(request: Request, pieces: AsyncGenerator[bytes, None], kind: str) -> Response:
    """Waits for the first piece, so that what goes wrong before it has a status of its own."""
    first = await attended(request, _next(pieces))

    async def whole() -> AsyncIterator[bytes]:
        async with contextlib.aclosing(pieces):  # whoever leaves leaves the line too
            yield first
            try:
                async for piece in pieces:
                    yield piece
            except SparkError as error:
                if kind != "text/event-stream":
                    raise
                yield writers.event({"error": told(error)})

    return StreamingResponse(whole(), media_type=kind)


# ---- errors, and the name on every answer


def told(error: SparkError) -> dict[str, Any]:
    return error.to_dict() | {"source": "reference"}


def problem(_: Request, error: SparkError) -> Response:
    headers = {} if error.retry_after is None else {"Retry-After": f"{error.retry_after:g}"}
    return JSONResponse({"error": told(error)}, error.status, headers)


def broken(request: Request, _: Exception) -> Response:
    """The cause is in the log, and never in an answer."""
    return problem(request, SparkError("The engine failed at this; its log says why."))


def gone(_: Request, __: Exception) -> Response:
    return Response(status_code=499)


def unknown(request: Request, _: Exception) -> Response:
    return problem(request, NotFound("There is no such address here."))


def wrong_method(request: Request, _: Exception) -> Response:
    return problem(request, MethodNotAllowed(f"{request.method} is not answered here."))


class Named:
    """Puts the engine's name on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-engine", ENGINE.encode())]
            await send(message)

        await self._app(scope, receive, named if scope["type"] == "http" else send)


def create(models: Models, limits: Limits) -> ASGIApp:
    handlers: Any = {
        Exception: broken,
        SparkError: problem,
        ClientDisconnect: gone,
        404: unknown,
        405: wrong_method,
    }
    return Named(Starlette(routes=Engine(models, limits).routes(), exception_handlers=handlers))
