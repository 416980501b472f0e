"""Histograms that cost a fraction of a microsecond: a list of counts, read when somebody asks.

The client library's own histogram takes a lock and a loop per value, ten of them more than the
relay of a small request may cost. Everything here runs on the one event loop, so plain numbers do.
Pure.
"""

from bisect import bisect_left
from collections.abc import Sequence


class Tally:
    """Counts by upper bound. `bounds` ascend; above the last one lies one more place."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def cumulated(self) -> list[tuple[str, float]]:
        """As Prometheus has it: how many were at most each bound, `+Inf` last."""
        rows, so_far = [], 0
        for bound, count in zip((*map(_written, self.bounds), "+Inf"), self.counts, strict=True):
            so_far += count
            rows.append((bound, float(so_far)))
        return rows


def _written(bound: float) -> str:
    """`1.0`, as Prometheus' own client writes a bound."""
    return repr(float(bound))
