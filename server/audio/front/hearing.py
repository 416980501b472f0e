"""The routes that take recordings: transcriptions, translations, diarize, diarize-chunk.

    upload to disk ── form ── examine ── limits ─┬─ plain: to the engine as it came
                                                 │    └─ refused what it cannot do ──┐
                                                 └─ composed: place ── decode ── parts ── written
Owns one request's way through these, and that it ends with everything it began: the file, the
place, the parts. The request is begun, shown and accounted for once, whichever way it goes.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from starlette.types import Receive, Scope, Send

from server.audio.front.answering import answering
from server.audio.front.before import look
from server.audio.front.desk import Desk
from server.audio.front.dialect.learned import Fact
from server.audio.front.dialect.traits import Traits
from server.audio.front.doing import Doing, Given
from server.audio.front.form import read
from server.audio.front.looking import Looking
from server.audio.front.options import FORMATS, Options, Task
from server.audio.front.plain import Plain
from server.audio.front.plan import Limits, Plan, cap, check_length, decide
from server.audio.front.room import Share
from server.audio.front.silence import check_level, check_loud
from server.audio.front.telling import Telling
from server.audio.scrub.people import required
from server.audio.sound.model import BYTES_PER_SECOND, Decoded, Sound
from server.audio.sound.spool import FilePart, Form, FormRules, Spool, pieces
from server.base.errors import (
    InvalidRequest,
    NotFound,
    PayloadTooLarge,
    SparkError,
    UnsupportedMediaType,
)
from server.gateway.intake.request import named
from server.gateway.keys.gate import resolved
from server.gateway.model import Operation, Passage, Route, Used
from server.gateway.operations import OPERATIONS
from server.gateway.relay import Answer
from server.gateway.way import Crew, Way
from server.gateway.wire import header

DIARIZE, CHUNK = "/v1/audio/diarize", "/v1/audio/diarize-chunk"
TASKS: dict[str, Task] = {
    "/v1/audio/transcriptions": "transcribe",
    "/v1/audio/translations": "translate",
    DIARIZE: "diarize",
    CHUNK: "diarize",
}
"""The routes that this answers."""
RULES = FormRules(files=2, fields=300, field_bytes=2 << 20, fields_bytes=9 << 20)
"""Recordings of known speakers come as fields (data URLs)."""
_OURS = "spark-control"
_SECOND = (InvalidRequest, PayloadTooLarge, UnsupportedMediaType)


class Hearing:
    """A `Front` of the gateway for each route of `TASKS`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def __call__(
        self,
        crew: Crew,
        operation: Operation,
        passage: Passage,
        asgi: tuple[Scope, Receive, Send],
    ) -> None:
        await Recording(self._desk, crew, operation, passage, asgi).run()


@dataclass(frozen=True, slots=True)
class _Taken:
    """What came, and what it is."""

    options: Options
    file: FilePart
    sound: Sound
    most: float
    share: Share


class _Counted(Protocol):
    """Work that knows what of the recording was heard."""

    def used(self) -> Used: ...


