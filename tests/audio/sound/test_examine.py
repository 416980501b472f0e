"""What a recording is, by its packets and not by its header."""

import struct

import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.audio.sound.ear import Ear
from server.base.errors import InvalidValue, SparkError, UnsupportedMediaType
from tests.audio.sound import corpus
from tests.audio.sound.conftest import Decode, Examine

pytestmark = pytest.mark.asyncio(loop_scope="module")

FUZZED = sorted(corpus.KINDS)


def patched(kind: str, name: bytes, offset: int, value: bytes) -> bytes:
    """`value` at `offset` behind the first `name` of a file."""
    whole = bytearray(corpus.made(kind))
    at = whole.index(name) + len(name) + offset
    whole[at : at + len(value)] = value
    return bytes(whole)


@pytest.mark.parametrize("kind", sorted(corpus.KINDS))
async def test_every_common_kind_is_known_and_measured(examine: Examine, kind: str) -> None:
    """Also from a pipe, from a browser and without a tag: within what an encoder pads."""
    container, codec, _ = corpus.KINDS[kind]
    sound = await examine(corpus.made(kind))
    assert (sound.container, sound.codec) == (container, codec)
    assert sound.seconds >= corpus.SECONDS - 0.002
    assert sound.seconds < corpus.SECONDS + 0.1
    assert sound.channels in {1, 2}
    assert not sound.beyond


@pytest.mark.parametrize("kind", ["webm of a browser", "wav from a pipe", "mp3", "m4a"])
async def test_it_is_followed_no_further_than_asked(examine: Examine, kind: str) -> None:
    """Beyond the cap it is only known to be longer."""
    sound = await examine(corpus.made(kind), 0.5)
    assert sound.beyond
    assert 0.5 < sound.seconds < 2.1


async def test_what_an_encoder_pads_is_not_beyond(examine: Examine) -> None:
    """A recording of exactly the longest time is taken."""
    sound = await examine(corpus.made("webm"), corpus.SECONDS)
    assert sound.seconds > corpus.SECONDS
    assert not sound.beyond


async def test_times_that_stand_still_do_not_make_it_shorter(examine: Examine) -> None:
    """A forged file could tell of one second and hold an hour: packets are worth what they are."""
    forged = bytearray(corpus.made("webm of a browser"))
    for at in corpus.clusters(forged)[1:]:
        forged[at : at + 2] = b"\0\0"
    at = 0
    while (at := forged.find(b"\xa3", at + 1)) > 0:  # a SimpleBlock: track 1, then its time
        width = 9 - forged[at + 1].bit_length()
        if forged[at + 1 + width] == 0x81:
            forged[at + 2 + width : at + 4 + width] = b"\0\0"
    sound = await examine(bytes(forged))
    assert sound.seconds > 1.9


