"""The machine of one stream: what happens to it goes in, what it does and tells comes out. Pure.

    open ──stop──> ending ──all is told──> over

              sound  commit clear  stop   set    taken  answered failed
    open      keep   end    drop   end    set    ask    hear     again or gap
    ending    -      -      -      -      -      ask    hear     again or gap
    over      -      -      -      -      -      -      -        -

Theory. Sound is kept in a ring while it may still be needed. Where speech begins (`ends`) an
utterance grows; every `step` seconds, and at its end, a window of it wants to be heard. There is at
most one window in flight: `Want` asks for a place at an engine, `Taken` says that there is one, and
only then is the window cut, so that it holds what came meanwhile. What an engine answers is woven
into what is sure (`agree`).

    (1) every utterance that was told to begin gets exactly one `Final`, in their order;
    (2) a `Final` is never changed, and begins with all that was told as stable of it;
    (3) sound of an utterance is heard, or told as a `Gap`: never neither;
    (4) the ring holds at most `Rules.buffer` seconds: the oldest go first;
    (5) in `over` nothing is told any more.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import ClassVar, Literal, NamedTuple

from server.audio.model import joined
from server.audio.stream.ends import Edge, Ends, Voiced
from server.audio.stream.hypothesis import listed, placed
from server.audio.stream.model import (
    Answered,
    Clear,
    Cleared,
    Commit,
    Effect,
    Event,
    Failed,
    Final,
    Gap,
    Lost,
    Nothing,
    Over,
    Partial,
    Rules,
    Set,
    Setup,
    Sound,
    Started,
    Stop,
    Stopped,
    Taken,
    Want,
    Window,
    samples,
    seconds,
)
from server.audio.stream.ring import Ring
from server.audio.stream.utterance import Span, Utterance
from server.audio.stream.vocabulary import Vocabulary

State = Literal["open", "ending", "over"]
STATES: tuple[State, ...] = ("open", "ending", "over")

_SPARE = 0.1
"""Share of the ring that is let go at once when it is full: not a gap for each frame."""
_BACKOFF = 0.5
_WORTH = 8000
"""Samples: less is not let go of by itself."""
_NONE: tuple[Effect, ...] = ()


class _Asked(NamedTuple):
    number: int
    of: Utterance
    span: Span
    had: int
    """How much had come when the window was cut."""
    at: float


class Session:
    """One stream. `voices` makes a detector of a strictness. `position` and `sequence` are those of
    a stream that goes on."""

    __slots__ = (
        "_asked",
        "_ended",
        "_ends",
        "_growing",
        "_ids",
        "_last",
        "_ring",
        "_rules",
        "_tries",
        "_until",
        "_vocabulary",
        "_voices",
        "_wants",
        "_windows",
        "sequence",
        "setup",
        "state",
    )

    def __init__(
        self,
        setup: Setup,
        rules: Rules,
        voices: Callable[[int], Voiced],
        *,
        position: int = 0,
        sequence: int = 0,
    ) -> None:
        self.state: State = "open"
        self.setup = setup
        self.sequence = sequence
        self._rules = rules
        self._voices = voices
        self._ring = Ring(position)
        self._ends = Ends(
            voices(setup.strictness), pause=setup.pause, before=setup.before, position=position
        )
        self._vocabulary = Vocabulary(setup.vocabulary)
        self._growing: Utterance | None = None
        self._ended: deque[Utterance] = deque()
        self._asked: _Asked | None = None
        self._wants = False
        self._tries = 0
        self._until = position
        self._windows = 0
        self._ids = sequence
        self._last: int | None = None

    @property
    def position(self) -> int:
        """How much has come."""
        return self._ring.end

    @property
    def held(self) -> int:
        """Samples in memory."""
        return len(self._ring)

    @property
    def behind(self) -> float:
        """Seconds of speech that no answer reaches yet."""
        first = self._ended[0] if self._ended else self._growing
        if first is None:
            return 0.0
        until = self.position if self._growing is not None else self._ended[-1].end or 0
        return max(0.0, seconds(until - first.heard))

    def advance(self, event: Event, now: float) -> Sequence[Effect]:
        """`now` only ever grows. What the table has no entry for changes nothing."""
        handle = self.TABLE.get((self.state, type(event)))
        return _NONE if handle is None else handle(self, event, now)

    # ---- from the client

    def _sound(self, event: Sound, now: float) -> Sequence[Effect]:
        ring = self._ring
        began = ring.end
        ring.add(event.pcm)
        effects: list[Effect] = []
        if self.setup.manual:
            if self._growing is None and event.pcm:
                self._grow(began, now)
        else:
            for edge in self._ends.feed(event.pcm):
                self._edge(edge, now, effects)
        if self._growing is None and not self._ended:
            self._forget()
            return effects
        most = samples(self._rules.buffer)
        if len(ring) > most:
            self._lose(ring.end - most + int(most * _SPARE), effects)
        self._seek(now, effects)
        return effects

    def _edge(self, edge: Edge, now: float, effects: list[Effect]) -> None:
        if edge.speaks:
            # Utterances do not share sound.
            start = max(edge.at, self._ring.start, self._until)
            grown = self._grow(start, now)
            effects.append(Started(grown.id, seconds(start)))
        elif self._growing is not None:
            self._end(self._growing, edge.at, effects)

    def _commit(self, _event: Event, now: float) -> Sequence[Effect]:
        effects: list[Effect] = []
        if self._growing is None:
            return (Nothing(),)
        self._ends.quiet()
        self._end(self._growing, self.position, effects)
        self._seek(now, effects)
        return effects

    def _clear(self, _event: Event, now: float) -> Sequence[Effect]:
        """What was ended goes on: it was told to be over, so its words are owed."""
        grown, self._growing = self._growing, None
        self._ends.quiet()
        effects: list[Effect] = [Cleared(None if grown is None else grown.id)]
        if grown is not None:
            grown.dropped = True
        self._until = self.position
        self._seek(now, effects)
        self._forget()
        return effects

    def _stop(self, _event: Event, now: float) -> Sequence[Effect]:
        effects: list[Effect] = []
        if self._growing is not None:
            self._end(self._growing, self.position, effects)
        self.state = "ending"
        self._seek(now, effects)
        self._leave(effects)
        return effects

    def _set(self, event: Set, now: float) -> Sequence[Effect]:
        effects: list[Effect] = []
        if self._growing is not None and event.setup.manual != self.setup.manual:
            self._ends.quiet()
            self._end(self._growing, self.position, effects)
        self.setup = setup = event.setup
        self._vocabulary = Vocabulary(setup.vocabulary)
        voiced = self._voices(setup.strictness)
        self._ends.set(voiced, pause=setup.pause, before=setup.before)
        self._seek(now, effects)
        return effects

    # ---- from the engine

    def _taken(self, _event: Event, now: float) -> Sequence[Effect]:
        self._wants = False
        if self._asked is not None:
            return _NONE
        found = self._next()
        if found is None:
            return _NONE
        span = found.span(self.position, self._rules)
        self._windows += 1
        self._asked = _Asked(self._windows, found, span, self.position, now)
        pcm = self._ring.between(span.start, span.end)
        return (Window(self._windows, seconds(span.start), pcm, self.setup),)

    def _answered(self, event: Answered, now: float) -> Sequence[Effect]:
        asked = self._asked
        if asked is None or asked.number != event.window:
            return _NONE
        self._asked, self._tries = None, 0
        effects: list[Effect] = []
        one = asked.of
        if not one.dropped:
            words, changes = self._vocabulary.corrected(placed(event.words, asked.span))
            one.changes += changes
            one.heard_since(asked.span.end, asked.had, asked.at)
            one.hear(asked.span, words, self._rules)
            if one is self._growing and self.position - one.start > samples(self._rules.longest):
                one = self._split(one, effects)
            if not one.done:
                self._partly(one, effects)
        self._go_on(now, effects)
        return effects

    def _failed(self, event: Failed, now: float) -> Sequence[Effect]:
        asked = self._asked
        if asked is None or asked.number != event.window:
            return _NONE
        self._asked = None
        self._tries += 1
        effects: list[Effect] = []
        one = asked.of
        if not one.dropped and event.again and self._tries < self._rules.tries:
            self._wants = True
            return (
                Want(min(one.since + self._rules.step, now), _BACKOFF * 2 ** (self._tries - 1)),
            )
        self._tries = 0
        if not one.dropped:
            one.error = event.error
            one.heard_since(asked.span.end, asked.had, asked.at)
            self._give_up(one, asked.span.end, "failed", effects)
        self._go_on(now, effects)
        return effects

    # ---- inside

    def _grow(self, start: int, now: float) -> Utterance:
        self._ids += 1
        self._growing = Utterance(self._ids, start, now)
        return self._growing

    def _end(self, grown: Utterance, at: int, effects: list[Effect]) -> None:
        self._growing = None
        grown.ends(min(at, self.position), self.position)
        self._until = grown.end or self._until
        effects.append(Stopped(grown.id, seconds(self._until), self._last))
        self._last = grown.id
        self._ended.append(grown)
        self._finish(effects)

    def _finish(self, effects: list[Effect]) -> None:
        """Tell those that are heard to their end, in their order."""
        while self._ended and self._ended[0].done:
            one = self._ended[0]
            if self._asked is not None and self._asked.of is one:
                return  # It is asked for more than it needs by now; the answer is on its way.
            self._ended.popleft()
            self._tell(one, effects)

    def _tell(self, one: Utterance, effects: list[Effect]) -> None:
        one.agreement.finish()
        words = tuple(one.agreement.sure)
        self.sequence += 1
        shown = one.told
        effects.append(
            Final(
                self.sequence,
                one.id,
                words,
                seconds(one.start),
                seconds(one.end or one.start),
                joined(word.text for word in words[shown:]),
                listed(words, one.changes),
                seconds(one.ended_at),
                one.error,
            )
        )

    def _partly(self, one: Utterance, effects: list[Effect]) -> None:
        agreement = one.agreement
        sure = agreement.sure[one.told :]
        stable = joined(word.text for word in agreement.sure)
        text = joined(word.text for word in (*agreement.sure, *agreement.guess))
        if text == one.shown and not sure:
            return
        one.shown, one.told = text, len(agreement.sure)
        one.revision += 1
        fresh = joined(word.text for word in sure)
        until = seconds(one.heard)
        effects.append(Partial(one.id, one.revision, stable, text, fresh, until))

    def _go_on(self, now: float, effects: list[Effect]) -> None:
        """After an answer, or after one that will not come."""
        self._finish(effects)
        self._forget()
        self._seek(now, effects)
        self._leave(effects)

    def _split(self, one: Utterance, effects: list[Effect]) -> Utterance:
        """Somebody speaks on and on: what is sure becomes final, the rest another utterance."""
        count = one.part()
        if not count:
            return one
        after = one.split(count, self._ids + 1)
        self._ids += 1
        self._growing = None
        one.ended_at = self.position
        effects.append(Stopped(one.id, seconds(one.end or 0), self._last))
        self._last = one.id
        self._tell(one, effects)
        self._growing = after
        effects.append(Started(after.id, seconds(after.start)))
        return after

    def _lose(self, before: int, effects: list[Effect]) -> None:
        """The ring is full: what lies before that position goes, heard or not."""
        for one in (*self._ended, *([self._growing] if self._growing else [])):
            if one.floor >= before:
                break
            self._give_up(one, before, "overflow", effects)
        self._ring.forget(before)
        self._finish(effects)

    def _give_up(self, one: Utterance, before: int, why: Lost, effects: list[Effect]) -> None:
        """That part of an utterance is not heard any more, unless it is being heard now."""
        asked = self._asked
        coming = asked.span.end if asked is not None and asked.of is one else None
        lost = one.lose(before, coming)
        if lost is not None:
            effects.append(Gap(seconds(lost[0]), seconds(lost[1]), why, one.id))
        if not one.done:
            self._partly(one, effects)

    def _next(self) -> Utterance | None:
        """The oldest that has something to be heard."""
        for one in self._ended:
            if not one.done:
                return one
        grown = self._growing
        if grown is not None and grown.due(self.position, self._step()):
            return grown
        return None

    def _step(self) -> int:
        """Who says where an utterance ends may be silent for long: no engine hears that twice."""
        rules = self._rules
        return samples(rules.window - rules.overlap if self.setup.manual else rules.step)

    def _seek(self, now: float, effects: list[Effect]) -> None:
        if self._asked is None and not self._wants:
            found = self._next()
            if found is not None:
                self._wants = True
                # As much as a step is allowed to wait: who waits longer is late by the rest.
                effects.append(Want(min(found.since + self._rules.step, now)))

    def _forget(self) -> None:
        """What no utterance needs, those that may still begin included."""
        needed = self.position if self.setup.manual else self._ends.needed
        for one in (*self._ended, *([self._growing] if self._growing else [])):
            needed = min(needed, one.floor)
        # Not a few bytes for each frame.
        if needed - self._ring.start >= _WORTH:
            self._ring.forget(needed)

    def _leave(self, effects: list[Effect]) -> None:
        if self.state == "ending" and not self._ended and self._growing is None:
            self.state = "over"
            self._ring.forget(self.position)
            effects.append(Over())

    TABLE: ClassVar[dict[tuple[State, type[Event]], Callable[..., Sequence[Effect]]]] = {
        ("open", Sound): _sound,
        ("open", Commit): _commit,
        ("open", Clear): _clear,
        ("open", Stop): _stop,
        ("open", Set): _set,
        ("open", Taken): _taken,
        ("open", Answered): _answered,
        ("open", Failed): _failed,
        ("ending", Taken): _taken,
        ("ending", Answered): _answered,
        ("ending", Failed): _failed,
    }