class Recording(Way):
    """One request."""

    __slots__ = ("_answer", "_desk", "_doing", "_send")

    def __init__(
        self,
        desk: Desk,
        crew: Crew,
        operation: Operation,
        passage: Passage,
        asgi: tuple[Scope, Receive, Send],
    ) -> None:
        scope, receive, send = asgi
        super().__init__(crew, operation, passage, scope, receive)
        self._desk = desk
        self._send = send
        self._answer = Answer(send, passage, named=operation.named_events)
        self._doing: _Counted | None = None

    def end(self, error: SparkError) -> None:
        """Who has its answer may leave: what is still done with it, such as keeping it, goes on."""
        if not self._answer.finished:
            super().end(error)

    async def _fail(self, error: SparkError) -> None:
        self._answer.extra += self._crew.gatekeeper.headers_for(self._passage.caller)
        await self._answer.fail(error, self._passage.request_id)

    def _account(self) -> None:
        if self._doing is not None:
            self._passage.used = self._doing.used()
        super()._account()

    async def _go(self) -> None:
        crew, desk = self._crew, self._desk
        look(crew, self._passage.caller, self._heard_by, named(self._operation, self._scope))
        limit = crew.settings().max_upload_mb << 20
        share = Share(desk.room)
        try:
            async with Spool(desk.tmp, limit, RULES) as spool:
                form = await spool.form(self._scope["headers"], self._arriving(limit, share))
                self._presence.listen()
                await self._arrived(spool, form, share)
        finally:
            share.give_back()

    @property
    def _heard_by(self) -> Operation:
        """The route whose services hear it."""
        return self._operation

    async def _arrived(self, spool: Spool, form: Form, share: Share) -> None:
        """Everything after the upload."""
        await self._taken(spool, await self._understood(form, share))

    async def _arriving(self, limit: int, share: Share) -> AsyncIterator[bytes]:
        async for piece in pieces(self._receive, limit):
            share.take(len(piece))
            self._passage.bytes_in += len(piece)
            yield piece

    async def _understood(self, form: Form, share: Share) -> _Taken:
        options = self._meant(read(TASKS[self._operation.path], form.fields))
        file = recording_of(form)
        most, setting = cap(options, self._limits())
        sound = await self._desk.ear.examine(file.path, file.offset, file.length, most)
        check_length(sound, most, setting)
        return _Taken(options, file, sound, most, share)

    def _meant(self, options: Options) -> Options:
        """With the model that is named beside the form, where none is in it."""
        if options.scrub is not None and options.scrub.wanted.find_names:
            required("scrub_find_names")
        if options.model is None:
            options = replace(options, model=named(self._operation, self._scope))
        self._passage.asked = options.model or ""
        self._passage.stream = options.stream
        return options

    def _limits(self) -> Limits:
        audio = self._desk.settings().audio
        return Limits(audio.max_transcribe_seconds, audio.max_diarize_seconds, audio.long_seconds)

    # -- which way

    async def _taken(self, spool: Spool, taken: _Taken) -> None:
        crew, desk, passage = self._crew, self._desk, self._passage
        route = resolved(crew.router, self._operation, taken.options.model, passage.caller)
        passage.model = route.model
        services = desk.settings().services
        found = answering(route, services, desk.learned, crew.monotonic())
        plan = decide(
            taken.options, taken.sound, found.traits, self._limits(), diarizer=self._diarizer()
        )
        if self._operation.path == CHUNK:
            plan = Plan(tuple(reason for reason in plan.reasons if reason != "long"))
        if plan.speakers:
            self._told_apart()
        if plan.composed:
            crew.gatekeeper.allow(passage.caller, self._operation, route)
            await self._composed(spool, taken, route, plan)
            return
        refused = await self._plain(spool, taken, found.traits)
        if refused is not None:
            await self._composed(spool, taken, route, plan)
            # The rest of the request was good: it was the engine that could not.
            fact = refusal(refused, taken.options, taken.sound)
            if fact is not None:
                desk.learned.note(refused.source, fact, crew.monotonic())

    def _told_apart(self) -> None:
        """Raises `NotFound` when there is no service that tells speakers apart."""
        resolved(self._crew.router, OPERATIONS[DIARIZE], None, self._passage.caller)

    def _diarizer(self) -> bool:
        try:
            self._told_apart()
        except NotFound:
            return False
        return True

    async def _plain(self, spool: Spool, taken: _Taken, traits: Traits) -> SparkError | None:
        """What was refused that the engine cannot do, and that can still be composed."""
        operation = self._operation
        if operation.path == DIARIZE and traits.diarize_path is not None:
            operation = replace(operation, upstream_path=traits.diarize_path)
        file, sound = taken.file, taken.sound
        await check_loud(self._desk.ear, file.path, file.offset, file.length, sound.seconds)
        plain = Plain(
            self._crew,
            operation,
            self._passage,
            (self._named(taken.options), self._looking(taken.options, sound)),
            spool,
            keeps=lambda error: may_be_composed(error, taken.options),
        )
        self._answer = plain.answer
        stop = self._passage.stop
        await plain.run()
        self._passage.stop = stop
        if plain.refused is not None:
            self._answer = Answer(self._send, self._passage, named=False)
        return plain.refused

    def _named(self, options: Options) -> Scope:
        """With the name of the model beside the form: `curl -F file=@… -F model=…` has it behind
        the file, where the gateway does not look."""
        model, headers = options.model, self._scope["headers"]
        if model is None or header(headers, b"x-model") is not None:
            return self._scope
        if not (model.isascii() and model.isprintable()):
            return self._scope  # what is no header must not become one
        name = (b"x-model", model.encode())
        return {**self._scope, "headers": [*headers, name]}

    def _looking(self, options: Options, sound: Sound) -> Send:
        """Nobody knows yet whether the service writes what was asked: its answer is looked at."""
        if options.task == "diarize" or options.format not in FORMATS:
            return self._send
        desk, passage, now = self._desk, self._passage, self._crew.monotonic
        dialects = {one.name: one.dialect for one in desk.settings().services}
        wrote: Fact = ("writes", "stream" if options.stream else options.format)
        lacks: Fact = "no-stream" if options.stream else ("format", options.format)

        def learned(good: bool) -> None:
            name = passage.upstream
            if dialects.get(name) == "auto":
                desk.learned.note(name, wrote if good else lacks, now())

        def known() -> bool:
            name = passage.upstream
            return dialects.get(name) != "auto" or wrote in desk.learned.known(name, now())

        return Looking(
            self._send,
            options,
            sound.seconds,
            learned=learned,
            source=lambda: passage.upstream,
            known=known,
        )

    async def _composed(self, spool: Spool, taken: _Taken, route: Route, plan: Plan) -> None:
        async with self._at_work(taken.options) as telling:
            decoded = await self._decoded(spool, taken)
            given = Given(taken.options, plan, decoded, spool.folder)
            doing = Doing(self._desk, self._crew, self._operation, self._passage, given)
            self._doing = doing
            await doing.answer(self._answer, telling, route)

    @asynccontextmanager
    async def _at_work(self, options: Options) -> AsyncIterator[Telling]:
        """In a place of the room: who asked for a stream is told meanwhile, and it is ended when
        the app ends."""
        desk, crew = self._desk, self._crew
        settings = crew.settings()
        telling = Telling(self._answer, settings.keepalive_seconds, events=options.progress)
        if options.stream and options.task != "diarize":
            telling.begin()
        desk.under_way.add(self.end)
        try:
            async with desk.room.place(settings.queue_seconds):
                self._passage.admitted = crew.monotonic()
                yield telling
        finally:
            desk.under_way.discard(self.end)
            await telling.end()

    async def _decoded(self, spool: Spool, taken: _Taken) -> Decoded:
        """16 kHz, one channel, with some more for the envelope."""
        taken.share.take(round(taken.sound.seconds * BYTES_PER_SECOND * 1.01) + 65_536)
        file = taken.file
        decoded = await self._desk.ear.decode(
            file.path,
            file.offset,
            file.length,
            folder=spool.folder,
            channels="mixed",
            most_seconds=taken.most,
        )
        check_level(decoded)
        return decoded


