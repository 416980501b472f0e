"""Small real recordings of every kind, made when they are needed; and broken ones made of them."""

import io
import struct
import zipfile
from collections.abc import Callable
from functools import cache

import av
import numpy as np

TONE = 440.0


def tone(seconds: float, rate: int, channels: int = 1, *, hertz: float = TONE) -> np.ndarray:
    """Half as loud as can be; each channel an octave above the one before. (samples, channels)"""
    at = np.arange(round(seconds * rate)) / rate
    columns = [np.sin(2 * np.pi * hertz * 2**number * at) for number in range(channels)]
    return (0.5 * np.stack(columns, axis=1)).astype(np.float32)


def encoded(container: str, codec: str, sound: np.ndarray, rate: int, **options: str) -> bytes:
    target = io.BytesIO()
    layout = "mono" if sound.shape[1] == 1 else "stereo"
    with av.open(target, "w", format=container, container_options=options) as out:
        stream = out.add_stream(codec, rate=rate, layout=layout)
        for at in range(0, len(sound), rate):
            block = np.ascontiguousarray(sound[at : at + rate])
            frame = av.AudioFrame.from_ndarray(block.reshape(1, -1), format="flt", layout=layout)
            frame.sample_rate = rate
            frame.pts = at
            for packet in stream.encode(frame):
                out.mux(packet)
        for packet in stream.encode(None):
            out.mux(packet)
    return target.getvalue()


class Pipe(io.RawIOBase):
    """What a recorder writes into when it cannot go back and fill in its header."""

    def __init__(self) -> None:
        self.written = bytearray()

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def write(self, data: bytes) -> int:
        self.written += bytes(data)
        return len(data)


def piped(container: str, codec: str, sound: np.ndarray, rate: int, **options: str) -> bytes:
    """As `encoded`, without a way back: no duration, no seek table."""
    target = Pipe()
    layout = "mono" if sound.shape[1] == 1 else "stereo"
    with av.open(target, "w", format=container, container_options=options) as out:
        stream = out.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(sound).reshape(1, -1), format="flt", layout=layout
        )
        frame.sample_rate = rate
        frame.pts = 0
        for packet in (*stream.encode(frame), *stream.encode(None)):
            out.mux(packet)
    return bytes(target.written)


def wav(sound: np.ndarray, rate: int) -> bytes:
    return encoded("wav", "pcm_s16le", sound, rate)


def float_wav(samples: np.ndarray, rate: int) -> bytes:
    """One channel of floats as they are, not-a-numbers too."""
    data = samples.astype("<f4").tobytes()
    head = struct.pack("<HHIIHH", 3, 1, rate, rate * 4, 4, 32)
    body = b"WAVEfmt " + struct.pack("<I", 16) + head + b"data" + struct.pack("<I", len(data))
    return b"RIFF" + struct.pack("<I", len(body) + len(data)) + body + data


def vbr_mp3(seconds: float) -> bytes:
    """Half silence, half noise, of changing bit rate, and no tag that tells the length."""
    rate = 44_100
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, (round(seconds / 2 * rate), 1))
    sound = np.concatenate((np.zeros_like(noise), noise)).astype(np.float32)
    target = io.BytesIO()
    options = {"write_xing": "0", "id3v2_version": "0"}
    with av.open(target, "w", format="mp3", container_options=options) as out:
        stream = out.add_stream("libmp3lame", rate=rate, layout="mono", options={"q": "4"})
        stream.codec_context.flags |= av.codec.context.Flags.qscale
        stream.codec_context.global_quality = 4 * 118
        frame = av.AudioFrame.from_ndarray(sound.reshape(1, -1), format="flt", layout="mono")
        frame.sample_rate, frame.pts = rate, 0
        for packet in (*stream.encode(frame), *stream.encode(None)):
            out.mux(packet)
    return target.getvalue()


def silent_film() -> bytes:
    """Pictures, and no sound."""
    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as out:
        stream = out.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for number in range(5):
            frame = av.VideoFrame(32, 32, "yuv420p")
            frame.pts = number
            for packet in stream.encode(frame):
                out.mux(packet)
        for packet in stream.encode(None):
            out.mux(packet)
    return target.getvalue()


