"""A sweep as a drawing: throughput against latency, one point per level, with its intervals. Pure.

Everything is in the units of the drawing; the template only writes it down. Axes start at zero:
a difference of two per cent must look like one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from server.gateway.sweep.knee import seconds
from server.gateway.sweep.model import Level

WIDTH, HEIGHT = 640.0, 320.0
LEFT, RIGHT, TOP, BOTTOM = 64.0, 24.0, 20.0, 48.0


@dataclass(frozen=True, slots=True)
class Point:
    """`x`, `y` of the middle; the bars reach over `x1` to `x2` and `y1` to `y2`."""

    level: int
    x: float
    y: float
    x1: float
    x2: float
    y1: float
    y2: float
    chosen: bool
    words: str


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    points: tuple[Point, ...]
    line: str
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    words: str


def chart(levels: Sequence[Level], chosen: int | None) -> Chart | None:
    """None when there is nothing to draw."""
    measured = [one for one in levels if one.requests]
    if not measured:
        return None
    most_latency = max(max(one.latency.high or 0.0, one.latency.mean) for one in measured)
    most_rate = max(max(one.rate.high or 0.0, one.rate.mean) for one in measured)
    step_x, step_y = _step(most_latency), _step(most_rate)
    end_x, end_y = _end(most_latency, step_x), _end(most_rate, step_y)

    def across(value: float) -> float:
        inside = min(max(value, 0.0), end_x) / end_x
        return round(LEFT + inside * (WIDTH - LEFT - RIGHT), 1)

    def up(value: float) -> float:
        inside = min(max(value, 0.0), end_y) / end_y
        return round(HEIGHT - BOTTOM - inside * (HEIGHT - TOP - BOTTOM), 1)

    points = tuple(
        Point(
            one.level,
            across(one.latency.mean),
            up(one.rate.mean),
            across(_or(one.latency.low, one.latency.mean)),
            across(_or(one.latency.high, one.latency.mean)),
            up(_or(one.rate.low, one.rate.mean)),
            up(_or(one.rate.high, one.rate.mean)),
            one.level == chosen,
            f"{one.level} at once: {one.rate.mean:.3g} requests/s, {seconds(one.latency.mean)}",
        )
        for one in measured
    )
    return Chart(
        WIDTH,
        HEIGHT,
        LEFT,
        WIDTH - RIGHT,
        TOP,
        HEIGHT - BOTTOM,
        points,
        " ".join(f"{point.x},{point.y}" for point in points),
        tuple(Tick(across(at), seconds(at) if at else "0") for at in _ticks(end_x, step_x)),
        tuple(Tick(up(at), f"{at:.6g}") for at in _ticks(end_y, step_y)),
        "Throughput against latency. " + ". ".join(point.words for point in points) + ".",
    )


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def _step(most: float) -> float:
    """A round distance for about five marks."""
    rough = max(most, 1e-9) / 5
    size = 10.0 ** _magnitude(rough)
    return next(size * one for one in (1, 2, 5, 10) if size * one >= rough)


def _magnitude(value: float) -> int:
    power = 0
    while value >= 10:
        value, power = value / 10, power + 1
    while value < 1:
        value, power = value * 10, power - 1
    return power


def _end(most: float, step: float) -> float:
    count = 1
    while count * step < most:
        count += 1
    return count * step


def _ticks(end: float, step: float) -> list[float]:
    return [round(number * step, 9) for number in range(round(end / step) + 1)]
