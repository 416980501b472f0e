"""The machine: every event in every state, and what holds whatever comes when."""

import itertools
import math
from collections.abc import Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.audio.model import Word
from server.audio.stream.ends import Voiced
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
    Told,
    Want,
    Window,
    samples,
)
from server.audio.stream.session import STATES, Session, State
from server.base.errors import UpstreamError
from tests.audio.stream.made import Speech, frames, speech

BROKEN = UpstreamError("It broke.")


def loud(_strictness: int) -> Voiced:
    """A detector that goes by loudness."""
    return lambda frame: float(np.square(np.frombuffer(frame, "<i2").astype(float)).mean()) > 1e4


def session(rules: Rules | None = None, **setup: object) -> Session:
    return Session(Setup(**setup), rules or Rules(), loud)  # type: ignore[arg-type]


class Driver:
    """Feeds a session; windows are taken and answered when `chance` says so."""

    def __init__(
        self, one: Session, said: Speech, chance: Random | None = None, *, deaf: bool = False
    ) -> None:
        self.one = one
        self.said = said
        self.chance = chance
        self.deaf = deaf
        self.now = 0.0
        self.wants = False
        self.window: Window | None = None
        self.told: list[Told] = []
        self.windows: list[Window] = []
        self.over = False

    def happens(self, event: Event) -> None:
        self._take(self.one.advance(event, self.now))

    def _take(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Want):
                assert not self.wants, "one place is asked for at a time"
                assert effect.since <= self.now
                self.wants = True
            elif isinstance(effect, Window):
                assert self.window is None, "one window is in flight at a time"
                self.window = effect
                self.windows.append(effect)
            elif isinstance(effect, Over):
                self.over = True
            else:
                assert not self.over, "nothing is told after the end"
                self.told.append(effect)

    def go_on(self, *, surely: bool = False) -> bool:
        """What an engine may do now; whether it did anything."""
        if not surely and self.chance is not None and self.chance.random() < 0.8:
            return False
        if self.window is not None and not self.deaf:
            window, self.window = self.window, None
            self.happens(Answered(window.number, self.said.hears(window.pcm)))
            return True
        if self.wants:
            self.wants = False
            self.happens(Taken())
            return True
        return False

    def play(self, size: int = 3200) -> None:
        for frame in frames(self.said.pcm, size):
            self.now += len(frame) / 32000
            self.happens(Sound(frame))
            while self.go_on() and self.chance is None:
                pass

    def finish(self) -> None:
        self.happens(Stop())
        self.deaf = False
        for _ in range(200):
            if not self.go_on(surely=True):
                break
        assert self.over

    def of(self, kind: type[Told]) -> list[Told]:
        return [one for one in self.told if isinstance(one, kind)]

    @property
    def words(self) -> list[str]:
        return [word.text for one in self.told if isinstance(one, Final) for word in one.words]


def check(told: Sequence[Told]) -> None:
    """What holds for every stream."""
    stable: dict[int, str] = {}
    begun: list[int] = []
    ended: list[int] = []
    for one in told:
        if isinstance(one, Started):
            begun.append(one.id)
        elif isinstance(one, Partial):
            assert one.stable.startswith(stable.get(one.id, "")), "what is sure stays"
            assert one.text.startswith(one.stable)
            assert one.id not in ended
            stable[one.id] = one.stable
        elif isinstance(one, Final):
            assert one.text.startswith(stable.get(one.id, "")), "a final keeps what was sure"
            assert one.sequence == len(ended) + 1
            ended.append(one.id)
            times = [word.start for word in one.words]
            assert times == sorted(times)
    assert ended == begun, "each gets one final, in order"


# ---- every state, every event

EVENTS: dict[str, Event] = {
    "sound": Sound(b"\1\0" * 1600),
    "commit": Commit(),
    "clear": Clear(),
    "stop": Stop(),
    "set": Set(Setup(language="de", vocabulary=("Kokoro",))),
    "taken": Taken(),
    "answered": Answered(1, [Word("hello", 0.0, 0.4)]),
    "failed": Failed(1, BROKEN, again=False),
}


