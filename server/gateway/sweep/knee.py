"""From runs to levels, and from levels to a cap. Pure.

Throughput of a level: the mean over its runs, with Student's t interval (95 %; "Student", "The
Probable Error of a Mean", 1908). A run is the unit, not a request: requests that run together are
not independent of each other.

Latency of a level: the median over all its requests, with the distribution-free interval from
order statistics (Thompson 1936; Conover, "Practical Nonparametric Statistics"): latencies are
skewed, and a mean with an even bar around it would lie.

The knee is the smallest level whose throughput is within `tolerance` of the best one, among those
that did not fail and whose median latency is below `latency`. Beyond it callers wait in the service
instead of in the gateway, where their place is known and can be given up. It is `certain` when
the interval of each smaller level ends below that threshold: else a smaller cap may do as well.
"""

from collections.abc import Sequence
from math import comb, floor, sqrt
from statistics import fmean, stdev

from server.gateway.sweep.model import Interval, Knee, Level, Run

TOLERANCE = 0.05

# Two-sided 95 % quantiles of Student's t by degrees of freedom.
_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
)  # fmt: skip
_NORMAL = 1.960


def mean_interval(figures: Sequence[float]) -> Interval:
    """Of at least one figure; with a single one the interval is not known."""
    mean = fmean(figures)
    degrees = len(figures) - 1
    if degrees < 1:
        return Interval(mean)
    quantile = _T[degrees - 1] if degrees <= len(_T) else _NORMAL
    half = quantile * stdev(figures) / sqrt(len(figures))
    return Interval(mean, mean - half, mean + half)


def median_interval(figures: Sequence[float]) -> Interval:
    """The median, and two order statistics around it. Fewer than six cannot bound it at 95 %."""
    ordered = sorted(figures)
    count = len(ordered)
    middle = (ordered[(count - 1) // 2] + ordered[count // 2]) / 2
    if count < 6:
        return Interval(middle)
    first = _rank(count)
    return Interval(middle, ordered[first], ordered[count - 1 - first])


def _rank(count: int) -> int:
    """The largest rank (from 0) that the median lies below with at most 2.5 %."""
    if count > 200:  # normal approximation of the binomial, rounded outwards
        return floor((count - _NORMAL * sqrt(count)) / 2)
    below, rank = 0, -1
    while 40 * (below := below + comb(count, rank + 1)) <= 1 << count:
        rank += 1
    return rank


def summed(runs: Sequence[Run]) -> tuple[Level, ...]:
    """One level for each that was run, ascending. A failed run leaves its level failed."""
    found = []
    for level in sorted({run.level for run in runs}):
        mine = [run for run in runs if run.level == level]
        good = [run for run in mine if not run.failed and run.latencies]
        failed = next((run.failed for run in mine if run.failed), "")
        latencies = [seconds for run in good for seconds in run.latencies]
        found.append(
            Level(
                level,
                requests=len(latencies),
                repeats=len(good),
                rate=mean_interval([run.rate for run in good]) if good else Interval(0.0),
                latency=median_interval(latencies) if latencies else Interval(0.0),
                slowest=max(latencies, default=0.0),
                failed=failed,
            )
        )
    return tuple(found)


def usable(levels: Sequence[Level]) -> tuple[Level, ...]:
    """Those below the first one that failed: what broke at four is not proposed at six."""
    first = min((one.level for one in levels if one.failed), default=None)
    return tuple(one for one in levels if one.repeats and (first is None or one.level < first))


def knee(
    levels: Sequence[Level], *, tolerance: float = TOLERANCE, latency: float | None = None
) -> Knee | None:
    """None when nothing was measured that could be proposed."""
    good = sorted(usable(levels), key=lambda one: one.level)
    if not good:
        return None
    allowed = [one for one in good if latency is None or one.latency.mean <= latency]
    if not allowed:
        return None
    best = max(allowed, key=lambda one: (one.rate.mean, -one.level))
    threshold = (1 - tolerance) * best.rate.mean
    chosen = next(one for one in allowed if one.rate.mean >= threshold)
    smaller = [one for one in allowed if one.level < chosen.level]
    certain = all(one.rate.high is not None and one.rate.high < threshold for one in smaller)
    rising = chosen is good[-1] and len(good) > 1 and not any(one.failed for one in levels)
    sentence = _sentence(chosen, best, levels, certain=certain, rising=rising, latency=latency)
    return Knee(chosen.level, best.level, certain, rising, sentence)


def _sentence(
    chosen: Level,
    best: Level,
    levels: Sequence[Level],
    *,
    certain: bool,
    rising: bool,
    latency: float | None,
) -> str:
    """For whoever has to decide."""
    share = 100 * chosen.rate.mean / best.rate.mean if best.rate.mean else 100.0
    parts = [
        f"{chosen.level} at once: {rate(chosen.rate)} requests/s, "
        f"half of them within {seconds(chosen.latency.mean)}"
    ]
    if best.level != chosen.level:
        parts.append(
            f"{best.level} at once bring {rate(best.rate)} requests/s at "
            f"{seconds(best.latency.mean)}, so {chosen.level} have {share:.0f} % of the best"
        )
    if not certain:
        parts.append("the figures do not rule out that fewer do as well: measure longer to know")
    if rising:
        parts.append("throughput was still rising at the last level: measure with more at once")
    failed = next((one for one in levels if one.failed), None)
    if failed is not None:
        parts.append(f"with {failed.level} at once requests failed ({failed.failed})")
    if latency is not None:
        parts.append(f"levels above {seconds(latency)} were left out, as asked")
    return "; ".join(parts) + "."


def rate(interval: Interval) -> str:
    """`12.4 (11.9 to 12.9)`."""
    if interval.low is None or interval.high is None:
        return _figure(interval.mean)
    low, high = max(0.0, interval.low), interval.high
    return f"{_figure(interval.mean)} ({_figure(low)} to {_figure(high)})"


def _figure(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def seconds(value: float) -> str:
    """`240 ms`, `3.2 s`."""
    return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.3g} s"
