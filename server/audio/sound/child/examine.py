"""The question `examine`: what a recording is and how long, by its packets, without decoding.

Headers lie: a recorder in a browser writes no duration, a pipe writes the largest number, a forged
file writes what it likes. So the end of the last packet is the length, and never less than what the
packets themselves are worth; it is followed only as far as was asked. (An hour takes less than a
second, whatever the container.)
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import av.error
from av.audio.stream import AudioStream
from av.packet import Packet

from server.audio.sound.child import refusal
from server.audio.sound.child.opened import Opened, opened

_CUT_OFF = 2.0
"""A header that promises this many times what is there, and `_MISSING` seconds more, is of a file
that was cut off. Less than that is a recording that ended suddenly, and is worth to be heard."""
_MISSING = 5.0

_CLOSE = 0.1
"""Seconds beyond the cap that are no matter: encoders fill up their last packet."""

Worth = Callable[["Packet[AudioStream]"], float]


def examined(args: Mapping[str, Any]) -> dict[str, Any]:
    path, offset, length = Path(args["path"]), int(args["offset"]), int(args["length"])
    cap = float(args["cap_seconds"])
    with opened(path, offset, length) as found:
        seconds, beyond = follow(found, cap)
        if found.declared is not None and not beyond:
            missing = found.declared - seconds
            if found.declared > _CUT_OFF * seconds and missing > _MISSING:
                raise refusal.cut_off(found.declared, seconds)
        context = found.stream.codec_context
        return {
            "container": found.kind,
            "codec": context.codec.canonical_name,
            "seconds": round(seconds, 3),
            "channels": context.channels,
            "sample_rate": context.sample_rate,
            "beyond": beyond,
        }


def follow(found: Opened, cap: float) -> tuple[float, bool]:
    """How far its packets reach, and whether that is beyond `cap`. Raises `Refused`."""
    base, most = float(found.stream.time_base or 0), cap + _CLOSE
    worth = worth_of(found.stream)
    first: int | None = None
    reached = least = 0.0
    packets = 0
    try:
        for packet in found.container.demux(found.stream):
            if not packet.size:
                continue
            packets += 1
            least += worth(packet)
            if packet.pts is not None:
                if first is None:
                    first = packet.pts
                reached = max(reached, (packet.pts - first + (packet.duration or 0)) * base)
            if reached > most or least > most:
                return max(reached, least), True
    except av.error.FFmpegError:
        # What came before the damage counts, as it does for whoever plays it.
        pass
    if not packets:
        raise refusal.damaged()
    return max(reached, least), False


def worth_of(stream: AudioStream) -> Worth:
    """How many seconds a packet makes at least, whatever times were written beside it."""
    context = stream.codec_context
    rate, name = context.sample_rate, context.codec.canonical_name
    if name.startswith("pcm_"):
        bits = re.search(r"\d+", name)
        a_second = rate * context.channels * (int(bits[0]) if bits else 8) / 8
        return lambda packet: packet.size / a_second
    if name == "opus":
        return lambda packet: _opus(memoryview(packet))
    if name == "aac":
        return lambda _: 1024 / rate
    if name in {"mp3", "mp2"}:
        return lambda _: (1152 if rate >= 32_000 or name == "mp2" else 576) / rate
    base = float(stream.time_base or 0)
    return lambda packet: (packet.duration or 0) * base


_OPUS_MS = (10, 20, 40, 60) * 3 + (10, 20) * 2 + (2.5, 5, 10, 20) * 4


def _opus(packet: memoryview) -> float:
    """By the first bytes of a packet: RFC 6716, section 3.1."""
    head = packet[0]
    told = packet[1] & 63 if len(packet) > 1 else 0
    frames = (1, 2, 2, told)[head & 3]
    return min(_OPUS_MS[head >> 3] * frames, 120) / 1000
