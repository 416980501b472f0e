"""The question `decode`: plain sound from any recording, in constant memory.

    packets ── decoder ── frames ── floats, not-a-number silent ─┬─ mixed ─┬─ 16 kHz ── files
                                          gaps filled with silence └─ each ──┘
Owns that a second of the files is a second of the recording: where packets are missing (a pause of
the recorder, silence that was not sent, damage) there is silence. Resampling is libsoxr's.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import av.error
import numpy as np
import soxr  # type: ignore[import-untyped]
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

from server.audio.sound.child import refusal
from server.audio.sound.child.envelope import Channel
from server.audio.sound.child.opened import Opened, opened
from server.audio.sound.model import FULL_SCALE, RATE

Floats = NDArray[np.float32]

MOST_CHANNELS = 8
_JUMP = 0.1
"""Seconds by which times may be off before they are believed: recorders round them."""
_LOUDEST = 8.0
_BLOCK = 0.5
_SLACK = 1.0
_FULL = {2: 1 << 15, 4: 1 << 31, 8: 1 << 63}
"""Full scale of whole numbers, by their bytes."""


def decoded(args: Mapping[str, Any]) -> dict[str, Any]:
    path, offset, length = Path(args["path"]), int(args["offset"]), int(args["length"])
    folder, name, most = Path(args["folder"]), str(args["name"]), float(args["most_seconds"])
    with opened(path, offset, length) as found, ExitStack() as files:
        count = found.stream.codec_context.channels if args["channels"] == "each" else 1
        if count > MOST_CHANNELS:
            raise refusal.Refused(
                "value",
                f"The recording has more than {MOST_CHANNELS} channels.",
                "Send a file for each channel, or mix them.",
            )
        channels = [
            files.enter_context(Channel(folder, f"{name}-{number}")) for number in range(count)
        ]
        player = Player(channels, most)
        try:
            broken = _play(found, player)
        except OSError as error:
            raise refusal.disk(error.errno or 0) from None
        if not channels[0].samples:
            raise refusal.damaged()
        return {
            "channels": [str(one.path) for one in channels],
            "envelopes": [str(one.envelope) for one in channels],
            "levels": [one.level() for one in channels],
            "seconds": channels[0].samples / RATE,
            "broken": broken,
        }


def _play(found: Opened, player: "Player") -> int:
    """How many packets could not be read."""
    broken = 0
    try:
        for packet in found.container.demux(found.stream):
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                broken += 1
                continue
            for frame in frames:
                player.put(frame)
    except av.error.FFmpegError:
        broken += 1
    player.finish()
    return broken


class Player:
    """Takes frames in order and puts plain sound into `channels`."""

    def __init__(self, channels: list[Channel], most: float) -> None:
        self._channels = channels
        self._most = most
        self._rate = 0
        self._resampler: soxr.ResampleStream | None = None
        self._held: list[Floats] = []
        self._holding = 0
        self._taken = 0  # samples of the present rate since `_origin`
        self._origin: float | None = None

    def put(self, frame: AudioFrame) -> None:
        if frame.sample_rate != self._rate:
            self._change(frame.sample_rate)
        sound = self._arranged(floats(frame))
        if frame.pts is not None and frame.time_base is not None:
            for silence in self._missing(float(frame.pts * frame.time_base)):
                self._take(silence)
        self._take(sound)

    def finish(self) -> None:
        self._give(last=True)
        for channel in self._channels:
            channel.finish()

    def _change(self, rate: int) -> None:
        """A new rate within a recording: times go on from here."""
        self._give(last=True)
        self._rate, self._taken, self._origin = rate, 0, None
        count = len(self._channels)
        self._resampler = (
            None if rate == RATE else soxr.ResampleStream(rate, RATE, count, dtype="float32")
        )

    def _arranged(self, sound: Floats) -> Floats:
        """As many channels as are written: mixed, or each; one that is missing is as the first."""
        wanted, there = len(self._channels), sound.shape[1]
        if wanted == there:
            return sound
        if wanted == 1:
            mixed: Floats = np.mean(sound, axis=1, keepdims=True, dtype=np.float32)
            return mixed
        columns = [number if number < there else 0 for number in range(wanted)]
        return sound[:, columns]

    def _missing(self, time: float) -> Iterator[Floats]:
        """Silence up to `time`, in blocks. Times that go back begin a new count."""
        here = self._taken / self._rate
        if self._origin is None or time - self._origin < here - _JUMP:
            self._origin = time - here
            return
        gap = time - self._origin - here
        if gap <= _JUMP:
            return
        if gap > self._most + _SLACK:
            raise refusal.too_long(self._most)
        left = round(gap * self._rate)
        while left > 0:
            size = min(left, self._rate)
            left -= size
            yield np.zeros((size, len(self._channels)), np.float32)

    def _take(self, sound: Floats) -> None:
        self._held.append(sound)
        self._taken += len(sound)
        self._holding += len(sound)
        if self._holding >= _BLOCK * self._rate:
            self._give()

    def _give(self, *, last: bool = False) -> None:
        if not self._rate:
            return
        count = len(self._channels)
        held = self._held or [np.zeros((0, count), np.float32)]
        sound = np.concatenate(held)
        self._held, self._holding = [], 0
        if self._resampler is not None:
            sound = self._resampler.resample_chunk(sound, last=last).reshape(-1, count)
        whole = np.rint(sound * FULL_SCALE).clip(-FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
        for number, channel in enumerate(self._channels):
            channel.put(whole[:, number])
        if self._channels[0].samples > (self._most + _SLACK) * RATE:
            raise refusal.too_long(self._most)


def floats(frame: AudioFrame) -> Floats:
    """Samples by channel, from -1 to 1 where the recording keeps to that. What is not a number, or
    endless, is silence: a resampler would spread it over everything that follows."""
    raw: NDArray[Any] = frame.to_ndarray()
    sound = raw.T if frame.format.is_planar else raw.reshape(-1, frame.layout.nb_channels)
    if sound.dtype.kind == "f":
        if not np.abs(sound).max(initial=0) <= _LOUDEST:
            sound = np.nan_to_num(sound, nan=0.0, posinf=0.0, neginf=0.0)
            sound = sound.clip(-_LOUDEST, _LOUDEST)
        return sound.astype(np.float32, copy=False)
    if sound.dtype == np.uint8:
        return (sound.astype(np.float32) - np.float32(128)) * np.float32(1 / 128)
    return sound.astype(np.float32) * np.float32(1 / _FULL[sound.dtype.itemsize])
