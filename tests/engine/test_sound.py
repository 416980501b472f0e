"""Recordings of strangers, and files that the engine makes itself: written, read again, refused."""

import io
import struct

import numpy as np
import pytest

from server.base.errors import InvalidRequest, PayloadTooLarge, SparkError, UnsupportedMediaType
from server.engine.encode import FORMATS, Encoder, wav
from server.engine.sound import RATE, Gone, GoneAway, container, decode, seconds

TONE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(24_000) / 24_000)).astype(np.float32)


def opened(data: bytes, cap: float = 60) -> np.ndarray:
    return decode(io.BytesIO(data), cap_seconds=cap, gone=Gone())


def made(form: str, pieces: int = 3) -> bytes:
    encoder = Encoder(form, 24_000)
    return b"".join([encoder.add(TONE) for _ in range(pieces)]) + encoder.end()


@pytest.mark.parametrize("form", sorted(set(FORMATS) - {"pcm"}))
def test_what_is_encoded_is_read_again(form: str) -> None:
    """As long and as loud as it was, in every format, at the rate of the models."""
    samples = opened(made(form))
    assert seconds(samples) == pytest.approx(3, abs=0.1)
    level = float(np.sqrt(np.mean(samples[RATE : 2 * RATE] ** 2)))
    assert level == pytest.approx(0.35, abs=0.05)


def test_two_channels_become_one() -> None:
    """A voice on one channel is still there."""
    frames = np.zeros((8000, 2), "<i2")
    frames[:, 1] = 10_000
    data = frames.tobytes()
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, 2, 8000,
        32_000, 4, 16, b"data", len(data),
    )  # fmt: skip
    samples = opened(head + data)
    assert seconds(samples) == pytest.approx(1, abs=0.01)
    assert 0.1 < samples[8000] < 0.35


def test_samples_that_are_no_numbers_are_silence() -> None:
    """Floats may be anything; the models get what is between -1 and 1."""
    data = np.array([np.nan, np.inf, -np.inf, 1e30, 0.5] * 2000, "<f4").tobytes()
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 3, 1, RATE,
        RATE * 4, 4, 32, b"data", len(data),
    )  # fmt: skip
    samples = opened(head + data)
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() <= 1


def test_the_sound_and_not_its_head_says_how_long_it_is() -> None:
    """A head that promises ten hours is read to the end of the file, one that hides them too."""
    promised = bytearray(wav(bytes(32_000), RATE))
    promised[40:44] = (36_000 * 32_000).to_bytes(4, "little")
    assert seconds(opened(bytes(promised))) == pytest.approx(1, abs=0.01)
    with pytest.raises(PayloadTooLarge):
        opened(made("opus", 5), cap=4)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", UnsupportedMediaType),
        (b"%PDF-1.7", UnsupportedMediaType),
        (b"#EXTM3U\nfile:///etc/passwd", UnsupportedMediaType),
        (b"ffconcat version 1.0\nfile /etc/passwd", UnsupportedMediaType),
        (b"OggS" + bytes(500), InvalidRequest),
        (b"fLaC" + bytes(500), InvalidRequest),
        (b"\x1a\x45\xdf\xa3" + bytes(500), InvalidRequest),
        (bytes(4) + b"ftypM4A " + bytes(500), InvalidRequest),
        (wav(b"", RATE), InvalidRequest),
    ],
)
def test_what_is_no_sound_is_refused(data: bytes, error: type[SparkError]) -> None:
    """A playlist is no recording: it would make the decoder open other files."""
    with pytest.raises(error) as caught:
        opened(data)
    assert caught.value.param == "file"
    assert "passwd" not in caught.value.message


@pytest.mark.parametrize("form", ["mp3", "opus", "flac", "aac"])
def test_a_broken_file_is_an_error_or_a_shorter_sound(form: str) -> None:
    """Never anything else, wherever it is cut or scratched."""
    whole = made(form, 1)
    for at in range(20, len(whole), max(1, len(whole) // 12)):
        for data in (whole[:at], whole[:at] + bytes(40) + whole[at + 40 :]):
            try:
                assert seconds(opened(data)) < 5
            except SparkError as error:
                assert error.status in {400, 415}  # noqa: PT017 - either is right


def test_who_has_left_ends_the_decoding() -> None:
    """Within a second of sound."""
    gone = Gone()
    gone.leave()
    with pytest.raises(GoneAway):
        decode(io.BytesIO(made("flac")), cap_seconds=60, gone=gone)


def test_the_first_bytes_tell_the_container() -> None:
    """And a bare frame of mp3 or aac."""
    assert container(b"\xff\xfb\x90\x64") == "mp3"
    assert container(b"\xff\xf1\x50\x80") == "aac"
    assert container(b"\xff") is None
