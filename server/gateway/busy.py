"""GPU-busy seconds of a host, shared among who was in flight there.

A sample says how busy the GPU of a host was, once a second. The passages say who was in flight on
that host, and for how much of that second. Theory of the attribution:

    busy      utilisation x interval: what is to be shared, never more and never less
    covered   the part of the interval during which anybody of ours was in flight
    ours      min(busy, covered): a GPU cannot have worked for us while nothing of ours ran
    a share   ours x own seconds / seconds of all who were in flight
    the rest  busy - ours, called `other`: what does not come through the gateway

Two who run at once share alike, whatever each of them costs: a sample does not tell them apart.
Over many samples the long and frequent ones get what is theirs. Pure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

OTHER = "other"
"""Service and client of what nobody in flight explains."""
LONGEST = 5.0
"""Seconds of one interval at most: after a gap in the samples nothing is made up."""


@dataclass(frozen=True, slots=True)
class Presence:
    """Somebody in flight on a host from `start` to `end` (None: still), monotonic seconds."""

    service: str
    client: str
    start: float
    end: float | None = None


@dataclass(frozen=True, slots=True)
class Share:
    service: str
    client: str
    seconds: float


def busy_seconds(utilization: Sequence[float | None], interval: float) -> float:
    """Of all GPUs of a host together. A figure that is not told counts as nothing."""
    known = (min(max(one, 0.0), 100.0) for one in utilization if one is not None)
    return sum(known) / 100 * interval


def attribute(
    busy: float, start: float, end: float, presences: Iterable[Presence]
) -> tuple[Share, ...]:
    """Shares of `busy` seconds between `start` and `end`. They add up to `busy`."""
    if busy <= 0 or end <= start:
        return ()
    spans = [
        (max(one.start, start), min(end if one.end is None else one.end, end), one)
        for one in presences
    ]
    spans = [span for span in spans if span[1] > span[0]]
    ours = min(busy, _covered([(first, last) for first, last, _ in spans]))
    whole = sum(last - first for first, last, _ in spans)
    seconds: dict[tuple[str, str], float] = {}
    for first, last, one in spans:
        key = one.service, one.client
        seconds[key] = seconds.get(key, 0.0) + ours * (last - first) / whole
    shares = [Share(service, client, amount) for (service, client), amount in seconds.items()]
    rest = busy - ours
    return (*shares, Share(OTHER, OTHER, rest)) if rest > 0 else tuple(shares)


def _covered(spans: Iterable[tuple[float, float]]) -> float:
    """The length of the union."""
    covered, reached = 0.0, float("-inf")
    for first, last in sorted(spans):
        if last > reached:
            covered += last - max(first, reached)
            reached = last
    return covered