def at(state: State) -> Session:
    """Somebody speaks, and its first window is in flight; in `over` it was heard."""
    said = speech(0.5, 10)
    one = session()
    driver = Driver(one, said, deaf=True)
    driver.play()
    assert driver.window is not None
    if state != "open":
        one.advance(Stop(), 9.0)
    if state == "over":
        one.advance(Answered(1, []), 9.0)
        one.advance(Taken(), 9.0)
        one.advance(Answered(2, []), 9.0)
    assert one.state == state
    return one


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", EVENTS)
def test_every_event_may_come_in_every_state(state: State, name: str) -> None:
    """What the table has no entry for changes nothing and tells nothing."""
    one = at(state)
    event = EVENTS[name]
    before = (one.state, one.position, one.sequence)
    effects = one.advance(event, 10.0)
    if (state, type(event)) not in Session.TABLE:
        assert not effects
        assert (one.state, one.position, one.sequence) == before
    assert STATES.index(one.state) >= STATES.index(state)


def test_nobody_speaks_and_nothing_is_asked() -> None:
    """Silence costs no engine, and next to no memory."""
    driver = Driver(session(), speech(20.0))
    driver.play()
    assert driver.windows == []
    assert driver.one.held <= samples(1.0)
    driver.finish()
    assert driver.told == []


def test_an_answer_to_another_window_is_passed_over() -> None:
    """It was given up, and comes late."""
    one = at("open")
    assert one.advance(Answered(7, [Word("late", 0, 1)]), 9.0) == ()
    assert one.advance(Failed(7, BROKEN, again=True), 9.0) == ()


def test_odd_times_of_an_engine_stay_within_what_it_heard() -> None:
    """NaN, infinity, negative, beyond the end: words are kept, times are put right."""
    one = at("open")
    words = [
        Word("a", math.nan, math.inf),
        Word("b", -5.0, -1.0),
        Word("c", 1e9, 1e12),
        Word("  ", 0.1, 0.2),
    ]
    one.advance(Answered(1, words), 9.0)
    one.advance(Stop(), 9.0)
    one.advance(Taken(), 9.0)
    told = one.advance(Answered(2, words), 9.0)
    final = next(effect for effect in told if isinstance(effect, Final))
    assert {word.text for word in final.words} == {"a", "b", "c"}
    assert all(0 <= word.start <= word.end <= 4 for word in final.words)


def test_a_commit_ends_what_is_said_and_says_when_there_is_nothing() -> None:
    driver = Driver(session(), speech(0.5, 4))
    driver.happens(Commit())
    driver.play()
    driver.happens(Commit())
    driver.finish()
    kinds = [type(one) for one in driver.told]
    assert kinds[:3] == [Nothing, Started, Stopped]
    assert driver.words == driver.said.texts


def test_what_is_cleared_is_never_told() -> None:
    """Also when it is being heard just then."""
    said = speech(0.5, 12)
    driver = Driver(session(), said, deaf=True)
    driver.play()
    driver.happens(Clear())
    driver.finish()
    assert [type(one) for one in driver.told] == [Started, Cleared]


def test_a_client_that_ends_utterances_itself_is_not_interrupted_by_silence() -> None:
    said = speech(0.3, 3, 2.0, 3, 0.5)
    driver = Driver(session(manual=True), said)
    driver.play()
    assert driver.windows == []
    driver.happens(Commit())
    driver.finish()
    assert driver.words == said.texts
    assert len(driver.of(Final)) == 1


def test_a_window_that_fails_is_tried_again_and_then_told_as_a_gap() -> None:
    """Three times, later each time; what comes after it is heard."""
    said = speech(0.5, 6, 1.0, 6, 1.0)
    driver = Driver(session(), said, deaf=True)
    driver.play()
    waits: list[float] = []
    for _ in range(3):
        assert driver.window is not None
        window, driver.window = driver.window, None
        for effect in driver.one.advance(Failed(window.number, BROKEN, again=True), driver.now):
            if isinstance(effect, Want):
                waits.append(effect.after)
                driver.wants = True
            else:
                driver.told.append(effect)  # type: ignore[arg-type]
        driver.go_on()
    driver.finish()
    assert waits[:2] == [0.5, 1.0]
    gap = driver.of(Gap)
    assert [one.why for one in gap] == ["failed"]  # type: ignore[union-attr]
    finals = driver.of(Final)
    assert finals[0].error is BROKEN  # type: ignore[union-attr]
    check(driver.told)
    assert driver.words[-6:] == said.texts[-6:]


def test_a_long_speech_is_told_in_parts() -> None:
    """Nobody waits for the end of a lecture."""
    said = speech(0.5, 240)
    driver = Driver(session(), said)
    for frame in frames(said.pcm):
        driver.now += 0.1
        driver.happens(Sound(frame))
        while driver.go_on():
            pass
        assert driver.one.held <= samples(17.0), "what was heard is forgotten while it goes on"
    assert len(driver.of(Final)) >= 2
    driver.finish()
    assert driver.words == said.texts
    check(driver.told)


