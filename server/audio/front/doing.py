"""A composed request once its recording is plain sound: asked for, put together, answered.

Owns what a request becomes: who hears, who tells speakers apart, who referees, what is told
meanwhile, and the answer in its format. Refuses to know how the recording came here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from server.audio.front.answering import Answering, answering
from server.audio.front.asking import Apart, Asker, Hearing
from server.audio.front.composing import Referee, Tell, Work, composed
from server.audio.front.desk import Desk
from server.audio.front.inner import inside
from server.audio.front.known import known_voices
from server.audio.front.options import Options
from server.audio.front.plan import Plan
from server.audio.front.plan import written as check_format
from server.audio.front.sending import Sending
from server.audio.front.telling import Telling
from server.audio.front.told import turns_written
from server.audio.front.written import Composed, Written
from server.audio.long.model import Progress
from server.audio.long.service import diarized
from server.audio.model import Said
from server.audio.referee.asking import asking
from server.audio.referee.model import Refereed
from server.audio.referee.names import Named
from server.audio.referee.service import Terms, refereed
from server.audio.sound.model import Decoded
from server.audio.speakers.link import Known
from server.gateway.cache.model import mark
from server.gateway.keys.gate import resolved
from server.gateway.model import NOTHING, Operation, Passage, Route, Used
from server.gateway.operations import OPERATIONS
from server.gateway.relay import Answer
from server.gateway.way import Crew

_DIARIZE = "/v1/audio/diarize"


@dataclass(frozen=True, slots=True)
class Given:
    """`folder` is the request's own; it is removed with it."""

    options: Options
    plan: Plan
    decoded: Decoded
    folder: Path


class Doing:
    """One request. `answer` is awaited once; `used` may be asked at any time."""

    def __init__(
        self, desk: Desk, crew: Crew, operation: Operation, passage: Passage, given: Given
    ) -> None:
        self._desk = desk
        self._operation = operation
        self._passage = passage
        self._given = given
        self._outer = crew
        crew_inside = inside(crew, desk.seen)
        self._asker = Asker(
            crew_inside,
            passage.caller,
            passage.request_id,
            given.options,
            desk.learned,
            desk.boundary,
        )
        self._hearing: Hearing | None = None
        self._apart: Apart | None = None

    def used(self) -> Used:
        """The seconds that were heard, each once, however often parts overlap or are asked again;
        of a recording that was given up, those that were."""
        main = self._apart if self._given.options.task == "diarize" else self._hearing
        if main is None or not main.heard:
            return NOTHING
        seconds = min(main.heard, self._given.decoded.seconds)
        return Used(audio_seconds=seconds, audio_source="measured")

    async def answer(self, answer: Answer, telling: Telling, route: Route) -> None:
        """`telling` has begun where a stream was asked for."""
        if self._given.options.task == "diarize":
            await self._sending(answer).whole(await self._turns())
            return
        options = self._given.options
        check_format(options)
        found = await self._composed(route, telling)
        await self._sending(answer).transcript(found, options, telling)

    # -- a transcript

    async def _composed(self, route: Route, telling: Telling) -> Composed:
        given, desk = self._given, self._desk
        options, seconds = given.options, given.decoded.seconds
        found = self._may_answer(route)
        self._hearing = Hearing(self._asker, self._operation, found.model, found.traits)
        shares = 0.5 if given.plan.speakers else 1.0
        tell = telling.work(shares, seconds)
        known: list[Known] = []
        tell_apart: Tell = nobody
        if given.plan.speakers:
            self._apart = self._diarizer()
            known = await known_voices(options, given.folder, desk.ear, self._apart)
            tell_apart = telling.work(shares, seconds)
        work = Work(
            options=options,
            decoded=given.decoded,
            hearing=self._hearing,
            telling_apart=self._apart,
            known=known,
            referee=refereeing(desk, self._outer, self._passage, options)
            if given.plan.speakers
            else None,
            rules=replace(desk.rules_for(seconds), at_once=found.at_once),
            clock=desk.clock,
        )
        made = await composed(work, tell, tell_apart)
        self._passage.upstream = self._hearing.by
        return made

    def _may_answer(self, route: Route) -> Answering:
        crew, desk = self._asker.crew, self._desk
        return answering(route, desk.settings().services, desk.learned, crew.monotonic())

    def _diarizer(self, name: str | None = None) -> Apart:
        """Raises `NotFound` when there is none."""
        crew = self._asker.crew
        route = resolved(crew.router, OPERATIONS[_DIARIZE], name, self._passage.caller)
        return Apart(self._asker, self._may_answer(route).traits)

    # -- turns

    async def _turns(self) -> Written:
        given, desk = self._given, self._desk
        self._apart = self._diarizer(given.options.model)
        known = await known_voices(given.options, given.folder, desk.ear, self._apart)
        rules = desk.rules_for(given.decoded.seconds)
        found = await diarized(given.decoded, self._apart, nobody, rules, desk.clock, known=known)
        self._passage.upstream = self._apart.by
        return turns_written(found, given.options.format)

    # -- the answer

    def _sending(self, answer: Answer) -> Sending:
        cache = self._outer.cache
        extra = mark("bypass") if cache is not None and cache.on else ()
        return Sending(answer, self._outer, self._passage, extra)


def refereeing(desk: Desk, crew: Crew, passage: Passage, options: Options) -> Referee | None:
    """Who is asked what sound alone does not settle; None where nobody is."""
    audio = desk.settings().audio
    setting = audio.referee
    if options.referee is False or (options.referee is None and setting == "off"):
        return None
    if setting == "off":
        setting = "auto"
    # The model's work is the caller's as every chat request is: it is charged.
    ask = asking(setting, desk.entries, crew, passage.caller, passage.request_id)
    # A suggested name is what scrubbing takes out.
    named = Named(frozenset(options.names)) if options.scrub is None else None
    terms = Terms(seconds=audio.referee_seconds, named=named)
    model = getattr(ask, "model", None)

    async def rule(said: Sequence[Said]) -> Refereed:
        return await refereed(said, ask, terms, model=model)

    return rule


def nobody(_progress: Progress) -> None:
    """Nobody is told."""
