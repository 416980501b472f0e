"""From windows and their groups to turns: votes on a grid, nothing shorter than can be heard. Pure.

Owns where windows lie in the spoken regions, the vote of the windows over each 50 ms, and what is
done with scraps: a group that holds less than a second of speech belongs to the nearest other
one, and a flicker of a speaker within another one's turn to that one.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from server.engine.sound import Samples

WINDOW, HOP = 1.5, 0.5
"""Seconds. Shorter windows tell voices apart worse, longer ones span a change of speaker."""
MOST_WINDOWS = 2400
"""20 minutes of speech at `HOP`; for longer ones the hop grows, and the matrix stays at 23 MB."""
GRID = 0.05
SCRAP_SECONDS = 1.0
FLICKER_SECONDS = 0.3
BREATH_SECONDS = 0.35
"""A pause that does not end a turn when the same speaker goes on."""
EDGE_DB = 35.0
"""What lies that far below a region's loudest moment, at its ends, is no speech."""

Span = tuple[float, float]


class Turn(NamedTuple):
    speaker: int
    start: float
    end: float


def trimmed(regions: Sequence[Span], levels: "Samples", step: float) -> list[Span]:
    """Regions without the quiet at their ends; `levels`: decibels of every `step` seconds."""
    found: list[Span] = []
    for start, end in regions:
        first, last = int(start / step), max(int(start / step) + 1, round(end / step))
        row = levels[first:last]
        loud = np.flatnonzero(row > row.max() - EDGE_DB) if len(row) else row
        if len(loud):
            found.append(
                (
                    max(start, (first + int(loud[0])) * step),
                    min(end, (first + int(loud[-1]) + 1) * step),
                )
            )
        else:
            found.append((start, end))
    return found


def windows(regions: Sequence[Span]) -> list[Span]:
    """Where to listen: each region is covered to its end, a short one by one window of its own."""
    hop = max(HOP, sum(end - start for start, end in regions) / MOST_WINDOWS)
    found: list[Span] = []
    for start, end in regions:
        count = max(0, int(np.ceil((end - start - WINDOW) / hop - 1e-9)))
        starts = [start + number * hop for number in range(count)]
        if end - start > WINDOW:
            starts.append(end - WINDOW)
        found.extend((at, at + WINDOW) for at in starts or ())
        if not starts:
            found.append((start, end))
    return found


def centroids(rows: "Samples", group: "NDArray[np.int64]") -> "Samples":
    """One row of length one for each group."""
    found = np.stack([rows[group == number].mean(axis=0) for number in range(int(group.max()) + 1)])
    made: Samples = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)
    return made


def without_scraps(
    rows: "Samples", group: "NDArray[np.int64]", spans: Sequence[Span]
) -> "NDArray[np.int64]":
    """Groups that hold too little speech to be somebody join the nearest that holds enough."""
    if not len(group):
        return group
    held = np.zeros(int(group.max()) + 1)
    last = -1.0
    for number, (start, end) in zip(group, spans, strict=True):
        held[number] += max(0.0, end - max(start, last))
        last = max(last, end)
    kept = np.flatnonzero(held >= SCRAP_SECONDS)
    if not len(kept) or len(kept) == len(held):
        return group
    middle = centroids(rows, group)
    nearest = kept[(middle @ middle[kept].T).argmax(axis=1)]
    nearest[kept] = kept
    order = {number: at for at, number in enumerate(dict.fromkeys(nearest[group].tolist()))}
    return np.array([order[int(nearest[number])] for number in group])


def turns(regions: Sequence[Span], spans: Sequence[Span], group: "NDArray[np.int64]") -> list[Turn]:
    """Who speaks when. Within a region somebody always does."""
    if not len(group):
        return []
    votes = _votes(spans, group, max(end for _, end in regions))
    found: list[Turn] = []
    for start, end in regions:
        first, last = int(start / GRID), max(int(start / GRID) + 1, round(end / GRID))
        runs = _steady(votes[first:last].argmax(axis=1))
        edges = [start, *(round((first + at) * GRID, 3) for at, _ in runs[1:]), end]
        for number, (_, speaker) in enumerate(runs):
            found.append(Turn(speaker, edges[number], edges[number + 1]))
    return _joined(found)


def _joined(found: Sequence[Turn]) -> list[Turn]:
    kept: list[Turn] = []
    for turn in found:
        last = kept[-1] if kept else None
        if last and last.speaker == turn.speaker and turn.start - last.end <= BREATH_SECONDS:
            kept[-1] = last._replace(end=turn.end)
        else:
            kept.append(turn)
    return kept


def _votes(spans: Sequence[Span], group: "NDArray[np.int64]", end: float) -> "Samples":
    """Each window counts most at its middle."""
    votes = np.zeros((int(end / GRID) + 2, int(group.max()) + 1), np.float32)
    for (start, stop), number in zip(spans, group, strict=True):
        first, last = int(start / GRID), max(int(start / GRID) + 1, round(stop / GRID))
        length = last - first
        votes[first:last, number] += 1.0 - np.abs(np.arange(length) - (length - 1) / 2) / length
    return votes


def _steady(row: "NDArray[np.int64]") -> list[tuple[int, int]]:
    """(where it begins, who) for each run, those too short to be a turn given to the one before."""
    runs: list[tuple[int, int]] = []
    edges = [0, *(np.flatnonzero(np.diff(row)) + 1).tolist(), len(row)]
    for at, after in pairwise(edges):
        short = (after - at) * GRID < FLICKER_SECONDS
        if runs and (short or runs[-1][1] == int(row[at])):
            continue
        if short and after < len(row):
            runs.append((at, int(row[after])))
        else:
            runs.append((at, int(row[at])))
    return runs
