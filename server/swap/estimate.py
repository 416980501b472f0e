"""Percent and ETA of a swap, from phase times learned per (model, image, nodes).

Pure arithmetic over seconds. A phase that was never seen has a prior; a phase that reports its own
fraction is extrapolated from what it took so far. Priors are deliberately plain: the first load of
a model is a guess and says so by moving its ETA, the second is learned.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

ORDER: tuple[str, ...] = (
    "preflight",
    "draining",
    "stopping",
    "starting",
    "download",
    "weights",
    "compile",
    "profile",
    "kv_cache",
    "graphs",
    "server",
    "warming",
    "retiring",
)

PRIORS: Mapping[str, float] = {
    "preflight": 1.0,
    "draining": 0.5,
    "stopping": 6.0,
    "starting": 3.0,
    "download": 0.0,  # counted only when the log shows one
    "weights": 60.0,
    "compile": 20.0,
    "profile": 5.0,
    "kv_cache": 2.0,
    "graphs": 15.0,
    "server": 3.0,
    "warming": 2.0,
    "retiring": 0.0,  # the new model serves already
}

READ_BYTES_PER_SECOND = 1.2e9
"""A plain NVMe read of safetensors on a GB10: the prior for `weights` when their size is known."""

KEEP = 5
"""How many past times of a phase the median is taken over."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a swap is: the running phase, seconds in it, and its own fraction when it tells one."""

    phase: str
    elapsed: float
    fraction: float | None = None


def expected(
    learned: Mapping[str, Sequence[float]], weight_bytes: int | None = None
) -> dict[str, float]:
    """Seconds per phase: the median of what was learned, else the prior."""
    times = dict(PRIORS)
    if weight_bytes:
        times["weights"] = max(1.0, weight_bytes / READ_BYTES_PER_SECOND)
    times.update({p: median(seen[-KEEP:]) for p, seen in learned.items() if seen and p in times})
    return times


def unloading() -> dict[str, float]:
    """Seconds per phase of an unload: it starts nothing."""
    ours = ("draining", "stopping")
    return {phase: prior if phase in ours else 0.0 for phase, prior in PRIORS.items()}


def beside(times: Mapping[str, float]) -> dict[str, float]:
    """Seconds per phase of a load that stops nothing before it."""
    return {**times, "draining": 0.0, "stopping": 0.0}


def _remaining(position: Position, planned: float) -> float:
    """Seconds left in the running phase."""
    if position.fraction is None:
        # Past its plan a phase is "nearly done", never done: 5 % of the plan stays.
        return max(planned - position.elapsed, 0.05 * planned)
    fraction = min(max(position.fraction, 0.0), 1.0)
    by_plan = planned * (1.0 - fraction)
    if fraction < 0.05:
        return by_plan
    by_pace = position.elapsed * (1.0 - fraction) / fraction
    # The further it is, the more its own pace counts.
    return by_plan * (1.0 - fraction) + by_pace * fraction


def estimate(times: Mapping[str, float], position: Position) -> tuple[float, float]:
    """`(percent 0…99, eta_seconds)` of the whole swap."""
    index = ORDER.index(position.phase)
    done = sum(times[phase] for phase in ORDER[:index])
    left_here = _remaining(position, times[position.phase])
    left = left_here + sum(times[phase] for phase in ORDER[index + 1 :])
    planned_here = max(times[position.phase], position.elapsed)
    spent = done + min(position.elapsed, planned_here)
    total = spent + left
    percent = 0.0 if total <= 0 else 100.0 * spent / total
    return min(percent, 99.0), left


def moved_on(current: str, reported: str) -> str:
    """The later of two phases: a log line of an earlier phase never moves the bar back."""
    if reported not in ORDER:
        return current
    return reported if ORDER.index(reported) > ORDER.index(current) else current
