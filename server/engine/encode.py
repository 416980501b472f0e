"""Spoken samples as the file that was asked for: pcm, wav, mp3, opus, aac, flac.

Owns the encoders. Everything but wav is made piece by piece, so that the first sound leaves
before the last line is spoken; a wav says its length in its head, so it is made whole.
"""

import io
import struct
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from server.engine.sound import Samples


class Format(NamedTuple):
    """`muxer` and `codec` are ffmpeg's; "" where none is needed."""

    content_type: str
    muxer: str = ""
    codec: str = ""
    rate: int = 24_000


FORMATS: Mapping[str, Format] = {
    "pcm": Format("audio/pcm"),
    "wav": Format("audio/wav"),
    "mp3": Format("audio/mpeg", "mp3", "libmp3lame"),
    "opus": Format("audio/ogg", "ogg", "libopus", 48_000),
    "aac": Format("audio/aac", "adts", "aac"),
    "flac": Format("audio/flac", "flac", "flac"),
}


def pcm16(samples: "Samples") -> bytes:
    """Signed 16 bit, little endian."""
    return (np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2").tobytes()


def wav(data: bytes, rate: int) -> bytes:
    """A whole file around mono 16 bit samples."""
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16),
        *(b"data", len(data)),
    )
    return head + data


class Encoder:
    """One file on its way: `add` and `end` give what is ready of it."""

    def __init__(self, name: str, rate: int) -> None:
        self._rate = rate
        self._out = _Pipe()
        self._chosen = FORMATS[name]
        self._add: Callable[[Samples], None]
        if self._chosen.muxer:
            self._open()
        self._whole = bytearray() if name == "wav" else None

    def _open(self) -> None:
        import av  # noqa: PLC0415 - loads all of ffmpeg

        self._av = av
        chosen = self._chosen
        self._file: Any = av.open(self._out, "w", format=chosen.muxer)
        stream: Any = self._file.add_stream(chosen.codec, rate=chosen.rate)
        stream.layout = "mono"
        self._stream = stream
        self._resampler: Any = av.AudioResampler(
            format=stream.format.name, layout="mono", rate=chosen.rate
        )

    def add(self, samples: "Samples") -> bytes:
        data = pcm16(samples)
        if self._whole is not None:
            self._whole += data
            return b""
        if not self._chosen.muxer:
            return data
        frame = self._av.AudioFrame.from_ndarray(
            np.frombuffer(data, "<i2").reshape(1, -1), format="s16", layout="mono"
        )
        frame.rate = self._rate
        self._encode(frame)
        return self._out.taken()

    def end(self) -> bytes:
        if self._whole is not None:
            return wav(bytes(self._whole), self._rate)
        if not self._chosen.muxer:
            return b""
        self._encode(None)
        self._file.mux(self._stream.encode(None))
        self._file.close()
        return self._out.taken()

    def _encode(self, frame: Any) -> None:
        for made in self._resampler.resample(frame):
            made.pts = None
            self._file.mux(self._stream.encode(made))


class _Pipe(io.RawIOBase):
    """What an encoder writes to and cannot seek in."""

    def __init__(self) -> None:
        super().__init__()
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._held += bytes(data)
        return len(data)

    def taken(self) -> bytes:
        done = bytes(self._held)
        self._held.clear()
        return done
