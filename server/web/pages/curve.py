"""The last hour of a host as small drawings. Pure.

Each is drawn here as a path of an SVG, so that a page shows it without a script; `charts.js` puts
a chart with hover in its place, from the same figures, and goes on by events. What both must agree
on (channels, units, scales) is told by the table below and travels in the page. Refuses to bridge
a time of which nothing is known: the line is broken there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from server.base.units import size
from server.fleet.trend import Curves

WIDTH, HEIGHT = 240, 48
LEAST = 10
"""Places over the whole width at least: two buckets share one, so these are five minutes."""


@dataclass(frozen=True, slots=True)
class Chart:
    """`lines` are channels of the trend. `top` is the upper end of the scale; 0: all memory of the
    host, None: what was seen. `unit` is `%`, `°C`, `W`, `MHz`, `B`, `B/s` or empty."""

    key: str
    label: str
    lines: tuple[str, ...]
    names: tuple[str, ...]
    unit: str
    top: float | None


CHARTS: Sequence[Chart] = (
    Chart("gpu", "GPU", ("gpu",), ("in use",), "%", 100.0),
    Chart("memory", "Memory", ("used", "held"), ("used", "GPU"), "B", 0.0),
    Chart("power", "Power", ("power",), ("power",), "W", None),
    Chart("temperature", "Temperature", ("temperature",), ("temperature",), "°C", 100.0),
    Chart("clock", "Clock", ("clock",), ("clock",), "MHz", None),
    Chart("pressure", "Memory pressure", ("pressure",), ("waiting for memory",), "%", None),
    Chart("network", "Network", ("received", "sent"), ("received", "sent"), "B/s", None),
    Chart("load", "Load", ("load",), ("load, 1 min",), "", None),
)
QUIET = {"%": 5.0, "°C": 50.0, "W": 20.0, "MHz": 500.0, "B": 2.0**30, "B/s": 102400.0, "": 1.0}
"""A scale that follows what was seen is not magnified beyond this."""
SMALL: Sequence[Chart] = CHARTS[:3]
DASH = "–"


@dataclass(frozen=True, slots=True)
class CurveCard:
    """`paths` by line, empty where nothing is known. `now` and `most` are the newest figure and the
    largest one of the first line, in words. `top` is the upper end of the scale as drawn."""

    chart: Chart
    paths: tuple[str, ...]
    now: str
    most: str
    top: float

    @property
    def words(self) -> str:
        if self.now == DASH and self.most == DASH:
            return f"{self.chart.label}: nothing is known of the last hour."
        return f"{self.chart.label} in the last hour: at most {self.most}, last {self.now}."


def curve_card(chart: Chart, curves: Curves, total: int | None) -> CurveCard:
    lines = [curves.of(channel) for channel in chart.lines]
    seen = [value for line in lines for value in line if value is not None]
    top = float(total or 0) if chart.top == 0 else chart.top or 0.0
    top = top or max(max(seen, default=0.0) * 1.15, QUIET[chart.unit])
    first = lines[0]
    known = [value for value in first if value is not None]
    return CurveCard(
        chart,
        tuple(path(halved(line), top) for line in lines),
        written(first[-1] if first else None, chart.unit),
        written(max(known, default=None), chart.unit),
        top,
    )


def halved(values: Sequence[float | None]) -> list[float | None]:
    """Neighbours share their mean; unknown beside known is known."""
    pairs = [values[at : at + 2] for at in range(0, len(values), 2)]
    return [_mean([one for one in pair if one is not None]) for pair in pairs]


def path(values: Sequence[float | None], top: float) -> str:
    """The newest at the right edge; soon after a start the little that is known fills it."""
    across = WIDTH / (max(len(values), LEAST) - 1)
    left = WIDTH - across * (len(values) - 1)
    drawn: list[str] = []
    pen_down = False
    for place, value in enumerate(values):
        if value is None:
            pen_down = False
            continue
        x = left + place * across
        y = HEIGHT - 1 - min(max(value / top, 0.0), 1.0) * (HEIGHT - 2)
        drawn.append(f"{'L' if pen_down else 'M'}{x:.0f} {y:.1f}")
        if not pen_down:
            drawn.append("h0")  # one alone is a dot
        pen_down = True
    return "".join(drawn)


def written(value: float | None, unit: str) -> str:
    if value is None:
        return DASH
    if unit == "B":
        return size(value)
    if unit == "B/s":
        return f"{size(value)}/s"
    digits = 0 if value >= 10 or value == 0 or unit in {"%", "MHz"} else 1
    return f"{value:.{digits}f} {unit}".rstrip()


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
