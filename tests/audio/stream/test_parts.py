"""The small parts of a stream, each by itself."""

import asyncio
import math
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.audio.model import Word
from server.audio.stream.agree import Agreement, beyond
from server.audio.stream.ends import FRAME, Edge, Ends
from server.audio.stream.faces.choice import Choice, formatted, strictness
from server.audio.stream.hearing import Hearing
from server.audio.stream.inlet import Inlet, table
from server.audio.stream.model import RATE, Setup, Window
from server.audio.stream.outbox import MOST, Outbox
from server.audio.stream.pace import (
    AHEAD,
    BURST,
    CRUMBS,
    OFTEN,
    PATIENCE,
    SPEED,
    Bucket,
    Pace,
)
from server.audio.stream.places import members, ours, places
from server.audio.stream.ring import Ring
from server.audio.stream.service import voices
from server.audio.stream.turns import Turns
from server.audio.stream.vocabulary import Vocabulary
from server.audio.transcript import Transcript
from server.base.errors import InvalidValue, SparkError
from server.config.model import Service
from tests.audio.stream.made import speech


def said(text: str, start: float = 0.0, each: float = 0.3) -> list[Word]:
    return [
        Word(one, start + at * each, start + at * each + 0.25)
        for at, one in enumerate(text.split())
    ]


def texts(words: list[Word]) -> str:
    return " ".join(word.text for word in words)


# ---- agreement


def test_a_word_is_sure_when_two_hypotheses_agree() -> None:
    """And not at the edge of what was heard, where it may be cut."""
    one = Agreement()
    assert one.hear(said("we will see what the"), 1.5) == []
    assert texts(one.hear(said("we will see what they say"), 2.4)) == "we will see what"
    assert texts(one.guess) == "they say"
    assert texts(one.hear(said("we will see what they said then"), 2.1)) == "they"


def test_a_hypothesis_that_begins_later_goes_on_where_the_sure_words_end() -> None:
    sure = said("the quick brown fox jumps over")
    later = [word for word in said("the quick brown fox jumps over the lazy dog") if word.start > 1]
    assert texts(beyond(sure, later)) == "the lazy dog"


def test_repeated_words_are_neither_lost_nor_doubled() -> None:
    sure = said("no no no")
    assert texts(beyond(sure, said("no no no no no"))) == "no no"


def test_where_nothing_agrees_time_decides() -> None:
    sure = said("completely other words")
    assert texts(beyond(sure, said("nothing of it alike here", 0.0))) == "alike here"


# ---- ends


def test_speech_begins_before_it_is_noticed_and_ends_after_it() -> None:
    one = Ends(voices(2), pause=0.5, before=0.3)
    sound = speech(1.0, 6, 1.5)
    edges = one.feed(sound.pcm)
    assert [edge.speaks for edge in edges] == [True, False]
    assert edges[0].at / RATE == pytest.approx(0.7, abs=0.1)
    assert edges[1].at / RATE == pytest.approx(1.0 + 1.8 + 0.2, abs=0.15)


def test_steady_noise_does_not_keep_it_open() -> None:
    """A fan that starts: loud from one moment to the next, and it stays. Whatever the detector
    makes of it, it becomes the noise."""
    rng = np.random.default_rng(2)
    noise = np.concatenate([rng.normal(0, 8, RATE), rng.normal(0, 2500, 20 * RATE)])
    one = Ends(lambda _frame: True)
    edges = one.feed(noise.astype("<i2").tobytes())
    assert not one.speaks
    assert sum(edge.speaks for edge in edges) == sum(not edge.speaks for edge in edges) <= 2


def test_a_click_is_no_speech() -> None:
    """100 ms is the least."""
    sound = np.zeros(RATE)
    sound[8000:8600] = 20_000
    one = Ends(lambda _frame: True)
    assert one.feed(sound.astype("<i2").tobytes()) == []


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=30))
@settings(max_examples=40, deadline=None)
def test_it_does_not_matter_how_the_sound_is_cut(sizes: list[int]) -> None:
    sound = speech(0.4, 4, 0.8, 3, 0.9).pcm
    whole = Ends(lambda _frame: True).feed(sound)
    one, at, edges = Ends(lambda _frame: True), 0, list[Edge]()
    for size in [*sizes, len(sound)]:
        edges += one.feed(sound[at : at + size * 2])
        at += size * 2
    assert len(edges) == len(whole)
    assert all(
        abs(edge.at - other.at) <= 5 * FRAME for edge, other in zip(edges, whole, strict=True)
    )


# ---- vocabulary


