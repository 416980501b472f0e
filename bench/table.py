"""A measured figure with its aim, and how a set of them is printed."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """`figure` is None for what could not be measured; `note` says why, or what it stands beside.

    `aim` is what must be reached, `stretch` what would be better still, in the unit of `figure`:
    the most that it should be, or the least of it when `least` is set.
    """

    what: str
    figure: float | None
    unit: str
    aim: float | None = None
    note: str = ""
    stretch: float | None = None
    least: bool = False

    def cells(self) -> tuple[str, str, str, str]:
        return (self.what, shown(self.figure, self.unit), self._verdict(), self.note)

    def reached(self, bound: float) -> bool:
        if self.figure is None:
            return False
        return self.figure >= bound if self.least else self.figure <= bound

    def _verdict(self) -> str:
        if self.aim is None:
            return ""
        words = f"{'at least' if self.least else 'at most'} {shown(self.aim, self.unit)}"
        if self.figure is None:
            return words
        words += f": {'met' if self.reached(self.aim) else 'MISSED'}"
        if self.stretch is not None:
            word = "met" if self.reached(self.stretch) else "not met"
            words += f"; {shown(self.stretch, '').strip()}: {word}"
        return words


def shown(figure: float | None, unit: str) -> str:
    """Three digits are all that such figures are worth."""
    if figure is None:
        return "not measured"
    size = abs(figure)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{figure:.{digits}f} {unit}".rstrip()


def median(figures: Sequence[float]) -> float:
    return statistics.median(figures)


def spread(figures: Sequence[float], unit: str) -> str:
    """The least and the most of the rounds: how far the median is to be trusted."""
    return f"{shown(min(figures), unit)} to {shown(max(figures), unit)}"


def drawn(title: str, rows: Sequence[Row]) -> str:
    cells = [("", "figure", "aim", ""), *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(3)]
    lines = [title, "-" * len(title)]
    for what, figure, aim, note in cells:
        line = f"{what:<{widths[0]}}  {figure:>{widths[1]}}  {aim:<{widths[2]}}  {note}"
        lines.append(line.rstrip())
    return "\n".join(lines)