def zipped(data: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("meeting.wav", data)
    return target.getvalue()


def promising(seconds: float, data_bytes: int) -> bytes:
    """A WAV file whose header tells of `seconds`, and `data_bytes` of them."""
    whole = bytearray(wav(tone(1, 16_000), 16_000))
    at = whole.index(b"data")
    whole[at + 4 : at + 8] = struct.pack("<I", min(round(seconds * 32_000), 0xFFFFFFF0))
    return bytes(whole[: at + 8 + data_bytes])


def clusters(webm: bytes | bytearray) -> list[int]:
    """Where the times of its clusters lie: one byte for the first, two for the others."""
    found, at = [], 0
    while (at := webm.find(b"\x1fC\xb6u", at + 1)) > 0:
        time = webm.index(b"\xe7", at + 4)
        assert time < at + 14
        found.append(time + 2)
    return found


SECONDS = 2.0

KINDS: dict[str, tuple[str, str, Callable[[], bytes]]] = {
    "wav": ("wav", "pcm_s16le", lambda: wav(tone(SECONDS, 16_000), 16_000)),
    "wav of 24 bits": (
        "wav",
        "pcm_s24le",
        lambda: encoded("wav", "pcm_s24le", tone(SECONDS, 48_000, 2), 48_000),
    ),
    "wav of a telephone": (
        "wav",
        "pcm_mulaw",
        lambda: encoded("wav", "pcm_mulaw", tone(SECONDS, 8_000), 8_000),
    ),
    "wav from a pipe": (
        "wav",
        "pcm_s16le",
        lambda: piped("wav", "pcm_s16le", tone(SECONDS, 16_000), 16_000),
    ),
    "mp3": ("mp3", "mp3", lambda: encoded("mp3", "libmp3lame", tone(SECONDS, 44_100), 44_100)),
    "mp3 without a tag": ("mp3", "mp3", lambda: vbr_mp3(SECONDS)),
    "m4a": ("mp4", "aac", lambda: encoded("ipod", "aac", tone(SECONDS, 44_100, 2), 44_100)),
    "fragmented mp4": (
        "mp4",
        "aac",
        lambda: piped(
            "mp4", "aac", tone(SECONDS, 48_000), 48_000, movflags="empty_moov+frag_keyframe"
        ),
    ),
    "aac": ("aac", "aac", lambda: encoded("adts", "aac", tone(SECONDS, 44_100), 44_100)),
    "webm": ("webm", "opus", lambda: encoded("webm", "libopus", tone(SECONDS, 48_000), 48_000)),
    "webm of a browser": (
        "webm",
        "opus",
        lambda: piped("webm", "libopus", tone(SECONDS, 48_000), 48_000, live="1"),
    ),
    "ogg opus": ("ogg", "opus", lambda: encoded("ogg", "libopus", tone(SECONDS, 48_000), 48_000)),
    "flac": ("flac", "flac", lambda: encoded("flac", "flac", tone(SECONDS, 44_100, 2), 44_100)),
    "aiff": (
        "aiff",
        "pcm_s16be",
        lambda: encoded("aiff", "pcm_s16be", tone(SECONDS, 44_100), 44_100),
    ),
    "caf": ("caf", "pcm_s16le", lambda: encoded("caf", "pcm_s16le", tone(SECONDS, 44_100), 44_100)),
    "amr": (
        "amr",
        "amr_nb",
        lambda: encoded("amr", "libopencore_amrnb", tone(SECONDS, 8_000), 8_000),
    ),
    "au": ("au", "pcm_s16be", lambda: encoded("au", "pcm_s16be", tone(SECONDS, 44_100), 44_100)),
    "w64": ("w64", "pcm_s16le", lambda: encoded("w64", "pcm_s16le", tone(SECONDS, 44_100), 44_100)),
    "wav beyond 4 GB": (
        "wav",
        "pcm_s16le",
        lambda: encoded("wav", "pcm_s16le", tone(SECONDS, 44_100), 44_100, rf64="always"),
    ),
    "wav of doubles": (
        "wav",
        "pcm_f64le",
        lambda: encoded("wav", "pcm_f64le", tone(SECONDS, 44_100), 44_100),
    ),
    "wav of ADPCM": (
        "wav",
        "adpcm_ms",
        lambda: encoded("wav", "adpcm_ms", tone(SECONDS, 44_100), 44_100),
    ),
    "alac": ("mp4", "alac", lambda: encoded("ipod", "alac", tone(SECONDS, 44_100), 44_100)),
    "mov": ("mp4", "pcm_s16le", lambda: encoded("mov", "pcm_s16le", tone(SECONDS, 44_100), 44_100)),
    "matroska": (
        "webm",
        "flac",
        lambda: encoded("matroska", "flac", tone(SECONDS, 44_100), 44_100),
    ),
}
"""By what people call it: the container, the codec, and how one is made."""


@cache
def made(kind: str) -> bytes:
    return KINDS[kind][2]()