def test_a_term_is_put_right_where_it_was_nearly_heard() -> None:
    one = Vocabulary(["Kubernetes", "Spark Control", "Kokoro"])
    words, changes = one.corrected(said("the kubernetis in spark kontrol, with koko ro."))
    assert texts(words) == "the Kubernetes in Spark Control, with Kokoro."
    assert [change.now for change in changes] == ["Kubernetes", "Spark Control,", "Kokoro."]


def test_what_may_be_another_word_is_left_alone() -> None:
    """Short words, another first letter, two letters off in a short one, two terms equally near."""
    one = Vocabulary(["Rust", "Riva", "Parakeet", "Marina", "Martina"])
    for text in ("trust", "river", "rest", "barakeet", "parrot", "martna", "Parakeet"):
        words, changes = one.corrected(said(text))
        assert (texts(words), changes) == (text, [])


# ---- turns, outbox, pace, ring


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 9)), max_size=40))
@settings(max_examples=60, deadline=None)
def test_who_has_waited_longest_goes_first(wants: list[tuple[int, float]]) -> None:
    """Of each its newest want counts."""
    one: Turns[int] = Turns()
    newest: dict[int, float] = {}
    for who, since in wants:
        one.add(who, since)
        newest[who] = since
        if who % 3 == 0:
            one.remove(who)
            del newest[who]
    standing = one.standing()
    went = [one.next() for _ in range(len(newest))]
    assert went == standing
    assert [newest[who] for who in went if who is not None] == sorted(newest.values())
    assert one.next() is None


def test_of_the_states_of_an_utterance_the_newest_waits() -> None:
    """And none behind its end; finals all wait."""
    box = Outbox()
    box.put("ready")
    box.put("hel", 1)
    box.put("other", 2)
    box.put("hello", 1)
    assert [box.take() for _ in range(2)] == ["ready", "hello"]
    box.put("hello you", 1)
    box.over(1)
    box.put("final 1")
    box.put("final 2")
    assert [box.take() for _ in range(4)] == ["other", "final 1", "final 2", None]
    box.put("x" * MOST)
    assert not box.full
    box.put("y")
    assert box.full


def test_a_file_waits_and_a_microphone_does_not() -> None:
    """Both before a ring that is full; and nobody is faster than may be for long."""
    file = Pace(0.0, 30.0)
    file.came(28.0)
    assert file.wait(1.0, 29.0) > 0
    assert file.wait(1.0, 5.0) == 0
    live = Pace(0.0, 30.0)
    live.came(28.0)
    assert live.wait(27.0, 30.0) == 0
    fast = Pace(0.0, 30.0)
    fast.came(AHEAD + 400.0)
    wait = fast.wait(10.0, 0.0)
    assert wait == pytest.approx((400.0 - SPEED * 10.0) / SPEED)
    assert fast.wait(10.0 + wait, 0.0) == pytest.approx(0.0)


def test_a_burst_of_controls_is_free_and_a_flood_of_them_waits() -> None:
    """As long as the bucket is never full again, it is one flood; a pause ends it."""
    bucket = Bucket()
    assert [bucket.came(5.0) for _ in range(int(BURST))] == [0.0] * int(BURST)
    now = 5.0
    while not bucket.endless(now):
        wait = bucket.came(now)
        assert wait == pytest.approx(1 / OFTEN)
        now += wait
    assert now == pytest.approx(5.0 + PATIENCE, abs=2 / OFTEN)
    now += BURST / OFTEN + 1.0
    assert bucket.came(now) == 0.0
    assert not bucket.endless(now)


@settings(max_examples=50)
@given(st.lists(st.floats(0.0, 0.05), min_size=1, max_size=300))
def test_no_more_controls_are_read_than_may_be(pauses: list[float]) -> None:
    """However they come: in any time at most a burst and so many a second."""
    bucket = Bucket()
    now = 0.0
    for read, pause in enumerate(pauses, 1):
        now += pause
        assert read <= BURST + OFTEN * now + 1.001
        now += bucket.came(now)


