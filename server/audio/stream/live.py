"""One connection of a stream: what comes over the socket goes in, what is told goes out.

    connect ── resolve ── allow ── accepted ── sound and control … ──┬─ stop: finals, 1000
                                                                     ├─ dropped: kept for a while
                                                                     ├─ restart: finals, 1012
                                                                     └─ error: told, closed
Owns that a stream is let in, shown, charged by the second and ended like any other request, that no
client gets more of the loop than a few times real time, nor by messages that carry no sound, and
that one which reads slowly is told less, and at last nothing. Refuses to know what sound means:
that is the stream's.
"""

import asyncio
from dataclasses import replace
from typing import Any

from starlette.types import Receive, Scope, Send

from server.audio.stream.door import Door
from server.audio.stream.faces.choice import Choice
from server.audio.stream.faces.model import (
    LONGEST,
    About,
    Begin,
    Command,
    EndHere,
    Face,
    Forget,
    Heard,
    Leave,
    Ping,
    Waits,
)
from server.audio.stream.model import Clear, Commit, Final, Partial, Told
from server.audio.stream.pace import CRUMB, CRUMBS, OFTEN, Bucket, Pace
from server.audio.stream.speaker import Speaker
from server.audio.stream.stay import every, overstayed
from server.audio.stream.stream import Stream
from server.base.errors import (
    ClientClosed,
    InvalidRequest,
    NotFound,
    PayloadTooLarge,
    SessionExpired,
    SparkError,
)
from server.gateway.client.tunnel import ACCEPTED, close_code, refuse
from server.gateway.intake.request import named
from server.gateway.keys.gate import resolved
from server.gateway.keys.token import without_key
from server.gateway.model import Operation, Passage, Used
from server.gateway.sockets.waiting import DIRECT, TAKE, size_of
from server.gateway.way import Crew, Way

SWITCHED = 101
STRIKES = 20
"""Messages that mean nothing, until the connection is ended."""
NORMAL = 1000
ELSEWHERE = (4000, "The stream was taken up by another connection.")
RESTART = (1012, "Spark Control restarts: connect again.")
_AMID_SECONDS = 60.0
_BEHIND_SECONDS = 5.0


