"""How long a file of sound is, told from its bytes as they pass."""

import io
import math
import random
import struct
import wave
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.gateway.usage.sound import ESTIMATED, LEAST, Heard, Sound


def heard(data: bytes, *, by: int = 65536) -> Heard:
    sound = Sound()
    for at in range(0, len(data), by):
        sound.feed(data[at : at + by])
    assert sound.size == len(data)
    return sound.heard()


_NOISE = random.Random(7).randbytes(1 << 22)


def noise(size: int) -> bytes:
    assert size <= len(_NOISE)
    return _NOISE[:size]


def wav(seconds: float = 3.0, rate: int = 16000, channels: int = 1) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(noise(int(seconds * rate) * channels * 2))
    return file.getvalue()


def flac(samples: int, size: int, rate: int = 16000) -> bytes:
    packed = rate << 44 | 15 << 36 | samples
    info = struct.pack(">HH", 4096, 4096) + bytes(6) + packed.to_bytes(8, "big") + bytes(16)
    return b"fLaC" + b"\x80\x00\x00\x22" + info + noise(size)


def mp3(frames: int, *, count: int | None = None) -> bytes:
    """64 kbit/s, 24 kHz (MPEG-2), one channel: 192 bytes for 24 ms."""
    head = bytes((0xFF, 0xF3, 0x84, 0xC4))
    first = bytearray(head + bytes(188))
    if count is not None:
        first[13:25] = b"Xing" + struct.pack(">II", 1, count)
    return bytes(first) + (head + bytes(188)) * (frames - 1)


def adts(frames: int) -> bytes:
    """16 kHz, 128 bytes for 64 ms."""
    head = bytes((0xFF, 0xF1, 8 << 2, 0x40, 128 >> 3, (128 & 7) << 5, 0xFC))
    return (head + bytes(121)) * frames


def page(position: int, body: bytes, serial: int = 9) -> bytes:
    head = b"OggS\0\0" + position.to_bytes(8, "little") + serial.to_bytes(4, "little") + bytes(8)
    return head + bytes((1, min(len(body), 255))) + body


def opus(seconds: float, pages: int = 50) -> bytes:
    head = page(0, b"OpusHead\x01\x01" + (312).to_bytes(2, "little") + bytes(7))
    step = seconds * 48000 / pages
    rest = [page(312 + round(step * (n + 1)), noise(3000)) for n in range(pages)]
    return head + page(0, b"OpusTags" + bytes(40)) + b"".join(rest)


def box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body) + 8, name) + body


def m4a(seconds: float, size: int, *, first: bool, version: int = 0) -> bytes:
    if version:
        times = struct.pack(">QQIQ", 0, 0, 1000, int(seconds * 1000))
    else:
        times = struct.pack(">IIII", 0, 0, 1000, int(seconds * 1000))
    moov = box(b"moov", box(b"mvhd", bytes((version, 0, 0, 0)) + times + bytes(80)))
    mdat = box(b"mdat", noise(size))
    return box(b"ftyp", b"M4A isom" + bytes(8)) + (moov + mdat if first else mdat + moov)


def fragmented(fragments: int) -> bytes:
    """As phones record: a second of 48 frames of AAC at 48 kHz in each fragment, no duration."""

    def full(name: bytes, *fields: int, version: int = 0, flags: int = 0) -> bytes:
        return box(name, struct.pack(f">{1 + len(fields)}I", version << 24 | flags, *fields))

    tkhd, mdhd = full(b"tkhd", 0, 0, 2, 0, 0), full(b"mdhd", 0, 0, 48000, 0, 0)
    trak = box(b"trak", tkhd + box(b"mdia", mdhd))
    mvex = box(b"mvex", full(b"trex", 2, 1, 1000, 0, 0))
    body = box(b"ftyp", b"iso5") + box(b"moov", full(b"mvhd", 0, 0, 1000, 0, 0) + trak + mvex)
    for number in range(fragments):
        tfhd, trun = full(b"tfhd", 2), full(b"trun", 48)
        traf = tfhd + full(b"tfdt", 0, number * 48000, version=1) + trun
        body += box(b"moof", full(b"mfhd", number) + box(b"traf", traf)) + box(b"mdat", noise(8000))
    return body


def aiff(seconds: float, rate: int = 22050) -> bytes:
    """Two channels of 16 bits."""
    long = (rate << 64 - rate.bit_length()).to_bytes(8, "big")
    exponent = (16383 + rate.bit_length() - 1).to_bytes(2, "big")
    comm = struct.pack(">HIH", 2, int(seconds * rate), 16) + exponent + long
    sound = bytes(8) + noise(int(seconds * rate) * 4)
    body = b"AIFF" + struct.pack(">4sI", b"COMM", 18) + comm
    return b"FORM" + bytes(4) + body + struct.pack(">4sI", b"SSND", len(sound)) + sound


def au(seconds: float) -> bytes:
    """8000 Hz, mu-law."""
    return struct.pack(">4s5I", b".snd", 24, 0xFFFFFFFF, 1, 8000, 1) + noise(int(seconds * 8000))