def recording_of(form: Form) -> FilePart:
    """The one that is meant. Raises `InvalidRequest`."""
    meant = [one for one in form.files if one.name == "file"] or list(form.files)
    if len(meant) == 1:
        return meant[0]
    problem = "no recording" if not meant else "more than one recording"
    raise InvalidRequest(
        f"The form has {problem}.", param="file", advice="Send one file in the field `file`."
    )


def may_be_composed(error: SparkError, options: Options) -> bool:
    """Whether a service refused something that can be done here: the container, the size (plain
    sound of one channel is small, and parts are smaller), or the format."""
    if error.source == _OURS or not isinstance(error, _SECOND):
        return False
    if options.format == "diarized_json" or options.format not in FORMATS:
        return False  # nobody here knows it, or who spoke
    if isinstance(error, PayloadTooLarge | UnsupportedMediaType):
        return True
    return options.task != "diarize" and (options.format not in {"json", "text"} or options.stream)


def refusal(error: SparkError, options: Options, sound: Sound) -> Fact | None:
    """What a service turned out not to do. How large is too large is not learned."""
    if isinstance(error, PayloadTooLarge):
        return None
    if isinstance(error, UnsupportedMediaType):
        return ("container", sound.container)
    return "no-stream" if options.format in {"json", "text"} else ("format", options.format)
