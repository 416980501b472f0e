"""`POST /v1/audio/label-merge` with recordings: two channels in, one conversation out.

    upload to disk ── form ── examine ── limits ── place ── decode ── both channels ── written
Owns one such request's way, in the steps of every other recording (`hearing`). Words that were
recognised already, as JSON, go the ordinary way, and so does everything where a service of the name
`label-merge` is set up.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from starlette.types import Receive, Scope, Send

from server.audio.front.desk import Desk
from server.audio.front.dual_form import Dual, Files, Side, files_of, read_dual
from server.audio.front.hearing import Recording
from server.audio.front.pair import Pair, Plain
from server.audio.front.plan import cap, check_length
from server.audio.front.room import Share
from server.audio.sound.model import BYTES_PER_SECOND, Decoded, Sound
from server.audio.sound.spool import FilePart, Form, Spool
from server.base.errors import InvalidRequest
from server.gateway.call import Call
from server.gateway.keys.gate import resolved
from server.gateway.model import Operation, Passage, Route
from server.gateway.operations import OPERATIONS
from server.gateway.way import Crew
from server.gateway.wire import header

PATH = "/v1/audio/label-merge"
NAME = "label-merge"
_HEAR = "/v1/audio/transcriptions"
_FORM = b"multipart/form-data"
_SLACK = 1.01
_LEVELS = 3300
"""Bytes for a second of what the canceller leaves."""


class DualFront:
    """A `Front` of the gateway."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def __call__(
        self,
        crew: Crew,
        operation: Operation,
        passage: Passage,
        asgi: tuple[Scope, Receive, Send],
    ) -> None:
        if self._ours(asgi[0]):
            await DualRecording(self._desk, crew, operation, passage, asgi).run()
        else:
            await Call(crew, operation, passage, asgi).run()

    def _ours(self, scope: Scope) -> bool:
        kind = (header(scope["headers"], b"content-type") or b"").partition(b";")[0]
        theirs = any(one.name == NAME for one in self._desk.settings().services)
        return kind.strip().lower() == _FORM and not theirs


@dataclass(frozen=True, slots=True)
class _Taken:
    """What came. `most` is how many seconds of it are taken."""

    asked: Dual
    files: Files
    sounds: tuple[Sound, ...]
    most: float
    share: Share


class DualRecording(Recording):
    """One request."""

    __slots__ = ()

    @property
    def _heard_by(self) -> Operation:
        return OPERATIONS[_HEAR]

    async def _arrived(self, spool: Spool, form: Form, share: Share) -> None:
        taken = await self._understood_both(form, share)
        await self._conversed(spool, taken, self._route(taken.asked))

    async def _understood_both(self, form: Form, share: Share) -> _Taken:
        asked = read_dual(form.fields)
        options = self._meant(asked.options)
        asked = replace(asked, options=options)
        files = files_of(form)
        asked = replace(asked, diarize_system=self._apart(asked))
        apart = asked.diarize_mic or bool(asked.diarize_system)
        most, setting = cap(replace(options, diarize=apart), self._limits())
        sounds = []
        for file in files.all:
            sound = await self._desk.ear.examine(file.path, file.offset, file.length, most)
            check_length(sound, most, setting)
            sounds.append(sound)
        if files.stereo is not None:
            check_stereo(sounds[0])
        return _Taken(asked, files, tuple(sounds), most, share)

    def _apart(self, asked: Dual) -> bool:
        """Whether the far side's speakers are told apart: raises `NotFound` where that was asked
        for, and nobody can."""
        if asked.diarize_mic or asked.diarize_system:
            self._told_apart()
        return self._diarizer() if asked.diarize_system is None else asked.diarize_system

    def _route(self, asked: Dual) -> Route:
        """To whoever hears. It is asked for under the caller's key, as on its own route."""
        crew, passage = self._crew, self._passage
        operation = self._heard_by
        route = resolved(crew.router, operation, asked.options.model, passage.caller)
        passage.model = route.model
        crew.gatekeeper.allow(passage.caller, operation, route)
        return route

    async def _conversed(self, spool: Spool, taken: _Taken, route: Route) -> None:
        async with self._at_work(taken.asked.options) as telling:
            sounds = await self._plain_sounds(spool, taken)
            one_file = taken.files.stereo is not None
            given = Plain(taken.asked, sounds, one_file, spool.folder)
            pair = Pair(self._desk, self._crew, self._heard_by, self._passage, given)
            self._doing = pair
            await pair.answer(self._answer, telling, route)

    async def _plain_sounds(
        self, spool: Spool, taken: _Taken
    ) -> Mapping[Side, tuple[Decoded, int]]:
        """The plain sound of each channel, and its number there."""
        files = taken.files
        if files.stereo is not None:
            both = await self._decoded_file(spool, taken, files.stereo, taken.sounds[0], 2)
            return {side: (both, taken.asked.order.index(side)) for side in taken.asked.order}
        found: dict[Side, tuple[Decoded, int]] = {}
        for (side, file), sound in zip(files.sides.items(), taken.sounds, strict=True):
            found[side] = (await self._decoded_file(spool, taken, file, sound, 1), 0)
        return found

    async def _decoded_file(
        self, spool: Spool, taken: _Taken, file: FilePart, sound: Sound, channels: int
    ) -> Decoded:
        a_second = BYTES_PER_SECOND * _SLACK * channels + _LEVELS
        taken.share.take(round(sound.seconds * a_second) + 65_536)
        return await self._desk.ear.decode(
            file.path,
            file.offset,
            file.length,
            folder=spool.folder,
            channels="each" if channels > 1 else "mixed",
            most_seconds=taken.most,
        )


def check_stereo(sound: Sound) -> None:
    if sound.channels != 2:
        raise InvalidRequest(
            f"The recording has {sound.channels} channel{'s' * (sound.channels != 1)}, and one for "
            "the microphone and one for the system is needed.",
            param="file",
            advice="Send a stereo file, or two files `mic` and `system`.",
        )
