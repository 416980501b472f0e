"""A request about two channels once they are plain sound: asked for, put together, answered.

Owns who hears each channel and who tells its speakers apart, what is told meanwhile, and the answer
in its format. Refuses to know how the recordings came here, and what becomes of their words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from server.audio.front.answering import Answering, answering
from server.audio.front.asking import Apart, Asker, Hearing
from server.audio.front.both import Channel, Work, conversed
from server.audio.front.desk import Desk
from server.audio.front.doing import refereeing
from server.audio.front.dual_form import Dual, Side
from server.audio.front.hearing import DIARIZE
from server.audio.front.inner import inside
from server.audio.front.known import known_voices
from server.audio.front.plan import written as check_format
from server.audio.front.sending import Sending
from server.audio.front.silence import DECIBELS, check_level
from server.audio.front.telling import Telling
from server.audio.front.written import Composed
from server.audio.sound.model import Decoded
from server.audio.speakers.link import Known
from server.gateway.keys.gate import resolved
from server.gateway.model import NOTHING, Operation, Passage, Route, Used
from server.gateway.operations import OPERATIONS
from server.gateway.relay import Answer
from server.gateway.way import Crew

_HEARING, _APART = 0.7, 0.3
"""Shares of the whole: hearing is what takes long."""


@dataclass(frozen=True, slots=True)
class Plain:
    """Plain sound of each channel, with its number there. `folder` is the request's own."""

    asked: Dual
    sounds: Mapping[Side, tuple[Decoded, int]]
    one_file: bool
    folder: Path


class Pair:
    """One request. `answer` is awaited once; `used` may be asked at any time."""

    def __init__(
        self,
        desk: Desk,
        crew: Crew,
        operation: Operation,
        passage: Passage,
        given: Plain,
    ) -> None:
        self._desk, self._outer = desk, crew
        self._operation, self._passage, self._given = operation, passage, given
        self._inner = inside(crew, desk.seen)
        self._hearings: dict[Side, Hearing] = {}

    def used(self) -> Used:
        """The seconds of each channel that were heard: each is work of its own."""
        seconds = sum(
            min(hearing.heard, self._given.sounds[side][0].seconds)
            for side, hearing in self._hearings.items()
        )
        return Used(audio_seconds=seconds, audio_source="measured") if seconds else NOTHING

    async def answer(self, answer: Answer, telling: Telling, route: Route) -> None:
        """`telling` has begun where a stream was asked for."""
        options = self._given.asked.options
        check_format(options)
        found = await self._composed(telling, route)
        await Sending(answer, self._outer, self._passage).transcript(found, options, telling)

    async def _composed(self, telling: Telling, route: Route) -> Composed:
        desk, given = self._desk, self._given
        check_sounding(given)
        apart = {side: self._apart(side) for side in given.sounds if self._split(side)}
        known: list[Known] = []
        for one in list(apart.values())[:1]:
            known = await known_voices(given.asked.options, given.folder, desk.ear, one)
        channels = {
            side: self._channel(side, telling, self._may_answer(route), apart.get(side), known)
            for side in given.sounds
        }
        wanted = given.asked.echo or desk.settings().audio.echo
        options = given.asked.options
        work = Work(
            asked=given.asked,
            channels=channels,
            one_file=given.one_file,
            echo=wanted,
            folder=given.folder,
            ear=desk.echo or desk.ear,
            referee=refereeing(desk, self._outer, self._passage, options),
            rules=desk.rules,
            clock=desk.clock,
        )
        made = await conversed(work)
        by = (one.by for one in self._hearings.values())
        self._passage.upstream = next(filter(None, by), "")
        return made

    def _channel(
        self,
        side: Side,
        telling: Telling,
        found: Answering,
        apart: Apart | None,
        known: Sequence[Known],
    ) -> Channel:
        asked, (decoded, number) = self._given.asked, self._given.sounds[side]
        hearing = Hearing(self._asker(side), self._operation, found.model, found.traits)
        self._hearings[side] = hearing
        share, seconds = 1 / len(self._given.sounds), decoded.seconds
        return Channel(
            decoded=decoded,
            number=number,
            hearing=hearing,
            speaker=asked.mic_speaker if side == "mic" else asked.system_speaker,
            telling_apart=apart,
            tells=(
                telling.work(share * _HEARING, seconds),
                telling.work(share * _APART, seconds),
            ),
            known=known,
        )

    def _split(self, side: Side) -> bool:
        asked = self._given.asked
        return asked.diarize_mic if side == "mic" else bool(asked.diarize_system)

    def _asker(self, side: Side) -> Asker:
        """The requests of each channel have ids of their own."""
        desk, passage = self._desk, self._passage
        return Asker(
            self._inner,
            passage.caller,
            f"{passage.request_id}.{side}",
            self._given.asked.options,
            desk.learned,
            desk.boundary,
        )

    def _may_answer(self, route: Route) -> Answering:
        crew, desk = self._inner, self._desk
        return answering(route, desk.settings().services, desk.learned, crew.monotonic())

    def _apart(self, side: Side) -> Apart:
        """Raises `NotFound` when there is nobody."""
        route = resolved(self._inner.router, OPERATIONS[DIARIZE], None, self._passage.caller)
        return Apart(self._asker(side), self._may_answer(route).traits)


def check_sounding(given: Plain) -> None:
    """Raises `InvalidValue` where nothing sounds in any channel."""
    channels = given.sounds.values()
    if all(one.levels[number].quieter_than(DECIBELS) for one, number in channels):
        for one, _ in channels:
            check_level(one)