def element(name: int, body: bytes, *, unknown: bool = False) -> bytes:
    id_ = name.to_bytes((name.bit_length() + 7) // 8, "big")
    size = b"\x01" + b"\xff" * 7 if unknown else (len(body) | 1 << 28).to_bytes(4, "big")
    return id_ + size + body


def webm(clusters: int, *, seconds: float | None = None, blocks: int = 50) -> bytes:
    """One block of 240 bytes for each 20 ms, a cluster for each second, no cues."""
    info = element(0x2AD7B1, (1_000_000).to_bytes(3, "big"))
    if seconds is not None:
        info += element(0x4489, struct.pack(">d", seconds * 1000))
    body = element(0x1549A966, info)
    for cluster in range(clusters):
        inside = element(0xE7, (cluster * 1000).to_bytes(4, "big"))
        for block in range(blocks):
            inside += element(0xA3, b"\x81" + struct.pack(">hB", block * 20, 0x80) + noise(236))
        body += element(0x1F43B675, inside, unknown=True)
    return element(0x1A45DFA3, b"\x42\x82\x84webm") + element(0x18538067, body, unknown=True)


FILES = {
    "wav": (wav(), 3.0),
    "wav 48 kHz stereo": (wav(1.5, 48000, 2), 1.5),
    "flac": (flac(16000 * 20, 300_000), 20.0),
    "mp3": (mp3(1000), 24.0),
    "mp3 that counts its frames": (mp3(500, count=1000), 24.0),
    "aac": (adts(500), 32.0),
    "opus": (opus(60.0), 60.0),
    "m4a": (m4a(12.5, 100_000, first=True), 12.5),
    "m4a that ends with its head": (m4a(12.5, 100_000, first=False), 12.5),
    "m4a of version 1": (m4a(12.5, 100_000, first=False, version=1), 12.5),
    "mp4 in fragments": (fragmented(30), 30.0),
    "mp4 of one fragment": (fragmented(1), 1.0),
    "mp4 of many fragments": (fragmented(900), 900.0),
    "aiff": (aiff(4.0), 4.0),
    "au": (au(4.0), 4.0),
    "webm": (webm(20, seconds=20), 20.0),
    "webm of a recorder": (webm(300), 300.0),
    "webm of one cluster": (webm(1, blocks=400), 8.0),
}


@pytest.mark.parametrize("by", [65536, 1000, 131])
@pytest.mark.parametrize("name", FILES)
def test_a_file_is_measured(name: str, by: int) -> None:
    """However it is cut into chunks."""
    data, seconds = FILES[name]
    found = heard(data, by=by)
    assert found.source == "measured"
    assert found.seconds == pytest.approx(seconds, rel=0.03)


def test_a_picture_before_the_sound_is_no_sound() -> None:
    """ID3 holds the cover, which may be larger than the song."""
    size = 300_000
    tag = b"ID3\x04\0\0" + bytes((size >> shift & 0x7F) for shift in (21, 14, 7, 0))
    for by in (65536, 999):
        found = heard(tag + bytes(size) + mp3(1000), by=by)
        assert found.seconds == pytest.approx(24.0, rel=0.01)


def test_a_header_may_not_claim_more_than_came() -> None:
    """A file of 100 seconds of which 10 came was heard for 10; one that claims a year holds what
    its bytes can hold."""
    assert heard(wav(100)[: 44 + 320_000]).seconds == pytest.approx(10.0, rel=1e-3)
    assert heard(flac((1 << 36) - 1, 50_000)).seconds <= 50_100 / LEAST
    assert heard(m4a(4_000_000, 1000, first=True)).seconds <= 1300 / LEAST
    assert heard(webm(1, seconds=1e12)).seconds <= 13_000 / LEAST


def test_a_header_may_not_claim_less_than_came() -> None:
    """Nobody's limit lasts longer by a header that lies."""
    lying = bytearray(wav(100))
    lying[40:44] = (2).to_bytes(4, "little")  # the length of the data
    assert heard(bytes(lying)).seconds == pytest.approx(100.0, rel=1e-3)
    # 16-bit mono at 16 kHz is 32 kB/s at most.
    assert heard(flac(1, 320_000)).seconds > 9.0
    assert heard(mp3(1000, count=1)).seconds > 2.3


def test_what_is_not_known_is_estimated_by_its_size() -> None:
    """And said to be."""
    assert heard(noise(160_000)) == Heard(160_000 / ESTIMATED, "estimated")
    assert heard(b"") == Heard(0.0, "estimated")
    assert heard(b"RIFF") == Heard(4 / ESTIMATED, "estimated")
    assert heard(b"RIFFxxxxWAVE" + noise(1000)).source == "estimated"


def test_it_holds_next_to_nothing() -> None:
    """A recording of any size costs the same memory."""
    sound = Sound()
    for chunk in (opus(60.0), *(noise(1 << 20) for _ in range(8))):
        sound.feed(chunk)
    held = sound._container._end  # type: ignore[union-attr]
    assert len(held) <= 4 * 65_307


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_nothing_that_is_fed_can_break_it(data: st.DataObject) -> None:
    """Whatever comes, cut anywhere: a finite figure within what the bytes can hold."""
    start, _ = data.draw(st.sampled_from([*FILES.values(), (b"", 0.0)]))
    whole = bytearray(start[: data.draw(st.integers(0, 2000))] + data.draw(st.binary(max_size=400)))
    for at in data.draw(st.lists(st.integers(0, 400), max_size=20)):
        if at < len(whole):
            whole[at] = data.draw(st.integers(0, 255))
    cuts = sorted({0, len(whole), *data.draw(st.lists(st.integers(0, len(whole)), max_size=6))})
    sound = Sound()
    for a, b in pairwise(cuts):
        sound.feed(bytes(whole[a:b]))
        found = sound.heard()
        assert math.isfinite(found.seconds)
        assert 0 <= found.seconds <= sound.size / LEAST
