"""A part of plain sound as a WAV file."""

import io
import wave
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.audio.sound.model import BYTES_PER_SECOND, RATE, Piece
from server.audio.sound.wav import header, wav_bytes, wav_length
from server.base.errors import Unavailable


async def whole(piece: Piece) -> bytes:
    return b"".join([some async for some in wav_bytes(piece)()])


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    path = tmp_path / "sound.pcm"
    path.write_bytes(b"".join(n.to_bytes(2, "little") for n in range(RATE * 2)))
    return path


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.floats(0, 2), st.floats(0, 2))
async def test_it_is_these_seconds_and_as_long_as_told(
    sound: Path, one: float, other: float
) -> None:
    """Python's own reader finds the samples from start to end, and not one more."""
    piece = Piece(0, min(one, other), max(one, other), sound)
    made = await whole(piece)
    assert len(made) == wav_length(piece)
    with wave.open(io.BytesIO(made)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
        frames = file.readframes(1 << 20)
    first, last = round(piece.start * RATE), round(piece.end * RATE)
    assert frames == sound.read_bytes()[first * 2 : last * 2]


async def test_it_can_be_asked_for_again(sound: Path) -> None:
    """Another replica is sent the same bytes."""
    make = wav_bytes(Piece(0, 0.5, 1.5, sound))
    assert [some async for some in make()] == [some async for some in make()]


async def test_half_a_file_does_not_look_like_a_whole_one(sound: Path) -> None:
    """What the disk does not give back ends the request."""
    with pytest.raises(Unavailable, match="could not be read back"):
        await whole(Piece(0, 0.0, 3.0, sound))
    sound.unlink()
    with pytest.raises(Unavailable, match="could not be read back"):
        await whole(Piece(0, 0.0, 1.0, sound))


def test_more_than_its_header_can_count_is_the_most_it_can() -> None:
    """A RIFF file counts in 32 bits."""
    assert header(1 << 40)[40:44] == (0xFFFFFFFF - 44).to_bytes(4, "little")
    assert header(BYTES_PER_SECOND)[40:44] == BYTES_PER_SECOND.to_bytes(4, "little")
