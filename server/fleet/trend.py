"""The last hour of one host as a few curves: what a chart draws, and no more than it can show.

Pure. Owns a ring of buckets of equal length, each the mean of the samples that fell into it. It is
fed as samples come, so that reading it costs the same for one reader and for a hundred, and never
walks an hour of samples. A bucket without a figure is None: a gap in a chart is a gap in what is
known. Buckets lie at whole multiples of their length, so that a curve does not shiver as time goes
by. Refuses to know the time; that of the samples is enough.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from server.fleet.model import Sample

STEP = 15
"""Seconds of one bucket."""
POINTS = 240
"""An hour."""
CHANNELS = (
    "gpu",
    "temperature",
    "power",
    "clock",
    "used",
    "held",
    "pressure",
    "load",
    "received",
    "sent",
)
"""Percent, degrees Celsius, watts, megahertz; memory in bytes: all that is not available, and what
GPU processes hold; percent of time that something waited for memory; the load average of a minute;
bytes per second over all interfaces."""


@dataclass(frozen=True, slots=True)
class Curves:
    """`start` is the epoch second of the first bucket; every channel has as many places."""

    start: int
    step: int
    channels: tuple[tuple[str, tuple[float | None, ...]], ...]

    def of(self, channel: str) -> tuple[float | None, ...]:
        return dict(self.channels).get(channel, ())

    def to_dict(self) -> dict[str, Any]:
        return {"start": self.start, "step": self.step} | {
            name: list(values) for name, values in self.channels
        }


NOTHING = Curves(0, STEP, tuple((name, ()) for name in CHANNELS))


class _Bucket:
    __slots__ = ("at", "counts", "sums")

    def __init__(self, at: int) -> None:
        self.at = at
        self.sums = [0.0] * len(CHANNELS)
        self.counts = [0] * len(CHANNELS)

    def add(self, figures: Iterable[float | None]) -> None:
        for place, figure in enumerate(figures):
            if figure is not None:
                self.sums[place] += figure
                self.counts[place] += 1

    def mean(self, place: int) -> float | None:
        count = self.counts[place]
        return round(self.sums[place] / count, 2) if count else None


class Trend:
    """Of one host."""

    def __init__(self) -> None:
        self._buckets: deque[_Bucket] = deque()

    def add(self, sample: Sample) -> None:
        at = int(sample.at.timestamp()) // STEP * STEP
        if self._buckets and at < self._buckets[-1].at:
            return  # the clock was set back: what is drawn already stands
        if not self._buckets or at > self._buckets[-1].at:
            self._buckets.append(_Bucket(at))
            while self._buckets[0].at <= at - POINTS * STEP:
                self._buckets.popleft()
        self._buckets[-1].add(figures(sample))

    def curves(self) -> Curves:
        """From the first bucket that is kept to the newest, gaps included."""
        if not self._buckets:
            return NOTHING
        start, end = self._buckets[0].at, self._buckets[-1].at
        known = {bucket.at: bucket for bucket in self._buckets}
        row = [known.get(at) for at in range(start, end + 1, STEP)]
        channels = tuple(
            (name, tuple(None if one is None else one.mean(place) for one in row))
            for place, name in enumerate(CHANNELS)
        )
        return Curves(start, STEP, channels)


def figures(sample: Sample) -> tuple[float | None, ...]:
    """In the order of `CHANNELS`. Of several GPUs: the mean use, the hottest, all their power."""
    gpus, memory = sample.gpus, sample.memory
    use = _known(gpu.utilization for gpu in gpus)
    heat = _known(gpu.temperature for gpu in gpus)
    power = _known(gpu.power for gpu in gpus)
    clocks = _known(gpu.clock_sm for gpu in gpus)
    held = _known(one.used_bytes for gpu in gpus for one in gpu.processes)
    received = _known(nic.rx_rate for nic in sample.nics)
    sent = _known(nic.tx_rate for nic in sample.nics)
    used = None
    if memory.total is not None and memory.available is not None:
        used = float(max(0, memory.total - memory.available))
    return (
        sum(use) / len(use) if use else None,
        max(heat, default=None),
        sum(power) if power else None,
        max(clocks, default=None),
        used,
        sum(held) if held else None,
        memory.pressure_some,
        sample.load[0] if sample.load else None,
        sum(received) if received else None,
        sum(sent) if sent else None,
    )


def _known(values: Iterable[float | None]) -> list[float]:
    return [float(value) for value in values if value is not None]
