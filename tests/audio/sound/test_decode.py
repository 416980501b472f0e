"""Plain sound of any recording."""

import array
import struct
from pathlib import Path

import numpy as np
import psutil
import pytest

from server.audio.sound.ear import Ear
from server.audio.sound.model import FRAME_SAMPLES, RATE, Decoded
from server.audio.sound.process import command
from server.base.errors import InsufficientStorage, InvalidValue, PayloadTooLarge
from tests.audio.sound import corpus
from tests.audio.sound.conftest import BEFORE, Decode

pytestmark = pytest.mark.asyncio(loop_scope="module")


def samples(decoded: Decoded, channel: int = 0) -> np.ndarray:
    return np.fromfile(decoded.channels[channel], "<i2")


def hertz(sound: np.ndarray) -> float:
    """The loudest frequency of its middle."""
    middle = sound[len(sound) // 4 : -len(sound) // 4].astype(float)
    return float(np.abs(np.fft.rfft(middle)).argmax() * RATE / len(middle))


@pytest.mark.parametrize("kind", sorted(set(corpus.KINDS) - {"mp3 without a tag"}))
async def test_every_kind_sounds_as_it_did(decode: Decode, kind: str) -> None:
    """Its length, its pitch in each channel, its level, and an envelope of 10 ms."""
    decoded = await decode(corpus.made(kind), "each")
    assert decoded.seconds == pytest.approx(corpus.SECONDS, abs=0.05)
    assert decoded.broken == 0
    for number, (path, envelope) in enumerate(
        zip(decoded.channels, decoded.envelopes, strict=True)
    ):
        sound = samples(decoded, number)
        assert len(sound) == round(decoded.seconds * RATE) == path.stat().st_size // 2
        assert hertz(sound) == pytest.approx(corpus.TONE * 2**number, abs=2)
        assert decoded.levels[number].rms == pytest.approx(-9.0, abs=1.5)
        loud = array.array("H", envelope.read_bytes())
        assert len(loud) == -(-len(sound) // FRAME_SAMPLES)
        assert np.mean(loud) == pytest.approx(0.5 * 32768 / 2**0.5, rel=0.2)


async def test_channels_are_mixed_unless_each_is_asked_for(decode: Decode) -> None:
    """One file with both tones in it."""
    decoded = await decode(corpus.made("flac"))
    assert len(decoded.channels) == 1
    loud = np.abs(np.fft.rfft(samples(decoded).astype(float)))
    assert set(np.argsort(loud)[-2:] * RATE / len(samples(decoded))) == {440.0, 880.0}


@pytest.mark.parametrize("rate", [RATE, 48_000])
async def test_what_is_not_a_number_is_silent(decode: Decode, rate: int) -> None:
    """Also endless; and what is far too loud is only loud. What follows sounds as it should."""
    tone = corpus.tone(1.0, rate)[:, 0]
    bad = np.repeat(np.float32([np.nan, np.inf, -np.inf]), rate // 2)
    decoded = await decode(corpus.float_wav(np.concatenate((tone, bad, tone)), rate))
    sound = samples(decoded)
    assert decoded.seconds == pytest.approx(3.5, abs=0.01)
    assert np.abs(sound[RATE + 500 : -RATE - 500]).max() <= 1
    assert hertz(sound[-RATE:]) == pytest.approx(corpus.TONE, abs=2)
    huge = await decode(corpus.float_wav(np.full(rate, np.float32(1e38)), rate))
    assert huge.levels[0].peak == pytest.approx(0, abs=0.1)


async def test_silence_is_told(decode: Decode) -> None:
    """Not one sample sounds; and a sound that is too quiet to hear is told apart by its level."""
    nothing = await decode(corpus.wav(np.zeros((RATE, 1), np.float32), RATE))
    assert nothing.levels[0].peak is None
    assert nothing.levels[0].quieter_than(-60)
    faint = await decode(corpus.wav(corpus.tone(1, RATE) / 1000, RATE))
    assert faint.levels[0].peak == pytest.approx(-66, abs=1)
    assert faint.levels[0].quieter_than(-60)
    assert not faint.levels[0].quieter_than(-70)


async def test_where_packets_are_missing_there_is_silence(decode: Decode) -> None:
    """A second of the files stays a second of the recording: a recorder was paused for 5 s."""
    paused = bytearray(corpus.made("webm of a browser"))
    for at in corpus.clusters(paused)[1:]:
        (time,) = struct.unpack(">H", paused[at : at + 2])
        paused[at : at + 2] = struct.pack(">H", time + 5000)
    decoded = await decode(bytes(paused))
    assert decoded.seconds == pytest.approx(7.0, abs=0.05)
    sound = samples(decoded)
    assert np.abs(sound[round(1.2 * RATE) : round(5.8 * RATE)]).max() <= 1
    assert hertz(sound[-RATE:]) == pytest.approx(corpus.TONE, abs=2)


async def test_damage_in_the_middle_costs_what_is_damaged(decode: Decode) -> None:
    """The rest is where it was."""
    hurt = bytearray(corpus.made("flac"))
    middle = len(hurt) // 2
    hurt[middle : middle + 2000] = bytes(2000)
    decoded = await decode(bytes(hurt))
    assert decoded.seconds == pytest.approx(2.0, abs=0.2)
    assert hertz(samples(decoded)[-RATE // 2 :]) == pytest.approx(corpus.TONE, abs=5)


async def test_it_is_decoded_no_further_than_asked(decode: Decode, tmp_path: Path) -> None:
    """413, and nothing of it is left."""
    with pytest.raises(PayloadTooLarge, match=r"longer than the 0\.5 s"):
        await decode(corpus.wav(corpus.tone(4, RATE), RATE), most=0.5)
    assert [path.name for path in tmp_path.iterdir()] == ["body"]


async def test_too_many_channels_are_refused_unless_mixed(decode: Decode) -> None:
    """Each would be a file."""
    head = struct.pack("<HHIIHH", 1, 12, RATE, RATE * 24, 24, 16)
    data = bytes(24 * RATE)
    wav = b"WAVEfmt " + struct.pack("<I", 16) + head + b"data" + struct.pack("<I", len(data)) + data
    wav = b"RIFF" + struct.pack("<I", len(wav)) + wav
    with pytest.raises(InvalidValue, match="more than 8 channels"):
        await decode(wav, "each")
    assert (await decode(wav)).seconds == 1.0


async def test_memory_does_not_grow_with_the_length(ear: Ear, decode: Decode) -> None:
    """A quarter of an hour, from 1 MiB, takes what a second takes."""
    await decode(corpus.made("flac"))
    (pid,) = [child._process.pid for child in ear._all if child._process]
    before = psutil.Process(pid).memory_info().rss
    sound = np.zeros((900 * RATE, 1), np.float32)
    decoded = await decode(corpus.encoded("flac", "flac", sound, RATE))
    assert decoded.seconds == 900.0
    assert peak(pid) - before < 16 << 20


def peak(pid: int) -> int:
    """The most memory that a process ever had."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) << 10


async def test_a_disk_that_takes_no_more_is_507(tmp_path: Path) -> None:
    """What was written is removed."""
    path = tmp_path / "body"
    path.write_bytes(BEFORE + corpus.made("wav"))
    (tmp_path / "made").mkdir()
    ear = Ear(argv=command(1 << 30, 10_000))
    try:
        with pytest.raises(InsufficientStorage, match="sound of the recording could not be saved"):
            await ear.decode(
                path,
                len(BEFORE),
                len(corpus.made("wav")),
                folder=tmp_path / "made",
                channels="mixed",
                most_seconds=60,
            )
        assert list((tmp_path / "made").iterdir()) == []
    finally:
        await ear.close()