@pytest.mark.parametrize(
    ("recording", "kind", "words"),
    [
        (b"", InvalidValue, "is empty"),
        (corpus.zipped(corpus.made("wav")), UnsupportedMediaType, "is a ZIP archive"),
        (corpus.silent_film(), InvalidValue, "holds no sound"),
        (corpus.promising(36_000, 1000), InvalidValue, "header tells of 36000 s, and 0.0 s are"),
        (
            patched("webm", b"\x44\x89", 1, struct.pack(">d", 36e6))[:1000],
            InvalidValue,
            "header tells of 36000 s",
        ),
        (corpus.made("m4a")[:-600], InvalidValue, "is damaged"),
        (corpus.made("wav")[:44], InvalidValue, "is damaged"),
        (corpus.made("flac")[:60], InvalidValue, "is damaged"),
        (corpus.made("webm")[:100], InvalidValue, "is damaged"),
        (b"%PDF-1.7\n" * 99, UnsupportedMediaType, "is a PDF"),
        (b"Dear colleagues, " * 99, UnsupportedMediaType, "is a text"),
        (b'{"text": "hello"}', UnsupportedMediaType, "is a text"),
        (b"RIFF\xff\0\0\0AVI LIST" + bytes(99), UnsupportedMediaType, "no recording of a kind"),
        (bytes(9999), UnsupportedMediaType, "no recording of a kind that is known"),
        (np.random.default_rng(3).bytes(9999), UnsupportedMediaType, "no recording of a kind"),
        (b"#EXTM3U\n#EXTINF:9,\nhttp://192.0.2.1/a.ts\n", UnsupportedMediaType, "is a playlist"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", UnsupportedMediaType, "is a playlist"),
        (b"<?xml version='1.0'?><MPD></MPD>", UnsupportedMediaType, "is an XML document"),
    ],
)
async def test_what_is_no_recording_is_told_in_words(
    examine: Examine, decode: Decode, recording: bytes, kind: type[SparkError], words: str
) -> None:
    """A clear 4xx that says what it is, for both questions alike."""
    with pytest.raises(kind, match=words) as told:
        await examine(recording)
    assert told.value.status in {415, 422}
    if "header tells" not in words:  # what is there can be heard all the same
        with pytest.raises(kind, match=words):
            await decode(recording)


async def test_a_recording_that_ended_suddenly_is_worth_to_be_heard(examine: Examine) -> None:
    """A recorder that lost its power wrote most of it."""
    whole = corpus.made("wav")
    assert (await examine(whole[: len(whole) * 3 // 4])).seconds == pytest.approx(1.5, abs=0.05)


async def test_a_pipe_does_not_know_its_length(examine: Examine) -> None:
    """Zero, and all the largest numbers, stand for: until it ends."""
    whole = bytearray(corpus.made("wav"))
    at = whole.index(b"data") + 4
    for told in (0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000):
        whole[at : at + 4] = struct.pack("<I", told)
        assert (await examine(bytes(whole))).seconds == pytest.approx(2.0, abs=0.01), told


HOSTILE = {
    "a table of 268 million samples of one size": patched(
        "m4a", b"stsz", 4, b"\0\0\0\1\x0f" + b"\xff" * 3
    ),
    "a table of 268 million sizes": patched("m4a", b"stsz", 4, b"\0\0\0\0\x0f" + b"\xff" * 3),
    "65 535 channels": patched("wav", b"fmt ", 6, b"\xff\xff"),
    "no channel": patched("wav", b"fmt ", 6, b"\0\0"),
    "no sample a second": patched("wav", b"fmt ", 8, bytes(4)),
    "4 billion samples a second": patched("wav", b"fmt ", 8, b"\xff" * 4),
    "a header of 4 GB": patched("wav", b"fmt ", 0, b"\xff" * 4),
    "a tag of 256 MB": b"ID3\4\0\0\x7f\x7f\x7f\x7f" + corpus.made("mp3"),
    "an unknown codec": patched("wav", b"fmt ", 4, b"\xfe\xff"),
}


@pytest.mark.parametrize("what", sorted(HOSTILE))
async def test_a_forged_figure_costs_nothing(
    ear: Ear, examine: Examine, decode: Decode, what: str
) -> None:
    """It is refused in words, by the process that was there before, whose memory did not grow."""
    await examine(corpus.made("wav"))
    (before,) = ear._all
    for question in (examine(HOSTILE[what]), decode(HOSTILE[what])):
        with pytest.raises(SparkError, match=r"damaged|cannot be read here") as told:
            await question
        assert told.value.status in {415, 422}
    assert ear._all == {before}
    assert before._process is not None
    assert psutil.Process(before._process.pid).memory_info().rss < 150 << 20


@pytest.mark.parametrize(
    ("recording", "seconds"),
    [
        (np.random.default_rng(5).bytes(30_000) + corpus.made("mp3"), 2.0),
        (corpus.made("ogg opus") * 3, 6.0),
        (corpus.made("mp3") * 2, 4.0),
        (corpus.made("wav") + b"LIST", 2.0),
    ],
)
async def test_what_is_odd_and_not_wrong_is_heard(
    examine: Examine, decode: Decode, recording: bytes, seconds: float
) -> None:
    """Bytes before the first frame, files one behind the other, a tail."""
    assert (await examine(recording)).seconds == pytest.approx(seconds, abs=0.15)
    assert (await decode(recording)).seconds == pytest.approx(seconds, abs=0.15)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
async def test_whatever_is_changed_in_a_file_the_answer_is_clear(
    examine: Examine, decode: Decode, data: st.DataObject
) -> None:
    """A recording or a 4xx with words; also when headers are fuzzed, and without a limit passed."""
    recording = bytearray(corpus.made(data.draw(st.sampled_from(FUZZED))))
    near = st.integers(0, min(600, len(recording) - 1))
    for at in data.draw(st.lists(near, min_size=1, max_size=6)):
        recording[at : at + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    del recording[data.draw(st.integers(0, len(recording))) or len(recording) :]
    for question in (examine(bytes(recording), 60.0), decode(bytes(recording), "each", 60.0)):
        status = 200
        try:
            told = await question
        except SparkError as error:
            status, told = error.status, None
            assert 15 < len(error.message) < 300  # noqa: PT017
        assert status in {200, 413, 415, 422}
        assert told is None or told.seconds >= 0
