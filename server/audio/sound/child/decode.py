"""The question `decode`: plain sound from any recording, in constant memory.

    packets ── decoder ── frames ── floats, not-a-number silent ─┬─ mixed ─┬─ 16 kHz ── files
                                          gaps filled with silence └─ each ──┘
Owns that a second of the files is a second of the recording: where packets are missing (a pause of
the recorder, silence that was not sent, damage) there is silence. Resampling is libsoxr's.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import av.error
import numpy as np
import soxr  # type: ignore[import-untyped]
from av.audio.frame import AudioFrame

from server.audio.sound.child import refusal
from server.audio.sound.child.envelope import Channel
from server.audio.sound.child.gather import Floats, Gathered, Shape, frames_of, shape_of
from server.audio.sound.child.opened import Opened, opened
from server.audio.sound.model import FULL_SCALE, RATE

MOST_CHANNELS = 8
_JUMP = 0.1
"""Seconds by which times may be off before they are believed: recorders round them."""
_BLOCK = 0.5
_SLACK = 1.0


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
            frames = frames_of(packet)
            if frames is None:
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
        self._shape: Shape = 0, "", 0
        self._gathered: Gathered | None = None
        self._resampler: soxr.ResampleStream | None = None
        self._base = 0.0  # seconds of a unit of time
        self._rate = 0
        self._taken = 0  # samples of the present rate since `_origin`
        self._origin: float | None = None

    def put(self, frame: AudioFrame) -> None:
        shape = shape_of(frame)
        gathered = self._gathered
        if gathered is None or shape != self._shape:
            gathered = self._change(frame, shape)
        if frame.pts is not None:
            self._catch_up(frame.pts * self._base)
        gathered.add(frame)
        self._taken += frame.samples
        if gathered.samples >= _BLOCK * self._rate:
            self._resample(gathered.taken())

    def finish(self) -> None:
        self._drain()
        for channel in self._channels:
            channel.finish()

    def _change(self, frame: AudioFrame, shape: Shape) -> Gathered:
        """The first frame, or another kind of sound within a recording."""
        rate = shape[0]
        if rate == self._rate and self._gathered is not None:
            self._resample(self._gathered.taken())
        else:
            self._drain()
            self._rate, self._taken, self._origin = rate, 0, None
            count = len(self._channels)
            self._resampler = (
                None if rate == RATE else soxr.ResampleStream(rate, RATE, count, dtype="float32")
            )
        self._base = float(frame.time_base or 0)
        self._shape, self._gathered = shape, Gathered(shape)
        return self._gathered

    def _catch_up(self, time: float) -> None:
        """Silence up to `time`. Times that go back begin a new count."""
        here = self._taken / self._rate
        if self._origin is None or time - self._origin < here - _JUMP:
            self._origin = time - here
            return
        gap = time - self._origin - here
        if gap <= _JUMP or self._gathered is None:
            return
        if gap > self._most + _SLACK:
            raise refusal.too_long(self._most)
        self._resample(self._gathered.taken())
        left = round(gap * self._rate)
        self._taken += left
        while left > 0:
            size = min(left, self._rate)
            left -= size
            self._resample(np.zeros((size, len(self._channels)), np.float32))

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

    def _drain(self) -> None:
        if self._gathered is not None:
            self._resample(self._gathered.taken(), last=True)

    def _resample(self, sound: Floats, *, last: bool = False) -> None:
        sound, count = self._arranged(sound), len(self._channels)
        if self._resampler is not None:
            sound = self._resampler.resample_chunk(sound, last=last).reshape(-1, count)
        whole = np.rint(sound * np.float32(FULL_SCALE)).clip(-FULL_SCALE, FULL_SCALE - 1)
        for number, channel in enumerate(self._channels):
            channel.put(whole[:, number].astype(np.int16))
        if self._channels[0].samples > (self._most + _SLACK) * RATE:
            raise refusal.too_long(self._most)