def test_a_speaker_in_small_pieces_is_not_a_flood() -> None:
    """128 samples at 48 kHz, if they were taken for crumbs, and a ping each second."""
    bucket = Bucket()
    for at in range(48_000 // 128 * 60):
        now = at * 128 / 48_000
        assert bucket.came(now, CRUMBS) == 0.0
        if at % 375 == 0:
            assert bucket.came(now) == 0.0


def test_a_ring_forgets_at_its_front_only() -> None:
    ring = Ring()
    ring.add(b"\0\1" * 100)
    ring.add(b"\2\3" * 50)
    ring.forget(90)
    assert (ring.start, ring.end, len(ring)) == (90, 150, 60)
    assert ring.between(98, 102) == b"\0\1\0\1\2\3\2\3"
    assert ring.between(0, 91) == b"\0\1"
    ring.forget(10)
    assert ring.start == 90
    ring.forget(999)
    assert len(ring) == 0


class Broken:
    """A stream whose request breaks in a way that nobody foresaw."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[tuple[str, bool]] = asyncio.Queue()

    def cut(self) -> Window | None:
        return Window(1, 0.0, b"", Setup())

    async def ask(self, window: Window) -> Transcript:
        raise KeyError(window.number)

    def heard(self, _window: Window, _found: Transcript) -> None:
        raise AssertionError("it was not")

    def lost(self, _window: Window, error: SparkError, *, again: bool) -> None:
        self.told.put_nowait((error.code, again))

    def waits(self, _position: int) -> None:
        pass


async def test_a_bug_costs_a_window_and_not_the_stream() -> None:
    """And its place is free again."""
    hearing, one, other = Hearing(lambda _pool: 1), Broken(), Broken()
    hearing.want("kind:asr", one, 0.0)
    hearing.want("kind:asr", other, 1.0)
    assert await one.told.get() == ("internal", False)
    assert await other.told.get() == ("internal", False)
    await hearing.close()


# ---- formats


@given(st.integers(0, 2**32), st.sampled_from([8000, 16_000, 24_000, 44_100, 48_000]))
@settings(max_examples=25, deadline=None)
def test_however_it_is_cut_the_same_sound_comes_out(seed: int, rate: int) -> None:
    """And as long as it was."""
    chance = Random(seed)
    at = np.arange(rate) / rate
    sound = (np.sin(2 * np.pi * 300 * at) * 9000).astype("<i2").tobytes()
    one, pieces, start = Inlet("pcm16", rate), [], 0
    while start < len(sound):
        size = chance.randint(1, 7000)
        pieces.append(one.feed(sound[start : start + size]))
        start += size
    cut = b"".join([*pieces, one.end()])
    other = Inlet("pcm16", rate)
    whole = other.feed(sound) + other.end()
    off = np.frombuffer(cut, "<i2").astype(int) - np.frombuffer(whole, "<i2")
    assert np.abs(off).max() <= 2  # the resampler rounds with a little noise
    assert abs(len(whole) / 2 - RATE) <= 2
    assert one.taken == rate


def test_telephone_sound_is_what_g711_says() -> None:
    """The ends of both tables, and that they have a sign."""
    ulaw, alaw = table("pcmu"), table("pcma")
    assert (ulaw[0], ulaw[0x80], ulaw[0xFF], ulaw[0x7F]) == (-32124, 32124, 0, 0)
    assert (alaw[0x2A], alaw[0xAA], alaw[0xD5], alaw[0x55]) == (-32256, 32256, 8, -8)
    assert len({*ulaw.tolist()}) == 255
    assert len({*alaw.tolist()}) == 256


@pytest.mark.parametrize("rate", [math.nan, math.inf, -1, 0, 7999, 48_001, 16_000.5, "16000", True])
def test_a_rate_that_is_none_is_refused(rate: object) -> None:
    with pytest.raises(InvalidValue):
        formatted(Choice(), None, rate)


def test_openais_threshold_is_the_strictness_of_the_detector() -> None:
    assert [strictness(one) for one in (0.0, 0.5, 0.6, 0.9)] == [0, 1, 2, 3]


# ---- places


def services(*rows: dict[str, object]) -> list[Service]:
    return [
        Service.model_validate({"kind": "asr", "host": "spark-1", "port": 1} | row) for row in rows
    ]


def test_a_stream_has_the_places_of_all_who_may_hear_it() -> None:
    """Of a kind, of a name that several claim, of one."""
    all_of_them = services(
        {"name": "a", "max_in_flight": 1, "models": ["whisper"]},
        {"name": "b", "models": ["whisper"]},
        {"name": "c"},
        {"name": "tts", "kind": "tts"},
    )
    assert [one.name for one in members("kind:asr", all_of_them)] == ["c"]
    assert places("group:asr:whisper", all_of_them) == 3
    assert places("service:a", all_of_them) == 1
    assert not ours("model:qwen", all_of_them)
    assert not ours("service:tts", all_of_them)
    assert ours("kind:asr", all_of_them)


def test_who_hears_streams_itself_is_not_stood_before() -> None:
    assert not ours("kind:asr", services({"name": "a", "native_stream": True}))