class Live(Way):
    """One connection. It is its stream's `Listener`."""

    __slots__ = (
        "_amid",
        "_behind",
        "_bucket",
        "_busy",
        "_crumb",
        "_door",
        "_face",
        "_finished",
        "_fresh",
        "_last",
        "_listens",
        "_out",
        "_pace",
        "_seen",
        "_settings",
        "_slice",
        "_speaker",
        "_stream",
        "_strikes",
        "_timer",
    )
    _stream: Stream

    def __init__(
        self,
        crew: Crew,
        operation: Operation,
        passage: Passage,
        asgi: tuple[Scope, Receive, Send],
        *,
        face: Face,
        door: Door,
    ) -> None:
        scope, receive, self._out = asgi
        super().__init__(crew, operation, passage, scope, receive)
        passage.stream = True
        self._settings = crew.settings()
        self._face = face
        self._door = door
        self._speaker = Speaker(self._out, self._sent, self._slow)
        self._timer: asyncio.TimerHandle | None = None
        self._strikes = 0
        self._behind = 0
        self._finished = False
        self._busy = False
        self._fresh = self._seen = 0
        self._slice = 0  # bytes of one second
        self._crumb = 0
        self._bucket = Bucket()
        self._pace = Pace(passage.arrived, 0.0)
        self._listens: dict[str, Any] | None = None
        self._last = self._amid = passage.arrived

    # ---- its way

    async def _go(self) -> None:
        crew, passage = self._crew, self._passage
        name = named(self._operation, self._scope)
        passage.asked = name or ""
        route = resolved(crew.router, self._operation, name, passage.caller)
        passage.model = route.model
        crew.gatekeeper.allow(passage.caller, self._operation, route)
        self._stream, after = self._door.open(passage, route)
        stream = self._stream
        dropped = after is not None  # a new one that nobody was told of is not waited for
        try:
            self._door.opened(self, stream)
            if (await self._receive())["type"] != "websocket.connect":
                raise ClientClosed("The client left before it was connected.")
            await self._accept()
            dropped = True
            self._pace = Pace(crew.monotonic(), stream.rules.buffer)
            self._measure(stream)
            self._hello(stream, after)
            dropped = await self._listen()
        except SparkError as error:
            self._end_by(error)
            raise
        except asyncio.CancelledError:
            if self._ended is not None:
                self._end_by(self._ended)
            raise
        finally:
            await self._leave(stream, dropped=dropped)

    def _end_by(self, error: SparkError) -> None:
        """The last words, behind all that was said."""
        if not isinstance(error, ClientClosed):
            self._fault(error)
            self.bye(close_code(error), error.message, again=True)

    async def _accept(self) -> None:
        scope, passage = self._scope, self._passage
        offered = without_key(scope.get("subprotocols", ()))
        chosen = "realtime" if "realtime" in offered else next(iter(offered), None)
        scope[ACCEPTED] = True
        passage.status = SWITCHED
        passage.admitted = passage.opened = self._last = self._amid = self._crew.monotonic()
        await self._out({"type": "websocket.accept", "subprotocol": chosen})

    def _hello(self, stream: Stream, after: int | None) -> None:
        self._speaker.begin()
        self._tick(first=True)
        if self._finished:
            return  # Taken over, or told to come back, before it was here.
        stream.connected(self)
        about = self._about(resumed=after is not None)
        self._speaker.say(self._face.hello(about))
        if after is not None:
            finals, whole = stream.since(after)
            if not whole:
                self._fault(InvalidRequest("Older finals than these are not kept.", param="after"))
            for final in finals:
                self._speaker.say(self._face.told(final))
        self._listens = self._scope.get("extensions", {}).get(DIRECT)
        if self._listens is not None:
            self._listens[TAKE] = self._hears

    async def _listen(self) -> bool:
        """Whether the connection dropped, rather than was closed on purpose."""
        while True:
            message = await self._receive()
            kind = message["type"]
            if kind == "websocket.disconnect":
                return not self._finished and message.get("code") != NORMAL
            if kind != "websocket.receive" or self._stream.listener is not self:
                continue  # Another connection has taken it up.
            self._last = self._crew.monotonic()
            self._passage.bytes_in += size_of(message)
            text = message.get("text")
            self._busy = True
            try:
                if text is not None:
                    await self._do(self._face.read(text))
                else:
                    await self._bytes(message["bytes"])
            except (InvalidRequest, NotFound, PayloadTooLarge) as error:
                self._refused(error)
            finally:
                self._busy = False

    async def _leave(self, stream: Stream, *, dropped: bool) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._listens is not None:
            self._listens.clear()
        self._door.closed(self, stream, dropped=dropped)
        await self._speaker.end()

    async def _fail(self, error: SparkError) -> None:
        passage = self._passage
        passage.error = error.code
        passage.status = passage.status or error.status
        if not isinstance(error, ClientClosed) and not self._scope.get(ACCEPTED):
            await refuse(self._scope, self._out, error)

    def _account(self) -> None:
        self._use()
        super()._account()

    # ---- from the client

    async def _bytes(self, data: bytes) -> None:
        if len(data) == 1:
            await self._do(self._face.control(data[0]))
        elif len(data) > LONGEST:
            raise PayloadTooLarge(f"A message has at most {LONGEST >> 20} MiB.")
        else:
            await self._sound(data)

    async def _do(self, command: Command) -> None:
        stream, face = self._stream, self._face
        if isinstance(command, Heard):
            await self._sound(command.data)
            return
        if isinstance(command, Begin):
            self._choose(command.choice)
            self._speaker.say(face.changed(stream.choice))
        elif isinstance(command, EndHere):
            stream.happens(Commit())
        elif isinstance(command, Forget):
            stream.happens(Clear())
        elif isinstance(command, Leave):
            stream.stop()
        elif isinstance(command, Ping):
            self._speaker.say(face.pong(command))
        await self._paced()

    async def _paced(self, price: float = 1.0) -> None:
        """After a message that is no sound, or next to none: it may be the last for a moment."""
        if self._stream.over:
            return
        now = self._crew.monotonic()
        wait = self._bucket.came(now, price)
        if self._bucket.endless(now):
            raise SessionExpired(
                f"Messages without sound come too fast, and do not stop: {OFTEN:g} a second are "
                "read."
            )
        if wait > 0:
            await asyncio.sleep(wait)

    def _hears(self, data: bytes) -> bool:
        """The usual message, as soon as it is here: a moment's sound that nobody has to wait for.
        False: it goes the way of all others."""
        stream = self._stream
        size = len(data)
        if self._busy or not self._crumb <= size <= self._slice or stream.listener is not self:
            return False
        self._fresh += size
        self._passage.bytes_in += size
        stream.sound(data)
        if self._fresh < self._slice:
            return True
        now = self._crew.monotonic()
        try:
            self._reckon(now)
        except SparkError as error:
            self.end(error)
        return True

    async def _sound(self, data: bytes) -> None:
        """A long message in slices: others have their turn between, and nobody more than its
        share."""
        stream, size = self._stream, self._slice
        for at in range(0, len(data), size):
            part = data if len(data) <= size else data[at : at + size]
            self._fresh += len(part)
            stream.sound(part)
            if self._fresh >= size:
                now = self._crew.monotonic()
                self._reckon(now)
                while (wait := self._pace.wait(now, stream.pressing)) > 0 and not stream.over:
                    await self._eased(wait)
                    now = self._crew.monotonic()
                if stream.listener is not self:
                    return  # Who has it by now was told how much had come, and sends the rest.
        if len(data) < self._crumb:
            await self._paced(CRUMBS if data else 1.0)

    def _settle(self) -> None:
        """What came is counted as it was meant: another format may follow."""
        if self._fresh:
            self._reckon(self._crew.monotonic())

    def _reckon(self, now: float) -> None:
        """After each second of sound: what it costs, and whether it is too much. Raises what the
        caller is told when something of its own is used up."""
        stream = self._stream
        self._pace.came(self._fresh / self._slice)
        self._fresh = 0
        self._last = now
        self._pressed(stream)
        self._use()
        error = self._crew.gatekeeper.spend(self._passage, self._operation)
        if error is not None:
            raise error
        if self._listens is not None:
            # Who is too fast goes the way on which it can be made to wait.
            direct = self._pace.wait(now, stream.pressing) <= 0
            self._listens[TAKE] = self._hears if direct else None

    async def _eased(self, seconds: float) -> None:
        """Until an engine has taken some of it, or that long."""
        eased = self._stream.eased
        eased.clear()
        try:
            async with asyncio.timeout(seconds):
                await eased.wait()
        except TimeoutError:
            return

    def _choose(self, choice: Choice) -> None:
        """Another model is another way, so it can be asked for before the first sound only."""
        stream, crew, caller = self._stream, self._crew, self._passage.caller
        model = choice.setup.model
        if model != stream.choice.setup.model:
            if stream.received:
                raise InvalidRequest(
                    "The model can be chosen before the first sound only.", param="model"
                )
            route = resolved(crew.router, self._operation, model, caller)
            self._door.check(route, caller)
            stream.route = route
            self._passage.model = route.model
        self._settle()
        stream.choose(choice)
        self._measure(stream)

    def _measure(self, stream: Stream) -> None:
        inlet = stream.inlet
        self._slice, self._crumb = inlet.bytes_of(1.0), inlet.bytes_of(CRUMB)

    def _refused(self, error: SparkError) -> None:
        self._fault(error)
        self._strikes += 1
        if self._strikes >= STRIKES:
            raise SessionExpired(f"{STRIKES} messages that mean nothing are enough.")

    def _pressed(self, stream: Stream) -> None:
        """Told at every few seconds more that it is behind, and when it is not any more."""
        step = int(stream.behind / _BEHIND_SECONDS)
        if step > self._behind or (self._behind and not step):
            self._speaker.say(self._face.behind(stream.behind, stream.held))
            self._behind = step

    # ---- what is told (`stream.Listener`)

    def told(self, told: Told) -> None:
        texts = self._face.told(told)
        if isinstance(told, Partial) and self._face.states:
            self._speaker.say(texts, told.id)
            return
        if isinstance(told, Final):
            self._speaker.over(told.id)
        self._speaker.say(texts)

    def waits(self, position: int, seconds: float) -> None:
        self._speaker.say(self._face.waits(Waits(position, seconds)))

    def heard_by(self, upstream: str) -> None:
        self._passage.upstream = upstream

    def over(self) -> None:
        self.bye(*self._door.farewell())

    def bye(self, code: int, reason: str, *, again: bool = False) -> None:
        """The last words. The server tells this side of the end, and so it ends. `again`: the
        stream is kept for a client that comes back."""
        self._finished = not again
        about = self._about()
        if not self._stream.begun:
            about = replace(about, token="", keeps=0.0)
        self._speaker.bye(self._face.bye(about, code, reason), code, reason)

    def _fault(self, error: SparkError) -> None:
        self._speaker.say(self._face.fault(error))

    def _about(self, *, resumed: bool = False) -> About:
        stream = self._stream
        keeps = self._door.promises(stream)
        return About(
            stream.name,
            stream.token if keeps else "",
            keeps,
            stream.sequence,
            stream.received,
            stream.choice,
            resumed,
        )

    def _sent(self, size: int) -> None:
        passage = self._passage
        passage.bytes_out += size
        if passage.first_byte is None:
            passage.first_byte = self._crew.monotonic()

    def _slow(self) -> None:
        self.end(SessionExpired("What is told is read too slowly: connect again and read."))

    # ---- what it costs, and how long it stays

    def _use(self) -> None:
        seconds = self._pace.seconds + (self._fresh / self._slice if self._fresh else 0.0)
        if seconds:
            self._passage.used = Used(audio_seconds=seconds, audio_source="measured")

    def _tick(self, *, first: bool = False) -> None:
        """Now and then: a heartbeat, the usage, and whether it has stayed too long."""
        now = self._crew.monotonic()
        if self._fresh != self._seen:
            self._seen, self._last = self._fresh, now
        opened = self._passage.opened or now
        error = overstayed(self._settings, opened, self._last, now)
        if error is not None:
            self.end(error)
            return
        if now - self._amid >= _AMID_SECONDS:
            self._amid = now
            self._use()
            for observer in self._crew.amid:
                observer(self._passage)
        if not first:
            stream = self._stream
            self._speaker.say(self._face.pulse(stream.received, stream.behind))
        self._timer = asyncio.get_running_loop().call_later(every(self._settings), self._tick)
