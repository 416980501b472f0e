"""The streams of the app: which WebSocket is one of ours, and how all of them begin and end.

    /v1/audio/stream               a stream, where the recogniser only hears recordings
    /v1/realtime?intent=transcription   the same, in OpenAI's events
    everything else                to the service or the engine, by the gateway's tunnel
Owns the choice between these, what streams share (the line for the engines, the bounds), and the
drain: nobody's last words are lost by a restart, and who was interrupted can go on after it.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import webrtcvad  # type: ignore[import-untyped]
from starlette.types import Receive, Scope, Send

from server.audio.front.dialect.learned import Learned
from server.audio.front.inner import Seen, inside
from server.audio.stream.ends import Voiced
from server.audio.stream.faces.asked import REALTIME, Asked
from server.audio.stream.faces.choice import Choice
from server.audio.stream.hearing import Hearing
from server.audio.stream.kept import Kept, client_of
from server.audio.stream.live import ELSEWHERE, NORMAL, RESTART, Live
from server.audio.stream.model import RATE, Rules
from server.audio.stream.places import members, ours, places
from server.audio.stream.recogniser import Recogniser
from server.audio.stream.saved import Saved, hashed, read, written
from server.audio.stream.stream import Listener, Means, Stream
from server.base.errors import InvalidRequest, SparkError, Unavailable
from server.base.files import atomic_write
from server.base.logs import get_logger
from server.config.model import Service, Settings
from server.gateway.client.tunnel import tunnel
from server.gateway.intake.request import named
from server.gateway.keys.gate import resolved
from server.gateway.model import Caller, Operation, Passage, Route
from server.gateway.sockets.call import SocketCall, Tunnel
from server.gateway.way import Crew

SOCKETS = ("/v1/audio/stream", REALTIME)
"""The routes that are answered here."""


class Streams:
    """A `Front` for the WebSockets. `token` and `boundary` give a new secret each time, `name` a
    new id. `seen` are told of each window. `store`: the file for what a restart interrupts."""

    def __init__(
        self,
        *,
        settings: Callable[[], Settings],
        learned: Learned,
        seen: Seen,
        monotonic: Callable[[], float],
        token: Callable[[], str],
        boundary: Callable[[], str],
        name: Callable[[], str],
        store: Path | None = None,
        tunnel: Tunnel = tunnel,
    ) -> None:
        self._settings = settings
        self._learned = learned
        self._seen = seen
        self._monotonic = monotonic
        self._token = token
        self._boundary = boundary
        self._name = name
        self._store = store
        self._saved: dict[str, Saved] = {}
        self._saved_until = 0.0
        self._log = get_logger("streams")
        self._tunnel = tunnel
        self._hearing = Hearing(lambda pool: places(pool, settings().services))
        self.kept = Kept(lambda: settings().audio.max_streams, self.keeps)
        self.connected: dict[Stream, Listener] = {}
        self._means: Means | None = None
        self.closing = False

    async def __call__(
        self,
        crew: Crew,
        operation: Operation,
        passage: Passage,
        asgi: tuple[Scope, Receive, Send],
    ) -> None:
        scope = asgi[0]
        if not self._ours(crew, operation, scope):
            await SocketCall(crew, self._tunnel, operation, passage, asgi).run()
            return
        if self._means is None:
            self._means = self._made(crew)
        asked = Asked(operation, scope)
        door = _Door(self, self._means, crew, operation, asked)
        face = asked.face(passage.request_id)
        await Live(crew, operation, passage, asgi, face=face, door=door).run()

    @property
    def services(self) -> Sequence[Service]:
        return self._settings().services

    # ---- the life of the app

    async def drain(self, seconds: float) -> None:
        """What was said until now becomes final, and every client is told to come back later."""
        self.closing = True
        interrupted = list(self.kept)
        for stream in interrupted:
            stream.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*(stream.ended.wait() for stream in interrupted))
        for live in list(self.connected.values()):
            live.bye(*RESTART)
        self._save(interrupted)

    def restore(self) -> None:
        """What an earlier process interrupted; for once, and for as long as a stream is kept."""
        store = self._store
        if store is not None and store.is_file():
            with suppress(OSError):
                self._saved = read(store.read_bytes())
                store.unlink()
            self._saved_until = self._monotonic() + self.lasts

    async def close(self) -> None:
        for stream in self.kept:
            self.kept.remove(stream)
        await self._hearing.close()

    # ---- inside

    @property
    def lasts(self) -> float:
        return self._settings().audio.stream_resume_seconds

    def keeps(self) -> float:
        """How long a stream whose connection drops now is kept in this process."""
        return 0.0 if self.closing else self.lasts

    def promises(self, stream: Stream) -> float:
        """How long its client may come back, by what it is told now."""
        if self.closing:
            return self.lasts if self._store is not None else 0.0
        return 0.0 if stream.over else self.lasts

    def interrupted(self, token: str, caller: Caller) -> Saved | None:
        """That stream of an earlier process, for its own client."""
        saved = self._saved.get(hashed(token))
        if saved is None or saved.client != client_of(caller):
            return None
        return saved if self._monotonic() < self._saved_until else None

    def goes_on(self, stream: Stream) -> None:
        """A stream of an earlier process is one of this one; once."""
        del self._saved[hashed(stream.token)]
        self.kept.add(stream)

    def _save(self, streams: Sequence[Stream]) -> None:
        if self._store is None or not streams or not self.lasts:
            return
        rows = [
            Saved(
                hashed(one.token),
                client_of(one.caller),
                one.name,
                one.sequence,
                one.received,
                one.choice,
            )
            for one in streams
            if one.begun
        ]
        try:
            atomic_write(self._store, written(rows))
        except (OSError, SparkError) as error:
            self._log.warning("interrupted streams cannot go on", reason=str(error))

    def again(self, saved: Saved, token: str, caller: Caller, route: Route, means: Means) -> Stream:
        return Stream(
            saved.name,
            token,
            caller=caller,
            route=route,
            choice=saved.choice,
            rules=self.rules,
            means=means,
            received=saved.received,
            sequence=saved.sequence,
        )

    def new(self, caller: Caller, route: Route, choice: Choice, means: Means) -> Stream:
        return Stream(
            self._name(),
            self._token(),
            caller=caller,
            route=route,
            choice=choice,
            rules=self.rules,
            means=means,
        )

    @property
    def rules(self) -> Rules:
        audio = self._settings().audio
        return Rules(
            step=audio.stream_step_seconds,
            window=audio.stream_window_seconds,
            buffer=audio.stream_buffer_seconds,
        )

    # ---- inside

    def _ours(self, crew: Crew, operation: Operation, scope: Scope) -> bool:
        query = scope["query_string"]
        if operation.path == REALTIME and b"intent=transcription" not in query:
            return False
        token = Asked(operation, scope).token
        if token is not None and (token in self.kept or hashed(token) in self._saved):
            return True
        try:
            route = crew.router.resolve(operation, named(operation, scope))
        except SparkError:
            return False  # The tunnel's way tells it.
        return ours(route.pool, self._settings().services)

    def _made(self, crew: Crew) -> Means:
        recogniser = Recogniser(
            inside(crew, self._seen),
            self._learned,
            self._boundary,
            lambda pool: members(pool, self._settings().services),
        )
        return Means(self._hearing, recogniser, voices, self._monotonic)


class _Door:
    """One connection's way to its stream (`live.Door`)."""

    def __init__(
        self, streams: Streams, means: Means, crew: Crew, operation: Operation, asked: Asked
    ) -> None:
        self._streams = streams
        self._means = means
        self._crew = crew
        self._operation = operation
        self._asked = asked

    def open(self, passage: Passage, route: Route) -> tuple[Stream, int | None]:
        """What it asks for is looked at before it is accepted. Raises what its client is told."""
        streams, caller = self._streams, passage.caller
        if streams.closing:
            raise Unavailable("Spark Control is shutting down.", retry_after=5)
        query = self._asked.read()
        if query.token is not None:
            saved = streams.interrupted(query.token, caller)
            if saved is not None:
                again = self._again(saved, query.token, caller)
                self._room(caller)
                streams.goes_on(again)
            stream = streams.kept.take_up(query.token, caller)
            old = streams.connected.pop(stream, None)
            if old is not None:
                old.bye(*ELSEWHERE)
            return stream, query.after
        self._room(caller)
        stream = streams.new(caller, route, query.choice, self._means)
        streams.kept.add(stream)
        return stream, None

    def _room(self, caller: Caller) -> None:
        settings, cap = self._crew.settings(), caller.max_in_flight
        self._streams.kept.check(caller, settings.client_in_flight if cap is None else cap)

    def _again(self, saved: Saved, token: str, caller: Caller) -> Stream:
        model = saved.choice.setup.model
        route = resolved(self._crew.router, self._operation, model, caller)
        self.check(route, caller)
        return self._streams.again(saved, token, caller, route, self._means)

    def opened(self, live: Listener, stream: Stream) -> None:
        self._streams.connected[stream] = live

    def closed(self, live: Listener, stream: Stream, *, dropped: bool) -> None:
        streams = self._streams
        if streams.connected.get(stream) is not live:
            return  # Another connection has it.
        del streams.connected[stream]
        if dropped and not stream.over:
            streams.kept.left(stream)
        else:
            streams.kept.remove(stream)

    def check(self, route: Route, caller: Caller) -> None:
        """Whether that caller may use what another model means. Nothing is counted."""
        self._means.recogniser.crew.gatekeeper.allow(caller, self._operation, route)
        if not ours(route.pool, self._streams.services):
            raise InvalidRequest(
                "This model hears streams of its own: connect with ?model= to reach it.",
                param="model",
            )

    def promises(self, stream: Stream) -> float:
        return self._streams.promises(stream)

    def farewell(self) -> tuple[int, str]:
        return RESTART if self._streams.closing else (NORMAL, "")


def voices(strictness: int) -> Voiced:
    """WebRTC's detector. It learns from what it hears: one for each stream."""
    detector = webrtcvad.Vad(strictness)
    return partial(_voiced, detector.is_speech)


def _voiced(is_speech: Callable[[bytes, int], bool], frame: bytes) -> bool:
    return is_speech(frame, RATE)