def test_what_an_engine_is_too_slow_for_is_dropped_and_told() -> None:
    """The oldest first; the ring holds no more than it may; every second is heard or in a gap."""
    rules = Rules(buffer=20.0)
    said = speech(0.5, 200)
    driver = Driver(session(rules), said, deaf=True)
    for frame in frames(said.pcm):
        driver.now += 0.1
        driver.happens(Sound(frame))
        driver.go_on()
        assert driver.one.held <= samples(rules.buffer)
    driver.finish()
    gaps = driver.of(Gap)
    assert gaps
    heard = set(driver.words)
    for word in said.words:
        lost = any(one.start - 0.5 < word.end and word.start < one.end + 0.5 for one in gaps)  # type: ignore[union-attr]
        assert lost or word.text in heard
    spans = sorted((one.start, one.end) for one in gaps)  # type: ignore[union-attr]
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(spans))
    check(driver.told)


# ---- whatever comes when

PARTS = st.lists(st.tuples(st.integers(1, 70), st.floats(0.8, 2.0)), min_size=1, max_size=4).map(
    lambda pairs: [one for pair in pairs for one in pair]
)


@given(PARTS, st.integers(0, 2**32), st.sampled_from([640, 3200, 3202, 32000]))
@settings(max_examples=40, deadline=None)
def test_the_finals_together_are_what_was_said(parts: list[float], seed: int, size: int) -> None:
    """However the sound is cut, and whenever places are free and answers come: no word is lost or
    doubled, what was sure stays, and each utterance gets one final."""
    said = speech(0.5, *parts)
    driver = Driver(session(Rules(buffer=300.0)), said, Random(seed))
    driver.play(size)
    driver.finish()
    assert driver.words == said.texts
    assert not driver.of(Gap)
    check(driver.told)


class Rough:
    """A recogniser with the faults of real ones: words at the edges of a window are cut or wrong,
    times are off by a tenth, letters change their case."""

    def __init__(self, said: Speech, chance: Random) -> None:
        self.said = said
        self.chance = chance

    def hears(self, pcm: bytes) -> list[Word]:
        length = len(pcm) / 32000
        heard = []
        for word in self.said.hears(pcm):
            off = self.chance.uniform(-0.1, 0.1)
            text = word.text if self.chance.random() < 0.5 else word.text.title() + ","
            if length - word.end < 0.4:
                text = self.chance.choice([text, "eh", text[:3]])
            heard.append(word._replace(text=text, start=word.start + off, end=word.end + off))
        return sorted(heard, key=lambda word: word.start)


@given(PARTS, st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_a_recogniser_that_errs_at_the_edges_costs_few_words(parts: list[float], seed: int) -> None:
    """Nothing is doubled, and what was sure stays, whatever it says."""
    said = speech(0.5, *parts)
    chance = Random(seed)
    driver = Driver(session(), said)
    driver.said = Rough(said, chance)  # type: ignore[assignment]
    for frame in frames(said.pcm):
        driver.now += 0.1
        driver.happens(Sound(frame))
        while driver.go_on():
            pass
    driver.finish()
    check(driver.told)
    words = [word.lower().strip(",") for word in driver.words]
    known = [word for word in words if word in set(said.texts)]
    assert len(known) == len(set(known))
    assert known == [word for word in said.texts if word in set(known)]
    assert len(known) >= 0.9 * len(said.texts) - 3


@given(st.lists(st.sampled_from([*EVENTS, "next", "speech"]), max_size=40), st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_no_order_of_events_breaks_the_machine(names: list[str], seed: int) -> None:
    """What was told to begin gets its final, the ring stays small."""
    said = speech(0.2, 12)
    driver = Driver(session(), said, Random(seed))
    for name in names:
        driver.now += 1.0
        if name == "speech":
            driver.play()
        elif name == "next" or name in {"answered", "failed", "taken"}:
            driver.go_on(surely=True)
        else:
            driver.happens(EVENTS[name])
        assert driver.one.held <= samples(30.0)
        if driver.over:
            return
    driver.finish()
    begun = {one.id for one in driver.told if isinstance(one, Started)}
    cleared = {one.id for one in driver.told if isinstance(one, Cleared)}
    ended = [one.id for one in driver.told if isinstance(one, Final)]
    assert sorted(begun - cleared) == ended
