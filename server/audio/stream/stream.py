"""One stream, for as long as it lives: longer than any of its connections.

Owns the machine (`session`), the sound's way into it, the finals that a connection which comes back
is told again, and the window that is being heard. Refuses to know sockets: who is connected gets
what is told by `tell`, and nobody is told while nobody is connected.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from server.audio.stream.ends import Voiced
from server.audio.stream.faces.choice import Choice
from server.audio.stream.hearing import Hearing
from server.audio.stream.inlet import Inlet
from server.audio.stream.model import (
    Answered,
    Effect,
    Event,
    Failed,
    Final,
    Over,
    Rules,
    Set,
    Sound,
    Stop,
    Taken,
    Told,
    Want,
    Window,
    samples,
    seconds,
)
from server.audio.stream.recogniser import Recogniser
from server.audio.stream.session import Session
from server.audio.transcript import Transcript, timed
from server.base.errors import SparkError
from server.gateway.model import Caller, Route

KEPT_FINALS = 256
KEPT_CHARACTERS = 128 << 10
"""Of finals that may be told again: the oldest go first."""


class Listener(Protocol):
    """Who is connected."""

    def told(self, told: Told) -> None: ...

    def waits(self, position: int, seconds: float) -> None: ...

    def heard_by(self, upstream: str) -> None: ...

    def over(self) -> None: ...

    def bye(self, code: int, reason: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Means:
    """What every stream works with. `monotonic` is a clock."""

    hearing: Hearing
    recogniser: Recogniser
    voices: Callable[[int], Voiced]
    monotonic: Callable[[], float]


class Stream:
    """`token` is known to its client alone. `choice` is in force. `received` and `sequence`: how
    far it was when an earlier process ended."""

    def __init__(
        self,
        name: str,
        token: str,
        *,
        caller: Caller,
        route: Route,
        choice: Choice,
        rules: Rules,
        means: Means,
        received: float = 0.0,
        sequence: int = 0,
    ) -> None:
        self.name = name
        self.token = token
        self.caller = caller
        self.route = route
        self.choice = choice
        self.rules = rules
        self.listener: Listener | None = None
        self.ended = asyncio.Event()
        self.eased = asyncio.Event()
        self.received = received
        self._means = means
        self._inlet = Inlet(choice.encoding, choice.rate)
        self._before = received
        self._session = Session(
            choice.setup,
            rules,
            means.voices,
            position=samples(received),
            sequence=sequence,
        )
        self._finals: deque[Final] = deque()
        self._characters = 0
        self._wanted = 0.0
        self._windows = 0

    # ---- from whoever is connected

    @property
    def over(self) -> bool:
        """All was told, or nobody wants it any more."""
        return self.ended.is_set()

    @property
    def begun(self) -> bool:
        """Whether there is anything to come back for."""
        return bool(self.received or self.sequence)

    @property
    def inlet(self) -> Inlet:
        return self._inlet

    @property
    def sequence(self) -> int:
        return self._session.sequence

    @property
    def behind(self) -> float:
        return self._session.behind

    @property
    def held(self) -> float:
        """Seconds of sound in memory."""
        return seconds(self._session.held)

    @property
    def pressing(self) -> float:
        """The same, as far as an engine that hears what is due makes room in it."""
        return self.held if self.behind >= self.rules.step else 0.0

    def choose(self, choice: Choice) -> None:
        """Another format is another inlet; what the old one still held comes first."""
        old = self.choice
        if (choice.encoding, choice.rate) != (old.encoding, old.rate):
            self._renew(choice)
        self.choice = choice
        if choice.setup != old.setup:
            self.happens(Set(choice.setup))

    def connected(self, listener: Listener) -> None:
        """A new connection begins with a whole sample."""
        if self.received:
            self._renew(self.choice)
        self.listener = listener

    def sound(self, data: bytes) -> None:
        inlet = self._inlet
        pcm = inlet.feed(data)
        self.received = self._before + inlet.taken / inlet.rate
        if pcm:
            self.happens(Sound(pcm))

    def stop(self) -> None:
        rest = self._inlet.end()
        if rest:
            self.happens(Sound(rest))
        self.happens(Stop())

    def happens(self, event: Event) -> None:
        effects = self._session.advance(event, self._means.monotonic())
        if effects:
            self._carry_out(effects)

    def since(self, sequence: int) -> tuple[list[Final], bool]:
        """The finals after that one, and whether all of them are still here."""
        found = [one for one in self._finals if one.sequence > sequence]
        first = found[0].sequence if found else self.sequence + 1
        return found, first <= sequence + 1

    def forget(self) -> None:
        """Nobody will want what is left."""
        self.ended.set()
        self.listener = None
        self._means.hearing.leave(self.route.pool, self)

    # ---- from the engines (`hearing.Taker`)

    def cut(self) -> Window | None:
        for effect in self._session.advance(Taken(), self._means.monotonic()):
            if isinstance(effect, Window):
                return effect
        return None

    async def ask(self, window: Window) -> Transcript:
        self._windows += 1
        request_id = f"{self.name}.{self._windows}"
        found, upstream = await self._means.recogniser(
            window, self.route.pool, self.caller, request_id
        )
        if self.listener is not None:
            self.listener.heard_by(upstream)
        return found

    def heard(self, window: Window, found: Transcript) -> None:
        self.happens(Answered(window.number, timed(found, window.length)))
        self.eased.set()

    def lost(self, window: Window, error: SparkError, *, again: bool) -> None:
        self.happens(Failed(window.number, error, again))
        self.eased.set()

    def waits(self, position: int) -> None:
        if self.listener is not None:
            self.listener.waits(position, self._means.monotonic() - self._wanted)

    # ---- inside

    def _renew(self, choice: Choice) -> None:
        rest = self._inlet.end()
        self._before = self.received
        self._inlet = Inlet(choice.encoding, choice.rate)
        if rest:
            self.happens(Sound(rest))

    def _carry_out(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Want):
                self._wanted = self._means.monotonic()
                self._means.hearing.want(self.route.pool, self, effect.since, effect.after)
            elif isinstance(effect, Over):
                self.ended.set()
                if self.listener is not None:
                    self.listener.over()
            elif not isinstance(effect, Window):
                if isinstance(effect, Final):
                    self._keep(effect)
                if self.listener is not None:
                    self.listener.told(effect)

    def _keep(self, final: Final) -> None:
        self._finals.append(final)
        self._characters += _size(final)
        while len(self._finals) > KEPT_FINALS or self._characters > KEPT_CHARACTERS:
            self._characters -= _size(self._finals.popleft())


def _size(final: Final) -> int:
    return sum(len(word.text) for word in final.words)
